"""Content takes a live grant for the case that covers it: somebody else gives it, and it ends."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest

from auditvault.core.policy.grants import PeriodScope, RecordScope, SubjectScope, TraceScope
from tests.integration.access.meeting import together
from tests.integration.access.test_approvals import admin_entries, code_of
from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, headers_of, post, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import PURPOSE, revealed
from tests.staff import around, live_grant, make_person

NOW = datetime.now(UTC)
USE = "access_use_grants(uuid, uuid, uuid[], uuid[], timestamptz)"
NOWHERE = TraceScope(trace_ids=frozenset({b"n" * 16}))


@pytest.fixture
def grants(service):
    """The modules under test: they hold models, which can be imported once Django is set up."""
    from auditvault.access.grants import selectors, services

    return SimpleNamespace(services=services, selectors=selectors)


@pytest.fixture
def staff(tenant):
    """An investigator, and who may approve their grants."""
    return SimpleNamespace(
        investigator=make_person(tenant, "investigator"),
        officer=make_person(tenant, "privacy_officer"),
    )


def look(client, person, content, *, representation=None, headers=None, **purpose):
    """The answer to a person's look at a content."""
    body = {
        "content_hash": f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
        "purpose": PURPOSE | purpose,
    } | ({"representation": representation} if representation else {})
    return post(client, "/api/v1/resolve", body, headers or person.headers("investigator"))


def refused(answer):
    """Status and code of an answer that shows nothing."""
    assert "contents" not in answer.json()
    return answer.status_code, answer.json()["code"]


