"""Every right on a tenant's places, whether or not it still counts: what reviews and reports are of.

Staff data from the control database: public ids and usernames, and nothing of a data subject. Who gave a right stands
in the tenant's admin log; a right of which it says nothing was given by the operator.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import orjson
import psycopg
from django.db import connections, transaction

from auditvault.core.policy.roles import ALLOWED, Act, AnyRole, CustomRole, Role, acts_of_role
from auditvault.ledger.scope import driver_connection

OPERATOR = "operator:cli"
"""Who gave what no log says the giver of: somebody on the service's own machine."""

_ACCOUNT = re.compile(r"user:([0-9a-f]{32})")
_OF_PEOPLE = """
SELECT account.human_id, account.public_id, account.username, account.is_active, account.last_login,
    place.region, permission.codename, custom.name, custom.acts, held.through, held.ends_at
FROM (
    SELECT own.user_id, own.permission_id, own.object_pk, 'account' AS through, term.ends_at
    FROM guardian_userobjectpermission own
    LEFT JOIN access_rights_roleend term ON term.held_id = own.id
    UNION ALL
    SELECT member.user_id, shared.permission_id, shared.object_pk, 'group ' || grp.name, NULL
    FROM guardian_groupobjectpermission shared
    JOIN auth_group grp ON grp.id = shared.group_id
    JOIN access_user_groups member ON member.group_id = shared.group_id
) held
JOIN access_user account ON account.id = held.user_id
JOIN auth_permission permission ON permission.id = held.permission_id
JOIN django_content_type type ON type.id = permission.content_type_id
JOIN access_tenantregion place ON place.id::text = held.object_pk
LEFT JOIN access_custom_roles_customrole custom ON custom.permission_id = permission.id
WHERE type.app_label = 'access' AND type.model = 'tenantregion' AND place.tenant_id = %s
    AND (custom.role_id IS NULL OR (custom.tenant_id = place.tenant_id AND custom.retired_at IS NULL))
ORDER BY account.username, place.region, permission.codename, held.through
"""
_CUSTOM = "SELECT name, acts FROM access_custom_roles_customrole WHERE tenant_id = %s AND retired_at IS NULL"
# Entries of the tenant's admin log that say who gave a right (docs/reference/entry-types.md).
_GIVING = ("role.granted", "token.created", "token.rotated")
_OF_TOKENS = """
SELECT token.human_id, token.public_id, token.regions, token.roles, token.created_at, token.expires_at,
    token.last_used_at,
    EXISTS (SELECT FROM access_user account WHERE account.human_id = token.human_id AND account.is_active)
FROM access_apitoken token
WHERE token.tenant_id = %s AND token.revoked_at IS NULL
ORDER BY token.public_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One role on one place, in one hand."""

    human: UUID | None
    """None: a machine's token."""
    actor: str
    """As in records: `user:` or `token:` and a public id."""
    username: str | None
    region: str
    role: str
    through: str
    """`account`, `group <name>` or `token`."""
    is_active: bool
    """Whether the account is switched on; of a person's token, whether any of theirs is."""
    is_own: bool = True
    """Of a person's token: whether the person still has the role in all of its regions."""
    held_since: datetime | None
    expires_at: datetime | None
    last_seen_at: datetime | None
    """Last sign-in of the account, or use of the token."""
    acts: frozenset[Act] = frozenset()
    """What the role allows."""

    def counts(self, now: datetime) -> bool:
        """Whether somebody can act under it."""
        return self.is_active and self.is_own and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        """Whether it ended by itself."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """That somebody gave a right, as the tenant's admin log says."""

    at: datetime
    by: str
    """As in records."""
    case: str | None


GivenRights: TypeAlias = dict[tuple[str, str, bool], Given]
"""(holder as in records, role, whether by a group) -> who gave it last."""


