"""What kinds of identifiers a tenant has, and how each one's values become equal.

Rules kept: docs/spec/subjects.md sections 1 and 2. Five kinds are there for everybody; a tenant declares others, and
the country of its telephone numbers, as rows of a table that nobody changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.identifiers import KIND, RULES, check_identifier, exact
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.phones import REGIONS, phone

ENTRY_TYPE = "identifier_kind.declared"
NORMALISATIONS = (*RULES, "phone")
BUILT_IN = {"user": "exact", "session": "exact", "email": "email"}
"""Kind -> normalisation, of the kinds that are the same for every tenant."""
_PHONE = "phone"
_TRACE = "trace"


class IdentifierKindUnknownError(AuditvaultError):
    """The tenant has declared no such kind of identifier."""

    code = "identifier_kind_unknown"


class IdentifierKindError(AuditvaultError):
    """A kind of identifier cannot be declared as asked."""

    code = "identifier_kind_invalid"


class Identifier(NamedTuple):
    """Something that names a subject, normalised. `value` is personal data, except for a trace."""

    kind: str
    value: str


class KindRule(NamedTuple):
    """How values of a kind become equal; `phone_region` is the country of numbers without one."""

    normalisation: str
    phone_region: str | None = None


class KindRules:
    """One tenant's kinds. The database is asked at most once, and only for a kind that is not the same for all."""

    def __init__(self, *, region: str, tenant_id: UUID) -> None:
        self._region = region
        self._tenant_id = tenant_id
        self._declared: dict[str, KindRule] | None = None

    def name(self, kind: str, value: str) -> Identifier | None:
        """The identifier that a value is; None where the tenant has no such kind.

        The value is Unicode text that is not empty. To be called outside a transaction.
        """
        if kind in {"user", "session"}:
            return Identifier(kind, exact(value))
        rule = self._rule(kind)
        if rule is None:
            return None
        if rule.normalisation == _PHONE:
            return Identifier(kind, phone(value, rule.phone_region))
        return Identifier(kind, RULES[rule.normalisation](value))

    def named(self, kind: str, value: str) -> Identifier:
        """As `name`, for what somebody typed; raises IdentifierKindUnknownError, IdentifierInvalidError."""
        check_identifier(value)
        found = self.name(kind, value)
        if found is None:
            raise IdentifierKindUnknownError(
                "There is no such kind of identifier. `auditvault subject declare` declares one."
            )
        return found

    def _rule(self, kind: str) -> KindRule | None:
        built_in = BUILT_IN.get(kind)
        if built_in is not None:
            return KindRule(built_in)
        if self._declared is None:
            with tenant_scope(region_alias(self._region), self._tenant_id) as connection:
                self._declared = declared_kinds(connection)
        return self._declared.get(kind, KindRule(_PHONE) if kind == _PHONE else None)


def declared_kinds(connection: psycopg.Connection[Any]) -> dict[str, KindRule]:
    """What the transaction's tenant has declared."""
    rows = connection.execute(
        "SELECT kind, normalisation, phone_region FROM vault_identifier_kind ORDER BY kind"
    ).fetchall()
    return {kind: KindRule(normalisation, country) for kind, normalisation, country in rows}


def declare_kind(
    *, region: str, tenant_id: UUID, kind: str, rule: KindRule, actor: str
) -> UUID | None:
    """Declare a kind for good, recorded in the tenant's admin log; the record's id, None if it was declared so before.

    Kind and record are written in one transaction: a crash leaves both or neither.

    Raises:
        IdentifierKindError: no such name, normalisation or country; or the kind is declared otherwise already.
    """
    _check(kind, rule)
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record_id = new_record_id(connection)
        made = connection.execute(
            "INSERT INTO vault_identifier_kind (tenant_id, kind, normalisation, phone_region, record_id)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (tenant_id, kind, *rule, record_id),
        ).rowcount
        if not made:
            if declared_kinds(connection)[kind] != rule:
                raise IdentifierKindError(
                    "That kind is declared otherwise. It never changes: choose another name."
                )
            return None
        details: dict[str, JsonValue] = {"kind": kind, "actor": actor, **rule._asdict()}
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE, details=details)
    return record_id


def _check(kind: str, rule: KindRule) -> None:
    if not KIND.fullmatch(kind) or kind in BUILT_IN or kind == _TRACE:
        raise IdentifierKindError(
            "A kind is 1 to 31 letters a-z and _, and none of user, session, trace, email."
        )
    if rule.normalisation not in NORMALISATIONS or (
        kind == _PHONE and rule.normalisation != _PHONE
    ):
        raise IdentifierKindError(f"A kind is one of: {', '.join(NORMALISATIONS)}; phone is phone.")
    if rule.phone_region is not None and (
        rule.normalisation != _PHONE or rule.phone_region not in REGIONS
    ):
        raise IdentifierKindError("The country of phone numbers is an ISO 3166 code, such as DE.")
