"""Making a region ready: databases, schema, rights and the first key; and saying what is missing.

Order, and what a crash leaves behind:

1. Databases and their rights, with an administrator's URL.   Crash: some of them; the same again goes on.
2. Migrations of both databases, one transaction each.        Crash: an older schema; the same again goes on.
3. The first region key, in one transaction.                  Crash: none, or one that is found.

Each step looks before it does anything: a region that is ready is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import psycopg
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from auditvault.cli.up.provision import (
    ProvisionError,
    Role,
    connecting_roles,
    keys_database,
    provision_region,
    region_database,
    role_name,
)
from auditvault.core.errors import AuditvaultError
from auditvault.evidence.grants import verify_databases
from auditvault.ledger.scope import keys_alias, region_alias
from auditvault.vault.services import ensure_region_key

State = Literal["ok", "done", "missing"]
_MOST_FINDINGS = 10
_BY_HAND = "make it by hand (deploy/postgres/README.md), or set DATABASE_URL to an administrator's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a region needs: there, done just now, or missing, and then what to do."""

    name: str
    state: State
    detail: str

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    region: str
    administrator: str | None
    only_look: bool


def prepare(region: str, *, administrator: str | None, only_look: bool) -> list[Step]:
    """Every step up to the first that says why the others cannot be looked at.

    `administrator` is the URL of a role that may make databases. With `only_look` nothing is changed.
    Raises RegionUnavailableError where this process has no settings for the region.
    """
    region_alias(region)
    order = _Order(
        region=region, administrator=None if only_look else administrator, only_look=only_look
    )
    steps: list[Step] = []
    for part in (_databases, _schema, _rights, _key):
        found = [*part(order)]
        steps += found
        if part is not _rights and any(step.state == "missing" for step in found):
            break
    return steps


def _databases(order: _Order) -> Iterator[Step]:
    state: State = "ok"
    if order.administrator:
        try:
            provision_region(order.administrator, order.region)
        except ProvisionError as error:
            yield Step(name="databases", state="missing", detail=error.message)
            return
        state = "done"
    for alias, database in _names(order.region):
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT current_user, current_database()")
                ((role, found),) = cursor.fetchall()
        except DatabaseError:
            detail = f"{database} cannot be reached: {_BY_HAND}; look at its AUDITVAULT_…_URL"
            yield Step(name="databases", state="missing", detail=detail)
            return
        if found != database:
            detail = f"the URL of {database} leads to {found}: correct AUDITVAULT_…_URL"
            yield Step(name="databases", state="missing", detail=detail)
            return
        yield Step(name="databases", state=state, detail=f"{database}, as {role}")


def _schema(order: _Order) -> Iterator[Step]:
    for alias, database in _names(order.region):
        pending = _pending(alias)
        if pending is None:
            yield Step(
                name="schema",
                state="missing",
                detail=f"{database}: only auditvault_owner can tell: run this command with its URLs",
            )
        elif not pending:
            yield Step(name="schema", state="ok", detail=f"{database} is current")
        elif order.only_look:
            detail = f"{database} lacks {pending} migrations: run `auditvault region add`"
            yield Step(name="schema", state="missing", detail=detail)
        else:
            call_command("migrate", database=alias, interactive=False, verbosity=0)
            yield Step(name="schema", state="done", detail=f"{database} was migrated")


def _pending(alias: str) -> int | None:
    """How many migrations are to come; None where this role may not see."""
    try:
        executor = MigrationExecutor(connections[alias])
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return None


def _rights(order: _Order) -> Iterator[Step]:
    findings = [
        f"{each.database}: {each.object} {each.finding} {each.name}".strip()
        for each in verify_databases(order.region)
    ]
    findings += [*_wrong_connects(order.region)]
    for finding in findings[:_MOST_FINDINGS]:
        yield Step(name="rights", state="missing", detail=finding)
    if not findings:
        yield Step(name="rights", state="ok", detail="as they should be")


def _wrong_connects(region: str) -> Iterator[str]:
    """Roles that may connect and should not, or may not and should."""
    expected: dict[str, tuple[Role, ...]] = connecting_roles([region])
    for alias, database in _names(region):
        for role in ("app", "retention", "signer"):
            with connections[alias].cursor() as cursor:
                cursor.execute(
                    "SELECT bool_or(has_database_privilege(oid, current_database(), 'CONNECT'))"
                    " FROM pg_roles WHERE rolname = %s",
                    [role_name(role)],
                )
                ((may,),) = cursor.fetchall()
            if bool(may) != (role in expected[database]):
                wrong = "may connect, and should not" if may else "may not connect, and should"
                yield f"{database}: {role_name(role)} {wrong}"


def _key(order: _Order) -> Iterator[Step]:
    if order.only_look:
        with connections[keys_alias(order.region)].cursor() as cursor:
            cursor.execute("SELECT max(epoch) FROM keyring_region_key")
            ((epoch,),) = cursor.fetchall()
        detail = f"epoch {epoch}" if epoch else "none yet: run `auditvault region add`"
        yield Step(name="key", state="ok" if epoch else "missing", detail=detail)
        return
    try:
        epoch = ensure_region_key(order.region)
    except AuditvaultError as error:
        yield Step(name="key", state="missing", detail=f"{error.message} ({error.code})")
    except (DatabaseError, psycopg.Error):
        yield Step(name="key", state="missing", detail="the keyring cannot be written by this role")
    else:
        yield Step(name="key", state="ok", detail=f"epoch {epoch}, and the root key opens it")


def _names(region: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Alias and name of both databases."""
    return (
        (region_alias(region), region_database(region)),
        (keys_alias(region), keys_database(region)),
    )
