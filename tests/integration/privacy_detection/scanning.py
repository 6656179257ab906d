"""Lets contents be scanned as a worker does, and says what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.integration.ledger.superuser import superuser

SINCE = datetime(1970, 1, 2, tzinfo=UTC)


class CutOffError(Exception):
    """Where a test ends a scan."""


def scan(tenant: Any, analyser: Any, *, region: str = "eu") -> int:
    """Look at one batch of the tenant's; how many objects were settled."""
    from auditvault.privacy.detection.scanning import scan_batch

    return scan_batch(region, tenant.tenant_id, analyser, since=SINCE, now=datetime.now(UTC))


def scans(cluster: Any, tenant: Any, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of what is known of each object of the tenant, in the order of objects."""
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            f"SELECT {', '.join(columns)} FROM vault_scan WHERE tenant_id = %s ORDER BY object_id",
            (tenant.tenant_id,),
        ).fetchall()


def states(cluster: Any, tenant: Any) -> list[str]:
    return sorted(row[0] for row in scans(cluster, tenant, "state"))


def objects(cluster: Any, tenant: Any, role: str = "input_messages") -> list[UUID]:
    """Objects of the tenant in this role, oldest first."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT object_id FROM vault_object WHERE tenant_id = %s AND role = %s ORDER BY object_id",
            (tenant.tenant_id, role),
        ).fetchall()
    return [row[0] for row in rows]


def findings(tenant: Any, object_id: UUID) -> Any:
    """What was found in one object, opened."""
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id
    from auditvault.vault.scans import findings_of

    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        permit = refuse_while_restore_pending(connection, "eu")
        stored = objects_by_id(connection, [object_id])[object_id]
        return findings_of(permit=permit, tenant_id=tenant.tenant_id, stored=stored)


def kinds(tenant: Any, object_id: UUID) -> list[str]:
    return [one["entity"] for one in findings(tenant, object_id).findings]


def run_out(cluster: Any, tenant: Any) -> None:
    """Let every claim of the tenant have run out."""
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE vault_scan SET claimed_until = now() - interval '1 second'"
            " WHERE tenant_id = %s AND state = 'claimed'",
            (tenant.tenant_id,),
        )


def looks(cluster: Any, tenant: Any) -> list[dict[str, Any]]:
    """Details of the tenant's entries `access.scan`."""
    import json

    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = 'scan' ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [json.loads(bytes(row[0]))["details"] for row in rows]
