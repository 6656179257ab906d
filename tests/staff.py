"""People of a tenant: with roles, with a second factor, some with a second account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

STRONG_FOR = timedelta(hours=12)
HALF = timedelta(days=15)
CODES = (
    "INCIDENT",
    "COMPLAINT",
    "DSAR",
    "AUDIT_SAMPLE",
    "REGULATOR",
    "LEGAL",
    "SAFETY_REVIEW",
)


@dataclass(frozen=True)
class Person:
    """An account of a tenant's, in some regions."""

    tenant: Any
    user: Any
    regions: tuple[str, ...]

    @property
    def human(self):
        return self.user.human_id

    def signed_in(self, *, region=None, strong=True):
        """The credential of their session, by default proved by a second factor."""
        from auditvault.access.people import credential_of, places_of

        wanted = (self.tenant.slug, region or self.regions[0])
        place = next(p for p in places_of(self.user) if (p.tenant_slug, p.region) == wanted)
        found = credential_of(self.user, place)
        until = datetime.now(UTC) + STRONG_FOR if strong else None
        return replace(found, strong_until=until)

    def token(self, *roles, strong=True, regions=None):
        """A token of theirs, made in a session that was proved."""
        from auditvault.access.tokens import create_token

        now = datetime.now(UTC)
        return create_token(
            tenant_slug=self.tenant.slug,
            regions=regions or self.regions,
            roles=roles,
            lifetime=timedelta(hours=12),
            now=now,
            human=self.user.human_id,
            strong_until=now + STRONG_FOR if strong else None,
        )

    def headers(self, *roles, **how):
        """Request headers with such a token."""
        return {"Authorization": f"Bearer {self.token(*roles, **how)}"}


def make_person(tenant, *roles, regions=("eu",), of=None):
    """A person with these roles; with `of`, another account of the same human."""
    from auditvault.access.models import User
    from auditvault.access.people import grant_role

    fields = {"human": of.user.human} if of else {}
    user = User.objects.create_user(f"person-{uuid4().hex[:12]}", **fields)
    for region in regions:
        for role in roles:
            # An outsider's role has an end.
            ends_at = datetime.now(UTC) + HALF if role == "examiner" else None
            grant_role(
                username=user.username,
                tenant_slug=tenant.slug,
                region=region,
                role=role,
                ends_at=ends_at,
            )
    return Person(tenant, type(user).objects.get(pk=user.pk), tuple(regions))


def live_grant(
    person, approver, *, scope=None, case="INC-1", codes=CODES, region="eu", lifetime=None
):
    """A grant of a person's that somebody else approved just now; its id."""
    from auditvault.access.grants import selectors, services
    from auditvault.core.policy.access import PurposeCode
    from auditvault.core.policy.grants import DEFAULT_LIFETIME, GrantTerms

    now = datetime.now(UTC)
    terms = GrantTerms(
        case=case,
        codes=frozenset(map(PurposeCode, codes)),
        scope=scope or around(now),
        lifetime=lifetime or DEFAULT_LIFETIME,
    )
    asked = services.ask(
        credential=person.signed_in(region=region), region=region, terms=terms, now=now
    )
    officer = approver.signed_in(region=region)
    services.approve(credential=officer, region=region, approval_id=asked.approval_id, now=now)
    page = selectors.grants(credential=officer, region=region, now=now)
    return next(
        record.grant.grant_id for record in page.records if record.approval_id == asked.approval_id
    )


def around(now):
    """A scope: whatever is recorded about now."""
    from auditvault.core.policy.grants import PeriodScope

    return PeriodScope(recorded_from=now - HALF, recorded_before=now + HALF)


def cleared_person(tenant, *, regions=("eu",), case="INC-1"):
    """An investigator who may see, for a case, whatever is recorded about now."""
    person = make_person(tenant, "investigator", regions=regions)
    officer = make_person(tenant, "privacy_officer", regions=regions)
    for region in regions:
        live_grant(person, officer, case=case, region=region)
    return person


def open_request(person, *, region="eu"):
    """What a person asked for and nobody has decided about: an export. Its id."""
    from auditvault.access.approvals.services import request
    from auditvault.core.policy.approvals import Operation, Plan

    plan = Plan(operation=Operation.BULK_EXPORT, tenant_id=person.tenant.tenant_id, region=region)
    credential = person.signed_in(region=region)
    asked = request(credential=credential, plan=plan, case="INC-1", now=datetime.now(UTC))
    return str(asked.approval_id)


def recorded_basis(officer, *, region="eu", to_region="us", lasts=HALF):
    """A basis on which content may pass from one region to another; its id."""
    from auditvault.access.transfers.services import BasisTerms, record
    from auditvault.core.policy.transfers import BasisKind

    now = datetime.now(UTC)
    terms = BasisTerms(
        kind=BasisKind.STANDARD_CONTRACTUAL_CLAUSES,
        reference="SCC/2021-914",
        to_region=to_region,
        valid_from=now - HALF,
        valid_until=now + lasts,
    )
    made = record(credential=officer.signed_in(region=region), region=region, terms=terms, now=now)
    return str(made.basis.basis_id)
