"""A tenant's own daily budget of subjects, in versions: set with its record in the tenant's admin log, or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import IntegrityError

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope

ENTRY_TYPE_SET = "look_limit.set"
MOST_SUBJECTS = 1_000_000


class LookLimitError(AuditvaultError):
    """A budget cannot be set as asked, or somebody else set one at the same moment."""

    code = "look_limit_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookLimit:
    """The budget in force; version 0 is the setting's."""

    version: int
    subjects_per_day: int
    set_at: datetime | None


def set_limit(*, region: str, tenant_id: UUID, subjects_per_day: int, actor: str) -> LookLimit:
    """Bring a budget into force from the next look on; raises LookLimitError."""
    if not 1 <= subjects_per_day <= MOST_SUBJECTS:
        raise LookLimitError(f"A budget is 1 to {MOST_SUBJECTS} subjects a day.")
    log = admin_log(region, tenant_id)
    before = limit_of(region=region, tenant_id=tenant_id)
    try:
        with tenant_scope(region_alias(region), tenant_id) as connection:
            record_id = new_record_id(connection)
            connection.execute(
                "INSERT INTO look_limit VALUES (%s, %s, clock_timestamp(), %s, %s)",
                (tenant_id, before.version + 1, record_id, subjects_per_day),
            )
            record_in(
                connection,
                log,
                record_id=record_id,
                action=ENTRY_TYPE_SET,
                details={
                    "actor": actor,
                    "version": before.version + 1,
                    "subjects_per_day": subjects_per_day,
                    "before": before.subjects_per_day,
                },
            )
    except (IntegrityError, psycopg.errors.UniqueViolation) as error:
        raise LookLimitError(
            "Somebody else set a budget meanwhile. Look, and set again."
        ) from error
    return limit_of(region=region, tenant_id=tenant_id)


def limit_of(*, region: str, tenant_id: UUID) -> LookLimit:
    """The budget in force."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        row = connection.execute(
            "SELECT version, subjects_per_day, set_at FROM look_limit ORDER BY version DESC LIMIT 1"
        ).fetchone()
    if row is None:
        return LookLimit(version=0, subjects_per_day=settings.SUBJECTS_PER_DAY, set_at=None)
    return LookLimit(version=row[0], subjects_per_day=row[1], set_at=row[2])
