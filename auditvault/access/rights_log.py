"""Entries of what becomes of rights, in the tenant's admin log of each region that they are rights in.

Rights stand in the control database and their entries in the regions', so no transaction holds both. The entry is
committed first: a crash between leaves an entry of a change that never came, which does no harm and which the same
command, given again, makes true. The other way round somebody would hold a right that no log knows of. Where a log
cannot be written, nothing changes.

Accounts stand in entries as `user:` and their public ids, as in access records; names and addresses of staff do not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant

OPERATOR_ACTOR = "operator:cli"
"""Whoever works on the service's own machine; not known by name."""


def record_rights(
    *, region: str, tenant_id: UUID, action: str, details: Mapping[str, JsonValue | datetime]
) -> UUID:
    """Record a change of rights in one region; returns the record's id once it is durable.

    Members of `details` that are None are left out. Raises what the database raises; then nothing was recorded.
    """
    alias, log = region_alias(region), admin_log(region, tenant_id)
    said = {name: _value(value) for name, value in details.items() if value is not None}
    with tenant_scope(alias, tenant_id) as connection:
        record_id = new_record_id(connection)
        record_in(connection, log, record_id=record_id, action=action, details=said)
    return record_id


def record_rights_in(
    regions: Collection[str],
    *,
    tenant_id: UUID,
    action: str,
    details: Mapping[str, JsonValue | datetime],
) -> dict[str, UUID]:
    """Record the same change in several regions; returns region -> record id.

    Every region is known to be served before the first entry. A crash, or a log that cannot be written, leaves
    entries in some of them, and the change has not come.
    """
    for region in regions:
        region_alias(region)
    return {
        region: record_rights(region=region, tenant_id=tenant_id, action=action, details=details)
        for region in sorted(regions)
    }


def is_recorded_in(
    *, region: str, tenant_id: UUID, action: str, details: Mapping[str, JsonValue]
) -> bool:
    """Whether the tenant's admin log of the region has a record of the action with these among its details."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND action = %s",
            (tenant_id, action),
        ).fetchall()
    found = [parse_canonical(bytes(header)) for (header,) in rows]
    return any(
        isinstance(said, dict)
        and isinstance(said.get("details"), dict)
        and details.items() <= said["details"].items()
        for said in found
    )


def _value(value: JsonValue | datetime) -> JsonValue:
    return format_instant(value) if isinstance(value, datetime) else value
