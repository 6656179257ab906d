"""A request is taken in without a name, moved by the table, and every step is an entry with the change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from uuid import uuid4

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import Action, Kind, State
from tests.integration.ledger.attempts import REFUSED, not_refused, outcome
from tests.integration.ledger.superuser import TENANT_TABLES, superuser
from tests.integration.privacy.holding import details_of
from tests.integration.privacy.requesting import MANIFEST, TO_APPROVAL, WORDS
from tests.integration.vault.erasing import CutOffError
from tests.staff import make_person

CANARIES = (b"Mustermann", b"Heidestrasse", b"mustermann@example.org")
GIVEN_REASONS = "You are not who you say you are. You may complain to the authority."


def refused_with(act):
    with pytest.raises(AuditvaultError) as refused:
        act()
    assert "Mustermann" not in refused.value.message
    return refused.value.code


# Intake


def test_a_request_is_taken_in_with_its_limits_and_its_tags(tenant, cluster, desk):
    from auditvault.privacy.requests.services import Calendar

    berlin = Calendar(country="DE", subdivision="BE", zone="Europe/Berlin")
    now = datetime.now(UTC)
    found = desk.receive(received_at=now - timedelta(days=1), calendar=berlin)
    stored, timeline, tags = desk.stored(found.request_id)
    assert stored == found
    assert stored.request.state is State.RECEIVED
    assert stored.request.hands == {desk.operator.human}
    assert now.date() + timedelta(days=26) <= stored.answer_by <= now.date() + timedelta(days=36)
    assert stored.extended_by > stored.answer_by
    assert [tag.kind for tag in tags] == ["email", "user"]
    (step,) = timeline
    assert (step.action, step.from_state, step.to_state) == ("receive", None, "received")
    details = details_of(cluster, step.record_id)
    assert details.pop("words")["role"] == "privacy_request"
    assert details == {
        "action": "privacy_request.received",
        "request": str(found.request_id),
        "kind": "erasure",
        "regime": "gdpr",
        "regime_version": "1",
        "identifiers": 2,
        "answer_by": stored.answer_by.isoformat(),
        "actor": step.actor,
    }


def test_the_tags_are_those_that_the_vault_finds_people_by(client, tenant, desk, anna):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.subjects import subject_named

    _, _, tags = desk.stored(desk.receive(identifiers=(("user", "anna"),)).request_id)
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        assert subject_named(connection, tags[0].kind, tags[0].tag) == anna


def test_no_name_and_no_word_of_the_requesters_is_stored_in_clear(tenant, cluster, desk):
    request_id = desk.receive().request_id
    desk.move(
        request_id, Action.ASK_IDENTITY, words="Send a copy of Mustermann's passport, please."
    )
    for database in ("region_eu", "keys_eu", "auditvault_control"):
        with superuser(cluster, database) as connection:
            tables = [
                row[0]
                for row in connection.execute(
                    "SELECT quote_ident(relname) FROM pg_class WHERE relkind IN ('r', 'p')"
                    " AND NOT relispartition AND relnamespace = 'public'::regnamespace"
                )
            ]
            for table in tables:
                for canary in CANARIES:
                    (found,) = connection.execute(
                        f"SELECT count(*) FROM {table} AS t WHERE position(%s in t::text) > 0"
                        f" OR position(%s in t::text) > 0",
                        (canary.decode(), canary.hex()),
                    ).fetchone()
                    assert found == 0, (database, table, canary)


def test_the_requesters_words_can_be_opened_again(tenant, cluster, desk):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id, open_stored

    stored, _, _ = desk.stored(desk.receive().request_id)
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        permit = refuse_while_restore_pending(connection, "eu")
        sealed = objects_by_id(connection, [stored.words_object])[stored.words_object]
        opened = open_stored(permit=permit, tenant_id=tenant.tenant_id, stored=sealed)
    assert opened.content.decode() == WORDS


def test_identifiers_that_match_nobody_are_taken_in_all_the_same(desk):
    found = desk.receive(identifiers=(("user", f"nobody-{uuid4()}"),))
    assert found.request.state is State.RECEIVED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"regime": "hipaa"}, "regime_unknown"),
        ({"identifiers": ()}, "privacy_request_invalid"),
        ({"identifiers": tuple(("user", f"u{n}") for n in range(21))}, "privacy_request_invalid"),
        ({"identifiers": (("user", ""),)}, "identifier_invalid"),
        ({"identifiers": (("shoe_size", "Mustermann"),)}, "identifier_kind_unknown"),
        ({"received_at": datetime(2020, 1, 1, tzinfo=UTC)}, "privacy_request_invalid"),
        ({"received_at": datetime(2100, 1, 1, tzinfo=UTC)}, "privacy_request_invalid"),
        ({"words": ""}, "privacy_request_invalid"),
        ({"words": "Mustermann \ud800"}, "privacy_request_invalid"),
        ({"words": "x" * 20_001}, "privacy_request_invalid"),
    ],
)
def test_what_is_no_request_is_refused_and_nothing_stays(tenant, cluster, desk, changes, code):
    before = written(cluster, tenant)
    assert refused_with(lambda: desk.receive(**changes)) == code
    assert written(cluster, tenant) == before


@pytest.mark.parametrize(
    "wrong", [{"country": "XX"}, {"subdivision": "ZZ"}, {"zone": "Mars/Olympus"}]
)
def test_an_unknown_calendar_is_refused(desk, wrong):
    from auditvault.privacy.requests.services import Calendar

    known = Calendar(country="DE", subdivision="BE", zone="Europe/Berlin")
    assert (
        refused_with(lambda: desk.receive(calendar=replace(known, **wrong))) == "calendar_unknown"
    )


def test_only_a_human_who_may_prepare_takes_one_in(tenant, desk):
    from auditvault.privacy.requests.services import receive_request

    assert refused_with(lambda: desk.receive(by=desk.officer)) == "access_denied"
    machine = replace(desk.operator.signed_in(), human=None)
    code = refused_with(
        lambda: receive_request(
            region="eu", credential=machine, asked=desk.asked(), now=datetime.now(UTC)
        )
    )
    assert code == "human_required"


# Moves


def test_a_request_goes_its_way_and_the_timeline_says_so(tenant, cluster, desk):
    request_id = desk.awaiting()
    desk.move(request_id, Action.APPROVE, by=desk.officer, manifest=MANIFEST)
    for action in (
        Action.BEGIN,
        Action.DESTROY_KEYS,
        Action.FINISH,
        Action.CONFIRM,
        Action.PASS_BACKUPS,
        Action.CERTIFY,
    ):
        desk.advance(request_id, action, manifest=MANIFEST if action is Action.BEGIN else None)
    assert desk.move(request_id, Action.CLOSE).request.state is State.CLOSED

    stored, timeline, _ = desk.stored(request_id)
    assert [step.step for step in timeline] == list(range(len(timeline)))
    assert timeline[-1].to_state == "closed"
    assert [a.to_state for a in timeline[:-1]] == [b.from_state for b in timeline[1:]]
    assert stored.request.hands == {desk.operator.human, desk.officer.human}
    for step in timeline[1:]:
        details = details_of(cluster, step.record_id)
        assert details["action"] == "privacy_request.moved" or details["request"] == str(request_id)
        assert (details["from"], details["to"]) == (step.from_state, step.to_state)
        assert details["actor"] == step.actor
    approved = details_of(cluster, timeline[len(TO_APPROVAL) + 1].record_id)
    assert approved["manifest"] == MANIFEST.hex()
    assert timeline[-2].actor == "auditvault"


def test_who_had_a_hand_in_it_approves_nothing_by_whatever_account(tenant, desk):
    request_id = desk.awaiting()
    second = make_person(tenant, "privacy_officer", of=desk.operator)
    code = refused_with(lambda: desk.move(request_id, Action.APPROVE, by=second, manifest=MANIFEST))
    assert code == "approval_own"
    assert desk.stored(request_id)[0].request.state is State.AWAITING_APPROVAL


def test_another_manifest_is_not_approved_and_not_carried_out(desk):
    request_id = desk.awaiting()
    drifted = bytes(32)
    approve = lambda m: desk.move(request_id, Action.APPROVE, by=desk.officer, manifest=m)  # noqa: E731
    assert refused_with(lambda: approve(drifted)) == "manifest_drifted"
    approve(MANIFEST)
    code = refused_with(lambda: desk.advance(request_id, Action.BEGIN, manifest=drifted))
    assert code == "manifest_drifted"


def test_a_clone_has_the_names_and_begins_at_the_beginning(desk):
    from auditvault.privacy.requests.services import clone_request

    request_id = desk.awaiting()
    cloned = clone_request(
        region="eu",
        credential=desk.operator.signed_in(),
        request_id=request_id,
        asked=desk.asked(identifiers=(), kind=Kind.ACCESS),
        now=datetime.now(UTC),
    )
    stored, timeline, tags = desk.stored(cloned.request_id)
    assert tags == desk.stored(request_id)[2]
    assert (stored.request.state, stored.request.is_identified) == (State.RECEIVED, False)
    assert (stored.request.manifest, len(timeline)) == (None, 1)
    code = refused_with(lambda: desk.move(cloned.request_id, Action.FREEZE, manifest=MANIFEST))
    assert code == "privacy_request_move"


def test_a_refusal_has_reasons_and_they_are_sealed(tenant, cluster, desk):
    request_id = desk.awaiting()
    refuse = lambda **how: desk.move(request_id, Action.REFUSE, by=desk.officer, **how)  # noqa: E731
    assert refused_with(refuse) == "privacy_request_invalid"
    assert refused_with(lambda: refuse(words="no")) == "privacy_request_invalid"
    refuse(words=GIVEN_REASONS)
    _, timeline, _ = desk.stored(request_id)
    assert "words" in details_of(cluster, timeline[-1].record_id)


def test_a_person_takes_no_step_of_the_services(desk):
    request_id = desk.awaiting()
    desk.move(request_id, Action.APPROVE, by=desk.officer, manifest=MANIFEST)
    code = refused_with(lambda: desk.move(request_id, Action.BEGIN, manifest=MANIFEST))
    assert code == "privacy_request_move"


def test_a_request_of_another_tenant_is_not_found(desk, other_tenant):
    from tests.integration.privacy.requesting import Desk

    request_id = desk.receive().request_id
    stranger = Desk(other_tenant)
    code = refused_with(lambda: stranger.move(request_id, Action.ASK_IDENTITY))
    assert code == "privacy_request_not_found"


def test_it_is_extended_once_with_reasons(tenant, cluster, desk):
    from auditvault.privacy.requests.services import extend_request

    request_id = desk.receive().request_id

    def extend(reasons):
        return extend_request(
            region="eu",
            credential=desk.operator.signed_in(),
            request_id=request_id,
            reasons=reasons,
            now=datetime.now(UTC),
        )

    assert refused_with(lambda: extend("later")) == "privacy_request_invalid"
    found = extend("There are very many records to look at.")
    assert found.is_due_at == found.extended_due_at
    _, timeline, _ = desk.stored(request_id)
    details = details_of(cluster, timeline[-1].record_id)
    assert details["action"] == "privacy_request.extended"
    assert date.fromisoformat(details["answer_by"]) == found.extended_by
    assert refused_with(lambda: extend("And still there are more.")) == "extension_refused"


def test_the_one_that_is_due_first_comes_first(tenant, desk):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.privacy.requests.store import open_requests

    slow = desk.receive(regime="ccpa").request_id
    fast = desk.receive(regime="lgpd").request_id
    withdrawn = desk.receive().request_id
    desk.move(withdrawn, Action.WITHDRAW)
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        assert [each.request_id for each in open_requests(connection, 10)] == [fast, slow]


# Crashes and races


@pytest.mark.parametrize("act", ["receive", "move"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_change_that_was_cut_off_leaves_nothing(tenant, cluster, desk, monkeypatch, act, when):
    from auditvault.privacy.requests import services

    request_id = desk.receive().request_id
    real = services.record_in

    def failing(*arguments, **named):
        if when == "after":
            real(*arguments, **named)
        raise CutOffError

    monkeypatch.setattr(services, "record_in", failing)
    before = written(cluster, tenant)
    with pytest.raises(CutOffError):
        desk.receive() if act == "receive" else desk.move(request_id, Action.ASK_IDENTITY)
    assert written(cluster, tenant) == before
    monkeypatch.setattr(services, "record_in", real)
    desk.move(request_id, Action.ASK_IDENTITY)


def test_of_two_who_move_it_at_once_one_does(tenant, cluster, desk):
    from django.db import connections

    request_id = desk.awaiting()
    others = [make_person(tenant, "privacy_officer") for _ in range(4)]
    barrier = Barrier(len(others))

    def approve(person):
        try:
            barrier.wait(10)
            desk.move(request_id, Action.APPROVE, by=person, manifest=MANIFEST)
        except AuditvaultError as error:
            return error.code
        finally:
            connections.close_all()
        return "approved"

    with ThreadPoolExecutor(len(others)) as pool:
        outcomes = sorted(pool.map(approve, others))
    assert outcomes.count("approved") == 1
    assert set(outcomes) <= {"approved", "privacy_request_overtaken", "privacy_request_move"}
    _, timeline, _ = desk.stored(request_id)
    assert [step.action for step in timeline].count("approve") == 1


# Whoever asks


def test_the_database_lets_nobody_past_identity_manifest_and_approval(tenant, cluster, desk):
    request_id = desk.receive().request_id
    values = {"id": request_id}
    start = "UPDATE privacy_request SET step = step + 1, "
    end = " WHERE request_id = %(id)s"
    check_violated = "23514"
    statements = {
        "state = 'identified'": check_violated,
        "state = 'scoped', is_identified = true": check_violated,
        "state = 'executing', is_identified = true": check_violated,
        "state = 'scheduled', is_identified = true, manifest = '\\x00'": check_violated,
        "state = 'identity_pending', hands = ARRAY[gen_random_uuid()]": REFUSED,
        "approved_by = hands[1], approved_manifest = '\\x00'": REFUSED,
        "kind = 'access'": REFUSED,
        "received_at = now()": REFUSED,
    }
    with superuser(cluster, "region_eu") as connection:
        found = {each: outcome(connection, start + each + end, values) for each in statements}
        assert found == statements
        assert not_refused(
            connection,
            [
                "DELETE FROM privacy_request" + end,
                "TRUNCATE privacy_request CASCADE",
                "UPDATE privacy_request SET state = 'identity_pending'" + end,
                "UPDATE privacy_request_step SET actor = 'x'" + end,
                "DELETE FROM privacy_request_tag" + end,
            ],
            values,
        ) == {}  # fmt: skip


def test_the_application_writes_by_the_functions_alone(connect, desk):
    request_id = desk.receive().request_id
    assert not_refused(
        connect("app"),
        [
            "UPDATE privacy_request SET state = 'identity_pending', step = 1",
            "INSERT INTO privacy_request_step SELECT * FROM privacy_request_step",
            "INSERT INTO privacy_request_tag SELECT * FROM privacy_request_tag",
            "DELETE FROM privacy_request",
        ],
        {"id": request_id},
    ) == {}  # fmt: skip


def written(cluster, tenant):
    """Rows of the tenant that a request may have brought about."""
    tables = [name for name in TENANT_TABLES if name.startswith("privacy_")]
    tables += ["admin_event", "vault_object", "ledger_entry"]
    with superuser(cluster, "region_eu") as connection:
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchone()
            for table in tables
        }
