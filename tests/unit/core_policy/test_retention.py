"""Policies that hold together, what becomes of a record, and what shortening takes; against searches of every sort."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from auditvault.core.policy.calendar import Period, never_shorter
from auditvault.core.policy.retention import (
    Answer,
    Because,
    ErasureAsked,
    Outcome,
    PolicyLapsedError,
    change,
    dispose,
)
from auditvault.core.policy.retention_policy import (
    BelowFloorError,
    Facts,
    Floor,
    RecordClass,
    RetentionPolicy,
    RetentionPolicyError,
    Rule,
    Scope,
    UnclassifiedError,
    shortened,
)
from auditvault.core.policy.retention_presets import DEFAULTS, PRESETS, build

TENANT = UUID(int=1)
PAYLOAD, HEADER = RecordClass.PAYLOAD, RecordClass.HEADER
FACTS = Facts(record_class=PAYLOAD, tenant_id=TENANT, region="eu")
DAY = date(2026, 1, 31)


def rule(keep, ceiling="P12M", **bounds) -> Rule:
    return Rule(
        scope=Scope(record_class=bounds.pop("record_class", PAYLOAD), **bounds),
        keep=Period.parse(keep),
        ceiling=Period.parse(ceiling),
    )


def floor(at_least, order="EU", **bounds) -> Floor:
    return Floor(
        scope=Scope(record_class=bounds.pop("record_class", PAYLOAD), **bounds),
        at_least=Period.parse(at_least),
        legal_order=order,
        source="a law that says so",
    )


def policy(*rules, floors=(), **more) -> RetentionPolicy:
    given_scopes = {each.scope for each in rules}
    rest = [each for each in DEFAULTS if each.scope not in given_scopes]
    return RetentionPolicy(
        text="what was decided", rules=(*rules, *rest), floors=tuple(floors), **more
    )


def disposed(found, today, *, is_held=False, erasure=None, facts=FACTS):
    return dispose(found, facts, recorded_on=DAY, today=today, is_held=is_held, erasure=erasure)


# What comes first


def test_each_reason_gives_way_to_the_one_before_it():
    found = policy(rule("P7M", "P12M"), floors=[floor("P6M", "US")])
    asked = ErasureAsked(legal_order="US")
    late, floored = date(2027, 3, 1), date(2026, 7, 30)
    assert disposed(found, late, is_held=True, erasure=asked).because is Because.HOLD
    assert disposed(found, floored, erasure=asked).because is Because.FLOOR
    assert disposed(found, date(2026, 7, 31), erasure=asked).because is Because.ERASURE
    assert disposed(found, late).because is Because.CEILING
    assert disposed(found, date(2026, 8, 31)).because is Because.DEFAULT
    assert disposed(found, date(2026, 8, 30)).because is Because.NOT_DUE


def test_only_an_erasure_a_ceiling_and_an_end_destroy():
    found = policy(rule("P7M", "P12M"), floors=[floor("P6M", "US")])
    for is_held, erasure, days in product(
        [True, False], [None, ErasureAsked(legal_order="US")], [1, 170, 200, 300, 400]
    ):
        answer = disposed(found, DAY + timedelta(days=days), is_held=is_held, erasure=erasure)
        destroys = not is_held and days > 181 and (erasure is not None or days > 212)
        assert (answer.outcome is Outcome.DESTROY) == destroys


def test_a_floor_ends_on_the_day_that_the_calendar_says():
    found = policy(rule("P6M"), floors=[floor("P6M")])
    assert disposed(found, date(2026, 7, 30)).outcome is Outcome.KEEP
    assert disposed(found, date(2026, 7, 31)).outcome is Outcome.DESTROY


def test_another_countrys_minimum_waits_for_a_person():
    found = policy(rule("P3Y", "P6Y"), floors=[floor("P3Y", "US")])
    asked = ErasureAsked(legal_order="EU")
    today = date(2026, 6, 1)
    answer = disposed(found, today, erasure=asked)
    assert (answer.outcome, answer.because) == (Outcome.DECIDE, Because.FLOOR)
    assert [each.legal_order for each in answer.floors] == ["US"]
    for decided, outcome in ((Answer.ERASE, Outcome.DESTROY), (Answer.KEEP, Outcome.KEEP)):
        answer = disposed(found, today, erasure=replace(asked, decided=decided))
        assert answer.outcome is outcome


def test_a_minimum_of_the_same_legal_order_refuses_and_no_decision_undoes_it():
    found = policy(rule("P3Y", "P6Y"), floors=[floor("P3Y", "US"), floor("P6M", "EU")])
    asked = ErasureAsked(legal_order="EU", decided=Answer.ERASE)
    assert disposed(found, date(2026, 6, 1), erasure=asked).because is Because.FLOOR
    assert disposed(found, date(2026, 9, 1), erasure=asked).outcome is Outcome.DESTROY


def test_under_a_policy_that_lapsed_nothing_goes():
    found = policy(rule("P1D"), lapses_on=date(2026, 6, 1))
    assert disposed(found, date(2026, 5, 31)).outcome is Outcome.DESTROY
    with pytest.raises(PolicyLapsedError):
        disposed(found, date(2026, 6, 1))


# Policies


@pytest.mark.parametrize("keep", ["P180D", "P183D", "P5M"])
def test_six_months_cannot_be_written_as_fewer_days(keep):
    with pytest.raises(BelowFloorError):
        policy(rule(keep), floors=[floor("P6M")])


@pytest.mark.parametrize("keep", ["P184D", "P6M", "P1Y"])
def test_six_months_or_more_will_do(keep):
    assert policy(rule(keep), floors=[floor("P6M")])


def test_a_more_specific_rule_does_not_outdo_a_floor():
    with pytest.raises(BelowFloorError):
        policy(rule("P7M"), rule("P30D", trace_type="routine"), floors=[floor("P6M")])


def test_a_floor_does_not_concern_a_rule_that_a_more_specific_one_outranks():
    assert policy(
        rule("P90D"),
        rule("P7M", data_class="high_risk"),
        floors=[floor("P6M", data_class="high_risk")],
    )


@pytest.mark.parametrize("missing", list(RecordClass))
def test_no_class_is_without_an_end(missing):
    rules = tuple(each for each in DEFAULTS if each.scope.record_class is not missing)
    narrow = rule("P1M", record_class=missing, region="eu")
    for given_rules in (rules, (*rules, narrow)):
        with pytest.raises(RetentionPolicyError, match=missing.value):
            RetentionPolicy(text="what was decided", rules=given_rules)


def test_a_ceiling_before_the_end_is_refused():
    with pytest.raises(RetentionPolicyError, match="ceiling"):
        policy(rule("P12M", "P365D"))


def test_two_rules_for_the_same_records_are_refused():
    with pytest.raises(RetentionPolicyError, match="Two rules"):
        policy(rule("P1M"), rule("P2M"))


def test_a_record_of_no_known_class_is_refused():
    found = policy()
    unknown = replace(FACTS, record_class="diary")
    with pytest.raises(UnclassifiedError):
        found.rule_for(unknown)


def test_the_most_specific_rule_wins():
    rules = [
        rule("P1M"),
        rule("P2M", trace_type="error"),
        rule("P3M", data_class="chat"),
        rule("P4M", region="eu"),
        rule("P5M", tenant_id=TENANT),
        rule("P6M", data_class="chat", trace_type="error"),
    ]
    found = policy(*rules)
    other = replace(FACTS, tenant_id=UUID(int=2), region="us")
    assert str(found.rule_for(other).keep) == "P1M"
    assert str(found.rule_for(replace(other, trace_type="error")).keep) == "P2M"
    assert str(found.rule_for(replace(other, data_class="chat")).keep) == "P3M"
    assert str(found.rule_for(replace(other, region="eu", data_class="chat")).keep) == "P4M"
    assert str(found.rule_for(FACTS).keep) == "P5M"
    everything = replace(FACTS, data_class="chat", trace_type="error")
    assert str(found.rule_for(everything).keep) == "P6M"


# Oracles: a world of few values, every record of it looked at

WORLD = [
    Facts(record_class=PAYLOAD, tenant_id=tenant, region=region, data_class=data, trace_type=kind)
    for tenant, region, data, kind in product(
        [TENANT, UUID(int=2)], ["eu", "us"], [None, "chat"], [None, "error"]
    )
]
SCOPES = st.builds(
    Scope,
    record_class=st.just(PAYLOAD),
    tenant_id=st.sampled_from([None, TENANT]),
    region=st.sampled_from([None, "eu"]),
    data_class=st.sampled_from([None, "chat"]),
    trace_type=st.sampled_from([None, "error"]),
)
PERIODS = st.sampled_from([Period.parse(text) for text in ("P1D", "P180D", "P6M", "P184D", "P1Y")])
RULES = st.builds(Rule, scope=SCOPES, keep=PERIODS, ceiling=st.just(Period.parse("P2Y")))
FLOORS = st.builds(
    Floor,
    scope=SCOPES,
    at_least=PERIODS,
    legal_order=st.sampled_from(["EU", "US"]),
    source=st.just("a law"),
)
RULE_SETS = st.lists(RULES, max_size=5, unique_by=lambda each: each.scope)


def drawn_policy(rules, floors=()) -> RetentionPolicy:
    base = (
        () if any(each.scope == Scope(record_class=PAYLOAD) for each in rules) else (rule("P1Y"),)
    )
    return policy(*rules, *base, floors=floors)


@given(RULE_SETS, st.lists(FLOORS, max_size=3))
def test_a_policy_is_refused_exactly_where_some_record_would_go_before_its_floor(rules, floors):
    allowed = drawn_policy(rules)
    too_early = any(
        each.scope.covers(facts) and not never_shorter(allowed.rule_for(facts).keep, each.at_least)
        for facts in WORLD
        for each in floors
    )
    if too_early:
        with pytest.raises(BelowFloorError):
            drawn_policy(rules, floors)
    else:
        assert drawn_policy(rules, floors)


@given(RULE_SETS, RULE_SETS)
def test_a_change_is_a_shortening_exactly_where_some_record_goes_earlier(before, after):
    old, new = drawn_policy(before), drawn_policy(after)
    expected = any(
        not never_shorter(new.rule_for(facts).keep, old.rule_for(facts).keep) for facts in WORLD
    )
    assert bool(shortened(old, new)) == expected


@given(st.lists(FLOORS, max_size=3), st.lists(FLOORS, max_size=3))
def test_a_floor_that_goes_or_shrinks_is_a_shortening(before, after):
    long = (rule("P2Y", "P3Y"),)
    old, new = policy(*long, floors=before), policy(*long, floors=after)
    expected = any(
        not any(
            other.legal_order == each.legal_order
            and other.scope.covers(facts)
            and never_shorter(other.at_least, each.at_least)
            for other in after
        )
        for facts in WORLD
        for each in before
        if each.scope.covers(facts)
    )
    assert bool(shortened(old, new)) == expected


@given(RULE_SETS, st.data())
def test_the_rule_in_force_binds_at_least_as_much_as_every_other_that_fits(rules, data):
    found = drawn_policy(rules)
    facts = data.draw(st.sampled_from(WORLD))
    chosen = found.rule_for(facts).scope
    for each in found.rules:
        if each.scope.covers(facts):
            assert not (chosen.contains(each.scope) and chosen != each.scope)


# Shortening


def test_seven_years_to_a_day_takes_two_people_and_seven_days():
    old = policy(rule("P7Y", "P8Y"), sha256="aa")
    new = policy(rule("P1D", "P8Y"), sha256="bb")
    found = change(old, new, tenant_id=TENANT, region="eu", preview={"payload": 12})
    assert found.plan is not None
    assert found.plan.parameters == {"old": "aa", "new": "bb", "due_at_once": {"payload": 12}}
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert found.in_force_at(now) == now + timedelta(days=7)


def test_a_longer_policy_is_in_force_at_once():
    old, new = policy(rule("P1M"), sha256="aa"), policy(rule("P2M"), sha256="bb")
    found = change(old, new, tenant_id=TENANT, region="eu", preview={})
    assert found.plan is None
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert found.in_force_at(now) == now


def test_a_first_policy_shortens_for_ever():
    assert change(None, policy(), tenant_id=TENANT, region="eu", preview={}).plan is not None


# Reading


def document(**changes) -> bytes:
    rules = [{"record_class": each.value, "keep": "P1Y", "ceiling": "P2Y"} for each in RecordClass]
    members = {
        "v": "auditvault/retention-policy/1",
        "text": "decided by the board on 1 November",
        "rules": rules,
        "floors": [
            {
                "record_class": "payload",
                "at_least": "P6M",
                "legal_order": "EU",
                "source": "AI Act Art. 19",
            }
        ],
    }
    return json.dumps(members | changes).encode()


def test_a_document_is_read():
    found = RetentionPolicy.parse(document(lapses_on="2027-01-31"))
    assert found.lapses_on == date(2027, 1, 31)
    assert found.floors[0].at_least == Period.parse("P6M")
    assert len(found.sha256) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"v": "auditvault/retention-policy/2"},
        {"text": "short"},
        {"rules": []},
        {"rules": "none"},
        {"rules": [{"record_class": "payload"}]},
        {"floors": [{"record_class": "diary"}]},
        {"lapses_on": "31.1.2027"},
        {"lapses_on": 5},
        {"more": 1},
        {"floors": [None]},
    ],
)
def test_what_is_no_policy_is_refused(changes):
    with pytest.raises(RetentionPolicyError):
        RetentionPolicy.parse(document(**changes))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_refused(data):
    assume(data)
    with pytest.raises(RetentionPolicyError):
        RetentionPolicy.parse(data)


# Presets


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_holds_together_and_says_where_it_comes_from(name):
    assert build([name], text="as the preset says")
    assert PRESETS[name].source
    assert PRESETS[name].note


def test_all_presets_hold_together():
    found = build(PRESETS, text="all of them at once")
    assert len(found.floors) == sum(len(each.floors) for each in PRESETS.values())


def test_an_unknown_preset_is_refused():
    with pytest.raises(RetentionPolicyError):
        build(["sox"], text="what was decided")