def recorded(cluster, tenant):
    """Outcome and details of the tenant's looks, oldest first."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT outcome, header FROM access_event WHERE tenant_id = %s AND action = 'resolve'"
            " ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [(outcome, json.loads(bytes(header))["details"]) for outcome, header in rows]


def subject_of(cluster, tenant, kind="person"):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = %s",
            (tenant.tenant_id, kind),
        ).fetchone()[0]


# --- who sees ---------------------------------------------------------------------------------------------


def test_without_a_grant_whatever_the_hash_one_is_told_to_ask_for_one(
    client, tenant, staff, cluster
):
    record(client, tenant, chat("a secret"))

    answers = [look(client, staff.investigator, text) for text in ("a secret", "never sent")]

    assert [refused(answer) for answer in answers] == [(403, "grant_missing")] * 2
    assert answers[0].content == answers[1].content
    assert [(outcome, said["code"]) for outcome, said in recorded(cluster, tenant)] == [
        ("denied", "grant_missing")
    ] * 2


def test_with_one_the_look_is_recorded_under_it(client, tenant, staff, cluster, grants):
    record(client, tenant, chat("a secret"))
    grant_id = live_grant(staff.investigator, staff.officer)

    assert revealed(look(client, staff.investigator, "a secret")) == ["a secret"]

    ((outcome, said),) = recorded(cluster, tenant)
    assert (outcome, said["grants"], said["representation"]) == ("granted", [str(grant_id)], "full")
    shown = grants.selectors.grant(
        credential=staff.investigator.signed_in(), region="eu", grant_id=grant_id
    )
    assert [str(use.object_id) for use in shown.uses] == said["objects"]
    assert shown.record.uses == 1


def test_a_machine_and_who_is_not_proved_see_nothing(client, tenant, staff):
    live_grant(staff.investigator, staff.officer)
    weak = staff.investigator.headers("investigator", strong=False)

    assert refused(look(client, None, "x", headers=tenant.headers("investigator"))) == (
        403,
        "human_required",
    )
    assert refused(look(client, None, "x", headers=weak)) == (403, "second_factor_required")


def test_a_second_factor_that_is_too_old_does_not_count(tenant, staff, service):
    from dataclasses import replace

    from auditvault.access.disclosure import Look, resolve

    live_grant(staff.investigator, staff.officer)
    stale = replace(staff.investigator.signed_in(), strong_until=NOW)
    asked = Look(content_hash="sha256:" + "0" * 64, **PURPOSE)

    assert code_of(resolve, credential=stale, region="eu", look=asked, now=NOW) == (
        "second_factor_required"
    )


# --- what a grant covers ----------------------------------------------------------------------------------


def scopes(cluster, tenant, header):
    """A scope of each kind that covers the record, by name."""
    return {
        "trace": TraceScope(trace_ids=frozenset({bytes.fromhex(header["trace_id"])})),
        "subject": SubjectScope(subject_ids=frozenset({subject_of(cluster, tenant)})),
        "record": RecordScope(record_ids=frozenset({UUID(header["id"])})),
        "period": around(NOW),
    }


@pytest.mark.parametrize("kind", ["trace", "subject", "record", "period"])
def test_a_grant_shows_what_it_names(client, tenant, staff, cluster, kind):
    record(client, tenant, chat("a secret", user="anna"))
    (header,) = headers_of(client, tenant)
    live_grant(staff.investigator, staff.officer, scope=scopes(cluster, tenant, header)[kind])

    assert revealed(look(client, staff.investigator, "a secret")) == ["a secret"]


OUTSIDE = {
    "trace": NOWHERE,
    "subject": SubjectScope(subject_ids=frozenset({uuid4()})),
    "record": RecordScope(record_ids=frozenset({uuid4()})),
    "period": PeriodScope(
        recorded_from=NOW - timedelta(days=20), recorded_before=NOW - timedelta(days=10)
    ),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_it_does_not_name_is_not_found_and_the_record_says_why(
    client, tenant, staff, cluster, kind
):
    record(client, tenant, chat("a secret", user="anna"))
    live_grant(staff.investigator, staff.officer, scope=OUTSIDE[kind])

    there, missing = (look(client, staff.investigator, text) for text in ("a secret", "never sent"))

    assert refused(there) == (404, "content_not_found")
    assert there.content == missing.content
    (outside, miss) = recorded(cluster, tenant)
    assert (outside[0], outside[1]["code"]) == ("denied", "outside_grants")
    assert (miss[0], "code" in miss[1]) == ("granted", False)


def test_of_several_with_one_content_only_the_covered_one_is_shown(client, tenant, staff, cluster):
    record(client, tenant, chat("a secret", user="anna"))
    anna = subject_of(cluster, tenant)
    record(client, tenant, chat("a secret", user="berta"))
    live_grant(
        staff.investigator,
        staff.officer,
        scope=SubjectScope(subject_ids=frozenset({anna})),
    )

    assert revealed(look(client, staff.investigator, "a secret")) == ["a secret"]


def test_a_content_that_was_sent_before_belongs_to_the_later_trace_too(client, tenant, staff):
    first, second = chat("said twice", user="anna"), chat("said twice", user="anna")
    record(client, tenant, first)
    record(client, tenant, second)
    live_grant(
        staff.investigator,
        staff.officer,
        scope=TraceScope(trace_ids=frozenset({second.trace_id})),
    )

    assert revealed(look(client, staff.investigator, "said twice")) == ["said twice"]


def test_what_a_query_finds_when_it_is_asked_for_is_covered_and_nothing_later(
    client, tenant, staff, grants
):
    from auditvault.traces.selectors import Search

    record(client, tenant, chat("before", user="anna"))
    scope = grants.services.scope_of_query(
        credential=staff.investigator.signed_in(),
        region="eu",
        query=Search(),
        names={"user": "anna"},
        now=NOW,
    )
    live_grant(staff.investigator, staff.officer, scope=scope)
    record(client, tenant, chat("after", user="anna"))

    assert revealed(look(client, staff.investigator, "before")) == ["before"]
    assert revealed(look(client, staff.investigator, "after")) == []


def test_a_query_that_finds_nothing_is_no_scope(tenant, staff, grants):
    from auditvault.traces.selectors import Search

    asking = {"query": Search(), "names": {"user": "nobody"}, "now": NOW}
    credential = staff.investigator.signed_in()
    assert (
        code_of(grants.services.scope_of_query, credential=credential, region="eu", **asking)
        == "grant_scope_invalid"
    )


# --- stale, revoked, foreign ------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"case": "INC-2"}, {"code": "LEGAL"}])
def test_a_grant_is_for_its_case_and_its_codes(client, tenant, staff, change):
    record(client, tenant, chat("a secret"))
    live_grant(staff.investigator, staff.officer, codes=("INCIDENT",))

    assert refused(look(client, staff.investigator, "a secret", **change)) == (
        403,
        "grant_missing",
    )


def test_a_grant_is_nobody_elses(client, tenant, staff):
    record(client, tenant, chat("a secret"))
    live_grant(staff.investigator, staff.officer)
    colleague = make_person(tenant, "investigator")

    assert refused(look(client, colleague, "a secret")) == (403, "grant_missing")


def test_a_grant_that_is_over_shows_nothing(tenant, staff, client, service):
    from auditvault.access.disclosure import Look, resolve

    record(client, tenant, chat("a secret"))
    live_grant(staff.investigator, staff.officer, lifetime=timedelta(minutes=5))
    digest = hashlib.sha256(b"a secret").hexdigest()
    asked = Look(content_hash=f"sha256:{digest}", **PURPOSE)
    here = {"credential": staff.investigator.signed_in(), "region": "eu", "look": asked}
    now = datetime.now(UTC)

    assert code_of(resolve, **here, now=now) == "done"
    assert code_of(resolve, **here, now=now + timedelta(minutes=6)) == "grant_missing"


def test_a_grant_that_was_taken_back_shows_nothing(client, tenant, staff, grants, cluster):
    record(client, tenant, chat("a secret"))
    grant_id = live_grant(staff.investigator, staff.officer)
    assert look(client, staff.investigator, "a secret").status_code == 200

    for _ in range(2):
        grants.services.revoke(
            credential=staff.officer.signed_in(),
            region="eu",
            grant_id=grant_id,
            now=datetime.now(UTC),
        )

    assert refused(look(client, staff.investigator, "a secret")) == (403, "grant_missing")
    actions = [action for action, _ in admin_entries(cluster, tenant.tenant_id)]
    assert actions == [
        "approval.requested",
        "approval.approved",
        "approval.used",
        "grant.given",
        "grant.revoked",
    ]
    assert findings(tenant, region="eu") == {}


def take_back(grants, person, grant_id):
    return grants.services.revoke(
        credential=person.signed_in(), region="eu", grant_id=grant_id, now=datetime.now(UTC)
    )


def test_one_that_is_taken_back_in_the_middle_of_a_look_shows_nothing(
    client, tenant, staff, grants, cluster, monkeypatch
):
    from auditvault.access import disclosure

    record(client, tenant, chat("a secret"))
    grant_id = live_grant(staff.investigator, staff.officer)
    finds = disclosure._look_for

    def and_then_it_is_taken_back(*given):
        result = finds(*given)
        take_back(grants, staff.officer, grant_id)
        return result

    monkeypatch.setattr(disclosure, "_look_for", and_then_it_is_taken_back)

    assert refused(look(client, staff.investigator, "a secret")) == (403, "grant_missing")
    assert [(outcome, said["code"]) for outcome, said in recorded(cluster, tenant)] == [
        ("denied", "grant_missing")
    ]


def test_a_look_waits_for_whoever_is_taking_its_grant_back_and_then_shows_nothing(
    client, tenant, staff, cluster
):
    record(client, tenant, chat("a secret"))
    grant_id = live_grant(staff.investigator, staff.officer)
    taking = "UPDATE access_grant SET revoked_at = now(), revoker = 'user:x' WHERE grant_id = %s"

    with superuser(cluster, "region_eu") as connection, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute(taking, (grant_id,))
            answer = pool.submit(look_apart, client, staff.investigator, "a secret")
            until_somebody_waits_for(cluster, connection)
        assert refused(answer.result()) == (403, "grant_missing")


def test_whoever_takes_a_grant_back_waits_for_a_look_that_is_being_recorded(
    client, tenant, staff, grants, cluster, monkeypatch
):
    from auditvault.access.events import services as events

    record(client, tenant, chat("a secret"))
    grant_id = live_grant(staff.investigator, staff.officer)
    writes, taken_back = events._write, []

    with ThreadPoolExecutor(1) as pool:

        def while_somebody_takes_it_back(connection, *given):
            if not taken_back:
                taken_back.append(pool.submit(take_back_apart, grants, staff.officer, grant_id))
                until_somebody_waits_for(cluster, connection)
            writes(connection, *given)

        monkeypatch.setattr(events, "_write", while_somebody_takes_it_back)

        assert revealed(look(client, staff.investigator, "a secret")) == ["a secret"]
        assert taken_back[0].result().grant.revoked_at is not None
    assert refused(look(client, staff.investigator, "a secret")) == (403, "grant_missing")


def test_of_looks_that_are_recorded_together_one_without_its_grant_takes_none_along(
    client, tenant, staff, grants, monkeypatch
):
    from auditvault.access import disclosure

    record(client, tenant, chat("a secret"))
    other = make_person(tenant, "investigator")
    lost = live_grant(staff.investigator, staff.officer)
    live_grant(other, staff.officer)
    finds = disclosure._look_for

    def and_then_one_is_taken_back(credential, *given):
        result = finds(credential, *given)
        if credential.human == staff.investigator.human:
            take_back(grants, staff.officer, lost)
        return result

    monkeypatch.setattr(disclosure, "_look_for", and_then_one_is_taken_back)

    answers = together(
        *[partial(look, client, person, "a secret") for person in (staff.investigator, other)]
    )

    assert sorted(answer.status_code for answer in answers) == [200, 403]


def look_apart(client, person, content):
    """A look in a thread of its own, which leaves no connection behind."""
    from django.db import connections

    try:
        return look(client, person, content)
    finally:
        connections.close_all()


def take_back_apart(grants, person, grant_id):
    from django.db import connections

    try:
        return take_back(grants, person, grant_id)
    finally:
        connections.close_all()


def until_somebody_waits_for(cluster, connection):
    """Return once another transaction waits for this one's."""
    query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)))"
    pid = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
    with superuser(cluster, "region_eu") as watching:
        for _ in range(200_000):
            if watching.execute(query, (pid,)).fetchone()[0]:
                return
    raise AssertionError("nobody waited")


