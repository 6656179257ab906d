"""`auditvault payload_policy` sets a policy, records that it did, and shows what was set."""

from __future__ import annotations

import io
import json

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.integration.ingest_policies.policies import HASH, KEEP_ALL, OPERATOR, document


def run(*words, **options):
    out = io.StringIO()
    call_command("payload_policy", *words, json=True, stdout=out, **options)
    return json.loads(out.getvalue())["policies"]


def recorded(tenant_id):
    """`details` of what the operator's log says of the tenant's policies, oldest first."""
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("eu"), OPERATOR) as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE action = 'payload_policy.set' ORDER BY record_id"
        ).fetchall()
    found = [json.loads(bytes(row[0]))["details"] for row in rows]
    return [details for details in found if details["tenant"] == str(tenant_id)]


@pytest.fixture
def policy_file(tmp_path):
    path = tmp_path / "policy.json"
    path.write_bytes(document(HASH))
    return path


def set_it(tenant, file):
    return run("set", str(file), region="eu", tenant=tenant.slug)


def test_a_policy_that_was_set_is_shown_with_its_version_and_record(tenant, policy_file):
    (found,) = set_it(tenant, policy_file)
    assert (found["policy"], found["version"]) == ("tenant/1", 1)
    assert found["document"] == json.loads(document(HASH))
    assert run("show", region="eu", tenant=tenant.slug) == [found]


def test_setting_a_policy_is_recorded_in_the_operators_log(tenant, policy_file):
    import hashlib

    (found,) = set_it(tenant, policy_file)
    assert recorded(tenant.tenant_id) == [
        {
            "tenant": str(tenant.tenant_id),
            "version": 1,
            "sha256": hashlib.sha256(policy_file.read_bytes()).hexdigest(),
        }
    ]
    assert found["record"]


def test_every_version_is_listed_and_the_last_is_shown(tenant, policy_file):
    set_it(tenant, policy_file)
    policy_file.write_bytes(document(KEEP_ALL))
    set_it(tenant, policy_file)
    listed = run("list", region="eu", tenant=tenant.slug)
    assert [each["policy"] for each in listed] == ["tenant/1", "tenant/2"]
    assert run("show", region="eu", tenant=tenant.slug) == listed[1:]


def test_without_a_policy_nothing_is_listed(tenant):
    assert run("list", region="eu", tenant=tenant.slug) == []


def test_a_file_that_is_no_policy_is_refused_and_nothing_is_recorded(tenant, policy_file):
    policy_file.write_text('{"keep": "all"}')
    with pytest.raises(CommandError, match="payload_policy_malformed"):
        set_it(tenant, policy_file)
    assert recorded(tenant.tenant_id) == []
    assert run("list", region="eu", tenant=tenant.slug) == []


def test_an_unknown_tenant_is_named(policy_file, service):
    with pytest.raises(CommandError, match="no such tenant"):
        run("set", str(policy_file), region="eu", tenant="nobody-of-that-name")


def test_a_region_that_this_process_does_not_serve_is_refused(policy_file, service):
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("payload_policy", "show", "--region", "mars")


def test_a_version_that_somebody_else_set_meanwhile_is_not_written_over(
    tenant, policy_file, monkeypatch
):
    from auditvault.ingest.policies import services

    set_it(tenant, policy_file)
    # As the second of two saw it: nothing set yet.
    monkeypatch.setattr(services, "policy_versions", lambda **_: [])
    with pytest.raises(CommandError, match="payload_policy_race"):
        set_it(tenant, policy_file)
    monkeypatch.undo()
    assert [each["version"] for each in run("list", region="eu", tenant=tenant.slug)] == [1]


def test_a_crash_between_record_and_row_leaves_no_policy_and_is_repeated(
    tenant, policy_file, monkeypatch
):
    from auditvault.ingest.policies import services

    def stop(*_, **__):
        raise psycopg.OperationalError

    # The command takes its functions when it is first used: before any is replaced.
    assert run("list", region="eu", tenant=tenant.slug) == []
    monkeypatch.setattr(services, "tenant_scope", stop)
    monkeypatch.setattr(services, "policy_versions", lambda **_: [])
    with pytest.raises(CommandError, match="did not answer"):
        set_it(tenant, policy_file)
    monkeypatch.undo()
    assert run("list", region="eu", tenant=tenant.slug) == []
    assert set_it(tenant, policy_file)[0]["version"] == 1
    assert [details["version"] for details in recorded(tenant.tenant_id)] == [1, 1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payload_policy SET version = 9",
        "DELETE FROM payload_policy",
        "TRUNCATE payload_policy",
    ],
)
def test_the_application_cannot_change_a_policy(tenant, policy_file, statement):
    from auditvault.ledger.scope import region_alias, tenant_scope

    set_it(tenant, policy_file)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):  # noqa: SIM117
        with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
            connection.execute(statement)


def test_a_tenant_cannot_set_the_regions_own_policy(tenant):
    from auditvault.ledger.scope import region_alias, tenant_scope

    with pytest.raises(psycopg.errors.InsufficientPrivilege):  # noqa: SIM117
        with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
            connection.execute(
                "INSERT INTO payload_policy VALUES (%s, 999, now(), %s, 'x')",
                (OPERATOR, tenant.tenant_id),
            )
