"""Every page and path that there is: who may see it, what its headers say, and that what was sent stays text.

The pages come from the URLs and what their views declare, so that a new one is covered by itself.
"""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client

from auditvault.core.policy.roles import ALLOWED, Role
from tests.integration.access.operations import operations
from tests.integration.access.samples import ask, make_world, nobodys, values_of
from tests.integration.ingest.sending import chat, request_of, send

ROOT = Path(__file__).resolve().parents[3]
ATTACK = "\"'></title></textarea></script><zqx onmouseover=zq()>{{ 7|add:7 }}{% debug %}<zqy/onload=zq()>"
ELEMENTS = {"zqx", "zqy"}
VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
}
_made = []


@pytest.fixture
def world(client, tenant, cluster, run_signer):
    """A tenant whose sender wrote an attack into every field that there is. Made once."""
    if not _made:
        found = make_world(client, tenant, cluster, run_signer)
        attack_everywhere(client, found)
        _made.append(found)
    return _made[0]


def attack_everywhere(client, world):
    """One span more of the world's trace, with the attack in each attribute of every dialect, and in its own fields."""
    table = (ROOT / "auditvault/ingest/dialects/attributes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines())
    keys = {row["key"].replace("*", "0") for row in rows}
    # A header holds the sender's words only where they pass for a word: these do.
    words = {
        "gen_ai.request.model": "<b>zq",
        "gen_ai.tool.name": "<i>zq",
        "gen_ai.agent.name": "'onload=zq",
    }
    for attributes in (dict.fromkeys(keys, ATTACK), words):
        span = chat(
            ATTACK, attributes=attributes, trace_id=bytes.fromhex(world.trace_id), name=ATTACK,
        )  # fmt: skip
        event = span.events.add(name=ATTACK, time_unix_nano=span.start_time_unix_nano)
        event.attributes.add(key=ATTACK).value.string_value = ATTACK
        span.attributes.add(key=ATTACK).value.string_value = ATTACK
        span.status.message = ATTACK
        span.trace_state = ATTACK
        request = request_of(span)
        request.resource_spans[0].resource.attributes.add(
            key="service.name"
        ).value.string_value = ATTACK
        request.resource_spans[0].scope_spans[0].scope.name = ATTACK
        assert send(client, world.tenant, request.SerializeToString()).status_code == 200


@pytest.fixture
def browser_of(world, signed_in):
    """`browser_of(role)` is somebody's browser who has that role, and no other, at the world's place."""
    browsers = {}

    def sign_in(role):
        if role not in browsers:
            # With a password: who has neither that nor a factor cannot say again who they are.
            browsers[role] = signed_in(
                {f"{world.tenant.slug}.eu": role.value}, password="long-enough-to-try"
            )
        return browsers[role]

    return sign_in


def pages():
    return [o for o in operations() if o.is_page and o.path != "/sign-out"]


def people():
    return [role for role in Role if role is not Role.INGEST]


def test_every_page_is_for_the_roles_that_it_declares(world, browser_of):
    seen, declared = {}, {}
    for page in pages():
        if page.demand.who == "anybody":
            continue
        for role in people():
            asked = (page.name, role.value)
            answer = ask(browser_of(role), page, values_of(page, world), {})
            may = not page.demand.acts or ALLOWED[role].intersection(page.demand.acts)
            seen[asked] = answer.status_code
            declared[asked] = "answered" if may else 403

    wrong = {
        asked: status
        for asked, status in seen.items()
        if (status == 403) != (declared[asked] == 403) or status >= 500
    }
    assert wrong == {}


def test_without_a_session_every_page_leads_to_the_sign_in(world):
    seen = {
        page.name: ask(Client(), page, values_of(page, world), {})
        for page in pages()
        if page.demand.who != "anybody"
    }

    assert {
        name: answer.status_code
        for name, answer in seen.items()
        if answer.status_code != 302 or not answer["Location"].startswith("/sign-in")
    } == {}


def answers(world, browser_of):
    """An answer of every page and path: to who may, to who may not, and for what is not there."""
    auditor, custodian = browser_of(Role.AUDITOR), browser_of(Role.KEY_CUSTODIAN)
    for operation in operations():
        there = values_of(operation, world)
        missing = {name: nobodys(name) for name in there}
        if operation.path == "/sign-out":
            yield (
                operation,
                ask(Client(), operation, there, {}),
            )  # it would end the others' sessions
        elif operation.is_page:
            for browser in (auditor, custodian, Client()):
                for values in (there, missing):
                    yield operation, ask(browser, operation, values, {})
        else:
            for headers in (
                world.tenant.headers("auditor"),
                world.tenant.headers("investigator"),
                {},
            ):
                for values in (there, missing):
                    yield operation, ask(Client(), operation, values, headers)
    for tab in ("summary", "content", "proof", "attributes"):
        (trace,) = [o for o in operations() if o.path == "/t/{trace_id}"]
        yield trace, auditor.get(f"/t/{world.trace_id}?tab={tab}")


TYPED = (
    "model", "provider", "service", "environment", "operation", "feature", "error_type", "status", "trace", "from",
    "until", "tokens", "cursor", "tab", "span", "part", "next", "in", "user", "username",
)  # fmt: skip


def reflected(world, browser_of):
    """Each page with the attack in its address, or in its form."""
    for page in pages():
        path = page.path.format(**values_of(page, world))
        browser = Client() if page.demand.who == "anybody" else browser_of(Role.AUDITOR)
        if page.method == "POST":
            fields = {name: ATTACK for name in TYPED if name != "in"}
            yield page, browser.post(path, fields)
            continue
        for name in TYPED:
            yield page, browser.get(path, {name: ATTACK})


OPEN = {"/healthz", "/readyz", "/metrics", "/api/schema/"}


def test_nobody_keeps_an_answer_and_no_other_site_learns_its_address(world, browser_of):
    wrong = {}
    for operation, answer in answers(world, browser_of):
        policy = answer["Content-Security-Policy"]
        kept = answer.get("Cache-Control", "")
        private = operation.path.startswith("/tlog/") and answer.status_code == 200
        held = {
            "referrer": answer["Referrer-Policy"] in {"no-referrer", "same-origin"},
            "sniffing": answer["X-Content-Type-Options"] == "nosniff",
            "frames": answer["X-Frame-Options"] == "DENY",
            "kept": "no-store" in kept or operation.path in OPEN or (private and kept.startswith("private")),
            "policy": "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy,
        }  # fmt: skip
        if not all(held.values()):
            wrong[operation.name, answer.status_code] = [
                k for k, holds in held.items() if not holds
            ]

    assert wrong == {}


class StrictPage(HTMLParser):
    """A page whose elements are all closed, in order, and that runs nothing but files of this site's."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong = [], []
        self.feed(text)
        self.close()
        if self.open:
            self.wrong.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if tag in ELEMENTS or len(names) != len(set(names)):
            self.wrong.append(f"<{tag}>")
        self.wrong += [
            f"<{tag} {name}>" for name in names if name.startswith(("on", "hx-on", "zq"))
        ]
        self.wrong += [
            f"<{tag} {name}={value}>" for name, value in attrs
            if name in {"style", "srcdoc"} or (value or "").strip().lower().startswith("javascript:")
        ]  # fmt: skip
        if tag == "script" and not (dict(attrs).get("src") or "").startswith("/static/"):
            self.wrong.append("a script of its own")
        if tag == "style":
            self.wrong.append("a style of its own")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data):
        if "14" in data and "add:7" in data:
            self.wrong.append("a template in what was sent")


def test_what_a_sender_wrote_into_any_field_is_text_on_every_page(world, browser_of):
    wrong, read = {}, 0
    asked = [*answers(world, browser_of), *reflected(world, browser_of)]
    for operation, answer in asked:
        if not answer.get("Content-Type", "").startswith("text/html") or not answer.content:
            continue
        read += 1
        found = StrictPage(answer.content.decode()).wrong
        if found:
            wrong[operation.name, answer.status_code] = found

    assert read > 10
    assert wrong == {}


@pytest.mark.parametrize(
    "text",
    ["<p><zqx></zqx></p>", "<p onclick='x'></p>", "<p", "<p></b></p>", "<script>1</script>",
     '<a href="javascript:x">a</a>', '<p style="a"></p>'],
)  # fmt: skip
def test_the_parser_is_strict(text):
    page = StrictPage(f"<html>{text}</html>")

    assert page.wrong
