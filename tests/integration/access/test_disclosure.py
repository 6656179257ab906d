"""Nothing is shown before it is recorded who looks and why; what is refused is recorded too."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import JSON, chat, headers_of, post, record
from tests.integration.ledger.superuser import counts, superuser
from tests.integration.vault.looking import PURPOSE, resolve, resolve_hash, revealed

HASH = "sha256:" + "0" * 64


@pytest.fixture
def events(cluster, tenant):
    """`events()` are the tenant's access records: search columns and header, oldest first."""

    def read():
        with superuser(cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT action, outcome, actor, actor_role, purpose_code, case_ref, header"
                " FROM access_event WHERE tenant_id = %s ORDER BY record_id",
                (tenant.tenant_id,),
            ).fetchall()
        return [(*row[:6], json.loads(bytes(row[6]))) for row in rows]

    return read


def look(client, tenant, *, role=None, content_hash=HASH, **purpose):
    body = {"content_hash": content_hash, "purpose": PURPOSE | purpose}
    headers = tenant.headers(role) if role else tenant.cleared()
    return post(client, "/api/v1/resolve", body, headers)


def test_a_look_is_recorded_with_who_why_and_at_what(client, tenant, events):
    record(client, tenant, chat("a secret"))
    answer = resolve(client, tenant, "a secret")
    ((*columns, header),) = events()
    assert columns == ["resolve", "granted", header["actor"], "investigator", "INCIDENT", "INC-1"]
    assert header["id"] == answer.json()["access_record"]
    assert header["details"]["objects"] == [answer.json()["contents"][0]["object_id"]]


def test_the_reason_is_sealed_and_not_in_the_record(client, tenant, events, cluster):
    resolve(client, tenant, "never said")
    ((*_, header),) = events()
    assert header["reason"]["role"] == "access_reason"
    assert PURPOSE["reason"] not in json.dumps(header)


def test_a_look_at_nothing_is_recorded(client, tenant, events):
    assert revealed(resolve(client, tenant, "never said")) == []
    ((action, outcome, *_, header),) = events()
    assert (action, outcome, header["details"]["objects"]) == ("resolve", "granted", [])


def test_an_answer_with_content_is_kept_by_no_cache(client, tenant):
    record(client, tenant, chat("a secret"))
    assert "no-store" in resolve(client, tenant, "a secret")["Cache-Control"]


@pytest.mark.parametrize("role", ["ingest", "engineer", "auditor"])
def test_a_refused_role_is_recorded_as_a_denial(client, tenant, events, role):
    assert look(client, tenant, role=role).status_code == 403
    ((action, outcome, _, actor_role, *_, header),) = events()
    assert (action, outcome, actor_role) == ("resolve", "denied", None)
    assert header["details"]["code"] == "access_denied"


@pytest.mark.parametrize(
    "purpose",
    [
        {"case": "no reference!"},
        {"case": "-1"},
        {"reason": "too short"},
        {"reason": "a" * 14},
        {"reason": "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"reason": "1234567890 1234567890"},
        {"reason": " a    b     c      d       e        f  "},
    ],
)
def test_a_purpose_that_will_not_do_is_refused_and_recorded(client, tenant, events, purpose):
    answer = look(client, tenant, **purpose)
    assert (answer.status_code, answer.json()["code"]) == (422, "purpose_invalid")
    ((_, outcome, *_, header),) = events()
    assert (outcome, header["details"]["code"]) == ("denied", "purpose_invalid")


@pytest.mark.parametrize(
    "code", ["INCIDENT", "COMPLAINT", "DSAR", "AUDIT_SAMPLE", "REGULATOR", "LEGAL", "SAFETY_REVIEW"]
)
def test_every_other_purpose_opens_content(client, tenant, code):
    record(client, tenant, chat("a secret"))
    body = {
        "content_hash": resolve_target("a secret"),
        "purpose": PURPOSE | {"code": code},
    }
    answer = post(client, "/api/v1/resolve", body, tenant.cleared())
    assert revealed(answer) == ["a secret"]


def resolve_target(text):
    import hashlib

    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content_hash": HASH},
        {"content_hash": HASH, "purpose": None},
        {"content_hash": HASH, "purpose": "INCIDENT"},
        {"content_hash": HASH, "purpose": {**PURPOSE, "code": "CURIOSITY"}},
        {"content_hash": HASH, "purpose": {**PURPOSE, "case": ""}},
        {"content_hash": HASH, "purpose": {**PURPOSE, "reason": "x" * 2001}},
        {"content_hash": HASH, "purpose": {**PURPOSE, "colour": "red"}},
        {"content_hash": HASH, "purpose": PURPOSE, "colour": "red"},
        {"content_hash": HASH, "purpose": PURPOSE, "representation": "raw"},
        {"content_hash": HASH.upper(), "purpose": PURPOSE},
        {"content_hash": HASH[:-1], "purpose": PURPOSE},
        {"content_hash": "md5:" + "0" * 32, "purpose": PURPOSE},
        {"content_hash": ["a"], "purpose": PURPOSE},
        [],
        "text",
        None,
        5,
    ],
)
def test_a_body_of_another_form_is_400(client, tenant, body):
    answer = post(client, "/api/v1/resolve", body, tenant.cleared())
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a":NaN}', b"[" * 100_000, b""])
@pytest.mark.parametrize("path", ["/api/v1/resolve", "/api/v1/traces/search"])
def test_a_body_that_is_no_json_is_400_or_empty(client, tenant, path, body):
    answer = client.post(path, body, content_type=JSON, headers=tenant.cleared())
    # An empty search finds everything; nothing else is let through.
    assert answer.status_code in ({200, 400} if body == b"" else {400})


@pytest.mark.parametrize("path", ["/api/v1/resolve", "/api/v1/traces/search"])
def test_a_body_that_is_too_large_is_413(client, tenant, path):
    body = b'{"model":"' + b"x" * 2**20 + b'"}'
    answer = client.post(path, body, content_type=JSON, headers=tenant.cleared())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "filters",
    [
        {"modell": "gpt-4o"},
        {"user": "anna", "users": "anna"},
        {"model": "a\x00b"},
        {"model": "\ud800"},
        {"user": ""},
        {"user": "\ud800"},
        {"user": "x" * 513},
        {"model": "x" * 257},
        {"status": "fine"},
        {"limit": 0},
        {"limit": 201},
        {"min_total_tokens": -1},
        {"started_from": "yesterday"},
        {"started_from": "0000-01-01T00:00:00Z"},
        {"trace_id": "abc"},
        {"cursor": "abc"},
        {"cursor": "MjAyNi0wMS0wMXxub3QtYW4taWQ="},
        {"cursor": "é"},
    ],
)
def test_a_filter_of_another_form_is_400(client, tenant, filters):
    answer = post(client, "/api/v1/traces/search", filters, tenant.headers("engineer"))
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "filters",
    [
        {"started_from": "0001-01-01T00:00:00Z"},
        {"started_before": "9999-12-31T23:59:59.999999-12:00"},
        {"started_from": "9999-12-31T23:59:59.999999Z"},
    ],
)
def test_a_time_at_the_end_of_time_is_no_failure(client, tenant, filters):
    answer = post(client, "/api/v1/traces/search", filters, tenant.headers("engineer"))
    assert answer.status_code in {200, 400}


