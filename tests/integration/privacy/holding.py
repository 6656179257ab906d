"""Places and releases legal holds as people of a tenant would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.integration.ledger.superuser import superuser
from tests.staff import Person, make_person

REASON = "The matter of Mustermann against us, second instance."
REFERENCE = "CASE-2026-7"


class Lawyers:
    """Two people of one tenant who may place holds, and approve each other's releases."""

    def __init__(self, tenant: Any) -> None:
        self.tenant = tenant
        self.one: Person = make_person(tenant, "legal")
        self.other: Person = make_person(tenant, "legal")

    def place(self, scope: Any, **changes: Any) -> Any:
        from auditvault.privacy.holds.services import NewHold, place_hold

        now = datetime.now(UTC)
        wanted = {
            "scope": scope,
            "reference": REFERENCE,
            "reason": REASON,
            "custodian": self.other.human,
            "review_on": (now + timedelta(days=180)).date(),
        }
        return place_hold(
            region="eu",
            credential=self.one.signed_in(),
            wanted=NewHold(**wanted | changes),
            now=now,
        )

    def approval(self, hold_id: UUID, *, is_given: bool = True) -> UUID:
        """An approval of the release, asked for by one and, where it is given, given by the other."""
        from auditvault.access.approvals.services import approve, request
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.privacy.holds.selectors import hold_of
        from auditvault.privacy.holds.services import release_plan

        now = datetime.now(UTC)
        with tenant_scope(region_alias("eu"), self.tenant.tenant_id) as connection:
            plan = release_plan(hold_of(connection, "eu", hold_id))
        asked = request(credential=self.one.signed_in(), plan=plan, case=REFERENCE, now=now)
        if is_given:
            approve(
                credential=self.other.signed_in(),
                region="eu",
                approval_id=asked.approval_id,
                now=now,
            )
        return asked.approval_id

    def release(self, hold_id: UUID, approval_id: UUID | None = None) -> UUID:
        from auditvault.privacy.holds.services import release_hold

        return release_hold(
            region="eu",
            credential=self.one.signed_in(),
            hold_id=hold_id,
            approval_id=approval_id or self.approval(hold_id),
            now=datetime.now(UTC),
        )

    def enforce(self) -> Any:
        from auditvault.privacy.holds.enforcing import enforce

        return enforce(region="eu", tenant_id=self.tenant.tenant_id)

    def put(self, case: str, *records: UUID) -> None:
        from auditvault.privacy.holds.services import put_to_case

        put_to_case(
            region="eu", credential=self.one.signed_in(), case=case, record_ids=list(records)
        )


def records_of(cluster: Any, tenant: Any, subject: UUID) -> list[tuple[UUID, bytes]]:
    """Record and trace of each object of the subject, in order."""
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT DISTINCT h.record_id, h.trace_id FROM vault_object AS o JOIN traces_header AS h"
            " USING (tenant_id, record_id) WHERE o.tenant_id = %s AND o.subject_id = %s ORDER BY 1",
            (tenant.tenant_id, subject),
        ).fetchall()


def notes(cluster: Any, tenant: Any) -> int:
    """Subjects that the keyring bars keys for."""
    with superuser(cluster, "keys_eu") as connection:
        (found,) = connection.execute(
            "SELECT count(*) FROM keyring_destruction WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    return int(found)


def details_of(cluster: Any, record_id: UUID) -> dict[str, Any]:
    """What an admin record says."""
    from auditvault.core.tlog.canonical import parse_canonical

    with superuser(cluster, "region_eu") as connection:
        (header,) = connection.execute(
            "SELECT header FROM admin_event WHERE record_id = %s", (record_id,)
        ).fetchone()
    found: Any = parse_canonical(bytes(header))
    return dict(found["details"], action=found["action"])
