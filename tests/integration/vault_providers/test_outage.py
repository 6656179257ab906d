"""A region whose root key is in a real OpenBao, and what callers see when that is away, refuses or lies."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from auditvault.core.crypto.keywrap import wrap_context
from tests.integration.ingest.sending import chat, protobuf_of, record, send
from tests.integration.ledger.superuser import counts, superuser
from tests.integration.vault.looking import forget_keys, resolve, revealed
from tests.integration.vault_providers.openbao import NAME, OpenBao, Proxy

EPOCH = 1000
"""An epoch of these tests' own: the region's others go on as they are once it is taken away."""
TABLES = ("keyring_subject_key", "keyring_tag_secret", "keyring_tenant_key", "keyring_region_key")


@pytest.fixture
def in_transit(
    cluster: Any, proxy: Proxy, bao: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """The region eu has its newest key under a root key in OpenBao."""
    from django.conf import settings

    from auditvault.vault.providers import of_region

    mount = f"t{secrets.token_hex(6)}"
    bao.mount(mount)
    token = tmp_path / "token"
    token.write_text(bao.token(mount, NAME))
    token.chmod(0o600)
    url = f"transit://127.0.0.1:{proxy.server.port}/{mount}/{NAME}?tls=off&token-file={token}"
    monkeypatch.setitem(settings.KEY_PROVIDERS, "eu", url)
    monkeypatch.setattr(of_region, "_opened", {})
    monkeypatch.setattr(of_region, "_health", {})
    provider, key_id = of_region.provider_of("eu"), uuid4()
    key_ref = provider.make_key(EPOCH)
    context = wrap_context(
        purpose="region-kek", region="eu", key_or_object_id=key_id, version=EPOCH
    )
    with superuser(cluster, "keys_eu") as connection:
        connection.execute(
            "INSERT INTO keyring_region_key (epoch, key_id, wrapped, key_ref) VALUES (%s, %s, %s, %s)",
            (EPOCH, key_id, provider.wrap(key_ref, os.urandom(32), context), key_ref),
        )
    forget_keys(monkeypatch)
    yield proxy
    with superuser(cluster, "keys_eu") as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table} WHERE epoch = %s", (EPOCH,))  # type: ignore[arg-type]


@pytest.fixture
def recorded(client: Any, in_transit: Proxy, tenant: Any, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """One content is there; then the process starts anew."""
    record(client, tenant, chat("a secret", user="anna"))
    assert revealed(resolve(client, tenant, "a secret")) == ["a secret"]
    tenant.headers("ingest")
    start_again(monkeypatch)
    return in_transit


def start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from auditvault.vault.providers import of_region

    forget_keys(monkeypatch)
    monkeypatch.setattr(of_region, "_opened", {})


def test_contents_are_sealed_and_opened_under_a_key_in_transit(
    client: Any, recorded: Proxy, tenant: Any
) -> None:
    assert revealed(resolve(client, tenant, "a secret")) == ["a secret"]


BREAKS = {
    "away": "key_provider_unavailable",
    "busy": "key_provider_unavailable",
    "refusing": "key_provider_refused",
    "lying": "wrap_key_mismatch",
}
every_break = pytest.mark.parametrize("how", sorted(BREAKS))


@every_break
def test_traces_are_answered_503_and_nothing_is_half_written(
    client: Any, recorded: Proxy, tenant: Any, cluster: Any, how: str
) -> None:
    before = counts(cluster, tenant.tenant_id)
    with getattr(recorded, how)():
        answer = send(client, tenant, protobuf_of(chat("during", user="somebody new")))
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert counts(cluster, tenant.tenant_id) == before


@every_break
def test_resolving_is_answered_503_shows_nothing_and_names_no_service(
    client: Any, recorded: Proxy, tenant: Any, how: str
) -> None:
    with getattr(recorded, how)():
        answer = resolve(client, tenant, "a secret")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (503, BREAKS[how])
    assert int(answer["Retry-After"]) > 0
    assert "contents" not in body
    assert not any(word in answer.content.decode() for word in ("127.0.0.1", "token", NAME))


@every_break
def test_the_log_says_what_is_wrong(
    client: Any, recorded: Proxy, tenant: Any, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    with caplog.at_level(logging.ERROR, "auditvault.api"), getattr(recorded, how)():
        resolve(client, tenant, "a secret")
    assert any(BREAKS[how] in line.getMessage() for line in caplog.records)


def test_the_same_request_is_recorded_once_the_service_is_back(
    client: Any, recorded: Proxy, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = protobuf_of(chat("during"))
    with recorded.away():
        assert send(client, tenant, body).status_code == 503
    start_again(monkeypatch)
    assert send(client, tenant, body).status_code == 200
    assert revealed(resolve(client, tenant, "during")) == ["during"]


# --- rows of the keyring that are not what they should be ---------------------------------------------------

DAMAGES = {
    "another version": ("set_byte(wrapped, 0, 2)", "wrap_version_unknown"),
    "another suite": ("set_byte(wrapped, length(wrapped) - 93, 2)", "wrap_suite_unknown"),
    "cut": ("substring(wrapped for 90)", "wrap_truncated"),
    "longer": ("wrapped || wrapped", "wrap_malformed"),
    "a changed tag": (
        "set_byte(wrapped, length(wrapped) - 1, 255 - get_byte(wrapped, length(wrapped) - 1))",
        "wrap_not_authentic",
    ),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_region_key_that_was_changed_is_named_and_is_no_500(
    client: Any, recorded: Proxy, tenant: Any, cluster: Any, damage: str
) -> None:
    expression, code = DAMAGES[damage]
    change_region_key(cluster, f"wrapped = {expression}")
    answer = resolve(client, tenant, "a secret")
    assert (answer.status_code, answer.json()["code"]) == (503, code)


def test_an_unknown_key_id_is_named_and_is_no_500(
    client: Any, recorded: Proxy, tenant: Any, cluster: Any
) -> None:
    change_region_key(cluster, "key_id = gen_random_uuid()")
    answer = resolve(client, tenant, "a secret")
    assert (answer.status_code, answer.json()["code"]) == (503, "wrap_not_authentic")


@pytest.mark.parametrize("key_ref", ["file:" + "0" * 32, "transit:other/av-eu-e1", "x"])
def test_an_unknown_reference_is_named_and_is_no_500(
    client: Any, recorded: Proxy, tenant: Any, cluster: Any, key_ref: str
) -> None:
    change_region_key(cluster, f"key_ref = '{key_ref}'")
    answer = resolve(client, tenant, "a secret")
    assert (answer.status_code, answer.json()["code"]) == (503, "key_ref_unknown")


def change_region_key(cluster: Any, assignment: str) -> None:
    with superuser(cluster, "keys_eu") as connection:
        statement = f"UPDATE keyring_region_key SET {assignment} WHERE epoch = %s"
        connection.execute(statement, (EPOCH,))  # type: ignore[arg-type]


# --- readyz ---------------------------------------------------------------------------------------------


def test_readyz_says_that_the_provider_is_well(client: Any, recorded: Proxy) -> None:
    answer = client.get("/readyz")
    assert answer.json()["checks"]["key_provider_eu"] == "ok"


@every_break
def test_readyz_names_what_is_wrong_with_the_provider(
    client: Any, recorded: Proxy, how: str
) -> None:
    with getattr(recorded, how)():
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["key_provider_eu"] == BREAKS[how]


def test_readyz_asks_the_provider_at_most_every_30_seconds(
    client: Any, recorded: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditvault.vault.providers import of_region

    client.get("/readyz")
    asked = len(recorded.server.asked)
    for _ in range(5):
        client.get("/readyz")
    assert len(recorded.server.asked) == asked
    key_ref, at, said = of_region._health["eu"]
    monkeypatch.setitem(of_region._health, "eu", (key_ref, at - of_region.HEALTH_SECONDS, said))
    client.get("/readyz")
    assert len(recorded.server.asked) > asked


def test_readyz_of_a_process_without_a_provider_says_nothing_of_one(
    client: Any, recorded: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    monkeypatch.setitem(settings.KEY_PROVIDERS, "eu", "")
    assert "key_provider_eu" not in client.get("/readyz").json()["checks"]


def test_a_process_without_a_provider_says_so(
    client: Any, recorded: Proxy, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    monkeypatch.setitem(settings.KEY_PROVIDERS, "eu", "")
    answer = resolve(client, tenant, "a secret")
    assert (answer.status_code, answer.json()["code"]) == (503, "key_provider_missing")