def test_who_loses_the_role_loses_the_grant_with_it(client, tenant, staff):
    from guardian.shortcuts import remove_perm

    from auditvault.access.models import TenantRegion

    record(client, tenant, chat("a secret"))
    live_grant(staff.investigator, staff.officer)
    headers = staff.investigator.headers("investigator")
    place = TenantRegion.objects.get(tenant_id=tenant.tenant_id, region="eu")
    remove_perm("access.investigator", staff.investigator.user, place)

    assert refused(look(client, None, "a secret", headers=headers)) == (403, "access_denied")


# --- who gives --------------------------------------------------------------------------------------------


def asked(grants, person, **terms):
    from auditvault.core.policy.access import PurposeCode
    from auditvault.core.policy.grants import GrantTerms

    wanted = {"case": "INC-1", "codes": frozenset({PurposeCode.INCIDENT}), "scope": around(NOW)}
    return grants.services.ask(
        credential=person.signed_in(), region="eu", terms=GrantTerms(**wanted | terms), now=NOW
    )


def test_nobody_gives_themselves_a_grant_by_whatever_account(grants, staff, tenant):
    request = asked(grants, staff.investigator)
    # A second account that may approve is refused when the role is given; where a group brings it, here.
    other = make_person(tenant, "privacy_officer")
    type(other.user).objects.filter(pk=other.user.pk).update(human=staff.investigator.user.human)
    other.user.refresh_from_db()
    approving = {"region": "eu", "approval_id": request.approval_id, "now": NOW}

    for credential in (staff.investigator.signed_in(), other.signed_in()):
        assert code_of(grants.services.approve, credential=credential, **approving) == (
            "approval_own"
        )