@contextmanager
def staff_snapshot() -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the control database that sees one instant and changes nothing."""
    with transaction.atomic(using="default", durable=True):
        raw = driver_connection(connections["default"])
        raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield raw


def holdings(connection: psycopg.Connection[Any], tenant_id: UUID, now: datetime) -> list[Holding]:
    """Every right of people and of tokens on the tenant, in all regions; revoked tokens have none."""
    found = [_of_person(*row) for row in connection.execute(_OF_PEOPLE, (tenant_id,))]
    own = {(each.human, each.region, each.role) for each in found if each.counts(now)}
    custom = {
        role.value: role.acts
        for role in (
            CustomRole(name, frozenset(map(Act, acts)))
            for name, acts in connection.execute(_CUSTOM, (tenant_id,))
        )
    }
    for row in connection.execute(_OF_TOKENS, (tenant_id,)):
        found += _of_token(*row, own=own, custom=custom)
    return found


def usernames(connection: psycopg.Connection[Any], actors: Collection[str]) -> dict[str, str]:
    """Actor as in records -> username, of those that are accounts or a person's tokens."""
    ids = [UUID(hex=found[1]) for actor in actors if (found := _ACCOUNT.fullmatch(actor))]
    tokens = [actor.removeprefix("token:") for actor in actors if actor.startswith("token:")]
    rows = connection.execute(
        "SELECT 'user:' || replace(public_id::text, '-', ''), username FROM access_user"
        " WHERE public_id = ANY(%s) UNION ALL"
        " SELECT 'token:' || token.public_id, min(account.username) FROM access_apitoken token"
        " JOIN access_user account ON account.human_id = token.human_id"
        " WHERE token.public_id = ANY(%s) GROUP BY token.public_id",
        (ids, tokens),
    )
    return dict(rows.fetchall())


def place_made_at(
    connection: psycopg.Connection[Any], tenant_id: UUID, region: str
) -> datetime | None:
    """Since when the tenant is in the region; None where it is not."""
    row = connection.execute(
        "SELECT created_at FROM access_tenantregion WHERE tenant_id = %s AND region = %s",
        (tenant_id, region),
    ).fetchone()
    return _utc(row[0]) if row else None


def tenants_of_region(region: str) -> dict[UUID, datetime]:
    """Tenant -> since when it is in the region."""
    with staff_snapshot() as connection:
        rows = connection.execute(
            "SELECT tenant_id, created_at FROM access_tenantregion WHERE region = %s", (region,)
        ).fetchall()
    return dict(rows)


def rights_given(connection: psycopg.Connection[Any]) -> GivenRights:
    """By whom and when each right was last given here; in a `tenant_scope` of the region.

    A role that was taken away and given again counts from then.
    """
    found: GivenRights = {}
    rows = connection.execute(
        "SELECT recorded_at, header FROM admin_event WHERE action = ANY(%s) ORDER BY record_id",
        (list(_GIVING),),
    )
    for recorded_at, header in rows:
        details = orjson.loads(header)["details"]
        given = Given(
            at=recorded_at.astimezone(UTC), by=str(details["actor"]), case=details.get("case")
        )
        holder = details.get("account") or details.get("successor") or details.get("token")
        for role in details.get("roles") or [details.get("role")]:
            found[str(holder), str(role), "group" in details] = given
    return found


def _of_person(
    human: UUID,
    public_id: UUID,
    username: str,
    is_active: bool,  # noqa: FBT001  # the columns of _OF_PEOPLE
    last_login: datetime | None,
    region: str,
    codename: str,
    custom_name: str | None,
    custom_acts: list[str] | None,
    through: str,
    ends_at: datetime | None,
) -> Holding:
    role: AnyRole = (
        CustomRole(custom_name, frozenset(map(Act, custom_acts or ())))
        if custom_name
        else Role(codename)
    )
    return Holding(
        human=human,
        actor=f"user:{public_id.hex}",
        username=username,
        region=region,
        role=role.value,
        through=through,
        is_active=is_active,
        held_since=None,
        expires_at=_utc(ends_at),
        last_seen_at=_utc(last_login),
        acts=acts_of_role(role),
    )


def _of_token(
    human: UUID | None,
    public_id: str,
    regions: list[str],
    roles: list[str],
    created_at: datetime,
    expires_at: datetime,
    last_used_at: datetime | None,
    is_active: bool,  # noqa: FBT001
    *,
    own: set[tuple[UUID | None, str, str]],
    custom: Mapping[str, frozenset[Act]],
) -> Iterator[Holding]:
    """The rights of a row of _OF_TOKENS; a person's token has only roles that they have in all of its regions."""
    for role in roles:
        is_own = human is None or all((human, region, role) in own for region in regions)
        for region in regions:
            yield Holding(
                human=human,
                actor=f"token:{public_id}",
                username=None,
                region=region,
                role=role,
                through="token",
                is_active=human is None or is_active,
                is_own=is_own,
                held_since=_utc(created_at),
                expires_at=_utc(expires_at),
                last_seen_at=_utc(last_used_at),
                acts=ALLOWED[Role(role)] if role in set(Role) else custom.get(role, frozenset()),
            )


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at else None
