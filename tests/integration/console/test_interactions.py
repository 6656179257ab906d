"""The list of interactions: what is in it, how it is narrowed down, and how it is empty."""

from __future__ import annotations

import html
import json
import re
import uuid

from auditvault.ledger.scope import region_alias, tenant_scope

from .conftest import span


def _text(answer) -> str:
    return html.unescape(answer.content.decode())


def _names(answer) -> list[str]:
    return re.findall(r'<a href="/t/[^"]*">([^<]*)</a>', answer.content.decode())


def _events(tenant) -> list[dict]:
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        rows = connection.execute("SELECT header FROM access_event ORDER BY recorded_at").fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


def test_the_newest_stands_first(auditor, send, trace_id):
    send(span(trace_id, 1, name="first"), span(trace_id, 2, name="second"))

    assert _names(auditor.get("/")) == ["second", "first"]


def test_a_line_says_what_the_header_says(auditor, send, trace_id):
    send(
        span(
            trace_id,
            name="chat gpt-4o",
            gen_ai__operation__name="chat",
            gen_ai__provider__name="openai",
            gen_ai__response__model="gpt-4o-2024-08-06",
            gen_ai__usage__input_tokens=1234,
            gen_ai__usage__output_tokens=7,
            gen_ai__input__messages="[]",
        ),
        service="shop-assistant",
    )

    text = _text(auditor.get("/"))

    for word in (
        "chat gpt-4o",
        "gpt-4o-2024-08-06",
        "openai",
        "1\u202f234 / 7",
        "500 µs",
        "shop-assistant",
        "1 sealed",
    ):
        assert word in text


def test_people_see_their_own_tenant_and_region_only(
    signed_in, send, tenant, other_tenant, trace_id
):
    send(span(trace_id, name="ours in eu"))
    others = signed_in({f"{other_tenant.slug}.eu": "auditor"})
    elsewhere = signed_in({f"{tenant.slug}.us": "auditor"})

    assert _names(others.get("/")) == []
    assert _names(elsewhere.get("/")) == []


def test_a_place_of_somebody_else_is_not_permitted(auditor, other_tenant):
    answer = auditor.get(f"/?in={other_tenant.slug}.eu")

    assert answer.status_code == 403
    assert "Not permitted" in _text(answer)
    assert other_tenant.slug not in _text(answer)


def test_who_has_several_places_chooses_one_and_it_is_remembered(signed_in, send, tenant, trace_id):
    person = signed_in({f"{tenant.slug}.{region}": "auditor" for region in ("eu", "us")})
    send(span(trace_id, name="over there"), region="us")

    chosen = person.get(f"/?in={tenant.slug}.us")
    later = person.get("/")

    assert _names(chosen) == ["over there"]
    assert later["Location"] == f"/?in={tenant.slug}.us"


def test_filters_narrow_the_list_and_stand_in_the_address(auditor, send, trace_id):
    send(span(trace_id, 1, name="fine"), span(trace_id, 2, name="broken", status=2))

    answer = auditor.get("/?status=error&range=24h&service=shop")

    assert _names(answer) == ["broken"]
    assert '<option value="error" selected>' in answer.content.decode()


def test_one_trace_is_found_by_its_id(auditor, send, trace_id):
    send(span(trace_id, name="this"), span(uuid.uuid4().hex, name="that"))

    assert _names(auditor.get(f"/?trace={trace_id.upper()}")) == ["this"]


def test_an_interval_is_meant_in_utc(auditor, send, trace_id):
    send(span(trace_id, name="now"))

    assert (
        _names(auditor.get("/?started_from=2020-01-01T00:00&started_before=2020-01-02T00:00")) == []
    )
    assert _names(auditor.get("/?started_from=2020-01-01T00:00")) == ["now"]


def test_empty_filters_leave_the_address(auditor):
    answer = auditor.get("/?status=&model=gpt-4o&trace=&in=")

    assert (answer.status_code, answer["Location"]) == (302, "/?model=gpt-4o")


def test_a_bad_filter_is_named_and_nothing_is_searched(auditor, tenant):
    answer = auditor.get(
        "/?trace=zz&started_from=2026-02-01T00:00&started_before=2026-01-01T00:00&status=perhaps"
    )

    assert answer.status_code == 400
    text = _text(answer)
    assert "A trace id is 32 hexadecimal digits." in text
    assert "This is not after the beginning." in text
    assert "Nothing was searched" in text
    assert _events(tenant) == []


