"""A tenant with whole, signed logs in the region `us`, and a forger who puts everything back."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.integration.evidence.rewriting import SIZE
from tests.integration.evidence.verdict import logs_of
from tests.integration.ingest.sending import chat, post, protobuf_of, send
from tests.integration.ledger.superuser import tampering
from tests.integration.vault.looking import PURPOSE

_made = []


def fill(client, tenant, run_signer):
    """Records in two requests, each signed, and two looks, one of them with a reason, in the region `us`."""
    roles = ("ingest", "engineer")
    headers = {name: tenant.headers(name, regions=("us",)) for name in roles}
    for count in (SIZE - 100, 100):
        # One prompt of their own each, and one of the tenant's for all.
        spans = [chat(f"{n} of {count}", user="anna", system="Be brief.") for n in range(count)]
        body = protobuf_of(*spans)
        assert send(client, tenant, body, headers=headers["ingest"]).status_code == 200
        run_signer()
    look = {"content_hash": f"sha256:{sha256(b'7 of 100').hexdigest()}", "purpose": PURPOSE}
    assert post(client, "/api/v1/resolve", look, tenant.cleared(regions=("us",))).status_code == 200
    post(client, "/api/v1/traces/search", {}, headers["engineer"])
    run_signer()


@pytest.fixture
def recorded(client, tenant, run_signer):
    """A tenant with a whole log, made once: whoever tampers with it puts it back."""
    if not _made:
        fill(client, tenant, run_signer)
        _made.append(tenant)
    return _made[0]


@pytest.fixture
def log(recorded):
    return logs_of(recorded)["interactions"]


@pytest.fixture
def access_log(recorded):
    return logs_of(recorded)["access"]


@pytest.fixture
def forger(cluster, recorded):
    with tampering(cluster, recorded.tenant_id, "region_us") as connection:
        yield connection
