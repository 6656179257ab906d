"""Roles and databases: made twice without a difference, and no role can do more than it should."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from auditvault.cli.up.postgres import EmbeddedPostgres
from auditvault.cli.up.provision import (
    ROLES,
    ProvisionError,
    close_default_databases,
    connecting_roles,
    provision,
    role_url,
)

REGIONS = ("eu", "us")
PASSWORDS = {role: f'it\'s a "{role}" %% password' for role in ROLES}


@pytest.fixture(scope="module")
def postgres():
    home = Path(tempfile.mkdtemp(prefix="av-"))
    with EmbeddedPostgres(home) as server:
        yield server
    subprocess.run(["rm", "-rf", str(home)], check=True)


@pytest.fixture(scope="module", autouse=True)
def urls(postgres):
    close_default_databases(postgres.superuser_dsn)
    return provision(postgres.superuser_dsn, regions=REGIONS, passwords=PASSWORDS)


def one(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchone()


def state(dsn):
    """Everything that provisioning decides, except the salted passwords."""
    queries = (
        """SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication,
        rolcanlogin FROM pg_roles WHERE rolname LIKE 'auditvault%' ORDER BY 1""",
        """SELECT datname, datdba::regrole::text, datacl::text, datlocprovider::text, datlocale
        FROM pg_database ORDER BY 1""",
        "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members ORDER BY 1, 2",
    )
    with psycopg.connect(dsn) as connection:
        return [connection.execute(query).fetchall() for query in queries]


def test_a_second_run_changes_nothing(postgres, urls):
    before = state(postgres.superuser_dsn)

    again = provision(postgres.superuser_dsn, regions=REGIONS, passwords=PASSWORDS)

    assert again == urls
    assert state(postgres.superuser_dsn) == before


def test_a_password_that_changed_is_taken_over(postgres, urls):
    changed = PASSWORDS | {"app": "another"}

    provision(postgres.superuser_dsn, regions=REGIONS, passwords=changed)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        one(urls["region_eu"]["app"], "SELECT 1")
    provision(postgres.superuser_dsn, regions=REGIONS, passwords=PASSWORDS)
    assert one(urls["region_eu"]["app"], "SELECT current_user") == ("auditvault_app",)


@pytest.mark.parametrize("database", ["postgres", "template1", *connecting_roles(REGIONS)])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_connects_where_it_has_work_and_nowhere_else(postgres, urls, database, role):
    allowed = role in urls.get(database, {})
    url = role_url(postgres.superuser_dsn, role, PASSWORDS[role], database)

    if allowed:
        assert one(url, "SELECT current_user, current_database()") == (
            f"auditvault_{role}",
            database,
        )
    else:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            one(url, "SELECT 1")


@pytest.mark.parametrize("role", ["app", "retention", "signer"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "SET ROLE auditvault_owner",
        "ALTER ROLE auditvault_app BYPASSRLS",
        "ALTER SCHEMA public OWNER TO CURRENT_USER",
        "GRANT auditvault_owner TO CURRENT_USER",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_only_the_owner_makes_anything(urls, role, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(urls["region_eu"][role], statement)


def test_the_owner_makes_tables_and_is_no_superuser(urls):
    url = urls["region_eu"]["owner"]

    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE made (x int)")
        connection.rollback()

    assert one(
        url, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    ) == (False,)


def test_a_role_that_somebody_made_mighty_stops_the_start(postgres):
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as server:
        server.execute("ALTER ROLE auditvault_app BYPASSRLS")

        with pytest.raises(ProvisionError, match="auditvault_app must not be superuser nor hold"):
            provision(postgres.superuser_dsn, regions=REGIONS, passwords=PASSWORDS)

        server.execute("ALTER ROLE auditvault_app NOBYPASSRLS")


def test_a_role_that_is_member_of_another_stops_the_start(postgres):
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as server:
        server.execute("GRANT auditvault_retention TO auditvault_app")

        with pytest.raises(ProvisionError, match="no auditvault role may be a member of another"):
            provision(postgres.superuser_dsn, regions=REGIONS, passwords=PASSWORDS)

        server.execute("REVOKE auditvault_retention FROM auditvault_app")


def test_a_region_that_is_new_is_added_to_the_others(postgres):
    found = provision(postgres.superuser_dsn, regions=(*REGIONS, "ch"), passwords=PASSWORDS)

    assert one(found["keys_ch"]["app"], "SELECT current_database()") == ("keys_ch",)


@pytest.fixture
def administrator():
    """A managed server's administrator, who is not superuser, on a server of its own."""
    home = Path(tempfile.mkdtemp(prefix="av-"))
    with EmbeddedPostgres(home) as server:
        with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
            connection.execute("CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD 'pw'")
            connection.execute("CREATE ROLE guest LOGIN PASSWORD 'pw'")
        yield server.superuser_dsn.replace("//postgres:", "//admin:").replace(
            server.superuser_dsn.split(":")[2].split("@")[0], "pw"
        )
    subprocess.run(["rm", "-rf", str(home)], check=True)


def test_an_administrator_who_is_no_superuser_is_enough(administrator):
    for _ in range(2):
        found = provision(administrator, regions=("eu",), passwords=PASSWORDS)

    assert one(found["region_eu"]["app"], "SELECT current_user") == ("auditvault_app",)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        one(role_url(administrator, "signer", PASSWORDS["signer"], "keys_eu"), "SELECT 1")


def test_an_administrator_without_the_right_is_told_which_one(administrator):
    with pytest.raises(ProvisionError, match="needs CREATEROLE and CREATEDB"):
        provision(
            administrator.replace("//admin:", "//guest:"), regions=("eu",), passwords=PASSWORDS
        )


def test_a_server_that_is_not_there_is_told_without_its_password():
    dsn = "postgresql://admin:secret-word@127.0.0.1:1/postgres"

    with pytest.raises(ProvisionError, match=r"127\.0\.0\.1") as caught:
        provision(dsn, regions=("eu",), passwords=PASSWORDS)

    assert "secret-word" not in caught.value.message
