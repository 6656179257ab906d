"""Repeated spans are recorded once, changed ones as linked revisions, and racing ones by one of the racers."""

from __future__ import annotations

import json
import threading

import pytest

from tests.integration.ingest.sending import (
    JSON,
    PROTOBUF,
    chat,
    headers_of,
    json_of,
    protobuf_of,
    record,
    rejected,
    send,
)
from tests.integration.ledger.superuser import counts, superuser


def changed(span, prompt):
    """The same span with another prompt."""
    ids = {"trace_id": span.trace_id, "span_id": span.span_id}
    return chat(prompt, **ids)


def revisions(client, tenant):
    """(revision, id, id of what it revises) of every record, oldest revision first."""
    found = [
        (header.get("revision", 0), header["id"], header.get("revises"))
        for header in headers_of(client, tenant)
    ]
    return sorted(found)


@pytest.mark.parametrize("times", [2, 5])
def test_equal_spans_in_one_request_are_recorded_once(client, tenant, times):
    record(client, tenant, *[chat("hello", trace_id=b"t" * 16, span_id=b"s" * 8)] * times)
    assert len(headers_of(client, tenant)) == 1


def test_equal_spans_in_two_requests_are_recorded_once(client, tenant):
    span = chat("hello", user="anna", session="one", system="Be brief.")
    record(client, tenant, span)
    record(client, tenant, span)
    assert len(headers_of(client, tenant)) == 1


def test_a_repetition_writes_no_row_anywhere(client, tenant, cluster):
    span = chat("hello", user="anna", session="one", system="Be brief.")
    record(client, tenant, span)
    before = counts(cluster, tenant.tenant_id)
    record(client, tenant, span)
    assert counts(cluster, tenant.tenant_id) == before


@pytest.mark.parametrize("order", [(PROTOBUF, JSON), (JSON, PROTOBUF)])
def test_a_span_in_one_encoding_repeats_itself_in_the_other(client, tenant, order):
    span = chat("héllo \u20ac", user="anna", system="Be brief.", attributes={"x.y": 1.5, "z": True})
    for content_type in order:
        body = protobuf_of(span) if content_type == PROTOBUF else json_of(span)
        assert rejected(send(client, tenant, body, content_type)) == {}
    assert len(headers_of(client, tenant)) == 1


def test_a_repetition_among_new_spans_holds_none_of_them_up(client, tenant):
    old, new = chat("old"), chat("new")
    record(client, tenant, old)
    record(client, tenant, old, new)
    recorded = [header["span_id"] for header in headers_of(client, tenant)]
    assert sorted(recorded) == sorted([old.span_id.hex(), new.span_id.hex()])


def test_another_body_in_a_later_request_is_a_revision_of_the_first(client, tenant):
    span = chat("first")
    record(client, tenant, span)
    record(client, tenant, changed(span, "second"))
    first, second = revisions(client, tenant)
    assert (first[0], first[2]) == (0, None)
    assert (second[0], second[2]) == (1, first[1])


def test_another_body_in_the_same_request_is_a_revision_of_the_first(client, tenant):
    span = chat("first")
    record(client, tenant, span, changed(span, "second"))
    first, second = revisions(client, tenant)
    assert (first[0], first[2]) == (0, None)
    assert (second[0], second[2]) == (1, first[1])


def test_revisions_of_revisions_make_one_chain(client, tenant):
    span = chat("first")
    record(client, tenant, span, changed(span, "second"))
    record(client, tenant, changed(span, "third"), changed(span, "fourth"))
    found = revisions(client, tenant)
    assert [number for number, _, _ in found] == [0, 1, 2, 3]
    assert [revised for _, _, revised in found[1:]] == [own for _, own, _ in found[:-1]]


def test_any_revision_that_is_sent_again_is_known(client, tenant):
    span = chat("first")
    bodies = [span, changed(span, "second"), changed(span, "third")]
    record(client, tenant, *bodies)
    record(client, tenant, *reversed(bodies))
    assert len(headers_of(client, tenant)) == 3


def test_a_changed_number_is_a_revision(client, tenant):
    span = chat("hello", attributes={"gen_ai.usage.input_tokens": 5})
    later = chat(
        "hello",
        attributes={"gen_ai.usage.input_tokens": 6},
        trace_id=span.trace_id,
        span_id=span.span_id,
    )
    record(client, tenant, span)
    record(client, tenant, later)
    found = [header["input_tokens"] for header in headers_of(client, tenant)]
    assert sorted(found) == [5, 6]


def test_the_same_span_of_another_tenant_is_no_repetition(client, tenant, other_tenant):
    span = chat("hello")
    record(client, tenant, span)
    record(client, other_tenant, span)
    assert len(headers_of(client, other_tenant)) == 1


