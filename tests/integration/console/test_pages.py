"""What holds for every page: nobody keeps it, nothing runs in it but our own files, text stays text."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.template.loader import render_to_string
from django.test import Client, override_settings

from auditvault.console import spans
from auditvault.traces.selectors import SpanNode

from .conftest import span

STATIC = Path(__file__).parents[3] / "auditvault/console/static/console"
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "{{ settings.SECRET_KEY }}{% debug %}",
    "</title><svg/onload=alert(1)>",
)

# Fields of a header that a sender fills.
SENT = (
    "trace_id", "span_id", "parent_span_id", "name", "operation", "model_responded", "provider",
    "service_name", "environment", "error_type", "tool_name", "agent_name",
)  # fmt: skip


class _Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def pages(auditor, send, trace_id) -> dict:
    """One answer of every kind of page."""
    send(span(trace_id, gen_ai__operation__name="chat", gen_ai__input__messages="[]"))
    found = {
        f"/t/{trace_id}?tab={tab}": None for tab in ("summary", "content", "proof", "attributes")
    }
    for path in (*found, "/", "/?model=none", "/?trace=bad", "/t/none", "/?in=not.there"):
        found[path] = auditor.get(path)
    found["/sign-in"] = Client().get("/sign-in")
    return found


def test_nobody_keeps_a_page_and_no_other_site_learns_its_address(pages):
    for path, answer in pages.items():
        assert answer["Cache-Control"] in {
            "no-store",
            "max-age=0, no-cache, no-store, must-revalidate, private",
        }, path
        assert answer["Referrer-Policy"] == "same-origin", path
        assert answer["X-Frame-Options"] == "DENY", path


def test_the_policy_allows_nothing_inline_and_nothing_foreign(pages):
    for path, answer in pages.items():
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert "http" not in policy, path


def test_no_page_needs_what_the_policy_forbids(pages):
    for path, answer in pages.items():
        for tag, attributes in _Elements(answer.content.decode()).found:
            assert tag != "style", path
            assert "style" not in attributes, path
            assert not [name for name in attributes if name.startswith(("on", "hx-on"))], path
            if tag == "script":
                assert (attributes.get("src") or "").startswith("/static/"), path
            if tag == "link":
                assert (attributes["href"] or "").startswith("/static/"), path


def test_every_field_has_a_label_and_every_page_one_heading_and_a_language(pages):
    for path, answer in pages.items():
        elements = _Elements(answer.content.decode()).found
        labelled = {attributes.get("for") for tag, attributes in elements if tag == "label"}
        for tag, attributes in elements:
            if tag in {"input", "select"} and attributes.get("type") != "hidden":
                assert attributes["id"] in labelled, path
        assert [tag for tag, _ in elements].count("h1") == 1, path
        assert ("html", {"lang": "en"}) in elements, path


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_sender_wrote_is_shown_as_text_wherever_it_gets_to(service, attack):
    header = dict.fromkeys(SENT, attack)
    header |= {
        "id": "01a20b04-4699-7f93-8be8-716ef9b10dee",
        "events": [{"name": attack, "at": "1795000000000000000"}],
        "contents": [{"role": attack, "object": attack, "commitment": attack, "size_bytes": 1}],
        "withheld": [attack],
    }
    harmless = render_everything(
        header | dict.fromkeys([n for n in header if header[n] == attack], "x")
    )

    shown = render_everything(header)

    tags = lambda page: [tag for tag, _ in _Elements(page).found]  # noqa: E731
    assert tags(shown) == tags(harmless)
    assert "<script>alert" not in shown
    assert not [
        a for _, attributes in _Elements(shown).found for a in attributes if a.startswith("on")
    ]


def render_everything(header: dict) -> str:
    """The list and every tab, from a header that no check of the service has seen."""
    line = spans.line_of(header)
    place = SimpleNamespace(key="t.eu", tenant_name="T", tenant_slug="t", region="eu", roles=())
    drawn = spans.waterfall([SpanNode(header=header, depth=0, missing_parent=True)])
    common = {
        "place": place,
        "line": line,
        "lines": [line],
        "trace_id": header["trace_id"],
        "drawn": drawn,
        "bars": drawn.bars,
        "fields": spans.fields_of(header),
        "events": [e for e in header["events"] if isinstance(e, dict)],
        "known": {"model": [line.model]},
        "tabs": (),
        "valid": True,
        "part": SimpleNamespace(paginator=SimpleNamespace(num_pages=1)),
        "proof": SimpleNamespace(state="pending", index=0, log="l"),
    }
    # The list links to a trace by its id, which is hexadecimal: nothing else gets past the URL.
    listed = spans.line_of(header | {"trace_id": "ab" * 16})
    pages = [
        render_to_string("console/trace.html", {**common, "tab": tab})
        for tab in ("summary", "content", "proof", "attributes")
    ]
    return "".join(
        [*pages, render_to_string("console/interactions.html", {**common, "lines": [listed]})]
    )


def test_values_from_senders_reach_the_pages_only_through_the_allow_list(auditor, send, trace_id):
    attack = ATTACKS[0]
    send(
        span(
            trace_id,
            name=attack,
            gen_ai__operation__name=attack,
            gen_ai__response__model=attack,
            gen_ai__provider__name=attack,
            error__type=attack,
        ),
        service=attack,
    )

    for path in (
        "/",
        *(f"/t/{trace_id}?tab={tab}" for tab in ("summary", "content", "attributes")),
    ):
        assert "alert(1)" not in auditor.get(path).content.decode()


def test_what_is_vendored_is_what_its_page_says():
    said = re.search(
        r"SHA-256 of the file \| `([0-9a-f]{64})`", (STATIC / "vendor/VENDORED.md").read_text()
    )

    data = (STATIC / "vendor/tabler/tabler.min.css").read_bytes()

    assert hashlib.sha256(data).hexdigest() == said[1]


def test_the_production_storage_takes_every_static_file(service, tmp_path):
    storages = {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    with override_settings(STORAGES=storages, STATIC_ROOT=tmp_path):
        call_command("collectstatic", verbosity=0, interactive=False)

    sent = sum(
        min(path.stat().st_size, gz.stat().st_size if gz.exists() else path.stat().st_size)
        for name in (
            "console/vendor/tabler/tabler.min.*.css",
            "console/console.*.css",
            "console/*.*.js",
            "django_htmx/htmx-2.min.*.js",
        )
        for path in tmp_path.glob(name)
        if (gz := path.with_name(path.name + ".gz")) or True
    )
    assert 20_000 < sent < 300_000


def test_an_unforeseen_error_is_a_page_that_says_little(auditor, monkeypatch):
    def fails(**_: object) -> None:
        raise RuntimeError("a detail that must not be shown")

    monkeypatch.setattr("auditvault.console.views.find_headers", fails)

    answer = auditor.get("/")

    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "Something failed here." in answer.content.decode()
    assert "a detail" not in answer.content.decode()


def test_an_error_in_a_part_of_a_page_takes_the_whole_main_part(auditor):
    answer = auditor.get("/?cursor=zzz", headers={"HX-Request": "true"})

    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#page", "outerHTML")
