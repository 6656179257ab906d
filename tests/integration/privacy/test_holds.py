"""A legal hold is in force at once, covers what it says and what comes later, and ends by two people."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.holds import (
    CaseScope,
    HoldNotOpenError,
    PeriodScope,
    RecordScope,
    SubjectScope,
    TenantScope,
    TraceScope,
    scope_digest,
)
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.attempts import REFUSED, not_refused, outcome
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.holding import REASON, REFERENCE, details_of, notes, records_of
from tests.integration.vault.erasing import (
    NOTHING,
    CutOffError,
    erase,
    left,
    state_of,
)
from tests.integration.vault.erasing import (
    records as ledger_records,
)
from tests.staff import make_person

DAY = timedelta(days=1)
KINDS = ("subject", "trace", "case", "records", "period", "tenant")


@pytest.fixture
def scope_over(cluster, tenant, lawyers):
    """`scope_over(kind, subject)`: a scope of that kind that covers something of the subject."""

    def make(kind, subject):
        record_id, trace_id = records_of(cluster, tenant, subject)[0]
        now = datetime.now(UTC)
        if kind == "case":
            lawyers.put("INC-77", record_id)
        return {
            "subject": SubjectScope(subject_ids=frozenset({subject})),
            "trace": TraceScope(trace_ids=frozenset({bytes(trace_id)})),
            "case": CaseScope(cases=frozenset({"INC-77"})),
            "records": RecordScope(record_ids=frozenset({record_id})),
            "period": PeriodScope(recorded_from=now - DAY, recorded_before=now + DAY),
            "tenant": TenantScope(),
        }[kind]

    return make


# In force


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_hold_covers_is_not_erased_until_it_is_released(
    tenant, cluster, anna, lawyers, scope_over, kind
):
    from auditvault.vault.shred import KeysHeldError

    placed = lawyers.place(scope_over(kind, anna))
    before, size = left(cluster, tenant, anna), len(ledger_records())
    with pytest.raises(KeysHeldError) as refused:
        erase(tenant, anna)
    assert refused.value.references == {placed.hold_id}
    assert (left(cluster, tenant, anna), len(ledger_records())) == (before, size)
    assert (state_of(cluster, tenant, anna), notes(cluster, tenant)) == ("active", 0)

    lawyers.release(placed.hold_id)
    erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING


@pytest.mark.parametrize("kind", ["subject", "trace", "records", "case", "period"])
def test_a_hold_covers_nothing_beyond_its_scope(client, tenant, cluster, anna, lawyers, kind):
    other, now = uuid4(), datetime.now(UTC)
    lawyers.put("INC-77", other)
    lawyers.place(
        {
            "subject": SubjectScope(subject_ids=frozenset({other})),
            "trace": TraceScope(trace_ids=frozenset({other.bytes})),
            "records": RecordScope(record_ids=frozenset({other})),
            "case": CaseScope(cases=frozenset({"INC-77"})),
            "period": PeriodScope(recorded_before=now - DAY),
        }[kind]
    )
    erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING


def test_a_hold_of_another_tenant_covers_nothing(tenant, other_tenant, cluster, anna):
    from tests.integration.privacy.holding import Lawyers

    Lawyers(other_tenant).place(TenantScope())
    erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING


def test_a_hold_covers_what_comes_after_it(client, tenant, cluster, lawyers):
    from auditvault.vault.shred import KeysHeldError
    from tests.integration.vault.erasing import subject_of

    trace_id = uuid4().bytes
    lawyers.place(TraceScope(trace_ids=frozenset({trace_id})))
    record(client, tenant, chat("later", user="berta", trace_id=trace_id))
    with pytest.raises(KeysHeldError):
        erase(tenant, subject_of(cluster, tenant))


def test_who_became_one_person_with_somebody_who_is_held_is_held_too(
    client, tenant, cluster, anna, lawyers
):
    from auditvault.vault.merging import merge_subjects
    from auditvault.vault.shred import KeysHeldError

    record(client, tenant, chat("x", user="a.mustermann"))
    with superuser(cluster, "region_eu") as connection:
        (other,) = connection.execute(
            "SELECT subject_id FROM vault_identifier WHERE tenant_id = %s AND kind = 'user'"
            " AND subject_id <> %s",
            (tenant.tenant_id, anna),
        ).fetchone()
    lawyers.place(SubjectScope(subject_ids=frozenset({anna})))
    merge_subjects(
        region="eu",
        tenant_id=tenant.tenant_id,
        one=anna,
        other=other,
        actor="operator:cli",
        case="INC-1",
    )
    with pytest.raises(KeysHeldError):
        erase(tenant, other)


def test_what_was_being_erased_before_goes_on_and_the_hold_says_so(
    tenant, cluster, anna, lawyers, cut_off
):
    reference = uuid4()
    cut_off("destroy_keys", "before")
    with pytest.raises(CutOffError):
        erase(tenant, anna, reference=reference)
    placed = lawyers.place(SubjectScope(subject_ids=frozenset({anna})))
    assert placed.already_erased == 1
    assert details_of(cluster, placed.record_id)["already_erased"] == 1
    erase(tenant, anna, reference=reference)
    assert left(cluster, tenant, anna) == NOTHING


# Crashes


def test_a_refusal_that_was_cut_off_is_refused_again_and_leaves_nothing_then(
    tenant, cluster, anna, lawyers, cut_off
):
    from auditvault.vault.shred import KeysHeldError

    placed = lawyers.place(SubjectScope(subject_ids=frozenset({anna})))
    reference = uuid4()
    cut_off("_abandon", "before")
    with pytest.raises(CutOffError):
        erase(tenant, anna, reference=reference)
    assert notes(cluster, tenant) == 1
    with pytest.raises(KeysHeldError):
        erase(tenant, anna, reference=reference)
    assert notes(cluster, tenant) == 0
    lawyers.release(placed.hold_id)
    erase(tenant, anna, reference=reference)
    assert left(cluster, tenant, anna) == NOTHING


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_placing_that_was_cut_off_leaves_nothing(
    tenant, cluster, anna, lawyers, monkeypatch, when
):
    from auditvault.privacy.holds import services

    real = services.record_in

    def failing(*arguments, **named):
        if when == "after":
            real(*arguments, **named)
        raise CutOffError

    monkeypatch.setattr(services, "record_in", failing)
    before = rows(cluster, tenant)
    with pytest.raises(CutOffError):
        lawyers.place(TenantScope())
    assert rows(cluster, tenant) == before


@pytest.mark.parametrize("step", ["use_within", "record_in"])
def test_a_release_that_was_cut_off_leaves_hold_and_approval_as_they_were(
    tenant, cluster, anna, lawyers, monkeypatch, step
):
    from auditvault.privacy.holds import services

    hold_id = lawyers.place(TenantScope()).hold_id
    approval_id = lawyers.approval(hold_id)
    real = getattr(services, step)

    def failing(*arguments, **named):
        real(*arguments, **named)
        raise CutOffError

    monkeypatch.setattr(services, step, failing)
    before = rows(cluster, tenant)
    with pytest.raises(CutOffError):
        lawyers.release(hold_id, approval_id)
    assert rows(cluster, tenant) == before
    monkeypatch.setattr(services, step, real)
    lawyers.release(hold_id, approval_id)


def rows(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM legal_hold WHERE tenant_id = %(t)s AND released_at IS NULL),"
            " (SELECT count(*) FROM admin_event WHERE tenant_id = %(t)s),"
            " (SELECT count(*) FROM access_approval WHERE tenant_id = %(t)s AND state = 'used'),"
            " (SELECT count(*) FROM vault_object WHERE tenant_id = %(t)s)",
            {"t": tenant.tenant_id},
        ).fetchone()


# Two people


def test_a_hold_is_released_by_what_somebody_else_has_approved(tenant, cluster, lawyers):
    hold_id = lawyers.place(TenantScope()).hold_id
    other_hold = lawyers.place(TenantScope()).hold_id
    asked = lawyers.approval(hold_id, is_given=False)
    for approval_id, code in (
        (uuid4(), "approval_not_found"),
        (asked, "approval_missing"),
        (lawyers.approval(other_hold), "approval_drifted"),
    ):
        with pytest.raises(AuditvaultError) as refused:
            lawyers.release(hold_id, approval_id)
        assert refused.value.code == code
    approval_id = lawyers.approval(hold_id)
    details = details_of(cluster, lawyers.release(hold_id, approval_id))
    assert details["action"] == "legal_hold.released"
    assert details["hold"] == str(hold_id)
    with pytest.raises(HoldNotOpenError):
        lawyers.release(hold_id, approval_id)


def test_only_who_may_place_holds_places_releases_and_puts_to_cases(tenant, lawyers):
    hold_id = lawyers.place(TenantScope()).hold_id
    approval_id = lawyers.approval(hold_id)
    lawyers.one = make_person(tenant, "privacy_officer")
    for act in (
        lambda: lawyers.place(TenantScope()),
        lambda: lawyers.release(hold_id, approval_id),
        lambda: lawyers.put("INC-1", uuid4()),
    ):
        with pytest.raises(AuditvaultError) as refused:
            act()
        assert refused.value.code == "access_denied"


def test_a_machine_places_no_hold(tenant, lawyers):
    from auditvault.privacy.holds.services import NewHold, place_hold

    machine = replace(lawyers.one.signed_in(), human=None)
    wanted = NewHold(
        scope=TenantScope(),
        reference=REFERENCE,
        reason=REASON,
        custodian=lawyers.other.human,
        review_on=date(2100, 1, 1),
    )
    with pytest.raises(AuditvaultError) as refused:
        place_hold(region="eu", credential=machine, wanted=wanted, now=datetime.now(UTC))
    assert refused.value.code == "human_required"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": "because"}, "hold_invalid"),
        ({"review_on": date(2026, 1, 1)}, "hold_invalid"),
        ({"custodian": uuid4()}, "hold_invalid"),
        ({"reference": "the matter of Mustermann"}, "case_invalid"),
    ],
)
def test_a_hold_that_will_not_do_is_refused_and_nothing_stays(
    tenant, cluster, lawyers, changes, code
):
    before = rows(cluster, tenant)
    with pytest.raises(AuditvaultError) as refused:
        lawyers.place(TenantScope(), **changes)
    assert refused.value.code == code
    assert "Mustermann" not in refused.value.message
    assert rows(cluster, tenant) == before


# What stands where


def test_the_entry_says_what_is_held_and_the_reason_is_sealed(tenant, cluster, anna, lawyers):
    scope = SubjectScope(subject_ids=frozenset({anna}))
    placed = lawyers.place(scope)
    details = details_of(cluster, placed.record_id)
    assert details.pop("reason")["role"] == "hold_reason"
    assert details.pop("actor").startswith("user:")
    assert details.pop("review_on") > "2026"
    assert details == {
        "action": "legal_hold.placed",
        "hold": str(placed.hold_id),
        "kind": "subject",
        "scope": scope_digest(scope).hex(),
        "reference": REFERENCE,
        "already_erased": 0,
    }
    with superuser(cluster, "region_eu") as connection:
        stored = connection.execute(
            "SELECT (h.*)::text FROM legal_hold AS h WHERE hold_id = %s", (placed.hold_id,)
        ).fetchone()
        header = connection.execute(
            "SELECT header FROM admin_event WHERE record_id = %s", (placed.record_id,)
        ).fetchone()
    assert "Mustermann" not in str(stored)
    assert b"Mustermann" not in bytes(header[0])


def test_a_hold_is_read_as_it_was_placed(tenant, lawyers):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.privacy.holds.selectors import holds_in_force

    scopes = [
        TenantScope(),
        PeriodScope(recorded_from=datetime(2026, 1, 1, tzinfo=UTC)),
        TraceScope(trace_ids=frozenset({bytes(16)})),
    ]
    for scope in scopes:
        lawyers.place(scope)
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        found = list(holds_in_force(connection, "eu"))
    assert {scope_digest(each.scope) for each in found} == {scope_digest(each) for each in scopes}
    assert {each.custodian for each in found} == {lawyers.other.human}


# Whoever asks


@pytest.fixture
def everybody(connect, cluster):
    """Connections as each role of the region's database, and as a superuser."""
    with superuser(cluster, "region_eu") as owner_of_all:
        yield [owner_of_all, *(connect(role) for role in ("app", "retention", "owner"))]


