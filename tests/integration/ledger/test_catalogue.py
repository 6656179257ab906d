"""What the catalogue says of every table and function, so that one made tomorrow is held to the same rules."""

from __future__ import annotations

import pytest

from tests.integration.ledger.attempts import parents, tables, tenant_tables
from tests.integration.ledger.superuser import superuser

RUNTIME_ROLES = ("auditvault_app", "auditvault_retention", "auditvault_signer")
WRITES = ("UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
REGIONAL = ["region_eu", "region_us", "keys_eu", "keys_us"]
every_database = pytest.mark.parametrize("database", [*REGIONAL, "auditvault_control"])
every_regional = pytest.mark.parametrize("database", REGIONAL)


@pytest.fixture
def catalogue(service, cluster, database):
    with superuser(cluster, database) as connection:
        yield connection


def granted(catalogue, table, role, rights):
    return [
        right
        for right in rights
        if catalogue.execute(
            "SELECT has_table_privilege(%s, %s, %s)", (role, table, right)
        ).fetchone()[0]
    ]


@every_regional
def test_every_table_of_tenants_is_fenced(catalogue):
    unfenced = catalogue.execute(
        "SELECT relname FROM pg_class WHERE oid = ANY(%s::regclass[]) AND NOT (relrowsecurity AND EXISTS ("
        " SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polname = 'tenant_fence'"
        " AND polroles = ARRAY['auditvault_app'::regrole::oid] AND polcmd = '*' AND polpermissive"
        " AND pg_get_expr(polqual, polrelid) LIKE '%%auditvault_tenant()%%'"
        " AND pg_get_expr(polwithcheck, polrelid) LIKE '%%auditvault_tenant()%%'))",
        (tenant_tables(catalogue, partitions=False),),
    ).fetchall()
    assert unfenced == []


@every_regional
def test_the_application_has_no_policy_but_the_fence(catalogue):
    # Of no tenant: all read the region's KEKs, and none but the first epoch's is made by the application.
    of_the_region = {
        ("keyring_region_key", "everybody_reads"),
        ("keyring_region_key", "first_epoch"),
    }
    others = catalogue.execute(
        "SELECT polrelid::regclass::text, polname FROM pg_policy WHERE polname <> 'tenant_fence'"
        " AND (polroles = '{0}' OR 'auditvault_app'::regrole = ANY(polroles))"
    ).fetchall()
    assert set(others) <= of_the_region


@every_regional
def test_there_is_a_table_of_tenants_to_hold_to_these_rules(catalogue):
    assert len(tenant_tables(catalogue, partitions=False)) >= 3


@every_regional
def test_nobody_reads_or_changes_a_partition_directly(catalogue):
    found = {
        (partition, role): rights
        for partition in parents(catalogue)
        for role in RUNTIME_ROLES
        if (rights := granted(catalogue, partition, role, ("SELECT", *WRITES)))
    }
    assert found == {}


@every_regional
def test_only_the_application_fills_partitions(catalogue):
    found = {
        partition
        for partition in parents(catalogue)
        for role in ("auditvault_retention", "auditvault_signer")
        if granted(catalogue, partition, role, ("INSERT",))
    }
    assert found == set()


@every_regional
def test_every_partition_refuses_rows_of_another_tenant(catalogue):
    bare = catalogue.execute(
        "SELECT part FROM unnest(%s::regclass[]) AS part WHERE NOT EXISTS ("
        " SELECT FROM pg_trigger WHERE tgrelid = part AND tgname = 'refuse_tenant' AND tgenabled = 'O')",
        (list(parents(catalogue)),),
    ).fetchall()
    assert bare == []


# Foreign keys are kept by triggers of PostgreSQL's own, whose names are numbers.
OUR_TRIGGERS = (
    "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled = 'O'"
    " AND NOT starts_with(tgname::text, 'RI_')"
)


@every_regional
def test_every_partition_of_an_append_only_table_refuses_change(catalogue):
    for partition, parent in parents(catalogue).items():
        names = {
            row[0]
            for row in catalogue.execute(
                OUR_TRIGGERS,
                (parent,),
            ).fetchall()
        }
        own = {
            row[0]
            for row in catalogue.execute(
                OUR_TRIGGERS,
                (partition,),
            ).fetchall()
        }
        assert names <= own


@every_regional
def test_no_runtime_role_may_change_a_row_of_a_tenant(catalogue):
    found = {
        (table, role): rights
        for table in tenant_tables(catalogue)
        for role in RUNTIME_ROLES
        if (rights := granted(catalogue, table, role, WRITES))
    }
    assert found == {}


@every_database
def test_everything_belongs_to_the_owner(catalogue):
    strangers = catalogue.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relowner <> 'auditvault_owner'::regrole UNION ALL"
        " SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND proowner <> 'auditvault_owner'::regrole"
    ).fetchall()
    assert strangers == []


