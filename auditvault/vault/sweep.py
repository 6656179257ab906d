"""The sweep of orphan keys: a key that seals nothing is destroyed, in two looks.

A key row is committed before the content that needs it, so a request that failed leaves a key without content. The
first look retires such a key: no sealer takes it from then on. The second look comes at least ten minutes later, when
every cached copy has expired and every transaction that could still write an object under it has ended. If it then
seals something after all, it is reinstated; else it is destroyed. The database refuses either step too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from auditvault.ledger.scope import retention_connection

BATCH = 1000


@dataclass(slots=True)
class Swept:
    """How many keys were retired, reinstated and destroyed."""

    retired: int = 0
    reinstated: int = 0
    destroyed: int = 0


def sweep_orphan_keys(*, region: str) -> Swept:
    """One sweep over the region's keyring, with the retention role's own connections."""
    vault, keys = retention_connection(region), retention_connection(region, keys=True)
    swept = Swept()
    after = UUID(int=0)
    while rows := _candidates(keys, after):
        after = rows[-1][0]
        used = _in_use(vault, [(tenant_id, subject_id) for _, tenant_id, subject_id, _ in rows])
        orphans = [row[0] for row in rows if row[0] not in used and not row[3]]
        retired_orphans = [row[0] for row in rows if row[0] not in used and row[3]]
        revived = [row[0] for row in rows if row[0] in used and row[3]]
        swept.retired += _count(keys, "SELECT keyring_retire(%s)", orphans)
        swept.destroyed += _count(keys, "SELECT keyring_destroy_retired(%s)", retired_orphans)
        swept.reinstated += _count(keys, "SELECT keyring_reinstate(%s)", revived)
    return swept


def _candidates(keys: psycopg.Connection[Any], after: UUID) -> list[tuple[UUID, UUID, UUID, bool]]:
    return keys.execute(
        "SELECT key_id, tenant_id, subject_id, retired_at IS NOT NULL FROM keyring_subject_key"
        " WHERE key_id > %s AND created_at < now() - interval '1 hour' ORDER BY key_id LIMIT %s",
        (after, BATCH),
    ).fetchall()


def _in_use(vault: psycopg.Connection[Any], subjects: list[tuple[UUID, UUID]]) -> set[UUID]:
    """Ids of keys that seal an object or an identifier of these (tenant, subject) pairs."""
    pairs = [list(column) for column in zip(*subjects, strict=True)]
    rows = vault.execute(
        "SELECT key_id FROM vault_object JOIN unnest(%s::uuid[], %s::uuid[]) AS wanted"
        " (tenant_id, subject_id) USING (tenant_id, subject_id) UNION"
        " SELECT key_id FROM vault_identifier JOIN unnest(%s::uuid[], %s::uuid[]) AS wanted"
        " (tenant_id, subject_id) USING (tenant_id, subject_id) WHERE key_id IS NOT NULL",
        (*pairs, *pairs),
    ).fetchall()
    return {row[0] for row in rows}


def _count(keys: psycopg.Connection[Any], statement: str, ids: list[UUID]) -> int:
    if not ids:
        return 0
    row = keys.execute(statement, (ids,)).fetchone()
    return int(row[0]) if row else 0
