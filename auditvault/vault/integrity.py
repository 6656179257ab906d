"""What the vault holds, for whoever checks it: sealed identifiers, and keys that seal nothing.

Nothing of what is opened here is returned: a checker learns whether it opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg

from auditvault.ledger.scope import keys_alias, tenant_scope
from auditvault.vault.opening import StoredObject
from auditvault.vault.subjects import DATA_CLASS

_BATCH = 1000
_FIRST_VERSION = 1
_ROLE = "identifier"


def sealed_identifiers(connection: psycopg.Connection[Any]) -> Iterator[StoredObject]:
    """Every identifier that is sealed beside its tag, as an object that can be opened like any other.

    Those of subjects that were erased, or are being, are left out.
    """
    after = UUID(int=0)
    while rows := connection.execute(
        "SELECT i.object_id, i.subject_id, i.key_id, i.tag, i.wrapped_cek, i.envelope"
        " FROM vault_identifier AS i JOIN vault_subject AS s USING (tenant_id, subject_id)"
        " WHERE i.object_id > %s AND s.state IN ('active', 'restricted')"
        " ORDER BY i.object_id LIMIT %s",
        (after, _BATCH),
    ).fetchall():
        after = rows[-1][0]
        for object_id, subject_id, key_id, tag, wrapped_cek, envelope in rows:
            yield StoredObject(
                object_id=object_id,
                record_id=object_id,
                subject_id=subject_id,
                key_id=key_id,
                data_class=DATA_CLASS,
                role=_ROLE,
                version=_FIRST_VERSION,
                tag=bytes(tag),
                wrapped_cek=bytes(wrapped_cek),
                envelope=bytes(envelope),
            )


def idle_keys(
    connection: psycopg.Connection[Any], *, region: str, tenant_id: UUID
) -> Iterator[UUID]:
    """The tenant's data keys that have sealed nothing for an hour; a younger one may be about to.

    `connection` is the region's, in the tenant's scope.
    """
    after = UUID(int=0)
    while rows := _keys(region, tenant_id, after):
        after = rows[-1][0]
        subjects = list({subject_id for _, subject_id in rows})
        found = connection.execute(
            "SELECT key_id FROM vault_object WHERE subject_id = ANY(%s)"
            " UNION SELECT key_id FROM vault_identifier WHERE subject_id = ANY(%s)",
            (subjects, subjects),
        ).fetchall()
        used = {key_id for (key_id,) in found}
        yield from (key_id for key_id, _ in rows if key_id not in used)


def _keys(region: str, tenant_id: UUID, after: UUID) -> list[tuple[UUID, UUID]]:
    with tenant_scope(keys_alias(region), tenant_id) as connection:
        return connection.execute(
            "SELECT key_id, subject_id FROM keyring_subject_key WHERE key_id > %s"
            " AND created_at < now() - interval '1 hour' ORDER BY key_id LIMIT %s",
            (after, _BATCH),
        ).fetchall()
