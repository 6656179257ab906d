"""Transit on a real OpenBao, behind a proxy that can break, with a token that may do no more than the guide says."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from auditvault.core.crypto.keywrap import KeyProvider, KeyProviderUnavailableError
from auditvault.vault.providers.errors import (
    KeyProviderRefusedError,
    KeyProviderSecretError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.opening import open_provider
from tests.integration.vault_providers.contract import CONTEXT, KEK, Make, RemoteContract
from tests.integration.vault_providers.openbao import NAME, OpenBao, Proxy
from tests.integration.vault_providers.serving import Answered, Asked, Server, as_json


@pytest.fixture
def mount(bao: OpenBao) -> str:
    name = f"t{secrets.token_hex(6)}"
    bao.mount(name)
    return name


def write_secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def token_file(bao: OpenBao, mount: str, tmp_path: Path) -> Path:
    return write_secret(tmp_path / "token", bao.token(mount, NAME))


def provider_at(port: int, mount: str, options: str) -> KeyProvider:
    return open_provider(f"transit://127.0.0.1:{port}/{mount}/{NAME}?tls=off&{options}")


class TestTransit(RemoteContract):
    @pytest.fixture
    def service(self, proxy: Proxy) -> Proxy:
        return proxy

    @pytest.fixture
    def make(self, proxy: Proxy, mount: str, token_file: Path) -> Make:
        return lambda: provider_at(proxy.server.port, mount, f"token-file={token_file}")


@pytest.fixture
def direct(bao: OpenBao, mount: str, token_file: Path) -> KeyProvider:
    return provider_at(bao.port, mount, f"token-file={token_file}")


def works(provider: KeyProvider) -> bool:
    key_ref = provider.make_key(1)
    return provider.unwrap(key_ref, provider.wrap(key_ref, KEK, CONTEXT), CONTEXT) == KEK


def test_an_approle_signs_in(bao: OpenBao, mount: str, tmp_path: Path) -> None:
    bao.ask("POST", f"sys/auth/{mount}", {"type": "approle"})
    bao.write_policy(mount, NAME)
    bao.ask("POST", f"auth/{mount}/role/av", {"token_policies": [mount]})
    role_id = bao.ask("GET", f"auth/{mount}/role/av/role-id")["data"]["role_id"]
    secret_id = bao.ask("POST", f"auth/{mount}/role/av/secret-id", {})["data"]["secret_id"]
    role, secret = write_secret(tmp_path / "r", role_id), write_secret(tmp_path / "s", secret_id)
    options = f"auth=approle&auth-mount={mount}&role-id-file={role}&secret-id-file={secret}"
    provider = provider_at(bao.port, mount, options)
    assert works(provider)
    secret.write_text("wrong")
    with pytest.raises(KeyProviderRefusedError):
        provider_at(bao.port, mount, options).make_key(1)


def test_a_token_that_ended_is_replaced_by_signing_in_again(
    bao: OpenBao, mount: str, token_file: Path, direct: KeyProvider
) -> None:
    assert works(direct)
    bao.ask("POST", "auth/token/revoke", {"token": token_file.read_text()})
    with pytest.raises(KeyProviderRefusedError):
        works(direct)
    token_file.write_text(bao.token(mount, NAME))
    assert works(direct)


def test_a_service_account_of_kubernetes_signs_in(bao: OpenBao, mount: str, tmp_path: Path) -> None:
    def review(_asked: Asked) -> Answered:
        user = {"username": "system:serviceaccount:audit:web", "uid": "u-1", "groups": []}
        return as_json({"status": {"authenticated": True, "user": user}}, 201)

    kubernetes = Server(review)
    claims = {
        "sub": "system:serviceaccount:audit:web",
        "kubernetes.io": {
            "namespace": "audit",
            "serviceaccount": {"name": "web", "uid": "u-1"},
        },
    }
    jwt = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256", "typ": "JWT"}, claims, "signature")
    )
    bao.ask("POST", f"sys/auth/{mount}", {"type": "kubernetes"})
    bao.write_policy(mount, NAME)
    config = {"kubernetes_host": kubernetes.url, "token_reviewer_jwt": jwt}
    config |= {"disable_local_ca_jwt": True, "kubernetes_ca_cert": some_certificate()}
    bao.ask("POST", f"auth/{mount}/config", config)
    role = {"bound_service_account_names": "web", "bound_service_account_namespaces": "audit"}
    bao.ask("POST", f"auth/{mount}/role/av", role | {"token_policies": [mount]})
    # The platform's file: anybody in the pod may read it.
    file = write_secret(tmp_path / "jwt", jwt, 0o644)
    options = f"auth=kubernetes&auth-mount={mount}&role=av&jwt-file={file}"
    assert works(provider_at(bao.port, mount, options))
    kubernetes.stop()


def some_certificate() -> str:
    """OpenBao wants one, and asks the cluster of this test in clear."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return signed.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_keys_may_lie_in_a_namespace(bao: OpenBao, tmp_path: Path) -> None:
    bao.ask("POST", "sys/namespaces/eu", {})
    bao.mount("transit", "eu")
    token = bao.ask("POST", "auth/token/create", {"policies": ["root"]})["auth"]["client_token"]
    file = write_secret(tmp_path / "token", token)
    assert works(provider_at(bao.port, "transit", f"token-file={file}&namespace=eu"))
    assert bao.ask("LIST", "transit/keys", None, "eu")["data"]["keys"] == [f"{NAME}-e1"]


