"""Azure Key Vault and Managed HSM as far as the provider asks them, behind the SDK's own HTTP transport."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from tests.integration.vault_providers.serving import Answered, Asked, Server, as_json

HOST = "audit-test.vault.azure.net"
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)


class Credential:
    """A token that is refused nowhere."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("token-of-this-test", int(time.time()) + 3600)


class Transport(RequestsTransport):
    """The SDK's transport, which takes the vault's address for that of this machine."""

    def __init__(self, url: str, **bounds: Any) -> None:
        super().__init__(**bounds)
        self._url = url

    def send(self, request: Any, **options: Any) -> Any:
        asked = request.url
        request.url = re.sub(r"https://[^/]+", self._url, asked)
        try:
            return super().send(request, **options)
        finally:
            request.url = asked


class _RefusalError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class FakeKeyVault:
    """Keys of one vault; keeps the form of `contract.Breakable`."""

    def __init__(self, *, may_purge: bool) -> None:
        self.aged_seconds = 0  # a new key says that it was made so long ago
        self.live: dict[str, dict[str, Any]] = {}  # name -> version -> key
        self.deleted: dict[str, dict[str, Any]] = {}
        self.may_purge = may_purge
        self.asked: list[tuple[str, str]] = []
        self._lies = self._careless = False
        self.server = Server(self._answer)
        self.away, self.silent = self.server.away, self.server.silent

    def _answer(self, asked: Asked) -> Answered:
        path = asked.path.partition("?")[0]
        self.asked.append((asked.method, path))
        if "Authorization" not in asked.headers:
            vault = HOST.partition(".")[2]
            challenge = (
                'Bearer authorization="https://login.microsoftonline.com/tenant",'
                f' resource="https://{vault}"'
            )
            return Answered(401, b"{}", headers=(("WWW-Authenticate", challenge),))
        body = json_of(asked.body)
        for (method, pattern), act in self._routes().items():
            match = re.fullmatch(pattern, path)
            if match and method == asked.method:
                try:
                    answer = act(*match.groups(), body)
                    return Answered(204, b"") if answer is None else as_json(answer)
                except _RefusalError as refusal:
                    error = {"error": {"code": "No", "message": "with a secret-word"}}
                    return as_json(error, refusal.status)
        raise AssertionError(path)

    def _routes(self) -> dict[tuple[str, str], Callable[..., Any]]:
        name, version = r"/keys/([A-Za-z0-9-]+)", r"/([0-9a-f]{32})"
        return {
            ("POST", f"{name}/create"): self._create,
            ("GET", f"{name}/versions"): self._versions,
            ("GET", f"{name}{version}"): self._get,
            ("DELETE", name): self._delete,
            ("GET", r"/deletedkeys/([A-Za-z0-9-]+)"): self._get_deleted,
            ("DELETE", r"/deletedkeys/([A-Za-z0-9-]+)"): self._purge,
            ("POST", f"{name}{version}/(wrapkey|unwrapkey|sign)"): self._use,
        }

    def _create(self, name: str, body: dict[str, Any]) -> Any:
        if name in self.deleted:
            raise _RefusalError(409)
        kty = body["kty"]
        secret: Any = os.urandom(32)
        if kty.startswith("RSA"):
            secret = rsa.generate_private_key(65537, body["key_size"])
        made_at = int(time.time()) - self.aged_seconds
        key = {"kty": kty, "secret": secret, "ops": body["key_ops"], "created": made_at}
        version = secrets.token_hex(16)
        self.live.setdefault(name, {})[version] = key
        return self._bundle(name, version, key)

    def _versions(self, name: str, _body: Any) -> Any:
        found = self.live.get(name)
        if found is None:
            return {"value": []}  # so the service answers for a name it does not know
        return {"value": [self._item(name, version, key) for version, key in found.items()]}

    def _get(self, name: str, version: str, _body: Any) -> Any:
        return self._bundle(name, version, self._key(name, version))

    def _delete(self, name: str, _body: Any) -> Any:
        if name not in self.live:
            raise _RefusalError(404)
        self.deleted[name] = {"versions": self.live.pop(name), "at": int(time.time())}
        return self._get_deleted(name, None)

    def _get_deleted(self, name: str, _body: Any) -> Any:
        if name not in self.deleted:
            raise _RefusalError(404)
        found = self.deleted[name]
        version, key = next(iter(found["versions"].items()))
        return self._bundle(name, version, key) | {
            "recoveryId": f"https://{HOST}/deletedkeys/{name}",
            "deletedDate": found["at"],
            "scheduledPurgeDate": found["at"] + 90 * 86400,
        }

    def _purge(self, name: str, _body: Any) -> None:
        if not self.may_purge:
            raise _RefusalError(403)
        if self.deleted.pop(name, None) is None:
            raise _RefusalError(404)

    def _use(self, name: str, version: str, act: str, body: dict[str, Any]) -> Any:
        key, value = self._key(name, version), unbase64(body["value"])
        kid = f"https://{HOST}/keys/{name}/{version}"
        expected = {"wrapkey": "wrapKey", "unwrapkey": "unwrapKey", "sign": "sign"}[act]
        assert expected in key["ops"]
        return {"kid": kid, "value": base64url(self._done(act, body["alg"], key["secret"], value))}

    def _done(self, act: str, algorithm: str, secret: Any, value: bytes) -> bytes:
        if act == "sign":
            assert algorithm == "PS256"
            return bytes(secret.sign(value, _PSS, utils.Prehashed(hashes.SHA256())))
        assert algorithm == ("A256KW" if isinstance(secret, bytes) else "RSA-OAEP-256")
        if act == "wrapkey":
            if isinstance(secret, bytes):
                return aes_key_wrap(secret, value)
            return bytes(secret.public_key().encrypt(value, _OAEP))
        if self._lies:
            return os.urandom(32)
        try:
            if isinstance(secret, bytes):
                return aes_key_unwrap(secret, value)
            return bytes(secret.decrypt(value, _OAEP))
        except (InvalidUnwrap, ValueError):
            raise _RefusalError(400) from None

    def _key(self, name: str, version: str) -> Any:
        try:
            return self.live[name][version]
        except KeyError:
            raise _RefusalError(404) from None

    def _item(self, name: str, version: str, key: Any) -> dict[str, Any]:
        return {
            "kid": f"https://{HOST}/keys/{name}/{version}",
            "attributes": {"enabled": True, "created": key["created"], "updated": key["created"]},
        }

    def _bundle(self, name: str, version: str, key: Any) -> dict[str, Any]:
        item = self._item(name, version, key)
        # As from the service: no `k` of an oct-HSM key, which nobody sees.
        jwk = {"kid": item.pop("kid"), "kty": key["kty"], "key_ops": key["ops"]}
        if key["kty"].startswith("RSA"):
            numbers = key["secret"].public_key().public_numbers()
            jwk |= {"n": base64url(numbers.n.to_bytes(384, "big")), "e": base64url(b"\1\0\1")}
        return {"key": jwk, **item}

    # --- how it breaks ----------------------------------------------------------------------------------

    def busy(self) -> Any:
        return self.server.answering(503)

    def refusing(self) -> Any:
        return self.server.answering(403)

    @contextmanager
    def lying(self) -> Iterator[None]:
        self._lies = True
        yield
        self._lies = False

    @contextmanager
    def careless(self) -> Iterator[None]:
        yield  # it binds nothing anyhow


def json_of(body: bytes) -> Any:
    return json.loads(body) if body else None


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
