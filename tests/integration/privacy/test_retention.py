"""A retention policy is set once somebody else has approved what goes earlier, waits, and says what it would let go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from auditvault.core.policy.access import AccessDeniedError
from auditvault.core.policy.approvals import (
    ApprovalDriftedError,
    ApprovalMissingError,
    ApprovalNotOpenError,
)
from auditvault.core.policy.holds import RecordScope, SubjectScope, TenantScope
from auditvault.core.policy.retention import PolicyLapsedError
from auditvault.core.policy.retention_policy import BelowFloorError
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.holding import details_of, records_of
from tests.integration.privacy.retaining import Records, document

DAY = timedelta(days=1)
ROUNDS = 5
WEEK = timedelta(days=7)
SIX_MONTHS = {
    "record_class": "header",
    "at_least": "P6M",
    "legal_order": "EU",
    "source": "Regulation (EU) 2024/1689 Art. 19(1)",
}


@pytest.fixture
def archive(service, tenant):
    return Records(tenant)


def versions(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT version, document FROM retention_policy WHERE tenant_id = %s ORDER BY 1",
            (tenant.tenant_id,),
        ).fetchall()


def test_a_first_policy_is_in_force_seven_days_after_somebody_else_approved_it(cluster, archive):
    first = document()
    approval_id, before = archive.approval(first), datetime.now(UTC)

    done = archive.set(first, approval_id)

    assert before - DAY < done.in_force_at - WEEK <= before
    assert archive.in_force(done.in_force_at - timedelta(seconds=1)) is None
    assert archive.in_force(done.in_force_at) == sha256(first).hexdigest()
    details = details_of(cluster, done.record_id)
    assert details["action"] == "retention.policy_set"
    assert (details["version"], details["old"]) == (1, "")
    assert (details["policy"], details["approval"]) == (
        sha256(first).hexdigest(),
        str(approval_id),
    )


def test_a_policy_that_lets_records_go_earlier_takes_an_approval(cluster, tenant, archive):
    waiting = archive.approval(document(), is_given=False)
    for approval_id in (None, waiting):
        with pytest.raises(ApprovalMissingError):
            archive.set(document(), approval_id)
    assert versions(cluster, tenant) == []


@pytest.fixture
def seven_years(cluster, tenant, archive):
    """A policy of seven years, in force: approved eight days ago."""
    data = document("P7Y")
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "INSERT INTO retention_policy VALUES (%s, 1, %s, NULL, %s, now() - interval '8 days',"
            " now() - interval '1 day', %s)",
            (tenant.tenant_id, data, uuid4(), uuid4()),
        )
    return data


def test_a_longer_policy_is_in_force_at_once_and_the_older_is_kept(
    cluster, tenant, archive, seven_years
):
    longer = document("P8Y")
    done = archive.set(longer)
    assert archive.in_force(done.in_force_at) == sha256(longer).hexdigest()
    assert done.in_force_at <= datetime.now(UTC)
    assert [bytes(row[1]) for row in versions(cluster, tenant)] == [seven_years, longer]


def test_seven_years_shortened_to_a_day_waits_for_a_week(archive, seven_years):
    day = document("P1D")
    done = archive.set(day, archive.approval(day))
    assert (
        archive.in_force(done.in_force_at - timedelta(seconds=1)) == sha256(seven_years).hexdigest()
    )
    assert archive.in_force(done.in_force_at) == sha256(day).hexdigest()


def test_six_months_written_as_180_days_are_refused(cluster, tenant, archive):
    with pytest.raises(BelowFloorError):
        archive.set(document("P180D", floors=[SIX_MONTHS]))
    assert versions(cluster, tenant) == []
    assert archive.propose(document("P6M", floors=[SIX_MONTHS])).due == []


def test_an_approval_is_for_one_document_and_one_predecessor_and_one_time(archive, seven_years):
    other = archive.approval(document("P2Y"))
    with pytest.raises(ApprovalDriftedError):
        archive.set(document("P1Y"), other)
    archive.set(document("P8Y"))  # what it would have replaced
    with pytest.raises(ApprovalDriftedError):
        archive.set(document("P2Y"), other)
    again = archive.approval(document("P2Y"))
    archive.set(document("P2Y"), again)
    with pytest.raises(ApprovalNotOpenError):
        archive.set(document("P2Y"), again)


def test_a_policy_that_has_lapsed_lets_nothing_go(archive, anna):
    later = datetime.now(UTC) + 400 * DAY
    lapsed = document("P1D", lapses_on=later.date().isoformat())
    assert archive.propose(lapsed, now=later - DAY).due
    with pytest.raises(PolicyLapsedError):
        archive.propose(lapsed, now=later)


def test_only_whoever_may_propose_policies_sets_one(cluster, tenant, archive):
    with pytest.raises(AccessDeniedError):
        archive.set(document(), by=archive.legal)
    assert versions(cluster, tenant) == []


def test_a_crash_before_the_commit_leaves_the_policy_and_the_approval(
    cluster, tenant, archive, monkeypatch
):
    from auditvault.privacy.retention import services

    class CrashError(Exception):
        pass

    def crash(*_, **__):
        raise CrashError

    first = document()
    approval_id = archive.approval(first)
    with monkeypatch.context() as patched:
        patched.setattr(services, "record_in", crash)
        with pytest.raises(CrashError):
            archive.set(first, approval_id)
    assert versions(cluster, tenant) == []
    assert archive.set(first, approval_id).version == 1


def test_whoever_read_the_clock_before_another_policy_was_set_is_compared_with_it(
    archive, seven_years
):
    before = datetime.now(UTC)
    archive.set(document("P9Y"))
    with pytest.raises(ApprovalMissingError):
        archive.set(document("P8Y"), now=before)


def test_two_who_set_a_policy_at_once_come_one_after_the_other(
    cluster, tenant, archive, seven_years
):
    from django.db import connections

    barrier = Barrier(2)

    def together():
        try:
            barrier.wait(10)
            return archive.set(document("P8Y")).version
        finally:
            connections.close_all()

    found = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            pair = [pool.submit(together), pool.submit(together)]
            found += [each.result(60) for each in pair]
    assert sorted(found) == list(range(2, 2 + 2 * ROUNDS))


# Preview


def counts(archive, data, *, days):
    found = archive.propose(data, now=datetime.now(UTC) + days * DAY).due
    return {(each.record_class.value, each.data_class): (each.due, each.held) for each in found}


def stored(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        payloads = connection.execute(
            "SELECT data_class, count(*) FROM vault_object WHERE tenant_id = %s GROUP BY 1",
            (tenant.tenant_id,),
        ).fetchall()
        (headers,) = connection.execute(
            "SELECT count(*) FROM traces_header WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    return {("header", None): headers} | {("payload", name): n for name, n in payloads}


def test_nothing_is_due_the_day_before_and_all_of_it_on_the_day(cluster, tenant, archive, anna):
    assert counts(archive, document("P90D"), days=89) == {}
    everything = {key: (n, 0) for key, n in stored(cluster, tenant).items()}
    assert counts(archive, document("P90D"), days=90) == everything


def test_a_data_class_goes_by_its_own_rule(cluster, tenant, archive, anna):
    names = {name for kind, name in stored(cluster, tenant) if kind == "payload"}
    longer = min(names)
    found = counts(archive, document("P90D", classes={longer: "P91D"}), days=90)
    assert {name for kind, name in found if kind == "payload"} == names - {longer}


def test_what_is_due_says_since_when_and_how_much(archive, anna):
    now = datetime.now(UTC)
    for each in archive.propose(document("P90D"), now=now + 90 * DAY).due:
        assert now - DAY < each.oldest_at <= each.newest_at < now + DAY
        assert each.bytes > 0


def test_what_a_hold_covers_is_counted_as_held(cluster, tenant, archive, lawyers, anna):
    record_id, _ = records_of(cluster, tenant, anna)[0]
    lawyers.place(RecordScope(record_ids=frozenset({record_id})))
    found = counts(archive, document("P90D"), days=90)
    assert found["header", None][1] == 1

    lawyers.place(SubjectScope(subject_ids=frozenset({anna})))
    found = counts(archive, document("P90D"), days=90)
    assert found["header", None][1] == 3

    lawyers.place(TenantScope())
    assert all(due == held for due, held in counts(archive, document("P90D"), days=90).values())


# The database


def test_the_service_s_own_role_changes_no_policy_and_does_not_shorten_the_wait(
    connect, tenant, archive, seven_years
):
    insert = (
        "INSERT INTO retention_policy (tenant_id, version, document, old, approval_id, approved_at, in_force_at,"
        " record_id) VALUES (auditvault_tenant(), 2, '{}', %s, gen_random_uuid(), now(), now() + %s, gen_random_uuid())"
    )
    attempts = [
        ("UPDATE retention_policy SET in_force_at = now()", ()),
        ("DELETE FROM retention_policy", ()),
        ("TRUNCATE retention_policy", ()),
        (insert, (bytes(32), timedelta(days=6))),
    ]
    for statement, values in attempts:
        with connect("app") as connection, connection.transaction(force_rollback=True):
            connection.execute(
                "SELECT set_config('auditvault.tenant_id', %s, true)", (str(tenant.tenant_id),)
            )
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)
            ):
                connection.execute(statement, values)
