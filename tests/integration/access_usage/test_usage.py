"""A daily budget of people, what is unusual, and guessing: counted for all processes, said once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from tests.integration.ledger.superuser import superuser

NOW = datetime.now(UTC)


@pytest.fixture
def caller(tenant):
    """Somebody whose credential is ready made."""
    from auditvault.access.credentials import Credential
    from auditvault.core.policy.roles import Role

    return Credential(
        actor="user:00",
        tenant_id=tenant.tenant_id,
        regions=("eu",),
        roles=frozenset({Role.INVESTIGATOR}),
        human=uuid4(),
    )


@pytest.fixture
def budget():
    """A budget of five."""
    from django.test import override_settings

    with override_settings(SUBJECTS_PER_DAY=5, ENUMERATION_MISSES=3):
        yield


@pytest.fixture
def people(cluster, tenant):
    """`people(n)` are n new subjects of the tenant."""

    def made(count, kind="person"):
        ids = [uuid4() for _ in range(count)]
        with superuser(cluster, "region_eu") as connection:
            for subject_id in ids:
                connection.execute(
                    "INSERT INTO vault_subject (tenant_id, subject_id, kind) VALUES (%s, %s, %s)",
                    (tenant.tenant_id, subject_id, kind),
                )
        return ids

    return made


def count(caller, subjects, region="eu"):
    from auditvault.access.usage.services import count_within
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias(region), caller.tenant_id) as connection:
        return count_within(connection, credential=caller, subjects=subjects)


def alerts(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return [
            (kind, json.loads(bytes(details)))
            for kind, details in connection.execute(
                "SELECT kind, details FROM access_alert WHERE tenant_id = %s ORDER BY alert_id",
                (tenant.tenant_id,),
            )
        ]


def days_go_by(cluster, tenant, days=1):
    with superuser(cluster, "region_eu") as connection:
        for table in ("look_count", "look_subject"):
            # By way of the far future: a row must not meet the one of the day before.
            for step in (10_000, -10_000 - days):
                connection.execute(
                    f"UPDATE {table} SET day = day + %s WHERE tenant_id = %s",
                    (step, tenant.tenant_id),
                )
        connection.execute(
            "UPDATE look_alerted SET window_at = window_at - make_interval(days => %s) WHERE tenant_id = %s",
            (days, tenant.tenant_id),
        )


# --- the budget ------------------------------------------------------------------------------------------


def test_each_person_counts_once_a_day(caller, budget, people, cluster, tenant):
    some = people(5)
    for _ in range(3):
        assert count(caller, some).used == 5
    days_go_by(cluster, tenant)
    assert count(caller, people(1)).used == 1


def test_one_more_than_the_budget_is_refused_and_those_seen_already_are_not(caller, budget, people):
    from auditvault.access.usage.services import SubjectBudgetError

    some = people(5)
    count(caller, some)
    with pytest.raises(SubjectBudgetError) as caught:
        count(caller, people(1))
    assert 0 < caught.value.retry_after_seconds <= 24 * 3600
    assert count(caller, some[:2]).used == 5


def test_a_look_at_more_people_than_are_left_shows_none_of_them(caller, budget, people):
    from auditvault.access.usage.services import SubjectBudgetError

    count(caller, people(3))
    with pytest.raises(SubjectBudgetError):
        count(caller, people(3))
    assert count(caller, people(2)).used == 5


def test_when_the_budget_is_spent_a_miss_is_refused_alike(caller, budget, people):
    from auditvault.access.usage.services import SubjectBudgetError

    count(caller, people(5))
    said = set()
    for subjects in ([], people(1)):
        with pytest.raises(SubjectBudgetError) as caught:
            count(caller, subjects)
        said.add(caught.value.message)
    assert len(said) == 1


def test_who_was_merged_counts_as_one_also_when_it_is_found_out_later(
    caller, budget, people, tenant
):
    from auditvault.vault.merging import merge_subjects

    one, other, *more = people(6)
    assert count(caller, [one, other]).used == 2
    merge_subjects(
        region="eu",
        tenant_id=tenant.tenant_id,
        one=one,
        other=other,
        actor="operator:cli",
        case="INC-1",
    )
    assert count(caller, [one]).used == 1
    assert count(caller, more).used == 5


def test_the_tenants_own_subject_is_nobody(caller, budget, people):
    assert count(caller, people(1, kind="tenant")).used == 0


def test_a_human_is_one_by_whichever_account_or_token(caller, budget, people):
    from dataclasses import replace

    from auditvault.access.usage.services import SubjectBudgetError

    count(caller, people(5))
    with pytest.raises(SubjectBudgetError):
        count(replace(caller, actor="token:99"), people(1))
    assert count(replace(caller, actor="token:99", human=None), people(1)).used == 1


def test_another_tenants_subject_is_not_counted_or_told_of(
    caller, budget, other_tenant, people, cluster
):
    with superuser(cluster, "region_eu") as connection:
        foreign = uuid4()
        connection.execute(
            "INSERT INTO vault_subject (tenant_id, subject_id, kind) VALUES (%s, %s, 'person')",
            (other_tenant.tenant_id, foreign),
        )
    assert count(caller, [foreign]).used == 0


def test_what_is_undone_was_not_counted(caller, budget, people):
    from auditvault.access.usage.services import count_within
    from auditvault.ledger.scope import tenant_scope

    def failing():
        with tenant_scope("region_eu", caller.tenant_id) as connection:
            count_within(connection, credential=caller, subjects=people(5))
            raise LookupError

    with pytest.raises(LookupError):
        failing()
    assert count(caller, people(5)).used == 5


def test_processes_that_count_at_once_do_not_overdraw_together(caller, people, tenant):
    """Ten connections want ten people each, of a budget of 25: two get theirs."""
    from django.db import connections
    from django.test import override_settings

    from auditvault.access.usage.services import SubjectBudgetError

    wanted = [people(10) for _ in range(10)]
    start = threading.Barrier(10)
    granted = []

    def one(subjects):
        start.wait()
        try:
            granted.append(count(caller, subjects).used)
        except SubjectBudgetError:
            pass
        finally:
            connections.close_all()

    with override_settings(SUBJECTS_PER_DAY=25):
        threads = [threading.Thread(target=one, args=(subjects,)) for subjects in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(granted) == [10, 20]


def test_a_tenants_own_budget_takes_the_settings_place_and_is_recorded(
    caller, budget, people, cluster, tenant, other_tenant
):
    from auditvault.access.usage.services import SubjectBudgetError
    from auditvault.access.usage.tenant_limits import limit_of, set_limit

    set_limit(region="eu", tenant_id=tenant.tenant_id, subjects_per_day=2, actor="operator:cli")
    count(caller, people(2))
    with pytest.raises(SubjectBudgetError):
        count(caller, people(1))
    set_limit(region="eu", tenant_id=tenant.tenant_id, subjects_per_day=3, actor="operator:cli")
    assert count(caller, people(1)).used == 3
    assert limit_of(region="eu", tenant_id=other_tenant.tenant_id).subjects_per_day == 5
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND action = 'look_limit.set' ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    found = [json.loads(bytes(row[0]))["details"] for row in rows]
    assert [(each["before"], each["subjects_per_day"]) for each in found] == [(5, 2), (2, 3)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE look_count SET looks = 0",
        "DELETE FROM look_subject",
        "DELETE FROM look_alerted",
        "UPDATE look_limit SET subjects_per_day = 1000",
        "INSERT INTO look_subject VALUES (auditvault_tenant(), 'x', current_date, gen_random_uuid())",
    ],
)
def test_the_application_counts_through_the_functions_alone(caller, budget, people, statement):
    from auditvault.ledger.scope import tenant_scope

    count(caller, people(1))
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        tenant_scope("region_eu", caller.tenant_id) as connection,
    ):
        connection.execute(statement)


# --- what is said ----------------------------------------------------------------------------------------


def refuse(caller):
    from auditvault.access.usage.services import SubjectBudgetError, record_refusal

    error = SubjectBudgetError("no", retry_after_seconds=1, budget=5)
    record_refusal(
        credential=caller,
        region="eu",
        action="resolve",
        target={"target": "tag:00"},
        error=error,
        now=NOW,
    )


def test_of_refusals_the_first_of_a_day_is_recorded_and_told(caller, cluster, tenant):
    for _ in range(3):
        refuse(caller)
    assert alerts(cluster, tenant) == [("subject_budget_spent", {"actor": "user:00", "budget": 5})]
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND outcome = 'denied'",
            (tenant.tenant_id,),
        ).fetchall()
    assert [json.loads(bytes(row[0]))["details"] for row in rows] == [
        {"target": "tag:00", "code": "subject_budget_spent"}
    ]
    days_go_by(cluster, tenant)
    refuse(caller)
    assert len(alerts(cluster, tenant)) == 2


def look(caller, subjects):
    from auditvault.access.usage.services import raise_standing_out

    counted = count(caller, subjects)
    raise_standing_out(credential=caller, region="eu", counted=counted, now=NOW)


def test_who_looks_at_far_more_than_they_use_to_is_told_of_once_a_day(
    caller, cluster, tenant, people
):
    person = people(1)
    for _ in range(8):
        count(caller, person)
        count(caller, person)
        days_go_by(cluster, tenant)
    for _ in range(25):
        look(caller, person)
    assert alerts(cluster, tenant) == [
        (
            "unusual_looking",
            {"actor": "user:00", "looks": 20, "typical": 2, "days": 8, "persons": 1},
        )
    ]


def test_who_misses_again_and_again_is_told_of_once_in_a_window(caller, budget, cluster, tenant):
    for _ in range(5):
        look(caller, [])
    assert alerts(cluster, tenant) == [
        ("enumeration", {"actor": "user:00", "misses": 3, "window_seconds": 600})
    ]


def test_guessing_ids_counts_as_missing(caller, budget, cluster, tenant):
    from auditvault.access.usage.services import count_miss

    for _ in range(4):
        count_miss(credential=caller, region="eu", action="view_trace", now=NOW)
    assert [kind for kind, _ in alerts(cluster, tenant)] == ["enumeration"]


def test_a_window_of_misses_ends(caller, budget, cluster, tenant):
    for _ in range(2):
        look(caller, [])
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE look_count SET miss_window_at = miss_window_at - interval '10 minutes' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    look(caller, [])
    assert alerts(cluster, tenant) == []


def test_what_no_rule_asks_for_is_forgotten(caller, cluster, tenant, people):
    from auditvault.access.usage.services import forget_looks

    count(caller, people(2))
    days_go_by(cluster, tenant, 2)
    count(caller, people(1))
    forget_looks("eu")
    assert rows_of(cluster, tenant) == (2, 1)
    days_go_by(cluster, tenant, 34)
    forget_looks("eu")
    assert rows_of(cluster, tenant) == (1, 0)


def rows_of(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM look_count WHERE tenant_id = %s),"
            " (SELECT count(*) FROM look_subject WHERE tenant_id = %s)",
            (tenant.tenant_id, tenant.tenant_id),
        ).fetchone()
