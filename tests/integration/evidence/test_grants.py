"""Whoever owns the database changes what it allows, and `auditvault verify` names table, role or trigger."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.evidence.verdict import logs_of, verify
from tests.integration.ledger.superuser import superuser

AGAIN = "EXECUTE FUNCTION auditvault_refuse_change()"


def found(region="us"):
    """(object, finding, name) of what a region's two databases allow and should not, or the reverse."""
    from auditvault.evidence.grants import verify_databases

    return {(item.object, item.finding, item.name) for item in verify_databases(region)}


@pytest.fixture
def attack(service, cluster):
    """`with attack(statement, undo):` changes the region database of `us`, or another, and mends it."""

    @contextmanager
    def attacking(statement, undo, *, database="region_us"):
        with superuser(cluster, database) as connection:
            connection.execute(statement)
            try:
                yield
            finally:
                connection.execute(undo)

    return attacking


@pytest.mark.parametrize("region", ["eu", "us"])
def test_a_site_that_was_just_made_allows_what_it_should(recorded, region):
    assert found(region) == set()


@pytest.mark.parametrize("kind", ["region", "keys"])
def test_the_expectation_is_the_schema(recorded, kind):
    """After a change of the schema: python -m tests.integration.evidence.write_expectation, and read the difference."""
    from auditvault.evidence import grants

    committed = Path(grants.__file__).with_name(f"grants_{kind}.txt").read_text()
    assert grants.expectation(grants.read_catalogue("us", kind)) == committed


