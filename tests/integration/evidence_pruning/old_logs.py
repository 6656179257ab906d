"""Logs that are older than the test, filled in small partitions with times of the past, and the command that prunes."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.evidence.verdict import logs_of
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser

REGION = "us"
DATABASE = "region_us"
PARTITION = 256
OLD, YOUNG = 600, 20
"""Entries of a log of the past, and of today. Two partitions are old enough as a whole."""

AGE = timedelta(days=400)
POLICY = {
    "v": "auditvault/prune-policy/1",
    "id": "retention-2026",
    "text": "Interactions are kept for a year, as the board decided.",
    "min_age_days": {"interactions": 365, "access": 365, "admin": 365},
}


@contextmanager
def in_the_past(monkeypatch: pytest.MonkeyPatch, age: timedelta = AGE) -> Any:
    """Whatever is appended meanwhile has a time of the past: the database's clock is not to be moved."""
    from auditvault.ledger import services

    lock_head = services._lock_head

    def earlier(connection: Any, log: Any) -> Any:
        size, nodes, last_leaf, _ = lock_head(connection, log)
        return size, nodes, last_leaf, datetime.now(UTC) - age

    with monkeypatch.context() as patch:
        patch.setattr(services, "_lock_head", earlier)
        yield


def open_small(tenant: Any, kind: str = "interactions") -> Any:
    from auditvault.ledger.logs import open_log

    return open_log(
        region=REGION,
        tenant_id=tenant.tenant_id,
        kind=kind,
        log_host="localhost",
        partition_entries=PARTITION,
    )


def record(client: Any, tenant: Any, count: int, label: str) -> None:
    """So many interactions, each with a prompt of its own and one that is nobody's."""
    headers = tenant.headers("ingest", regions=(REGION,))
    spans = [chat(f"{label} {n}", user="anna", system="Be brief.") for n in range(count)]
    assert send(client, tenant, protobuf_of(*spans), headers=headers).status_code == 200


def fill(client: Any, tenant: Any, run_signer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A signed log of OLD old and YOUNG young entries."""
    open_small(tenant)
    with in_the_past(monkeypatch):
        record(client, tenant, 300, "first")
        run_signer()
        record(client, tenant, OLD - 300, "old")
    record(client, tenant, YOUNG, "young")
    run_signer()
    return logs_of(tenant, region=REGION)["interactions"]


def expire(cluster: Any, log: Any, end: int) -> None:
    """Remove the contents of the records below `end`, as payload retention does; what is nobody's stays."""
    with superuser(cluster, DATABASE) as connection:
        connection.execute(
            "DELETE FROM vault_object AS o USING ledger_entry AS e, vault_subject AS s"
            " WHERE e.log_id = %s AND e.idx < %s AND e.tenant_id = o.tenant_id"
            " AND e.record_id = o.record_id AND s.tenant_id = o.tenant_id"
            " AND s.subject_id = o.subject_id AND (s.kind <> 'tenant' OR o.role = 'access_reason')",
            (log.log_id, end),
        )


def policy_file(directory: Path, **changes: Any) -> Path:
    path = directory / "policy.json"
    path.write_text(json.dumps(POLICY | changes))
    return path


def run(log: Any, policy: Path | None, **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `auditvault prune`, which does not wait."""
    from django.core.management import call_command

    out = io.StringIO()
    options = {"region": REGION, "log": log.origin, "policy": policy, "wait": 0, **options}
    with pytest.raises(SystemExit) as left:
        call_command("prune", json=True, stdout=out, **options)
    assert isinstance(left.value.code, int)
    return left.value.code, json.loads(out.getvalue())


def partitions(cluster: Any, log: Any) -> dict[str, int]:
    """Name and bytes, indices included, of each partition of the log's entries."""
    with superuser(cluster, DATABASE) as connection:
        rows = connection.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relkind = 'r' AND relname ~ %s",
            (f"^ledger_entry_{log.log_id}_[0-9]+$",),
        ).fetchall()
    return dict(rows)


def rows(cluster: Any, tenant: Any, table: str) -> int:
    """How many there are of the tenant; of entries those that are not of its admin log."""
    query = f"SELECT count(*) FROM {table} WHERE tenant_id = %s"
    if table == "ledger_entry":
        query += " AND log_id NOT IN (SELECT log_id FROM ledger_log WHERE kind = 'admin')"
    with superuser(cluster, DATABASE) as connection:
        found = connection.execute(query, (tenant.tenant_id,)).fetchone()
    assert found is not None
    return int(found[0])
