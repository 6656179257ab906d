"""Restriction: for a request that was begun, of whom it names, until somebody else lifts it; not read till then."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import psycopg
import pytest

from auditvault.core.policy.approvals import OwnApprovalError
from auditvault.core.policy.erasure import Action, Kind, RequestMoveError, State
from auditvault.core.policy.roles import AccessDeniedError
from tests.integration.access.test_approvals import admin_entries
from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.attempts import act_for, not_refused
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.requesting import MANIFEST
from tests.integration.vault.erasing import NOTHING, erase, left, state_of
from tests.integration.vault.looking import resolve, revealed
from tests.integration.vault.people import people

NOTICE = "We told you on 3 March that the restriction ends, Erika Mustermann."
ANNA = (("user", "anna"),)


def approved(desk, kind=Kind.RESTRICTION, identifiers=ANNA):
    request_id = desk.awaiting(kind=kind, identifiers=identifiers)
    desk.move(request_id, Action.APPROVE, by=desk.officer, manifest=MANIFEST)
    return request_id


def begun(desk, kind=Kind.RESTRICTION, identifiers=ANNA):
    request_id = approved(desk, kind, identifiers)
    desk.advance(request_id, Action.BEGIN, manifest=MANIFEST)
    return request_id


def restrict_in(tenant, request_id):
    from auditvault.privacy.requests.restricting import restrict

    return restrict(region="eu", tenant_id=tenant.tenant_id, request_id=request_id)


def carry_out_in(tenant, request_id):
    from auditvault.privacy.requests.carrying_out import carry_out

    return carry_out(
        region="eu", tenant_id=tenant.tenant_id, request_id=request_id, now=datetime.now(UTC)
    )


def carried_out(tenant, desk, kind=Kind.RESTRICTION, identifiers=ANNA):
    request_id = approved(desk, kind, identifiers)
    assert carry_out_in(tenant, request_id) is State.NOTIFYING
    return request_id


def lift_in(person, request_id, notice=NOTICE):
    from auditvault.privacy.requests.restricting import lift_restriction

    return lift_restriction(
        region="eu",
        credential=person.signed_in(),
        request_id=request_id,
        notice=notice,
        now=datetime.now(UTC),
    )


def entries_of(cluster, tenant, action):
    return [details for name, details in admin_entries(cluster, tenant.tenant_id) if name == action]


def actions(desk, request_id):
    return [step.action for step in desk.stored(request_id)[1]][-4:]


def at_once(*acts):
    """What each of these returns, all begun at the same moment."""
    from django.db import connections

    barrier = Barrier(len(acts))

    def together(act):
        try:
            barrier.wait(10)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [done.result(60) for done in [pool.submit(together, act) for act in acts]]


# Restricting


@pytest.mark.parametrize("kind", [Kind.RESTRICTION, Kind.OBJECTION])
def test_who_is_restricted_is_not_read_and_still_stored_for(
    client, tenant, cluster, desk, anna, kind
):
    record(client, tenant, chat("of bert", user="bert"))
    assert revealed(resolve(client, tenant, "b")) == ["b"]

    changed = restrict_in(tenant, begun(desk, kind))

    assert changed == (anna,)
    record(client, tenant, chat("later", user="anna"))
    assert revealed(resolve(client, tenant, "b")) == []
    assert revealed(resolve(client, tenant, "later")) == []
    assert revealed(resolve(client, tenant, "of bert")) == ["of bert"]


def test_restricting_is_recorded_once(tenant, cluster, desk, anna):
    request_id = begun(desk)

    assert restrict_in(tenant, request_id) == (anna,)
    assert restrict_in(tenant, request_id) == ()
    (entry,) = entries_of(cluster, tenant, "subject.restricted")
    assert entry == {
        "request": str(request_id),
        "subjects": [str(anna)],
        "actor": "auditvault",
    }


def test_the_database_restricts_nobody_without_a_request_that_was_begun(tenant, desk, anna):
    from auditvault.ledger.scope import region_alias, tenant_scope

    waiting = desk.awaiting(kind=Kind.RESTRICTION, identifiers=ANNA)
    erasing = begun(desk, Kind.ERASURE)

    with pytest.raises(RequestMoveError):
        restrict_in(tenant, waiting)
    for request_id in (waiting, erasing):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            tenant_scope(region_alias("eu"), tenant.tenant_id) as connection,
        ):
            connection.execute("SELECT privacy_restrict(%s)", (request_id,))


def test_everybody_who_is_one_person_is_restricted_and_lifted(
    client, tenant, cluster, desk, second
):
    from auditvault.vault.merging import merge_subjects

    anna, bert = people(client, tenant, cluster, "anna", "bert")
    merge_subjects(
        region="eu", tenant_id=tenant.tenant_id, one=anna, other=bert, actor="x", case="INC-1"
    )

    request_id = carried_out(tenant, desk)

    assert [state_of(cluster, tenant, one) for one in (anna, bert)] == ["restricted"] * 2
    assert set(lift_in(second, request_id).readable) == {anna, bert}
    assert [state_of(cluster, tenant, one) for one in (anna, bert)] == ["active"] * 2


def test_who_is_being_erased_stays_so(tenant, cluster, desk, anna, second):
    request_id = approved(desk)
    erase(tenant, anna)

    assert carry_out_in(tenant, request_id) is State.NOTIFYING
    assert lift_in(second, request_id).subjects == ()
    assert state_of(cluster, tenant, anna) == "erased"


# What is not read


def test_the_databases_view_leaves_out_who_is_restricted(tenant, desk, anna, connect):
    connection = connect("app")
    act_for(connection, tenant.tenant_id)
    query = "SELECT count(*) FROM {} WHERE subject_id = %s"
    before = [
        connection.execute(query.format(name), (anna,)).fetchone()[0]
        for name in ("vault_readable", "vault_kept")
    ]
    assert before[0] == before[1] > 0

    restrict_in(tenant, begun(desk))

    after = [
        connection.execute(query.format(name), (anna,)).fetchone()[0]
        for name in ("vault_readable", "vault_kept")
    ]
    assert after == [0, before[1]]


def test_a_query_that_forgets_the_view_gets_no_content(tenant, anna, connect):
    connection = connect("app")
    act_for(connection, tenant.tenant_id)

    assert (
        not_refused(
            connection,
            [
                "SELECT envelope FROM vault_object",
                "SELECT wrapped_cek FROM vault_object",
                "SELECT * FROM vault_object",
                "SELECT o FROM vault_object AS o",
            ],
        )
        == {}
    )


@pytest.mark.parametrize("view", ["vault_readable", "vault_kept"])
def test_the_views_show_nothing_of_another_tenant(tenant, other_tenant, anna, connect, view):
    connection = connect("app")
    seen = []
    for one in (tenant, other_tenant):
        act_for(connection, one.tenant_id)
        query = f"SELECT count(*) FROM {view} WHERE subject_id = %s"
        seen.append(connection.execute(query, (anna,)).fetchone()[0])

    assert seen[0] > 0
    assert seen[1] == 0


def test_no_statement_of_the_service_itself_lifts(tenant, desk, anna, connect):
    request_id = carried_out(tenant, desk)
    connection = connect("app")
    act_for(connection, tenant.tenant_id)

    assert (
        not_refused(
            connection,
            [
                "UPDATE vault_subject SET state = 'active'",
                "UPDATE privacy_restriction SET lifted_at = now(), lifted_by = request_id",
                "DELETE FROM privacy_restriction",
                f"SELECT privacy_lift('{request_id}', NULL)",
                f"SELECT privacy_lift('{request_id}', '{desk.operator.human}')",
                f"SELECT privacy_lift('{request_id}', '{desk.officer.human}')",
                "SELECT privacy_restrictions_due()",
            ],
        )
        == {}
    )


def test_the_owner_cannot_take_a_lifting_back(tenant, cluster, desk, anna, second):
    lift_in(second, carried_out(tenant, desk))

    with superuser(cluster, "region_eu") as connection:
        assert (
            not_refused(
                connection,
                [
                    "UPDATE privacy_restriction SET lifted_at = NULL, lifted_by = NULL",
                    "UPDATE privacy_restriction SET restricted_at = now()",
                    "DELETE FROM privacy_restriction",
                    "TRUNCATE privacy_restriction",
                ],
            )
            == {}
        )


def test_who_is_restricted_between_the_finding_and_the_opening_is_not_shown(
    tenant, desk, anna, service
):
    import hashlib

    from auditvault.access.disclosure import ContentNotFoundError, reveal, tag_of
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.opening import objects_by_tag

    digest = hashlib.sha256(b"b").hexdigest()
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        found = objects_by_tag(connection, tag_of("eu", tenant.tenant_id, f"sha256:{digest}"), 9)
    assert found
    request_id = begun(desk)

    def recorded():
        restrict_in(tenant, request_id)
        return request_id

    with pytest.raises(ContentNotFoundError):
        reveal(region="eu", tenant_id=tenant.tenant_id, found=found, record=recorded)


def test_the_log_with_restricted_contents_still_holds(tenant, cluster, desk, anna):
    carried_out(tenant, desk)

    assert findings(tenant, region="eu", with_payloads=True) == {}


# Carrying out


def test_an_approved_restriction_is_carried_out_step_by_step_and_once(tenant, cluster, desk, anna):
    request_id = carried_out(tenant, desk)
    before = len(admin_entries(cluster, tenant.tenant_id))

    assert carry_out_in(tenant, request_id) is State.NOTIFYING

    assert actions(desk, request_id) == ["approve", "begin", "finish", "confirm"]
    assert state_of(cluster, tenant, anna) == "restricted"
    assert len(admin_entries(cluster, tenant.tenant_id)) == before


def test_what_is_not_approved_or_of_another_kind_is_not_carried_out(tenant, cluster, desk, anna):
    waiting = desk.awaiting(kind=Kind.RESTRICTION, identifiers=ANNA)

    assert carry_out_in(tenant, waiting) is State.AWAITING_APPROVAL
    with pytest.raises(RequestMoveError):
        carry_out_in(tenant, approved(desk, Kind.ERASURE))
    assert state_of(cluster, tenant, anna) == "active"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["restrict", "begin", "finish", "confirm"])
def test_a_crash_at_any_step_is_gone_on_with(tenant, cluster, desk, anna, monkeypatch, step, when):
    from auditvault.privacy.requests import carrying_out
    from auditvault.privacy.tasks import carry_out_requests

    name = "restrict" if step == "restrict" else "advance_request"
    real = getattr(carrying_out, name)

    def failing(**how):
        if step not in ("restrict", how.get("action")):
            return real(**how)
        if when == "after":
            real(**how)
        raise KeyboardInterrupt

    request_id = approved(desk)
    with monkeypatch.context() as patched:
        patched.setattr(carrying_out, name, failing)
        with pytest.raises(KeyboardInterrupt):
            carry_out_in(tenant, request_id)

    carry_out_requests("eu")

    assert desk.stored(request_id)[0].request.state is State.NOTIFYING
    assert state_of(cluster, tenant, anna) == "restricted"
    assert actions(desk, request_id) == ["approve", "begin", "finish", "confirm"]
    assert len(entries_of(cluster, tenant, "subject.restricted")) == 1


def test_who_comes_to_the_name_before_it_is_confirmed_is_restricted_too(
    client, tenant, cluster, desk
):
    request_id = begun(desk)
    desk.advance(request_id, Action.FINISH)
    (late,) = people(client, tenant, cluster, "anna")

    assert carry_out_in(tenant, request_id) is State.NOTIFYING
    assert actions(desk, request_id) == ["finish", "reopen", "finish", "confirm"]
    assert state_of(cluster, tenant, late) == "restricted"


def test_a_request_that_fails_does_not_keep_the_others(
    tenant, cluster, desk, anna, monkeypatch, caplog
):
    from auditvault.privacy.requests import carrying_out
    from auditvault.privacy.requests.store import RequestNotFoundError

    broken, other = approved(desk, identifiers=(("user", "nobody"),)), approved(desk)
    real = carrying_out.carry_out

    def failing(**how):
        if how["request_id"] == broken:
            raise RequestNotFoundError("There is none.")
        return real(**how)

    monkeypatch.setattr(carrying_out, "carry_out", failing)
    with caplog.at_level(logging.ERROR, logger="auditvault.privacy"):
        carrying_out.carry_out_due("eu", datetime.now(UTC))

    assert desk.stored(other)[0].request.state is State.NOTIFYING
    assert str(broken) in caplog.text


def test_identifiers_that_match_nobody_restrict_nobody(tenant, cluster, desk, anna):
    carried_out(tenant, desk, identifiers=(("user", "nobody"),))

    assert state_of(cluster, tenant, anna) == "active"
    assert entries_of(cluster, tenant, "subject.restricted") == []


def test_workers_at_once_carry_a_request_out_once(tenant, cluster, desk, anna):
    request_id = approved(desk)

    ended = at_once(*[lambda: carry_out_in(tenant, request_id)] * 3)

    assert ended == [State.NOTIFYING] * 3
    assert actions(desk, request_id) == ["approve", "begin", "finish", "confirm"]
    assert len(entries_of(cluster, tenant, "subject.restricted")) == 1


def test_a_look_and_a_restriction_at_once_come_in_one_order(client, tenant, cluster, desk, anna):
    """What is shown was opened before the restriction, and recorded before that; after it, nothing is."""
    request_id = begun(desk)

    shown, restricted = at_once(
        lambda: revealed(resolve(client, tenant, "b")), lambda: restrict_in(tenant, request_id)
    )

    assert shown in ([], ["b"])
    assert restricted == (anna,)
    assert revealed(resolve(client, tenant, "b")) == []


def test_an_erasure_and_a_restriction_at_once_leave_the_person_erased(tenant, cluster, desk, anna):
    request_id = approved(desk)

    at_once(lambda: erase(tenant, anna), lambda: carry_out_in(tenant, request_id))

    assert state_of(cluster, tenant, anna) == "erased"
    assert desk.stored(request_id)[0].request.state is State.NOTIFYING


def test_who_is_restricted_is_erased_all_the_same(tenant, cluster, desk, anna):
    carried_out(tenant, desk)

    erase(tenant, anna)

    assert left(cluster, tenant, anna) == NOTHING
    assert state_of(cluster, tenant, anna) == "erased"


# Lifting


def test_what_is_lifted_is_read_again_and_recorded_once_without_the_notices_words(
    client, tenant, cluster, desk, anna, second
):
    request_id = carried_out(tenant, desk)
    assert revealed(resolve(client, tenant, "b")) == []

    lifted = lift_in(second, request_id)

    assert lifted.subjects == lifted.readable == (anna,)
    assert revealed(resolve(client, tenant, "b")) == ["b"]
    assert lift_in(second, request_id).subjects == ()
    (entry,) = entries_of(cluster, tenant, "subject.restriction_lifted")
    notice = entry.pop("notice")
    assert entry == {
        "request": str(request_id),
        "subjects": [str(anna)],
        "readable": [str(anna)],
        "actor": second.signed_in().actor,
    }
    assert notice["role"] == "privacy_request"
    assert "Erika" not in str(notice)


def test_a_lifting_that_does_not_commit_lifts_nothing(
    client, tenant, cluster, desk, anna, second, monkeypatch
):
    from auditvault.privacy.requests import restricting

    request_id = carried_out(tenant, desk)

    def failing(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restricting, "record_in", failing)
        with pytest.raises(KeyboardInterrupt):
            lift_in(second, request_id)

    assert revealed(resolve(client, tenant, "b")) == []
    assert lift_in(second, request_id).readable == (anna,)


def test_another_request_keeps_the_person_restricted(client, tenant, cluster, desk, anna, second):
    one, other = carried_out(tenant, desk), carried_out(tenant, desk)

    first = lift_in(second, one)

    assert (first.subjects, first.readable) == ((anna,), ())
    assert revealed(resolve(client, tenant, "b")) == []
    assert lift_in(second, other).readable == (anna,)
    assert revealed(resolve(client, tenant, "b")) == ["b"]


def test_nobody_lifts_who_had_a_hand_in_it_or_may_not_approve(tenant, cluster, desk, anna, second):
    request_id = carried_out(tenant, desk)

    with pytest.raises(OwnApprovalError):
        lift_in(desk.officer, request_id)
    with pytest.raises(AccessDeniedError):
        lift_in(desk.operator, request_id)
    assert state_of(cluster, tenant, anna) == "restricted"


def test_what_is_not_carried_out_or_without_a_notice_is_not_lifted(
    tenant, cluster, desk, anna, second
):
    from auditvault.privacy.requests.wording import RequestInvalidError

    going = begun(desk)
    restrict_in(tenant, going)

    with pytest.raises(RequestMoveError):
        lift_in(second, going)
    carry_out_in(tenant, going)
    with pytest.raises(RequestInvalidError):
        lift_in(second, going, notice="told")
    assert state_of(cluster, tenant, anna) == "restricted"


# Over HTTP


def lift_over_http(client, person, request_id, words=NOTICE):
    answer = client.post(
        f"/api/v1/privacy/requests/{request_id}/lift",
        json.dumps({"words": words}),
        content_type="application/json",
        headers=person.headers("privacy_officer"),
    )
    assert "Mustermann" not in answer.content.decode()
    return answer.status_code, answer.json()


def test_it_is_lifted_over_http_by_somebody_else(client, tenant, desk, anna, second):
    request_id = carried_out(tenant, desk)

    status, body = lift_over_http(client, desk.officer, request_id)
    assert (status, body["code"]) == (403, "approval_own")
    assert lift_over_http(client, second, request_id) == (200, {"lifted": 1, "readable": 1})
    assert lift_over_http(client, second, request_id) == (200, {"lifted": 0, "readable": 0})
    assert revealed(resolve(client, tenant, "b")) == ["b"]


@pytest.mark.parametrize("kind", [Kind.RESTRICTION, Kind.OBJECTION])
def test_a_restriction_in_several_regions_is_asked_in_each(desk, kind):
    from auditvault.privacy.requests.wording import RequestInvalidError

    with pytest.raises(RequestInvalidError):
        desk.receive(kind=kind, regions=("us",))
