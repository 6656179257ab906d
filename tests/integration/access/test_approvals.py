"""Two people for dangerous acts: stored, decided once, used once, by whatever way round somebody tries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Operation, Plan, State
from auditvault.core.tlog.canonical import parse_canonical
from tests.integration.ledger.superuser import superuser
from tests.staff import make_person

NOW = datetime.now(UTC)
# The last of them: grants refer to approvals.
REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.CheckViolation,
    psycopg.errors.FeatureNotSupported,
)
LATER = NOW + timedelta(hours=25)


@pytest.fixture
def approvals(service):
    """The modules under test: they hold models, which can be imported once Django is set up."""
    from auditvault.access.approvals import selectors, services, store
    from auditvault.ledger.scope import region_alias, tenant_scope

    def use(plan, approval_id, now=NOW):
        with tenant_scope(region_alias(plan.region), plan.tenant_id) as connection:
            return services.use_within(
                connection,
                plan=plan,
                approval_id=approval_id,
                human=None,
                actor="operator:cli",
                now=now,
            )

    return SimpleNamespace(services=services, selectors=selectors, store=store, use=use)


@pytest.fixture
def custodians(tenant):
    """Two people who may ask for the destruction of keys, and approve it."""
    return make_person(tenant, "key_custodian"), make_person(tenant, "key_custodian")


@pytest.fixture
def plan(tenant):
    return Plan(
        operation=Operation.KEY_DESTRUCTION,
        tenant_id=tenant.tenant_id,
        region="eu",
        parameters={"keys": [str(uuid4())]},
    )


@pytest.fixture
def asked(approvals, custodians, plan):
    """What the first of the custodians asked for."""
    return approvals.services.request(
        credential=custodians[0].signed_in(), plan=plan, case="INC-7", now=NOW
    )


def approve(approvals, person, record, now=NOW):
    return approvals.services.approve(
        credential=person.signed_in(), region="eu", approval_id=record.approval_id, now=now
    )


def code_of(act, *args, **words):
    try:
        act(*args, **words)
    except AuditvaultError as error:
        return error.code
    return "done"


def admin_entries(cluster, tenant_id):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT action, header FROM admin_event WHERE tenant_id = %s AND action NOT LIKE 'role.%%'"
            " ORDER BY record_id",
            (tenant_id,),
        ).fetchall()
    return [(action, parse_canonical(bytes(header))["details"]) for action, header in rows]


def state_of(cluster, record):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT state FROM access_approval WHERE approval_id = %s", (record.approval_id,)
        ).fetchone()[0]


def together(*acts):
    """Do these at once, each on a connection of its own; the codes they ended with."""
    from django.db import connections

    start = Barrier(len(acts))

    def one(act):
        try:
            start.wait(timeout=20)
            return code_of(act)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return sorted(pool.map(one, acts))


def test_each_change_is_an_entry_that_names_accounts_and_no_human(
    approvals, custodians, plan, asked, cluster, tenant
):
    approve(approvals, custodians[1], asked)
    approvals.use(plan, asked.approval_id)

    entries = admin_entries(cluster, tenant.tenant_id)
    assert [action for action, _ in entries] == [
        "approval.requested",
        "approval.approved",
        "approval.used",
    ]
    assert [details["actor"] for _, details in entries] == [
        custodians[0].signed_in().actor,
        custodians[1].signed_in().actor,
        "operator:cli",
    ]
    assert {details["plan"] for _, details in entries} == {plan.digest().hex()}
    assert not any(str(person.human) in str(entries) for person in custodians)


def test_what_is_shown_is_what_is_bound(approvals, custodians, plan, asked):
    shown = approvals.selectors.approval(
        credential=custodians[1].signed_in(), region="eu", approval_id=asked.approval_id
    )

    assert shown.plan == plan
    assert shown.approval.plan_digest == plan.digest()
    assert (shown.case, shown.requester) == ("INC-7", custodians[0].signed_in().actor)


def test_nobody_approves_their_own_by_another_account_or_token(
    approvals, custodians, asked, tenant
):
    from auditvault.access.tokens import authenticate

    second = make_person(tenant, "key_custodian", of=custodians[0])
    token = authenticate(custodians[0].token("key_custodian"), now=NOW)
    ways = [custodians[0].signed_in(), second.signed_in(), token]

    codes = {
        code_of(act, credential=credential, region="eu", approval_id=asked.approval_id, now=NOW)
        for credential in ways
        for act in (approvals.services.approve, approvals.services.refuse)
    }
    assert codes == {"approval_own"}


def test_nobody_approves_their_own_by_an_account_that_is_linked_later(approvals, custodians, asked):
    stranger = custodians[1].user
    # As administrators do it who find that two accounts are one person's.
    type(custodians[0].user).objects.filter(pk=custodians[0].user.pk).update(human=stranger.human)

    assert code_of(approve, approvals, custodians[1], asked) == "approval_own"


def test_a_machine_and_who_is_not_proved_can_neither_ask_nor_decide(
    approvals, custodians, plan, asked, tenant
):
    from auditvault.access.tokens import authenticate

    machine = authenticate(tenant.token("key_custodian"), now=NOW)
    weak = custodians[1].signed_in(strong=False)
    seen = [
        (
            code_of(approvals.services.request, credential=who, plan=plan, case="INC-7", now=NOW),
            code_of(
                approvals.services.approve,
                credential=who,
                region="eu",
                approval_id=asked.approval_id,
                now=NOW,
            ),
        )
        for who in (machine, weak)
    ]
    assert seen == [("human_required",) * 2, ("second_factor_required",) * 2]


@pytest.mark.parametrize("role", ["engineer", "investigator", "auditor", "privacy_officer"])
def test_who_may_not_do_it_may_neither_ask_for_it_nor_approve_it(
    approvals, plan, asked, tenant, role
):
    person = make_person(tenant, role)

    # An auditor sees it, and may not decide.
    code = "access_denied" if role == "auditor" else "approval_not_found"
    assert code_of(approve, approvals, person, asked) == code
    asking = {"credential": person.signed_in(), "plan": plan, "case": "INC-7", "now": NOW}
    assert code_of(approvals.services.request, **asking) == "operation_denied"


def test_another_tenants_approval_is_not_there(approvals, asked, other_tenant):
    stranger = make_person(other_tenant, "key_custodian")
    place = {"credential": stranger.signed_in(), "region": "eu"}

    found = {"approval_id": asked.approval_id}
    never = {"approval_id": uuid4()}
    services, selectors = approvals.services, approvals.selectors
    for one in (found, never):
        assert code_of(services.approve, **place, **one, now=NOW) == "approval_not_found"
        assert code_of(selectors.approval, **place, **one) == "approval_not_found"
    assert selectors.approvals(**place, now=NOW).records == []


def test_a_plan_for_another_tenant_or_region_cannot_be_asked_for(
    approvals, custodians, other_tenant, plan
):
    for elsewhere in (
        Plan(operation=plan.operation, tenant_id=other_tenant.tenant_id, region="eu"),
        Plan(operation=plan.operation, tenant_id=plan.tenant_id, region="us"),
        Plan(operation=plan.operation, tenant_id=UUID(int=0), region="eu"),
    ):
        asking = {"credential": custodians[0].signed_in(), "plan": elsewhere, "case": "INC-7"}
        code = code_of(approvals.services.request, **asking, now=NOW)
        assert code == ("access_denied" if elsewhere.region == "us" else "operation_denied")


def test_whose_tenant_is_the_operators_decides_about_the_region_as_a_whole(
    approvals, custodians, tenant, monkeypatch
):
    from django.conf import settings

    monkeypatch.setattr(settings, "OPERATOR_TENANT", tenant.slug)
    plan = Plan(operation=Operation.CHECKPOINT_KEY_CHANGE, tenant_id=UUID(int=0), region="eu")
    asked = approvals.services.request(
        credential=custodians[0].signed_in(), plan=plan, case="CHG-1", now=NOW
    )

    approve(approvals, custodians[1], asked)

    assert approvals.use(plan, asked.approval_id).approval.state is State.USED


def test_drift_between_approval_and_act_voids_it(approvals, custodians, plan, asked):
    approve(approvals, custodians[1], asked)
    more = Plan(
        operation=plan.operation,
        tenant_id=plan.tenant_id,
        region="eu",
        parameters={"keys": [*plan.parameters["keys"], str(uuid4())]},
    )

    assert code_of(approvals.use, more, asked.approval_id) == "approval_drifted"


def test_it_is_used_once(approvals, custodians, plan, asked):
    approve(approvals, custodians[1], asked)
    approvals.use(plan, asked.approval_id)

    assert code_of(approvals.use, plan, asked.approval_id) == "approval_not_open"


def test_what_nobody_approved_what_is_expired_and_what_was_ended_is_of_no_use(
    approvals, custodians, plan, asked
):
    assert code_of(approvals.use, plan, asked.approval_id) == "approval_missing"
    assert (
        code_of(
            approvals.services.approve,
            credential=replace(custodians[1].signed_in(), strong_until=LATER + timedelta(hours=1)),
            region="eu",
            approval_id=asked.approval_id,
            now=LATER,
        )
        == "approval_not_open"
    )
    approve(approvals, custodians[1], asked)
    assert code_of(approvals.use, plan, asked.approval_id, now=LATER) == "approval_not_open"
    approvals.services.refuse(
        credential=custodians[1].signed_in(), region="eu", approval_id=asked.approval_id, now=NOW
    )
    assert code_of(approvals.use, plan, asked.approval_id) == "approval_not_open"


def test_only_who_asked_takes_it_back(approvals, custodians, asked):
    taking = {"region": "eu", "approval_id": asked.approval_id, "now": NOW}
    withdraw = approvals.services.withdraw

    assert code_of(withdraw, credential=custodians[1].signed_in(), **taking) == "approval_not_yours"
    assert withdraw(credential=custodians[0].signed_in(), **taking).ended_at is not None


def test_two_who_approve_at_once_are_one_approval(approvals, custodians, asked, tenant, cluster):
    third = make_person(tenant, "key_custodian")

    codes = together(
        lambda: approve(approvals, custodians[1], asked),
        lambda: approve(approvals, third, asked),
    )

    assert codes == ["approval_not_open", "done"]
    actions = [action for action, _ in admin_entries(cluster, tenant.tenant_id)]
    assert actions == ["approval.requested", "approval.approved"]


def test_approving_against_taking_back_leaves_one_story(
    approvals, custodians, plan, asked, tenant, cluster
):
    take_back = {
        "credential": custodians[0].signed_in(),
        "region": "eu",
        "approval_id": asked.approval_id,
        "now": NOW,
    }
    codes = together(
        lambda: approve(approvals, custodians[1], asked),
        lambda: approvals.services.withdraw(**take_back),
    )

    # Taken back in the end, whoever was first: an approved one can be, a withdrawn one cannot be approved.
    assert codes in (["done", "done"], ["approval_not_open", "done"])
    assert state_of(cluster, asked) == "withdrawn"
    actions = [action for action, _ in admin_entries(cluster, tenant.tenant_id)]
    assert len(actions) == 1 + codes.count("done")
    assert code_of(approvals.use, plan, asked.approval_id) == "approval_not_open"


def test_of_two_uses_at_once_exactly_one_goes_through(approvals, custodians, plan, asked):
    approve(approvals, custodians[1], asked)

    codes = together(*[lambda: approvals.use(plan, asked.approval_id)] * 2)

    assert codes == ["approval_not_open", "done"]


def test_a_use_in_a_transaction_that_fails_is_none(
    approvals, custodians, plan, asked, cluster, tenant
):
    from auditvault.ledger.scope import region_alias, tenant_scope

    approve(approvals, custodians[1], asked)

    def fail():
        with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
            approvals.services.use_within(
                connection,
                plan=plan,
                approval_id=asked.approval_id,
                human=None,
                actor="operator:cli",
                now=NOW,
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert state_of(cluster, asked) == "approved"
    assert [a for a, _ in admin_entries(cluster, tenant.tenant_id)][-1] == "approval.approved"


def test_a_list_comes_in_pages_newest_first(approvals, custodians, plan, asked):
    more = [
        approvals.services.request(
            credential=custodians[0].signed_in(),
            plan=plan,
            case=f"INC-{n}",
            now=NOW + timedelta(seconds=n),
        )
        for n in (1, 2)
    ]
    listing = {"credential": custodians[1].signed_in(), "region": "eu", "now": NOW}

    first = approvals.selectors.approvals(**listing, limit=2)
    rest = approvals.selectors.approvals(**listing, limit=2, cursor=first.next_cursor)

    assert [r.approval_id for r in first.records + rest.records] == [
        r.approval_id for r in (more[1], more[0], asked)
    ]
    assert rest.next_cursor is None


def test_the_list_shows_ones_own_and_what_one_could_decide_and_all_to_an_auditor(
    approvals, custodians, asked, tenant
):
    def sees(*roles):
        person = make_person(tenant, *roles)
        found = approvals.selectors.approvals(credential=person.signed_in(), region="eu", now=NOW)
        return [record.approval_id for record in found.records]

    assert sees("auditor") == sees("key_custodian") == [asked.approval_id]
    assert sees("engineer") == sees("privacy_officer") == []


# --- the database itself ---------------------------------------------------------------------------------


def test_the_database_refuses_every_other_change_to_its_owner_too(asked, connect_as_owner):
    attempts = [
        "UPDATE access_approval SET plan = '\\x7b7d'",
        "UPDATE access_approval SET case_ref = 'INC-8'",
        "UPDATE access_approval SET requested_by = gen_random_uuid()",
        "UPDATE access_approval SET expires_at = expires_at + interval '1 hour'",
        "UPDATE access_approval SET state = 'used', ended_at = now(), ender = 'x'",
        (
            "UPDATE access_approval SET state = 'approved', approved_by = requested_by,"
            " approver = 'x', approved_at = now()"
        ),
        "DELETE FROM access_approval",
        "TRUNCATE access_approval",
    ]
    for attempt in attempts:
        where = "" if "TRUNCATE" in attempt else " WHERE approval_id = %s"
        with pytest.raises(REFUSALS):
            connect_as_owner.execute(attempt + where, (asked.approval_id,) if where else None)


def test_the_database_refuses_to_go_back(approvals, custodians, asked, connect_as_owner):
    approve(approvals, custodians[1], asked)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as_owner.execute(
            "UPDATE access_approval SET state = 'requested', approved_by = NULL, approver = NULL,"
            " approved_at = NULL WHERE approval_id = %s",
            (asked.approval_id,),
        )


@pytest.fixture
def connect_as_owner(cluster, service):
    url = cluster.environment("owner")["AUDITVAULT_REGION_EU_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
