"""Searching headers page by page, and one trace as a tree."""

from __future__ import annotations

import os

import pytest

from tests.integration.ingest.sending import START_NS, chat, headers_of, post, record

SECOND = 1_000_000_000


def pages(client, tenant, **filters):
    """Every page of a search, as lists of span ids."""
    found, cursor = [], None
    while True:
        body = filters if cursor is None else filters | {"cursor": cursor}
        answer = post(client, "/api/v1/traces/search", body, tenant.headers("engineer")).json()
        found.append([header["span_id"] for header in answer["interactions"]])
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


def test_pages_follow_each_other_without_gap_or_overlap(client, tenant):
    spans = [
        chat(
            f"{n}",
            start_time_unix_nano=START_NS + n * SECOND,
            end_time_unix_nano=START_NS + n * SECOND,
        )
        for n in range(7)
    ]
    record(client, tenant, *spans)
    newest_first = [span.span_id.hex() for span in reversed(spans)]
    assert pages(client, tenant, limit=3) == [newest_first[:3], newest_first[3:6], newest_first[6:]]


def test_pages_over_spans_of_one_instant_hold_each_once(client, tenant):
    spans = [chat(f"{n}") for n in range(7)]
    record(client, tenant, *spans)
    found = [span_id for page in pages(client, tenant, limit=2) for span_id in page]
    assert sorted(found) == sorted(span.span_id.hex() for span in spans)


def test_records_that_arrive_while_somebody_pages_do_not_shift_the_pages(client, tenant):
    first = [chat(f"{n}", start_time_unix_nano=START_NS - SECOND) for n in range(4)]
    record(client, tenant, *first)
    answer = post(client, "/api/v1/traces/search", {"limit": 2}, tenant.headers("engineer")).json()
    record(client, tenant, chat("newer"))
    body = {"limit": 2, "cursor": answer["next_cursor"]}
    rest = post(client, "/api/v1/traces/search", body, tenant.headers("engineer")).json()
    found = {header["span_id"] for header in answer["interactions"] + rest["interactions"]}
    assert found == {span.span_id.hex() for span in first}


FILTERS = {
    "operation": ("gen_ai.operation.name", "embeddings"),
    "provider": ("gen_ai.provider.name", "anthropic"),
    "model": ("gen_ai.request.model", "claude-x"),
    "error_type": ("error.type", "timeout"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_finds_what_is_equal_and_nothing_else(client, tenant, name):
    attribute, value = FILTERS[name]
    wanted = chat("a", attributes={attribute: value})
    record(client, tenant, wanted, chat("b"))
    assert pages(client, tenant, **{name: value}) == [[wanted.span_id.hex()]]


def test_a_status_is_found(client, tenant):
    wanted = chat("a")
    wanted.status.code = 2
    record(client, tenant, wanted, chat("b"))
    assert pages(client, tenant, status="error") == [[wanted.span_id.hex()]]


def test_all_filters_must_match(client, tenant):
    both = chat("a", attributes={"gen_ai.provider.name": "x", "error.type": "timeout"})
    record(client, tenant, both, chat("b", attributes={"gen_ai.provider.name": "x"}))
    assert pages(client, tenant, provider="x", error_type="timeout") == [[both.span_id.hex()]]


def test_tokens_are_counted_together(client, tenant):
    few = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 4}
    many = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 5}
    wanted = chat("a", attributes=many)
    record(client, tenant, wanted, chat("b", attributes=few), chat("none"))
    assert pages(client, tenant, min_total_tokens=10) == [[wanted.span_id.hex()]]