@pytest.mark.parametrize("role", ["investigator", "auditor", "engineer", "key_custodian"])
def test_who_may_not_approve_grants_does_not(grants, staff, tenant, role):
    request = asked(grants, staff.investigator)
    other = make_person(tenant, role)
    approving = {"region": "eu", "approval_id": request.approval_id, "now": NOW}

    code = "access_denied" if role == "auditor" else "approval_not_found"
    assert code_of(grants.services.approve, credential=other.signed_in(), **approving) == code


@pytest.mark.parametrize("role", ["engineer", "auditor", "privacy_officer"])
def test_who_may_not_see_content_cannot_ask(grants, tenant, role):
    assert code_of(asked, grants, make_person(tenant, role)) == "access_denied"


def test_a_grant_that_nobody_approved_cannot_be_written(service, tenant, cluster):
    url = cluster.environment("owner")["AUDITVAULT_REGION_EU_URL"]
    with (
        psycopg.connect(url, autocommit=True) as owner,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        owner.execute(
            "INSERT INTO access_grant (tenant_id, grant_id, approval_id, human_id, holder, case_ref, terms,"
            " approver, starts_at, expires_at)"
            " VALUES (%s, %s, %s, %s, 'user:a', 'INC-1', '{}', 'user:b', now(), now() + '1h')",
            (tenant.tenant_id, uuid4(), uuid4(), uuid4()),
        )


def test_a_request_whose_grant_cannot_be_stored_stays_a_request(
    grants, staff, cluster, tenant, monkeypatch
):
    from auditvault.access.grants import store

    request = asked(grants, staff.investigator)

    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(store, "insert", fail)
    with pytest.raises(ZeroDivisionError):
        grants.services.approve(
            credential=staff.officer.signed_in(),
            region="eu",
            approval_id=request.approval_id,
            now=NOW,
        )

    assert [a for a, _ in admin_entries(cluster, tenant.tenant_id)] == ["approval.requested"]


# --- redacted ---------------------------------------------------------------------------------------------


def test_an_engineer_does_not_get_from_redacted_to_whole(client, tenant, staff, cluster):
    record(client, tenant, chat("a secret"))
    engineer = make_person(tenant, "engineer")
    headers = engineer.headers("engineer")

    answers = [
        look(client, None, "a secret", headers=headers, representation=which)
        for which in ("redacted", "full", "original")
    ]

    assert [refused(answer) for answer in answers] == [
        (404, "redaction_not_found"),
        (403, "access_denied"),
        (400, "request_invalid"),
    ]
    seen = [(outcome, said["representation"]) for outcome, said in recorded(cluster, tenant)]
    assert seen == [("granted", "redacted"), ("denied", "full")]


def test_a_machine_gets_no_redacted_text(client, tenant):
    answer = look(client, None, "x", headers=tenant.headers("engineer"), representation="redacted")
    assert refused(answer) == (403, "human_required")


# --- when something fails ---------------------------------------------------------------------------------


def test_a_use_that_cannot_be_counted_shows_nothing_and_leaves_nothing(
    client, tenant, staff, cluster
):
    record(client, tenant, chat("a secret"))
    live_grant(staff.investigator, staff.officer)
    with superuser(cluster, "region_eu") as connection:
        connection.execute(f"REVOKE EXECUTE ON FUNCTION {USE} FROM auditvault_app")
    try:
        answer = look(client, staff.investigator, "a secret")
    finally:
        with superuser(cluster, "region_eu") as connection:
            connection.execute(f"GRANT EXECUTE ON FUNCTION {USE} TO auditvault_app")

    assert refused(answer) == (503, "access_not_recorded")
    assert recorded(cluster, tenant) == []


def test_a_region_that_stops_in_the_middle_of_a_look_shows_nothing(
    client, tenant, staff, cluster, monkeypatch
):
    from auditvault.access import disclosure

    record(client, tenant, chat("a secret"))
    live_grant(staff.investigator, staff.officer)
    opens = disclosure._open_all

    def after_the_server_let_go(*given):
        with superuser(cluster, "region_eu") as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'region_eu' AND usename = 'auditvault_app'"
            )
        return opens(*given)

    monkeypatch.setattr(disclosure, "_open_all", after_the_server_let_go)

    answer = look(client, staff.investigator, "a secret")

    assert answer.status_code == 503
    assert "a secret" not in answer.content.decode()
    ((outcome, _),) = recorded(cluster, tenant)
    assert outcome == "granted"
