"""Subjects' keys that have wrapped so many CEKs that they get a new version (docs/spec/envelope.md, "Limits").

What is counted are the objects that are there. A count of all would read the whole vault, so it is only made where
there could be so many: an object's row has a least size, and the size of the tables is known without reading them.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from auditvault.ledger.scope import retention_connection
from auditvault.vault.rotation import Rotated, rotate_subject

MOST_WRAPS = 2**31
# Row header, five ids, version, tag, wrapped CEK, and the pointer to the envelope.
_LEAST_ROW_BYTES = 256


def rotate_overused(*, region: str, limit: int = MOST_WRAPS) -> list[Rotated]:
    """Begin to rotate every key that seals `limit` objects or more."""
    vault = retention_connection(region)
    if _most_objects(vault) < limit:
        return []
    rows: list[tuple[UUID, UUID]] = vault.execute(
        "SELECT DISTINCT tenant_id, subject_id FROM (SELECT tenant_id, subject_id FROM vault_object"
        " GROUP BY tenant_id, subject_id, key_id HAVING count(*) >= %s) AS overused ORDER BY 1, 2",
        (limit,),
    ).fetchall()
    return [
        rotate_subject(region=region, tenant_id=tenant_id, subject_id=subject_id)
        for tenant_id, subject_id in rows
    ]


def _most_objects(vault: psycopg.Connection[Any]) -> int:
    """No more objects than this fit into the tables as they are."""
    row = vault.execute(
        "SELECT coalesce(sum(pg_relation_size(inhrelid)), 0)::bigint FROM pg_inherits"
        " WHERE inhparent = 'vault_object'::regclass"
    ).fetchone()
    return int(row[0]) // _LEAST_ROW_BYTES if row else 0