def test_a_range_of_time_takes_its_start_and_leaves_its_end(client, tenant):
    base = START_NS // SECOND * SECOND
    spans = [
        chat(f"{n}", start_time_unix_nano=base + n * SECOND, end_time_unix_nano=base + n * SECOND)
        for n in range(3)
    ]
    record(client, tenant, *spans)
    (middle,) = headers_of(client, tenant, trace_id=spans[1].trace_id.hex())
    from datetime import UTC, datetime, timedelta

    at = datetime.fromtimestamp(int(middle["started_at"]) // SECOND, UTC)
    found = pages(
        client,
        tenant,
        started_from=at.isoformat(),
        started_before=(at + timedelta(seconds=1)).isoformat(),
    )
    assert found == [[spans[1].span_id.hex()]]


def test_a_trace_is_found_by_its_id_in_any_case(client, tenant):
    span = chat("a")
    record(client, tenant, span, chat("b"))
    assert pages(client, tenant, trace_id=span.trace_id.hex().upper()) == [[span.span_id.hex()]]


def spans_of(client, tenant, trace_id):
    answer = client.get(f"/api/v1/traces/{trace_id.hex()}", headers=tenant.headers("engineer"))
    assert answer.status_code == 200
    return answer.json()["spans"]


def test_a_tree_of_spans_that_arrived_apart_and_upside_down_is_in_order(client, tenant):
    trace, root, child, grandchild = (os.urandom(size) for size in (16, 8, 8, 8))
    record(client, tenant, chat("c", trace_id=trace, span_id=grandchild, parent_span_id=child))
    record(client, tenant, chat("b", trace_id=trace, span_id=child, parent_span_id=root))
    record(client, tenant, chat("a", trace_id=trace, span_id=root))
    found = [(span["depth"], span["header"]["span_id"]) for span in spans_of(client, tenant, trace)]
    assert found == [(0, root.hex()), (1, child.hex()), (2, grandchild.hex())]


def test_siblings_stand_in_the_order_of_their_start(client, tenant):
    trace, root = os.urandom(16), os.urandom(8)
    later, earlier = (
        chat("x", trace_id=trace, parent_span_id=root, start_time_unix_nano=START_NS + offset)
        for offset in (5000, 1000)
    )
    record(client, tenant, chat("root", trace_id=trace, span_id=root), later, earlier)
    found = [span["header"]["span_id"] for span in spans_of(client, tenant, trace)]
    assert found == [root.hex(), earlier.span_id.hex(), later.span_id.hex()]


def test_revisions_of_a_span_are_all_in_its_tree(client, tenant):
    span = chat("one")
    record(client, tenant, span)
    record(client, tenant, chat("two", trace_id=span.trace_id, span_id=span.span_id))
    found = [item["header"].get("revision", 0) for item in spans_of(client, tenant, span.trace_id)]
    assert sorted(found) == [0, 1]


def test_a_chain_of_a_thousand_spans_is_shown(client, tenant):
    trace = os.urandom(16)
    ids = [os.urandom(8) for _ in range(1000)]
    spans = [
        chat(trace_id=trace, span_id=own, parent_span_id=parent)
        for own, parent in zip(ids, [b"", *ids], strict=False)
    ]
    record(client, tenant, *spans)
    depths = [span["depth"] for span in spans_of(client, tenant, trace)]
    assert depths == list(range(1000))


def found_for(client, tenant, user):
    return {header["span_id"] for header in headers_of(client, tenant, user=user)}


def test_a_span_without_content_is_found_for_its_user(client, tenant):
    span = chat(None, user="anna")
    record(client, tenant, span)
    assert found_for(client, tenant, "anna") == {span.span_id.hex()}


def test_a_span_that_says_what_another_said_is_found_for_its_user(client, tenant):
    spans = [chat("the same words", user="anna") for _ in range(2)]
    record(client, tenant, *spans)
    assert found_for(client, tenant, "anna") == {span.span_id.hex() for span in spans}


def test_a_span_that_holds_only_the_tenants_words_is_found_for_its_user(client, tenant):
    span = chat(None, user="anna", system="Be kind.")
    record(client, tenant, span)
    assert found_for(client, tenant, "anna") == {span.span_id.hex()}


def test_nobody_elses_span_is_found_for_a_user(client, tenant):
    record(client, tenant, chat(None, user="anna"), chat("words", user="berta"))
    assert len(found_for(client, tenant, "anna")) == 1
