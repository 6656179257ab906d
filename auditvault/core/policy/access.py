"""Whether a caller may do something, and for what purpose.

Pure tables and checks. Storage of grants and tokens is in `auditvault.access`; so is the record of each act.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.reasons import says_something
from auditvault.core.policy.roles import (
    ALLOWED,
    AccessDeniedError,
    Act,
    AnyRole,
    CustomRole,
    Role,
    acts_of_role,
    acts_of_roles,
    in_order,
)
from auditvault.core.policy.separation import check_acting

__all__ = [
    "ALLOWED",
    "AccessDeniedError",
    "Act",
    "Purpose",
    "PurposeCode",
    "PurposeError",
    "Role",
    "check_purpose",
    "check_reason",
    "role_for",
]

REASON_MIN_LENGTH = 15
REASON_MAX_LENGTH = 2000
_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}")


class PurposeCode(StrEnum):
    """Why content is looked at."""

    INCIDENT = "INCIDENT"
    COMPLAINT = "COMPLAINT"
    DSAR = "DSAR"
    AUDIT_SAMPLE = "AUDIT_SAMPLE"
    REGULATOR = "REGULATOR"
    LEGAL = "LEGAL"
    SAFETY_REVIEW = "SAFETY_REVIEW"
    BREAK_GLASS = "BREAK_GLASS"


PURPOSES: dict[Role, frozenset[PurposeCode]] = {
    # Redacted text alone: `Act.RESOLVE_REDACTED`.
    Role.ENGINEER: frozenset(
        {PurposeCode.INCIDENT, PurposeCode.COMPLAINT, PurposeCode.SAFETY_REVIEW}
    ),
    # Of these BREAK_GLASS takes more than a purpose: `core.policy.break_glass`.
    Role.INVESTIGATOR: frozenset(PurposeCode),
}


class PurposeError(AuditvaultError):
    """The purpose is incomplete, or not allowed for the caller's role."""

    code = "purpose_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Why somebody looks: a code, the case it belongs to, and a reason in their own words (sealed, not logged)."""

    code: PurposeCode
    case: str
    reason: str


def purposes_of(role: AnyRole) -> frozenset[PurposeCode]:
    """The codes that a role may use; one of a tenant's own that shows content, those of the fixed role that does."""
    if isinstance(role, CustomRole):
        return PURPOSES[Role.INVESTIGATOR] if Act.RESOLVE_FULL in role.acts else frozenset()
    return PURPOSES.get(role, frozenset())


def role_for(act: Act, roles: Collection[AnyRole], *, held: Collection[Act] = ()) -> AnyRole:
    """The role of the caller's that allows `act`; `held` is what the human behind it may do by other accounts as well.

    Raises:
        AccessDeniedError: none does.
        SeparationError: one does, and together they allow what must be in two hands.
    """
    for role in in_order(roles):
        if act in acts_of_role(role):
            check_acting(act, {*held, *acts_of_roles(roles)})
            return role
    raise AccessDeniedError(f"None of your roles allows {act.value}.")


def check_purpose(*, code: str, case: str, reason: str, role: AnyRole) -> Purpose:
    """A complete purpose that `role` may use.

    Raises:
        PurposeError: an unknown or disallowed code, a case that is no reference, a reason that says nothing.
    """
    if code not in PurposeCode.__members__ or PurposeCode(code) not in purposes_of(role):
        raise PurposeError("This purpose code does not exist or is not allowed for your role.")
    if not _CASE.fullmatch(case):
        raise PurposeError(
            "The case must be a reference such as INC-1234: letters, digits and . _ / # -"
        )
    return Purpose(code=PurposeCode(code), case=case, reason=check_reason(reason, case=case))


def check_reason(reason: str, *, case: str) -> str:
    """The reason with its white space squeezed; raises PurposeError for one that says nothing."""
    words = " ".join(reason.split())
    if not REASON_MIN_LENGTH <= len(words) <= REASON_MAX_LENGTH:
        raise PurposeError(
            f"The reason must have {REASON_MIN_LENGTH} to {REASON_MAX_LENGTH} characters."
        )
    if not says_something(words, case=case):
        raise PurposeError("The reason must say in words why you look.")
    return words
