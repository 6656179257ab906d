"""Bringing the keyring to what legal holds say: keys of whoever one covers are held, and no others because of one.

A hold is in force in the region from its commit on; this is the second line, in the other database. It compares and
mends, so it may be run at any time, and again after a crash. Records of a period may be anybody's: for such a hold the
region alone refuses. Needs the retention role's credentials.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import DatabaseError

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.holds import (
    CaseScope,
    Hold,
    RecordScope,
    SubjectScope,
    TenantScope,
    TraceScope,
)
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.privacy.holds.selectors import holds_in_force
from auditvault.vault.holding import WHOLE_TENANT, hold_keys, holding, release_keys
from auditvault.vault.merging import group_of

log = logging.getLogger("auditvault.privacy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """What was mended."""

    held: int = 0
    """Holds on keys that were missing."""
    released: int = 0
    too_late: int = 0
    """Subjects whose keys' destruction has begun."""


def enforce(*, region: str, tenant_id: UUID) -> Enforced:
    """Hold the keys that the tenant's holds cover and are not held, and let go of those of released holds."""
    with tenant_scope(region_alias(region), tenant_id, snapshot=True) as connection:
        wanted = {
            hold.hold_id: _covered(connection, hold) for hold in holds_in_force(connection, region)
        }
        known = {row[0] for row in connection.execute("SELECT hold_id FROM legal_hold").fetchall()}
    present = holding(region=region, tenant_id=tenant_id)
    held = released = too_late = 0
    for hold_id, subjects in wanted.items():
        missing = subjects - present.get(hold_id, set())
        late = hold_keys(region=region, tenant_id=tenant_id, legal_hold=hold_id, subjects=missing)
        held, too_late = held + len(missing) - len(late), too_late + len(late)
    # Holds on keys that were placed by hand are nobody's here, and stay.
    for hold_id in known & present.keys() - wanted.keys():
        released += release_keys(region=region, tenant_id=tenant_id, legal_hold=hold_id)
    return Enforced(held=held, released=released, too_late=too_late)


def enforce_region(region: str) -> None:
    """As `enforce`, for every tenant that ever had a hold in the region; one that fails does not keep the others."""
    rows = retention_connection(region).execute("SELECT legal_hold_tenants()").fetchall()
    for (tenant_id,) in rows:
        try:
            enforce(region=region, tenant_id=tenant_id)
        except (AuditvaultError, DatabaseError, psycopg.Error):
            log.exception("holds on keys in %s were not brought to what legal holds say", region)


def _covered(connection: psycopg.Connection[Any], hold: Hold) -> set[UUID]:
    """Whose keys are held because of it."""
    scope = hold.scope
    if isinstance(scope, TenantScope):
        return {WHOLE_TENANT}
    if isinstance(scope, SubjectScope):
        groups = (group_of(connection, hold.tenant_id, each) for each in scope.subject_ids)
        return {member for group in groups for member in group}
    if isinstance(scope, TraceScope):
        return _subjects_of(connection, "trace_id", sorted(scope.trace_ids))
    if isinstance(scope, RecordScope):
        return _subjects_of(connection, "record_id", sorted(scope.record_ids))
    if isinstance(scope, CaseScope):
        rows = connection.execute(
            "SELECT record_id FROM legal_case_record WHERE case_ref = ANY(%s)",
            (sorted(scope.cases),),
        ).fetchall()
        return _subjects_of(connection, "record_id", [row[0] for row in rows])
    return set()


def _subjects_of(connection: psycopg.Connection[Any], column: str, values: list[Any]) -> set[UUID]:
    """Everybody with a content in these records, the tenant itself included, and whose records they are."""
    headers = connection.execute(
        f"SELECT record_id, header FROM traces_header WHERE {column} = ANY(%s)",  # noqa: S608
        (values,),
    ).fetchall()
    objects = [
        content["object"]
        for _, header in headers
        for content in json.loads(bytes(header)).get("contents", [])
    ]
    rows = connection.execute(
        "SELECT subject_id FROM vault_object WHERE object_id = ANY(%s::uuid[])"
        " UNION SELECT subject_id FROM vault_record WHERE record_id = ANY(%s)",
        (objects, [record_id for record_id, _ in headers]),
    ).fetchall()
    return {row[0] for row in rows}
