"""The access log, page by page, for auditors; each look at it is in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

PATH = "/api/v1/access/log"


@pytest.fixture
def log(client, tenant):
    """`log(caller="auditor", limit=…)` is the service's answer."""

    def get(caller="auditor", of=tenant, **query):
        return client.get(PATH, query, headers=of.headers(caller))

    return get


@pytest.fixture
def five(act):
    """Ids of five records, oldest first."""
    return [
        str(
            act(
                "search",
                actor=f"token:{number:012d}",
                role="engineer",
                days_ago=5 - number,
                rows=number,
            )
        )
        for number in range(5)
    ]


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [record["id"] for record in answer.json()["records"]]


def test_records_are_given_out_newest_first_and_page_by_page(log, five):
    seen, cursor = [], None
    while True:
        query = {"limit": 2, "action": "search"} | ({"cursor": cursor} if cursor else {})
        answer = log(**query)
        seen += ids(answer)
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == five[::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"actor": "token:000000000002"}, [2]),
        ({"role": "engineer", "action": "search"}, [0, 1, 2, 3, 4]),
        ({"role": "investigator"}, [5]),
        ({"outcome": "denied"}, [6]),
        ({"purpose_code": "COMPLAINT"}, [5]),
        ({"case": "INC-7"}, [5]),
        ({"target": "tag:" + "a" * 64}, [6]),
        ({"target": "tag:" + "b" * 64}, []),
    ],
)
def test_filters_are_those_of_a_plain_look_through_all_records(log, five, act, query, expected):
    looked = act("resolve", actor="token:000000000009", case="INC-7", code="COMPLAINT", objects=[])
    refused = act("resolve", actor="token:000000000009", outcome="denied", target="tag:" + "a" * 64)
    everything = [*five, str(looked), str(refused)]

    assert ids(log(**query)) == [everything[number] for number in reversed(expected)]


def test_a_period_begins_at_its_first_instant_and_ends_before_its_last(log, five):
    from uuid import UUID

    from auditvault.core.ids import instant_of

    first, last = instant_of(UUID(five[1])), instant_of(UUID(five[3]))
    found = ids(log(recorded_from=first.isoformat(), recorded_before=last.isoformat()))
    assert found == [five[2], five[1]]
    later = first + timedelta(microseconds=1)
    assert ids(log(recorded_from=later.isoformat(), recorded_before=last.isoformat())) == [five[2]]


def test_a_look_at_the_log_is_recorded_with_its_filters(log, five, recorded):
    log(limit=2, action="search")
    (header,) = recorded("read_access_log")
    assert header["details"] == {"action": "search", "rows": 2}
    log(case="Anna.Canary")
    *_, header = recorded("read_access_log")
    assert set(header["details"]) == {"case_tag", "rows"}


def test_a_refusal_is_recorded(log, recorded):
    assert log(caller="investigator").status_code == 403
    (header,) = recorded("read_access_log")
    assert (header["outcome"], header["details"]) == ("denied", {"code": "access_denied"})


def test_another_tenants_records_are_not_there(log, five, other_tenant):
    assert ids(log(of=other_tenant)) == []


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "x"},
        {"limit": 0},
        {"limit": 201},
        {"actor": "anna"},
        {"target": "sha256:0"},
        {"days": 3},
        {"recorded_from": "yesterday"},
        {"recorded_from": "0001-01-01T00:00:00Z"},
        {"recorded_from": "9999-12-31T23:59:59-23:59"},
    ],
)
def test_what_is_no_filter_is_refused(log, query):
    assert log(**query).status_code == 400


def test_a_period_in_the_far_past_or_future_has_no_records(log, five):
    assert ids(log(recorded_before="2000-01-01T00:00:00Z")) == []
    assert ids(log(recorded_from=datetime(2199, 1, 1, tzinfo=UTC).isoformat())) == []
