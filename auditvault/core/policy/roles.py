"""Roles, and the acts that each allows.

Pure tables. What must not be in one hand is in `separation`; storage of who has which role is in `auditvault.access`.
A tenant may make roles of its own out of the same acts. There is no rule about a role's name, so they are under every
rule that the others are under.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from auditvault.core.errors import AuditvaultError


class AccessDeniedError(AuditvaultError):
    """The caller's roles do not allow the act."""

    code = "access_denied"


class Role(StrEnum):
    """What a person or token is cleared for, on one tenant in one region."""

    INGEST = "ingest"
    VIEWER = "viewer"
    ENGINEER = "engineer"
    INVESTIGATOR = "investigator"
    AUDITOR = "auditor"
    EXAMINER = "examiner"
    PRIVACY_OPERATOR = "privacy_operator"
    PRIVACY_OFFICER = "privacy_officer"
    RECORDS_MANAGER = "records_manager"
    LEGAL = "legal"
    KEY_CUSTODIAN = "key_custodian"
    SECURITY_ADMIN = "security_admin"
    LOG_ADMIN = "log_admin"
    PLATFORM = "platform"


class Act(StrEnum):
    """Something that is allowed or refused."""

    APPEND = "append"
    READ_RECEIPT = "read_receipt"
    READ_HEADERS = "read_headers"
    READ_LOG = "read_log"
    READ_ACCESS_LOG = "read_access_log"
    RESOLVE_REDACTED = "resolve_redacted"
    RESOLVE_FULL = "resolve_full"
    APPROVE_GRANT = "approve_grant"
    APPROVE_EXPORT = "approve_export"
    PREPARE_ERASURE = "prepare_erasure"
    APPROVE_ERASURE = "approve_erasure"
    REPORT_TO_SUBJECT = "report_to_subject"
    NAME_STAFF = "name_staff"
    PROPOSE_POLICY = "propose_policy"
    APPROVE_POLICY = "approve_policy"
    PLACE_HOLD = "place_hold"
    MANAGE_KEYS = "manage_keys"
    GRANT_ROLES = "grant_roles"
    MANAGE_SINKS = "manage_sinks"
    RUN_PLATFORM = "run_platform"


_READ_HEADERS = frozenset({Act.READ_HEADERS, Act.READ_RECEIPT})
_AUDIT = _READ_HEADERS | {Act.READ_LOG, Act.READ_ACCESS_LOG}

ALLOWED: dict[Role, frozenset[Act]] = {
    Role.INGEST: frozenset({Act.APPEND, Act.READ_RECEIPT}),
    Role.VIEWER: _READ_HEADERS,
    Role.ENGINEER: _READ_HEADERS | {Act.RESOLVE_REDACTED},
    Role.INVESTIGATOR: _READ_HEADERS | {Act.RESOLVE_REDACTED, Act.RESOLVE_FULL},
    Role.AUDITOR: _AUDIT,
    Role.EXAMINER: _AUDIT,
    Role.PRIVACY_OPERATOR: _READ_HEADERS | {Act.PREPARE_ERASURE, Act.REPORT_TO_SUBJECT},
    Role.PRIVACY_OFFICER: _READ_HEADERS
    | {
        Act.APPROVE_ERASURE,
        Act.APPROVE_GRANT,
        Act.APPROVE_EXPORT,
        Act.REPORT_TO_SUBJECT,
        Act.NAME_STAFF,
    },
    Role.RECORDS_MANAGER: _READ_HEADERS | {Act.PROPOSE_POLICY},
    Role.LEGAL: _READ_HEADERS | {Act.PLACE_HOLD, Act.APPROVE_POLICY, Act.APPROVE_GRANT},
    Role.KEY_CUSTODIAN: frozenset({Act.MANAGE_KEYS}),
    Role.SECURITY_ADMIN: frozenset({Act.GRANT_ROLES}),
    Role.LOG_ADMIN: frozenset({Act.READ_LOG, Act.MANAGE_SINKS}),
    # Whoever reaches servers and databases does so outside this program. The role is for separating them from others.
    Role.PLATFORM: frozenset({Act.RUN_PLATFORM}),
}

CUSTOM_PREFIX = "custom:"
# With the prefix, as long as a token's column for roles.
_CUSTOM_NAME = re.compile(r"[a-z][a-z0-9_-]{1,23}")
# Sending is for machines, and a sender's rights are fixed.
CUSTOM_ACTS = frozenset(Act) - {Act.APPEND}


class RoleDefinitionError(AuditvaultError):
    """A role cannot be made as asked."""

    code = "role_definition_invalid"


@dataclass(frozen=True, slots=True)
class CustomRole:
    """A role of a tenant's own making: a name, which is never used again, and what it allows."""

    name: str
    acts: frozenset[Act]

    @property
    def value(self) -> str:
        """The role as it stands in records, tokens and answers: `custom:<name>`."""
        return f"{CUSTOM_PREFIX}{self.name}"


AnyRole: TypeAlias = Role | CustomRole


def acts_of_role(role: AnyRole) -> frozenset[Act]:
    """Everything that the role allows."""
    return role.acts if isinstance(role, CustomRole) else ALLOWED[role]


def acts_of_roles(roles: Iterable[AnyRole]) -> frozenset[Act]:
    """Everything that the roles allow together."""
    return frozenset(act for role in roles for act in acts_of_role(role))


def in_order(roles: Iterable[AnyRole]) -> list[AnyRole]:
    """The roles in the order of the table, then a tenant's own by name."""
    ranks = {role: rank for rank, role in enumerate(Role)}

    def rank(role: AnyRole) -> tuple[int, str]:
        return (len(ranks), role.name) if isinstance(role, CustomRole) else (ranks[role], "")

    return sorted(roles, key=rank)


def is_custom_name(name: str) -> bool:
    """Whether a role of a tenant's own can be called that."""
    return _CUSTOM_NAME.fullmatch(name) is not None and name not in set(Role)


def custom_role(name: str, acts: Collection[str]) -> CustomRole:
    """A role of a tenant's own, as somebody asks for it; whether its acts go together is `separation`'s to say.

    Raises:
        RoleDefinitionError: no name for a role, no act, or one that such a role cannot have.
    """
    if not is_custom_name(name):
        raise RoleDefinitionError(
            "A role's name has 2 to 24 of a-z, 0-9, _ and -, begins with a letter, and is no fixed role's."
        )
    if not acts or not set(acts) <= {act.value for act in CUSTOM_ACTS}:
        raise RoleDefinitionError(f"Choose acts from: {', '.join(sorted(CUSTOM_ACTS))}.")
    return CustomRole(name=name, acts=frozenset(Act(act) for act in acts))