@every_database
def test_public_has_no_right_on_a_table_the_schema_or_the_database(catalogue):
    open_things = catalogue.execute(
        "SELECT relname FROM pg_class, aclexplode(relacl) AS acl"
        " WHERE relnamespace = 'public'::regnamespace AND grantee = 0 UNION ALL"
        " SELECT nspname FROM pg_namespace, aclexplode(nspacl) AS acl"
        " WHERE nspname = 'public' AND grantee = 0 UNION ALL"
        " SELECT datname FROM pg_database, aclexplode(datacl) AS acl"
        " WHERE datname = current_database() AND grantee = 0 UNION ALL"
        " SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid,"
        " aclexplode(attacl) AS acl WHERE relnamespace = 'public'::regnamespace AND grantee = 0"
    ).fetchall()
    assert open_things == []


@every_database
def test_public_may_not_call_a_function_with_its_owners_rights(catalogue):
    found = catalogue.execute(
        "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl"
        " WHERE pronamespace = 'public'::regnamespace AND prosecdef AND grantee = 0"
    ).fetchall()
    assert found == []


@every_database
def test_a_function_with_its_owners_rights_has_a_fixed_search_path(catalogue):
    found = catalogue.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        " AND coalesce(NOT proconfig @> ARRAY['search_path=public, pg_temp'], true)"
    ).fetchall()
    assert found == []


@every_database
def test_every_role_connects_where_it_works_and_nowhere_else(catalogue, database):
    allowed = {
        role
        for role in RUNTIME_ROLES
        if catalogue.execute(
            "SELECT has_database_privilege(%s, current_database(), 'CONNECT')", (role,)
        ).fetchone()[0]
    }
    expected = {
        "region": {"auditvault_app", "auditvault_retention", "auditvault_signer"},
        "keys": {"auditvault_app", "auditvault_retention"},
        "auditvault": {"auditvault_app"},
    }
    assert allowed == expected[database.partition("_")[0]]


@every_database
def test_no_runtime_role_makes_anything(catalogue):
    found = catalogue.execute(
        "SELECT role FROM unnest(%s::text[]) AS role"
        " WHERE has_schema_privilege(role, 'public', 'CREATE')"
        " OR has_database_privilege(role, current_database(), 'CREATE')"
        " OR has_database_privilege(role, current_database(), 'TEMPORARY')",
        (list(RUNTIME_ROLES),),
    ).fetchall()
    assert found == []


@every_database
def test_no_role_has_powers_beyond_its_grants(catalogue):
    found = catalogue.execute(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'auditvault%' AND (rolsuper OR rolbypassrls"
        " OR rolcreaterole OR rolcreatedb OR rolreplication OR EXISTS ("
        " SELECT FROM pg_auth_members WHERE member = pg_roles.oid))"
    ).fetchall()
    assert found == []


@pytest.mark.parametrize("database", ["region_eu", "keys_eu"])
def test_the_signer_writes_checkpoints_and_nothing_else(catalogue):
    rights = {
        table
        for table in tables(catalogue)
        if granted(catalogue, table, "auditvault_signer", ("INSERT", *WRITES))
    }
    assert rights <= {"ledger_checkpoint"}


@every_database
def test_retention_writes_to_no_table(catalogue):
    rights = {
        table
        for table in tables(catalogue)
        if granted(catalogue, table, "auditvault_retention", ("INSERT", *WRITES))
    }
    assert rights == set()
