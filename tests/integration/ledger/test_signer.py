"""The signer signs what extends what it signed, refuses what does not, and picks up after its own crash."""

from __future__ import annotations

import pytest

from tests.integration.evidence.verdict import logs_of
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser, tampering


@pytest.fixture
def record_in_us(client, service):
    def record(tenant, count=1):
        headers = tenant.headers("ingest", regions=("us",))
        body = protobuf_of(*[chat(f"{n}") for n in range(count)])
        assert send(client, tenant, body, headers=headers).status_code == 200

    return record


@pytest.fixture
def sizes(cluster):
    """Sizes that were signed of the tenant's interactions log, in order."""

    def read(tenant):
        with superuser(cluster, "region_us") as connection:
            rows = connection.execute(
                "SELECT size FROM ledger_checkpoint WHERE log_id = %s ORDER BY size, signed_at",
                (logs_of(tenant)["interactions"].log_id,),
            ).fetchall()
        return [row[0] for row in rows]

    return read


def test_a_log_that_grew_is_signed_once(tenant, record_in_us, run_signer, sizes):
    record_in_us(tenant)
    run_signer()
    run_signer()
    record_in_us(tenant, 3)
    run_signer()
    assert sizes(tenant) == [1, 4]


def test_a_log_without_entries_is_signed(tenant, service, run_signer, sizes):
    from auditvault.ledger.logs import open_log

    open_log(region="us", tenant_id=tenant.tenant_id, kind="interactions", log_host="localhost")
    run_signer()
    assert sizes(tenant) == [0]


@pytest.mark.parametrize(
    "change",
    ["size = size - 1", "range = ''", "range = substring(range FROM 33)", "size = size + 1"],
)
def test_a_malformed_head_is_refused_and_holds_nobody_else_up(
    tenant, other_tenant, record_in_us, run_signer, sizes, cluster, change
):
    record_in_us(tenant, 3)
    record_in_us(other_tenant, 2)
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        connection.execute(
            f"UPDATE ledger_head SET {change} WHERE tenant_id = %s", (tenant.tenant_id,)
        )
        run_signer()
        assert (sizes(tenant), sizes(other_tenant)) == ([], [2])


def test_a_log_that_was_put_right_again_is_signed_again(
    tenant, record_in_us, run_signer, sizes, cluster
):
    record_in_us(tenant, 3)
    run_signer()
    record_in_us(tenant, 3)
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        connection.execute(
            "UPDATE ledger_head SET range = '' WHERE tenant_id = %s", (tenant.tenant_id,)
        )
        run_signer()
    run_signer()
    assert sizes(tenant) == [3, 6]


def test_a_checkpoint_that_was_signed_and_not_published_is_published_by_the_next_pass(
    tenant, record_in_us, run_signer, sizes, cluster
):
    record_in_us(tenant, 3)
    run_signer()
    with superuser(cluster, "region_us") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "DELETE FROM ledger_checkpoint WHERE tenant_id = %s", (tenant.tenant_id,)
        )
    run_signer()
    assert sizes(tenant) == [3]


def test_a_state_that_cannot_be_read_stops_the_signer(service, run_signer, tmp_path, monkeypatch):
    from django.conf import settings
    from django.core.management.base import CommandError

    broken = tmp_path / "state.json"
    broken.write_text('{"v": "auditvault/signer-state/2"}')
    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", str(broken))
    with pytest.raises(CommandError):
        run_signer()