def test_a_repetition_in_another_trace_is_another_span(client, tenant):
    record(client, tenant, chat("a", span_id=b"s" * 8), chat("a", span_id=b"s" * 8))
    assert len(headers_of(client, tenant)) == 2


def test_a_repeated_span_is_not_recorded_anew_after_its_objects_are_gone(client, tenant, cluster):
    span = chat("hello", user="anna", system="Be brief.")
    record(client, tenant, span)
    with superuser(cluster, "region_eu") as connection:
        connection.execute("DELETE FROM vault_object WHERE tenant_id = %s", (tenant.tenant_id,))
    record(client, tenant, span)
    found = counts(cluster, tenant.tenant_id)
    assert (found["traces_header"], found["ledger_entry"], found["vault_object"]) == (1, 1, 0)


def test_a_repeated_span_whose_person_is_known_by_a_new_name_is_a_revision(client, tenant):
    span = chat("hello", user="anna")
    record(client, tenant, span)
    ids = {"trace_id": span.trace_id, "span_id": span.span_id}
    record(client, tenant, chat("hello", user="bert", **ids))
    assert [number for number, _, _ in revisions(client, tenant)] == [0, 1]


class Racers:
    """Threads with connections of their own, each of which sends one body at the same moment."""

    def __init__(self, tenant, bodies):
        self._tenant = tenant
        self._bodies = bodies
        self._start = threading.Barrier(len(bodies))
        self.answers = []

    def run(self):
        self._tenant.headers("ingest")
        threads = [threading.Thread(target=self._send, args=(body,)) for body in self._bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return self.answers

    def _send(self, body):
        from django.db import connections
        from django.test import Client

        self._start.wait(60)
        self.answers.append(send(Client(), self._tenant, body).status_code)
        connections.close_all()


def indices(client, tenant):
    """Indices of the interactions log's entries, in order."""
    headers = tenant.headers("auditor")
    logs = client.get("/api/v1/logs", headers=headers).json()["logs"]
    (log,) = [log for log in logs if log["kind"] == "interactions"]
    path = f"/api/v1/logs/{log['id']}/entries?start=0&end=1000"
    entries = client.get(path, headers=headers).json()["entries"]
    assert len(entries) == log["size"]
    return [entry["index"] for entry in entries]


@pytest.mark.parametrize("attempt", range(3))
def test_two_senders_of_the_same_new_trace_at_once_record_it_once(client, tenant, attempt):
    trace = chat().trace_id
    body = protobuf_of(*[chat(f"{n}", trace_id=trace, user="anna") for n in range(5)])
    assert Racers(tenant, [body, body]).run() == [200, 200]
    assert len(headers_of(client, tenant)) == 5


def test_six_senders_of_the_same_new_trace_at_once_record_it_once(client, tenant):
    body = protobuf_of(*[chat(f"{n}", user=f"user {n}", session=f"{n}") for n in range(5)])
    assert Racers(tenant, [body] * 6).run() == [200] * 6
    assert indices(client, tenant) == list(range(5))


def test_two_bodies_of_the_same_new_span_at_once_become_a_record_and_a_revision(client, tenant):
    span = chat("one")
    bodies = [protobuf_of(span), protobuf_of(changed(span, "two"))]
    assert Racers(tenant, bodies).run() == [200, 200]
    first, second = revisions(client, tenant)
    assert (first[0], second[0], second[2]) == (0, 1, first[1])


def test_many_senders_of_different_traces_at_once_leave_no_gap_and_no_fork(client, tenant):
    bodies = [
        protobuf_of(*[chat(f"{sender}/{n}", user="anna", system="Be brief.") for n in range(4)])
        for sender in range(6)
    ]
    assert Racers(tenant, bodies).run() == [200] * 6
    assert indices(client, tenant) == list(range(24))


def test_overlapping_requests_at_once_record_every_span_once(client, tenant):
    spans = [chat(f"{n}", session="one") for n in range(8)]
    bodies = [protobuf_of(*spans[start : start + 4]) for start in range(0, 5, 2)]
    assert Racers(tenant, bodies).run() == [200] * 3
    recorded = [header["span_id"] for header in headers_of(client, tenant)]
    assert sorted(recorded) == sorted(span.span_id.hex() for span in spans)


def test_a_span_with_many_attributes_in_another_order_is_known(client, tenant):
    body = json.loads(json_of(chat("hello", system="Be brief.", user="anna")))
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    send(client, tenant, json.dumps(body).encode(), JSON)
    span["attributes"].reverse()
    send(client, tenant, json.dumps(body).encode(), JSON)
    assert len(headers_of(client, tenant)) == 1