def test_a_sealed_server_is_unavailable_until_it_is_unsealed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sealed = OpenBao(tmp_path_factory.mktemp("sealed"))
    try:
        sealed.mount("transit")
        file = write_secret(tmp_path / "token", sealed.token("transit", NAME))
        options = f"token-file={file}"
        assert works(provider_at(sealed.port, "transit", options))
        sealed.ask("PUT", "sys/seal", {})
        with pytest.raises(KeyProviderUnavailableError, match="sealed"):
            provider_at(sealed.port, "transit", options).make_key(1)
        sealed.ask("PUT", "sys/unseal", {"key": sealed.unseal_key})
        assert works(provider_at(sealed.port, "transit", options))
    finally:
        sealed.stop()


@pytest.mark.parametrize(
    "made",
    [{"type": "aes256-gcm96", "exportable": True}, {"type": "rsa-3072"}],
    ids=["exportable", "rsa"],
)
def test_a_key_of_another_kind_is_not_taken(
    bao: OpenBao, mount: str, direct: KeyProvider, made: dict[str, Any]
) -> None:
    bao.ask("POST", f"{mount}/keys/{NAME}-e1", made)
    with pytest.raises(RootKeyUnfitError):
        direct.make_key(1)


def test_a_destruction_that_was_cut_short_is_taken_up(
    bao: OpenBao, mount: str, direct: KeyProvider
) -> None:
    key_ref = direct.make_key(1)
    # The crash: the note stands, the key as well.
    bao.ask("POST", f"{mount}/keys/{NAME}-e1.destroyed", {"type": "aes256-gcm96"})
    assert direct.destroy(key_ref) is None
    assert bao.ask("LIST", f"{mount}/keys")["data"]["keys"] == [f"{NAME}-e1.destroyed"]


def test_wrapping_under_a_destroyed_key_makes_no_new_one(
    bao: OpenBao, mount: str, tmp_path: Path
) -> None:
    root = bao.ask("POST", "auth/token/create", {"policies": ["root"]})["auth"]["client_token"]
    file = write_secret(tmp_path / "root-token", root)
    provider = provider_at(bao.port, mount, f"token-file={file}")
    key_ref = provider.make_key(1)
    provider.destroy(key_ref)
    with pytest.raises(Exception, match="destroyed"):
        provider.wrap(key_ref, KEK, CONTEXT)
    assert bao.ask("LIST", f"{mount}/keys")["data"]["keys"] == [f"{NAME}-e1.destroyed"]


def test_the_token_may_not_touch_the_keys_of_others(
    bao: OpenBao, mount: str, token_file: Path
) -> None:
    provider = open_provider(
        f"transit://127.0.0.1:{bao.port}/{mount}/other?tls=off&token-file={token_file}"
    )
    with pytest.raises(KeyProviderRefusedError):
        provider.make_key(1)


def test_a_mount_that_is_not_there_is_named(bao: OpenBao, tmp_path: Path) -> None:
    root = bao.ask("POST", "auth/token/create", {"policies": ["root"]})["auth"]["client_token"]
    file = write_secret(tmp_path / "token", root)
    with pytest.raises(KeyProviderUnusableError, match="nowhere"):
        provider_at(bao.port, "nowhere", f"token-file={file}").make_key(1)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_token_file_that_others_may_read_is_refused(
    bao: OpenBao, mount: str, token_file: Path, mode: int
) -> None:
    token_file.chmod(mode)
    with pytest.raises(KeyProviderSecretError, match=f"{mode:04o}"):
        provider_at(bao.port, mount, f"token-file={token_file}").make_key(1)


def test_no_error_repeats_the_token(proxy: Proxy, mount: str, token_file: Path) -> None:
    provider = provider_at(proxy.server.port, mount, f"token-file={token_file}")
    key_ref = provider.make_key(1)
    seen = []
    for status in (400, 403, 404, 418, 500):
        with proxy.server.answering(status), pytest.raises(Exception) as failed:  # noqa: PT011
            provider_at(proxy.server.port, mount, f"token-file={token_file}").health(key_ref)
        error: BaseException | None = failed.value
        while error is not None:
            seen.append(str(error))
            error = error.__cause__
    assert not any(token_file.read_text() in text for text in seen)