@pytest.mark.parametrize(
    ("statement", "undo", "finding"),
    [
        (
            "DROP TRIGGER refuse_change ON ledger_checkpoint",
            f"CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON ledger_checkpoint FOR EACH ROW {AGAIN}",
            ("ledger_checkpoint", "trigger_missing", "refuse_change"),
        ),
        (
            "ALTER TABLE ledger_tile DISABLE TRIGGER refuse_truncate",
            "ALTER TABLE ledger_tile ENABLE TRIGGER refuse_truncate",
            ("ledger_tile", "trigger_changed", "refuse_truncate"),
        ),
        (
            "ALTER TABLE ledger_tile ENABLE REPLICA TRIGGER refuse_change",
            "ALTER TABLE ledger_tile ENABLE TRIGGER refuse_change",
            ("ledger_tile", "trigger_changed", "refuse_change"),
        ),
        (
            "ALTER TABLE ledger_head DISABLE TRIGGER ALL",
            "ALTER TABLE ledger_head ENABLE TRIGGER ALL",
            ("ledger_head", "trigger_unexpected", "foreign key"),
        ),
        (
            "GRANT UPDATE ON ledger_head TO auditvault_app",
            "REVOKE UPDATE ON ledger_head FROM auditvault_app",
            ("ledger_head", "grant_changed", "auditvault_app"),
        ),
        (
            "GRANT SELECT ON ledger_tile TO auditvault_app WITH GRANT OPTION",
            "REVOKE GRANT OPTION FOR SELECT ON ledger_tile FROM auditvault_app",
            ("ledger_tile", "grant_changed", "auditvault_app"),
        ),
        (
            "REVOKE SELECT ON ledger_head FROM auditvault_signer",
            "GRANT SELECT ON ledger_head TO auditvault_signer",
            ("ledger_head", "grant_missing", "auditvault_signer"),
        ),
        (
            "GRANT SELECT ON vault_object TO PUBLIC",
            "REVOKE SELECT ON vault_object FROM PUBLIC",
            ("vault_object", "grant_unexpected", "PUBLIC"),
        ),
        (
            "GRANT UPDATE (header) ON traces_header TO auditvault_app",
            "REVOKE UPDATE (header) ON traces_header FROM auditvault_app",
            ("traces_header.header", "grant_unexpected", "auditvault_app"),
        ),
        (
            "GRANT CREATE ON SCHEMA public TO auditvault_app",
            "REVOKE CREATE ON SCHEMA public FROM auditvault_app",
            ("the schema public", "grant_changed", "auditvault_app"),
        ),
        (
            "GRANT CONNECT ON DATABASE region_us TO PUBLIC",
            "REVOKE CONNECT ON DATABASE region_us FROM PUBLIC",
            ("the database", "grant_unexpected", "PUBLIC"),
        ),
        (
            "GRANT EXECUTE ON FUNCTION ledger_all_logs() TO auditvault_signer",
            "REVOKE EXECUTE ON FUNCTION ledger_all_logs() FROM auditvault_signer",
            ("ledger_all_logs()", "grant_unexpected", "auditvault_signer"),
        ),
        (
            "ALTER TABLE vault_object DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE vault_object ENABLE ROW LEVEL SECURITY",
            ("vault_object", "row_security_missing", ""),
        ),
        (
            "CREATE POLICY sees_all ON ledger_entry FOR SELECT TO auditvault_app USING (true)",
            "DROP POLICY sees_all ON ledger_entry",
            ("ledger_entry", "policy_unexpected", "sees_all"),
        ),
        (
            "ALTER POLICY tenant_fence ON vault_subject USING (true)",
            "ALTER POLICY tenant_fence ON vault_subject USING (tenant_id = (SELECT auditvault_tenant()))",
            ("vault_subject", "policy_changed", "tenant_fence"),
        ),
        (
            "CREATE RULE swallow AS ON INSERT TO ledger_tile DO INSTEAD NOTHING",
            "DROP RULE swallow ON ledger_tile",
            ("ledger_tile", "rule_unexpected", "swallow"),
        ),
        (
            "CREATE TABLE stray (x integer)",
            "DROP TABLE stray",
            ("stray", "relation_unexpected", ""),
        ),
        (
            "CREATE FUNCTION stray() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "DROP FUNCTION stray()",
            ("stray()", "function_unexpected", ""),
        ),
        (
            "ALTER TABLE vault_tag_alias RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO vault_tag_alias",
            ("vault_tag_alias", "relation_missing", ""),
        ),
        (
            "ALTER FUNCTION ledger_sizes() OWNER TO auditvault_signer",
            "ALTER FUNCTION ledger_sizes() OWNER TO auditvault_owner",
            ("ledger_sizes()", "owner_changed", ""),
        ),
        (
            "ALTER FUNCTION ledger_sizes() SET search_path = pg_temp, public",
            "ALTER FUNCTION ledger_sizes() SET search_path = public, pg_temp",
            ("ledger_sizes()", "function_changed", ""),
        ),
        (
            "CREATE SCHEMA auditvault_app",
            "DROP SCHEMA auditvault_app",
            ("auditvault_app", "schema_unexpected", ""),
        ),
        (
            "ALTER ROLE auditvault_app BYPASSRLS",
            "ALTER ROLE auditvault_app NOBYPASSRLS",
            ("auditvault_app", "role_unexpected", "BYPASSRLS"),
        ),
        (
            "GRANT auditvault_owner TO auditvault_app",
            "REVOKE auditvault_owner FROM auditvault_app",
            ("auditvault_app", "member_unexpected", "of auditvault_owner"),
        ),
        (
            "CREATE ROLE stray LOGIN; GRANT auditvault_owner TO stray",
            "DROP ROLE stray",
            ("stray", "member_unexpected", "of auditvault_owner"),
        ),
        (
            "ALTER ROLE auditvault_retention SET session_replication_role = replica",
            "ALTER ROLE auditvault_retention RESET session_replication_role",
            ("auditvault_retention", "setting_unexpected", "session_replication_role"),
        ),
    ],
)
def test_a_change_of_what_the_database_allows_is_named(attack, statement, undo, finding):
    with attack(statement, undo):
        assert finding in found()
    assert found() == set()