def test_names_in_filters_are_recorded_as_tags_alone(client, tenant, events):
    headers_of(client, tenant, user="anna@example.org", session="session of anna")
    ((*_, header),) = events()
    details = header["details"]
    assert "anna" not in json.dumps(header)
    assert {len(details["user_tag"]), len(details["session_tag"])} == {64}
    assert details["rows"] == 0


def test_a_search_is_recorded_with_how_much_it_gave_out(client, tenant, events):
    record(client, tenant, chat("a"), chat("b"))
    headers_of(client, tenant)
    ((action, outcome, _, role, *_, header),) = events()
    assert (action, outcome, role, header["details"]["rows"]) == (
        "search",
        "granted",
        "engineer",
        2,
    )


@contextmanager
def access_log_closed(cluster):
    """The application may not insert into the access log; all is well again afterwards."""
    with superuser(cluster, "region_eu") as connection:
        tables = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'access_event'::regclass"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"REVOKE INSERT ON {table} FROM auditvault_app")
        try:
            yield
        finally:
            for (table,) in tables:
                connection.execute(f"GRANT INSERT ON {table} TO auditvault_app")


def test_nothing_is_revealed_when_the_look_cannot_be_recorded(client, tenant, cluster):
    record(client, tenant, chat("a secret"))
    with access_log_closed(cluster):
        answer = resolve(client, tenant, "a secret")
    assert (answer.status_code, answer.json()["code"]) == (503, "access_not_recorded")
    assert int(answer["Retry-After"]) > 0
    assert "a secret" not in answer.content.decode()


def test_no_header_is_given_out_when_the_search_cannot_be_recorded(client, tenant, cluster):
    record(client, tenant, chat("a"))
    with access_log_closed(cluster):
        answer = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer"))
    assert (answer.status_code, "interactions" in answer.json()) == (503, False)


def test_no_trace_is_given_out_when_the_look_cannot_be_recorded(client, tenant, cluster):
    span = chat("a")
    record(client, tenant, span)
    with access_log_closed(cluster):
        answer = client.get(
            f"/api/v1/traces/{span.trace_id.hex()}", headers=tenant.headers("engineer")
        )
    assert (answer.status_code, "spans" in answer.json()) == (503, False)


def test_a_refusal_that_cannot_be_recorded_is_503(client, tenant, cluster):
    with access_log_closed(cluster):
        assert look(client, tenant, role="engineer").status_code == 503


def test_a_look_that_could_not_be_recorded_leaves_nothing(client, tenant, cluster):
    record(client, tenant, chat("a secret"))
    resolve(client, tenant, "never said")
    before = counts(cluster, tenant.tenant_id)
    with access_log_closed(cluster):
        look(client, tenant, reason="Another reason, which is not known yet")
    assert counts(cluster, tenant.tenant_id) == before


def test_the_access_log_verifies_after_looks_searches_and_denials(client, tenant, cluster):
    record(client, tenant, chat("a secret"))
    resolve(client, tenant, "a secret")
    look(client, tenant, role="engineer")
    look(client, tenant, reason="too short")
    headers_of(client, tenant)
    assert findings(tenant, region="eu") == {}


def test_a_senders_own_hash_finds_the_prompt(client, tenant):
    claim = "ab" * 32
    record(client, tenant, chat("as it was sent", attributes={"prompt.hash": claim}))
    assert revealed(resolve_hash(client, tenant, f"sha256:{claim}")) == ["as it was sent"]


def test_the_opening_opens_the_commitment_in_the_header(client, tenant):
    import hashlib

    from auditvault.core.tlog.commitment import verify_content_commitment

    record(client, tenant, chat("a secret"))
    found = resolve(client, tenant, "a secret").json()["contents"][0]
    (header,) = headers_of(client, tenant)
    (said,) = [item for item in header["contents"] if item["role"] == "input_messages"]
    verify_content_commitment(
        commitment=bytes.fromhex(said["commitment"]),
        opening=bytes.fromhex(found["opening"]),
        role=found["role"],
        content_sha256=hashlib.sha256(b"a secret").digest(),
    )
