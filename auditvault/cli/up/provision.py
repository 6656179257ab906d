"""Roles and databases on a server, embedded or somebody else's; running it again changes nothing.

The SQL is in `sql/`, so that an operator's `psql` can run the very same files
(deploy/postgres/README.md). What is inside the databases is made by migrations, as
`auditvault_owner`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import ClassVar, Literal
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from auditvault.core.errors import AuditvaultError

Role = Literal["owner", "app", "retention", "signer"]
DatabaseUrls = dict[str, dict[Role, str]]

ROLES: tuple[Role, ...] = ("owner", "app", "retention", "signer")
CONTROL_DATABASE = "auditvault_control"
_BUILTIN_LOCALE_SINCE = 170_000
_REGION = re.compile(r"[a-z][a-z0-9]{0,15}")
_CONNECT_TIMEOUT_SECONDS = 10
_INSUFFICIENT = "the administrative role of DATABASE_URL needs CREATEROLE and CREATEDB"


class ProvisionError(AuditvaultError):
    """The server refuses what the instance needs."""

    code: ClassVar[str] = "provision_failed"


def role_name(role: Role) -> str:
    """The role's name in PostgreSQL."""
    return f"auditvault_{role}"


def region_database(region: str) -> str:
    """The region's ledger, headers and vault."""
    return f"region_{region}"


def keys_database(region: str) -> str:
    """The region's keyring."""
    return f"keys_{region}"


def check_region(region: str) -> str:
    """`region` itself; raises ProvisionError unless it is a letter and 0 to 15 more or digits."""
    if not _REGION.fullmatch(region):
        raise ProvisionError(
            f"{region!r} is no region name: a lower-case letter, "
            "then up to 15 lower-case letters or digits"
        )
    return region


def connecting_roles(regions: Sequence[str]) -> dict[str, tuple[Role, ...]]:
    """Each database, and the roles that may connect to it besides the owner."""
    databases: dict[str, tuple[Role, ...]] = {CONTROL_DATABASE: ("app",)}
    for region in regions:
        databases[region_database(check_region(region))] = ("app", "retention", "signer")
        databases[keys_database(region)] = ("app", "retention")
    return databases


def provision(dsn: str, *, regions: Sequence[str], passwords: Mapping[Role, str]) -> DatabaseUrls:
    """Make or correct the roles and the databases of `regions`; `dsn` is an administrator's.

    Returns the URL of each database for the owner and for each role that may connect. Raises
    ProvisionError; its message never holds the DSN, which carries a password.
    """
    databases = connecting_roles(regions)
    _provision(dsn, databases, passwords)
    return {
        name: {role: role_url(dsn, role, passwords[role], name) for role in ("owner", *roles)}
        for name, roles in databases.items()
    }


def provision_region(dsn: str, region: str) -> None:
    """Make or correct the databases of one more region; roles keep the passwords that they have.

    Raises ProvisionError as `provision` does. A role that is missing is made, without a password.
    """
    databases = connecting_roles([region])
    del databases[CONTROL_DATABASE]
    _provision(dsn, databases, {})


def _provision(
    dsn: str, databases: Mapping[str, Sequence[Role]], passwords: Mapping[Role, str]
) -> None:
    try:
        with _connect(dsn) as server:
            _make_roles(server, passwords)
            for name in databases:
                make_database(server, name)
        for name, roles in databases.items():
            with _connect(dsn, database=name) as connection:
                close_database(connection, roles)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ProvisionError(f"{_INSUFFICIENT} ({error.diag.message_primary})") from error
    except psycopg.Error as error:
        raise ProvisionError(f"the databases cannot be made: {_reason(error)}") from error


def close_default_databases(dsn: str) -> None:
    """On the embedded server only: nobody but the superuser needs `postgres` and `template1`."""
    try:
        with _connect(dsn) as connection:
            connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    except psycopg.Error as error:
        raise ProvisionError(f"the server cannot be closed: {_reason(error)}") from error


def role_url(dsn: str, role: Role, password: str, database: str) -> str:
    """`dsn`'s server as a URL for a role and a database; other parameters are kept."""
    parameters = {
        key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None
    }
    for name in ("user", "password", "dbname", "connect_timeout"):
        parameters.pop(name, None)
    host, port = parameters.pop("host", ""), parameters.pop("port", "")
    place = ""
    if host and not host.startswith(("/", "@")) and "," not in host:
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port else ""
    else:
        parameters |= {"host": host} if host else {}
        parameters |= {"port": port} if port else {}
    secret = f":{quote(password, safe='')}" if password else ""
    query = f"?{urlencode(parameters, quote_via=quote, safe='')}" if parameters else ""
    return f"postgresql://{role_name(role)}{secret}@{place}/{quote(database, safe='')}{query}"


def _connect(dsn: str, *, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
    changes = {"connect_timeout": _CONNECT_TIMEOUT_SECONDS}
    target = make_conninfo(dsn, **changes, **({"dbname": database} if database else {}))
    return psycopg.connect(target, autocommit=True)


def _make_roles(
    connection: psycopg.Connection[tuple[object, ...]], passwords: Mapping[Role, str]
) -> None:
    for role, password in passwords.items():
        # Only the verifier is sent, so no server's statement log can hold a password.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), role_name(role).encode(), b"scram-sha-256"
        )
        _set(connection, f"auditvault.password_{role}", verifier.decode())
    connection.execute(_file("roles.sql"))


def make_database(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Make a database of the owner's, if there is none of this name; raises what the server does."""
    exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if exists:
        return
    # The order of text must not depend on a machine's locale: proofs and cursors are compared
    # across servers.
    locale = sql.SQL("LOCALE 'C'")
    if connection.info.server_version >= _BUILTIN_LOCALE_SINCE:
        locale = sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'")
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' {}")
    owner = sql.Identifier(role_name("owner"))
    connection.execute(statement.format(sql.Identifier(name), owner, locale))


def close_database(
    connection: psycopg.Connection[tuple[object, ...]], roles: Sequence[Role]
) -> None:
    """Let the owner and these roles alone connect to the database of the session."""
    _set(connection, "auditvault.connect", ",".join(roles))
    connection.execute(_file("database.sql"))


def _set(connection: psycopg.Connection[tuple[object, ...]], name: str, value: str) -> None:
    connection.execute("SELECT set_config(%s, %s, false)", [name, value])


def _file(name: str) -> bytes:
    return resources.files("auditvault.cli.up").joinpath("sql", name).read_bytes()


def _reason(error: psycopg.Error) -> str:
    """The server's own words; libpq's name host, port and user, never the password."""
    return (error.diag.message_primary or str(error)).strip().splitlines()[0]
