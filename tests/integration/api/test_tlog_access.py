"""Who may read tiles: a tenant's auditors, and anybody where an operator says so."""

from __future__ import annotations

import uuid

import pytest

from tests.integration.api.growing import grow, open_log, refusal, uuid_of

YEAR = "max-age=31536000, immutable"


@pytest.fixture
def log(tenant, service):
    return open_log(tenant)


@pytest.fixture
def signed(log, run_signer):
    """`signed(100)` appends and signs."""

    def more(count):
        grow(log, count)
        run_signer()

    return more


@pytest.fixture
def public(log):
    """The log, public for the test."""
    from django.test import override_settings

    with override_settings(PUBLIC_LOGS=[log.origin]):
        yield log


def test_without_a_token_nothing_is_said_about_a_log(client, signed, log):
    signed(1)
    for found in (uuid_of(log), str(uuid.uuid4())):
        answer = client.get(f"/tlog/{found}/checkpoint")
        assert refusal(answer) == (401, "token_invalid")
        assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ["ingest", "engineer", "investigator"])
def test_a_role_that_may_not_read_logs_is_refused(client, tenant, signed, log, role):
    signed(1)
    for found in (uuid_of(log), str(uuid.uuid4())):
        answer = client.get(f"/tlog/{found}/checkpoint", headers=tenant.headers(role))
        assert refusal(answer) == (403, "access_denied")


def test_another_tenants_log_is_not_there(client, other_tenant, signed, log):
    signed(1)
    for path in ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"):
        answer = client.get(f"/tlog/{uuid_of(log)}/{path}", headers=other_tenant.headers("auditor"))
        assert refusal(answer) == (404, "log_not_found")


def test_a_token_of_another_region_finds_no_log(client, tenant, signed, log):
    signed(1)
    headers = tenant.headers("auditor", regions=("us",))
    answer = client.get(f"/tlog/{uuid_of(log)}/checkpoint", headers=headers)
    assert refusal(answer) == (404, "log_not_found")


def test_a_token_of_several_regions_need_not_name_one(client, tenant, signed, log):
    signed(1)
    path = f"/tlog/{uuid_of(log)}/checkpoint"
    headers = tenant.headers("auditor", regions=("eu", "us"))
    assert client.get(path, headers=headers).status_code == 200
    named = client.get(path, headers=headers | {"Auditvault-Region": "eu"})
    assert named.status_code == 200
    elsewhere = client.get(path, headers=headers | {"Auditvault-Region": "us"})
    assert refusal(elsewhere) == (404, "log_not_found")
    outside = client.get(path, headers=headers | {"Auditvault-Region": "ap"})
    assert refusal(outside) == (403, "region_denied")


def test_a_revoked_token_reads_nothing_more(client, tenant, signed, log):
    from datetime import UTC, datetime

    from auditvault.access.tokens import revoke_token

    signed(1)
    path, headers = f"/tlog/{uuid_of(log)}/checkpoint", tenant.headers("auditor")
    assert client.get(path, headers=headers).status_code == 200
    revoke_token(tenant.token("auditor").split("_")[1], now=datetime.now(UTC))
    assert refusal(client.get(path, headers=headers)) == (401, "token_invalid")


def test_no_log_is_public_unless_an_operator_says_so(service):
    from django.conf import settings

    assert settings.PUBLIC_LOGS == []


def test_a_public_log_is_for_everybody_and_every_cache(client, signed, public):
    signed(300)
    prefix = f"/tlog/{uuid_of(public)}"
    kept = {
        path: client.get(f"{prefix}/{path}")["Cache-Control"]
        for path in ("checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/entries/000")
    }
    assert kept == {
        "checkpoint": "public, no-cache",
        "tile/0/000": f"public, {YEAR}",
        "tile/0/001.p/44": f"public, {YEAR}",
        "tile/entries/000": f"public, {YEAR}",
    }
    assert refusal(client.get(f"{prefix}/tile/0/001.p/45")) == (404, "tile_not_found")


def test_a_public_log_opens_nothing_else(client, other_tenant, signed, public, run_signer):
    others = open_log(other_tenant)
    grow(others, 1)
    signed(1)
    assert refusal(client.get(f"/tlog/{uuid_of(others)}/checkpoint")) == (401, "token_invalid")
    assert client.get(f"/api/v1/logs/{public.log_id}/checkpoint").status_code == 401


@pytest.mark.parametrize(
    ("region", "refused"),
    [("eu", (404, "log_not_found")), ("elsewhere", (503, "region_unavailable"))],
)
def test_a_public_origin_that_is_no_logs_opens_nothing(client, log, signed, region, refused):
    from django.test import override_settings

    signed(1)
    unknown = uuid.uuid4()
    with override_settings(PUBLIC_LOGS=[f"localhost/{region}/{unknown}"]):
        assert refusal(client.get(f"/tlog/{unknown}/checkpoint")) == refused
        assert refusal(client.get(f"/tlog/{uuid_of(log)}/checkpoint")) == (401, "token_invalid")


def test_public_logs_are_read_from_the_environment(log, monkeypatch):
    from settings.environment import origins

    monkeypatch.setenv(
        "AUDITVAULT_PUBLIC_LOGS", f" {log.origin}, audit.example:8443/us/{uuid.UUID(int=1)}"
    )
    assert origins("AUDITVAULT_PUBLIC_LOGS") == [
        log.origin,
        "audit.example:8443/us/00000000-0000-0000-0000-000000000001",
    ]
    monkeypatch.delenv("AUDITVAULT_PUBLIC_LOGS")
    assert origins("AUDITVAULT_PUBLIC_LOGS") == []


@pytest.mark.parametrize(
    "value",
    ["*", "localhost/eu/*", str(uuid.UUID(int=1)), "localhost/eu", f"a/eu/{uuid.UUID(int=1)}/"],
)
def test_a_public_log_that_is_no_origin_stops_the_start(monkeypatch, value):
    from django.core.exceptions import ImproperlyConfigured

    from settings.environment import origins

    monkeypatch.setenv("AUDITVAULT_PUBLIC_LOGS", value)
    with pytest.raises(ImproperlyConfigured, match="AUDITVAULT_PUBLIC_LOGS"):
        origins("AUDITVAULT_PUBLIC_LOGS")