def test_the_database_refuses_to_delete_a_held_object_whoever_asks(
    everybody, tenant, cluster, anna, lawyers, scope_over
):
    lawyers.place(scope_over("records", anna))
    held = records_of(cluster, tenant, anna)[0][0]
    statement = "DELETE FROM vault_object WHERE tenant_id = %s AND record_id = %s"
    for connection in everybody:
        assert outcome(connection, statement, (tenant.tenant_id, held)) == REFUSED


def test_the_second_line_refuses_within_the_scope_only(cluster, tenant, anna, lawyers, scope_over):
    lawyers.place(scope_over("records", anna))
    statement = "DELETE FROM vault_object WHERE tenant_id = %s AND record_id = %s"
    held, free = (row[0] for row in records_of(cluster, tenant, anna)[:2])
    with superuser(cluster, "region_eu") as connection:
        assert outcome(connection, statement, (tenant.tenant_id, held)) == REFUSED
        assert outcome(connection, statement, (tenant.tenant_id, free)) == "done"


def test_a_hold_is_neither_changed_nor_deleted_whoever_asks(everybody, tenant, lawyers):
    lawyers.put("INC-1", uuid4())
    placed = lawyers.place(SubjectScope(subject_ids=frozenset({uuid4()})))
    statements = [
        "DELETE FROM legal_hold WHERE hold_id = %(hold)s",
        "UPDATE legal_hold SET kind = 'subject' WHERE hold_id = %(hold)s",
        "UPDATE legal_hold SET released_at = now(), released_by = custodian, cases = '{}'",
        "TRUNCATE legal_hold CASCADE",
        "DELETE FROM legal_hold_member WHERE hold_id = %(hold)s",
        "DELETE FROM legal_case_record WHERE tenant_id = %(tenant)s",
    ]
    values = {"hold": placed.hold_id, "tenant": tenant.tenant_id}
    for connection in everybody:
        assert not_refused(connection, statements, values) == {}