@pytest.mark.parametrize(
    ("statement", "undo", "finding"),
    [
        (
            "GRANT UPDATE ON keyring_subject_key TO auditvault_app",
            "REVOKE UPDATE ON keyring_subject_key FROM auditvault_app",
            ("keyring_subject_key", "grant_changed", "auditvault_app"),
        ),
        (
            "GRANT SELECT (wrapped) ON keyring_subject_key TO auditvault_retention",
            "REVOKE SELECT (wrapped) ON keyring_subject_key FROM auditvault_retention",
            ("keyring_subject_key.wrapped", "grant_unexpected", "auditvault_retention"),
        ),
        (
            "ALTER TABLE keyring_tag_secret DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE keyring_tag_secret ENABLE ROW LEVEL SECURITY",
            ("keyring_tag_secret", "row_security_missing", ""),
        ),
    ],
)
def test_a_change_of_what_the_keyring_allows_is_named(attack, statement, undo, finding):
    with attack(statement, undo, database="keys_us"):
        assert found() == {finding}


def test_a_changed_partition_of_one_log_is_named_alone(recorded, log, attack):
    partition = f"ledger_entry_{log.log_id}_0"
    undo = (
        f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {partition} FOR EACH STATEMENT {AGAIN}"
    )
    with attack(f"DROP TRIGGER refuse_truncate ON {partition}", undo):
        assert found() == {(partition, "trigger_missing", "refuse_truncate")}


def test_a_partition_that_may_be_read_is_named(recorded, log, attack):
    partition = f"ledger_entry_{log.log_id}_0"
    undo = f"REVOKE SELECT ON {partition} FROM auditvault_app"
    with attack(f"GRANT SELECT ON {partition} TO auditvault_app", undo):
        assert found() == {(partition, "grant_changed", "auditvault_app")}


def test_a_trigger_function_that_refuses_nothing_any_more_is_named(service, cluster):
    with superuser(cluster, "region_us") as connection:
        before = connection.execute(
            "SELECT pg_get_functiondef('auditvault_refuse_change'::regproc)"
        ).fetchone()[0]
        connection.execute(
            "CREATE OR REPLACE FUNCTION auditvault_refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NEW; END'"
        )
        try:
            seen = found()
        finally:
            connection.execute(before)
    assert seen == {("auditvault_refuse_change()", "function_changed", "")}
    assert found() == set()


def test_the_command_says_in_its_json_what_a_database_allows(recorded, attack):
    with attack(
        "GRANT UPDATE ON ledger_head TO auditvault_app",
        "REVOKE UPDATE ON ledger_head FROM auditvault_app",
    ):
        code, answer = verify()
    assert (code, answer["verdict"]) == (1, "does_not_hold")
    assert answer["database"] == [
        {
            "region": "us",
            "database": "region",
            "object": "ledger_head",
            "finding": "grant_changed",
            "name": "auditvault_app",
            "expected": "SELECT",
            "found": "SELECT, UPDATE",
        }
    ]


def test_the_command_says_in_words_what_a_database_allows(recorded, attack, capsys):
    from django.core.management import call_command

    with (
        attack(
            "GRANT UPDATE ON ledger_head TO auditvault_app",
            "REVOKE UPDATE ON ledger_head FROM auditvault_app",
        ),
        pytest.raises(SystemExit),
    ):
        call_command("verify", region=["us"])
    said = capsys.readouterr().out
    assert "region: grant_changed on ledger_head auditvault_app; should be: SELECT; is:" in said
    mine = logs_of(recorded)["interactions"].origin
    (line,) = [line for line in said.splitlines() if line.endswith(mine)]
    assert line.startswith("holds")


def test_the_scheduled_verification_fails_for_what_a_database_allows(recorded, attack, caplog):
    from datetime import UTC, datetime

    from auditvault.evidence.jobs import JobFailedError
    from auditvault.evidence.tasks import JOBS

    (job,) = [job for job in JOBS if job.name == "verify"]
    with (
        attack(
            "GRANT UPDATE ON ledger_head TO auditvault_app",
            "REVOKE UPDATE ON ledger_head FROM auditvault_app",
        ),
        pytest.raises(JobFailedError, match="grant_changed on ledger_head") as failed,
    ):
        job.run("us", datetime.now(UTC))
    assert [item["object"] for item in failed.value.detail["database"]] == ["ledger_head"]
