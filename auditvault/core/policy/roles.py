"""Roles, and the acts that each allows.

Pure tables. What must not be in one hand is in `separation`; storage of who has which role is in `auditvault.access`.
"""

from __future__ import annotations

from enum import StrEnum

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
    Role.PRIVACY_OPERATOR: _READ_HEADERS | {Act.PREPARE_ERASURE},
    Role.PRIVACY_OFFICER: _READ_HEADERS
    | {Act.APPROVE_ERASURE, Act.APPROVE_GRANT, Act.APPROVE_EXPORT},
    Role.RECORDS_MANAGER: _READ_HEADERS | {Act.PROPOSE_POLICY},
    Role.LEGAL: _READ_HEADERS | {Act.PLACE_HOLD, Act.APPROVE_POLICY, Act.APPROVE_GRANT},
    Role.KEY_CUSTODIAN: frozenset({Act.MANAGE_KEYS}),
    Role.SECURITY_ADMIN: frozenset({Act.GRANT_ROLES}),
    Role.LOG_ADMIN: frozenset({Act.READ_LOG, Act.MANAGE_SINKS}),
    # Whoever reaches servers and databases does so outside this program. The role is for separating them from others.
    Role.PLATFORM: frozenset({Act.RUN_PLATFORM}),
}