def test_no_log_of_a_tenant_is_pruned_under_a_hold(tenant, other_tenant, lawyers):
    from auditvault.evidence.pruning.holds import look_for_holds
    from auditvault.ledger.admin.services import admin_log

    placed = lawyers.place(TenantScope())

    def blocking(of):
        log = admin_log("eu", of.tenant_id)
        return look_for_holds(region="eu", log=log, first=0, end=1).blocking

    assert (blocking(tenant), blocking(other_tenant)) == (1, 0)
    lawyers.release(placed.hold_id)
    assert blocking(tenant) == 0


# The keyring


@pytest.mark.parametrize("kind", ["subject", "trace", "records", "case", "tenant"])
def test_keys_follow_and_are_let_go(tenant, cluster, anna, lawyers, scope_over, kind):
    placed = lawyers.place(scope_over(kind, anna))
    held = lawyers.enforce().held
    assert held >= 1
    assert lawyers.enforce().held == 0
    statement = "DELETE FROM keyring_subject_key WHERE subject_id = %s"
    with superuser(cluster, "keys_eu") as connection:
        assert outcome(connection, statement, (anna,)) == REFUSED
    lawyers.release(placed.hold_id)
    assert lawyers.enforce().released == held
    with superuser(cluster, "keys_eu") as connection:
        assert outcome(connection, statement, (anna,)) == "done"


def test_the_workers_task_goes_through_every_tenant(tenant, other_tenant, cluster, lawyers):
    from auditvault.privacy.tasks import enforce_holds
    from tests.integration.privacy.holding import Lawyers

    for each in (lawyers, Lawyers(other_tenant)):
        each.place(TenantScope())
    enforce_holds("eu")
    with superuser(cluster, "keys_eu") as connection:
        (held,) = connection.execute(
            "SELECT count(*) FROM keyring_hold WHERE tenant_id IN (%s, %s)",
            (tenant.tenant_id, other_tenant.tenant_id),
        ).fetchone()
    assert held == 2


def test_holds_on_keys_that_were_placed_by_hand_stay(tenant, cluster, anna, lawyers):
    from tests.integration.vault.erasing import hold

    with hold(cluster, tenant, anna):
        lawyers.release(lawyers.place(TenantScope()).hold_id)
        assert lawyers.enforce().released == 0