def test_pages_follow_one_another_without_gap_or_repeat(auditor, send, trace_id):
    send(*(span(trace_id, number) for number in range(1, 61)))

    first = auditor.get("/?service=shop")
    older = re.search(r'rel="next" href="([^"]*)"', first.content.decode())[1]
    second = auditor.get(html.unescape(older))

    assert "service=shop" in older
    assert _names(first) + _names(second) == [f"step {number}" for number in range(60, 0, -1)]
    assert 'rel="next"' not in second.content.decode()


def test_a_cursor_that_was_not_given_out_is_refused(auditor):
    answer = auditor.get("/?cursor=zzz")

    assert answer.status_code == 400
    assert "That link does not work" in _text(answer)


def test_one_persons_interactions_are_found_by_post(auditor, send, trace_id):
    send(
        span(trace_id, name="of anna", user__id="anna@example.org", said="something"),
        span(uuid.uuid4().hex, name="of bert", user__id="bert@example.org", said="something"),
    )

    answer = auditor.post("/", {"user": "anna@example.org"})

    assert _names(answer) == ["of anna"]


def test_a_person_stands_in_no_link_form_target_record_or_session(auditor, send, tenant, trace_id):
    who = "anna.very.personal@example.org"
    send(*(span(trace_id, n, user__id=who, said=f"thing {n}") for n in range(1, 61)))

    page = auditor.post("/", {"user": who, "service": "shop"})
    cursor = re.search(r'name="cursor" value="([^"]*)"', page.content.decode())[1]
    older = auditor.post("/", {"user": who, "service": "shop", "cursor": cursor})

    assert len(_names(page)) == 50
    assert len(_names(older)) == 10
    for attribute in re.findall(r'(?:href|action|hx-\w+)="([^"]*)"', page.content.decode()):
        assert "anna" not in attribute
    assert "anna" not in json.dumps(_events(tenant))
    assert "anna" not in json.dumps(dict(auditor.session))


def test_a_person_in_an_address_is_not_looked_for(auditor, send, trace_id):
    send(span(trace_id, name="of bert", user__id="bert@example.org"))

    answer = auditor.get("/?user=anna%40example.org")

    assert _names(answer) == ["of bert"]
    assert "anna" not in _text(answer)


def test_a_search_is_recorded_as_the_persons(auditor, tenant):
    from django.contrib.auth import get_user

    person = get_user(auditor)

    auditor.get("/?status=error")

    (event,) = _events(tenant)
    assert event["actor"] == f"user:{person.public_id.hex}"
    assert event["actor_role"] == "auditor"
    assert (event["action"], event["details"]) == ("search", {"rows": 0, "status": "error"})


def test_nothing_yet_shows_three_lines_that_send_the_first_trace(auditor, client, tenant):
    text = _text(auditor.get("/"))
    lines = re.search(r"<pre[^>]*><code>(.*?)\s*</code>", text, re.DOTALL)[1].splitlines()

    assert "Nothing yet" in text
    assert len(lines) == 3
    assert f"--tenant {tenant.slug} --region eu --role ingest" in lines[0]
    body = re.search(r"-d '(.*)'$", lines[2])[1]
    for shell, value in {
        "'${TRACE%????????????????}'": "a" * 32,
        "'${TRACE#????????????????????????????????}'": "b" * 16,
        "'$NOW'": "1795000000",
    }.items():
        assert shell in body
        body = body.replace(shell, value)
    sent = client.post(
        "/v1/traces", data=body, content_type="application/json", headers=tenant.headers("ingest")
    )
    assert (sent.status_code, sent.content) == (200, b"{}")
    assert _names(auditor.get("/")) == ["first trace"]


def test_nothing_matches_says_so_and_offers_to_clear_the_filters(auditor, send, trace_id):
    send(span(trace_id))

    text = _text(auditor.get("/?model=none-of-this-name"))

    assert "Nothing matches" in text
    assert "Clear filters" in text


def test_who_has_no_role_anywhere_is_told_whom_to_ask(signed_in):
    answer = signed_in().get("/")

    assert answer.status_code == 403
    assert "You have no role in any tenant's region yet." in _text(answer)
    assert "/sign-out" in _text(answer)


def test_the_same_role_answers_the_page_and_the_api(signed_in, client, tenant, send, trace_id):
    send(span(trace_id, name="one record"))
    for role in ("engineer", "investigator", "auditor"):
        page = signed_in({f"{tenant.slug}.eu": role}).get("/")
        api = client.post(
            "/api/v1/traces/search",
            data="{}",
            content_type="application/json",
            headers=tenant.headers(role),
        )
        assert _names(page) == [item["name"] for item in api.json()["interactions"]]
