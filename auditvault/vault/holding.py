"""Holds on keys, for whoever keeps legal holds: the keyring stays behind this door.

The keyring holds a tenant's keys or a subject's. Each hold on keys says which legal hold it is of, and its id follows
from that and from whose keys they are: so asking again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID, uuid5

from auditvault.ledger.scope import keys_alias, retention_connection, tenant_scope

WHOLE_TENANT = UUID(int=0)
"""In the place of a subject: the tenant's keys, all of them."""


def hold_keys(
    *, region: str, tenant_id: UUID, legal_hold: UUID, subjects: Collection[UUID]
) -> list[UUID]:
    """Hold the keys of these subjects, one after the other; returns those whose destruction has begun.

    A crash leaves some held: asking again goes on. Needs the retention role's credentials (RegionUnavailableError).
    """
    connection = retention_connection(region, keys=True)
    return [
        subject
        for subject in sorted(subjects)
        if connection.execute(
            "SELECT keyring_place_hold(%s, %s, %s, NULL, %s)",
            (
                uuid5(legal_hold, str(subject)),
                tenant_id,
                None if subject == WHOLE_TENANT else subject,
                legal_hold,
            ),
        ).fetchone()
        != (True,)
    ]


def release_keys(*, region: str, tenant_id: UUID, legal_hold: UUID) -> int:
    """Let go of every key that is held because of it; returns how many holds on keys there were."""
    with tenant_scope(keys_alias(region), tenant_id) as reading:
        rows = reading.execute(
            "SELECT hold_id FROM keyring_hold WHERE reference = %s", (legal_hold,)
        ).fetchall()
    connection = retention_connection(region, keys=True)
    for (hold_id,) in rows:
        connection.execute("SELECT keyring_release_hold(%s, %s)", (hold_id, tenant_id))
    return len(rows)


def holding(*, region: str, tenant_id: UUID) -> dict[UUID, set[UUID]]:
    """Legal hold -> whose keys are held because of it; WHOLE_TENANT for all of the tenant's."""
    found: dict[UUID, set[UUID]] = {}
    with tenant_scope(keys_alias(region), tenant_id) as connection:
        for reference, subject in connection.execute(
            "SELECT reference, subject_id FROM keyring_hold WHERE tenant_id = %s", (tenant_id,)
        ):
            found.setdefault(reference, set()).add(subject or WHOLE_TENANT)
    return found
