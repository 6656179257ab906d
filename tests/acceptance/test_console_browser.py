"""A person, a real browser and the whole service: from signing in to a receipt that verifies elsewhere.

The demo tenant's auditor does it, with the login that the first start left in the home. `make test` finds or installs
Chromium.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from auditvault.core.tlog.note import NoteVerifier
from tests.acceptance.running_service import VERIFIER, RunningService, running_service, until

pytestmark = pytest.mark.timeout(300)

Theme = Literal["light", "dark"]
WIDTHS = (1280, 390)
THEMES: tuple[Theme, ...] = ("light", "dark")
ATTACK = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


@dataclass(frozen=True)
class Visit:
    """A browser window, and what it was asked for and complained about."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a path of the service."""
        self.page.goto(self.address + path)

    def sign_in(self, login: dict[str, str]) -> None:
        """Fill in the form and wait for the list."""
        self.open("/sign-in")
        self.page.get_by_label("User name").fill(login["username"])
        self.page.get_by_label("Password").fill(login["password"])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_selector("#results")

    def fits(self) -> bool:
        """Whether nothing has to be scrolled sideways for."""
        found: bool = self.page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        return found

    def check(self) -> None:
        """Nothing was asked of another origin, refused by the policy, or failed in a script."""
        assert [url for url in self.requests if not url.startswith((self.address, "data:"))] == []
        assert self.complaints == []


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with running_service() as running:
        until((running.home / "demo.json").exists, "the demo")
        yield running


@pytest.fixture(scope="module")
def login(service: RunningService) -> dict[str, str]:
    """The demo's auditor."""
    logins = json.loads((service.home / "demo.json").read_text())["logins"]
    return next(found for found in logins if found["username"] == "auditor")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    assert program, "the console's tests need Chromium: install the package chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=[(width, theme) for width in WIDTHS for theme in THEMES], ids=str)
def anywhere(
    browser: Browser, service: RunningService, request: pytest.FixtureRequest
) -> Iterator[Visit]:
    """A window of each width in each theme."""
    width, theme = request.param
    yield from _visit(browser, service, width, theme)


@pytest.fixture
def desk(browser: Browser, service: RunningService) -> Iterator[Visit]:
    """A wide window in the light theme."""
    yield from _visit(browser, service, WIDTHS[0], THEMES[0])


@pytest.fixture
def phone(browser: Browser, service: RunningService) -> Iterator[Visit]:
    """A narrow window in the light theme."""
    yield from _visit(browser, service, WIDTHS[1], THEMES[0])


def _visit(browser: Browser, service: RunningService, width: int, theme: Theme) -> Iterator[Visit]:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        locale="en-GB",
        timezone_id="Asia/Kolkata",
    )
    context.set_default_timeout(20_000)
    visit = Visit(page=context.new_page(), address=service.url)
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on(
        "console",
        lambda said: visit.complaints.append(said.text) if said.type == "error" else None,
    )
    yield visit
    context.close()


def _theme(visit: Visit) -> str | None:
    return visit.page.locator("html").get_attribute("data-bs-theme")


def test_an_auditor_finds_an_agents_run_and_takes_its_proof_away(
    anywhere: Visit,
    service: RunningService,
    login: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    page = anywhere.page
    anywhere.sign_in(login)
    assert _theme(anywhere) == request.node.callspec.params["anywhere"][1]
    assert anywhere.fits()

    page.get_by_text("More filters").click()
    page.get_by_label("Operation").fill("invoke_agent")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**operation=invoke_agent*")
    page.locator(".av-what a").first.click()
    page.wait_for_selector("#detail")
    assert anywhere.fits()
    assert page.locator(".av-row").count() > 1
    assert (
        page.locator(".av-lane rect").first.evaluate("bar => bar.getBoundingClientRect().width")
        > 50
    )

    page.get_by_role("link", name="Proof").click()
    page.get_by_text("This record is in the log, unaltered.").wait_for()
    assert anywhere.fits()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download the receipt").click()
    receipt = tmp_path / "receipt.json"
    started.value.save_as(receipt)

    done = subprocess.run(
        [*VERIFIER, "receipt", receipt, "--trust", _trust_file(service, tmp_path)],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout
    anywhere.check()


def _trust_file(service: RunningService, folder: Path) -> Path:
    """What the signer's keeper hands out: its public key, for the logs of this site."""
    (line,) = next(
        found.read_text().splitlines() for found in service.home.rglob("*vkeys*") if found.is_file()
    )[:1]
    key = base64.b64encode(NoteVerifier.parse(line).public_key).decode()
    path = folder / "trust.json"
    path.write_text(json.dumps({"logs": [{"public_key": key, "origins": ["localhost/eu/*"]}]}))
    return path


def test_the_way_is_walked_with_the_keyboard_alone(desk: Visit, login: dict[str, str]) -> None:
    page, press = desk.page, desk.page.keyboard.press
    desk.open("/sign-in")
    page.keyboard.type(login["username"])
    press("Tab")
    page.keyboard.type(login["password"])
    press("Enter")
    page.wait_for_selector("#results")

    press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    press("Enter")
    press("Tab")
    assert page.locator(":focus").get_attribute("id") == "id_range"

    page.locator("#places summary").focus()
    press("Enter")
    assert page.locator("#places .av-menu-list").is_visible()
    press("Escape")
    assert page.locator("#places .av-menu-list").is_hidden()
    assert page.evaluate("document.activeElement.parentElement.id") == "places"

    page.locator(".av-what a").first.focus()
    press("Enter")
    page.wait_for_selector("#detail")
    page.locator("#tab-content").focus()
    press("Enter")
    page.wait_for_selector("#tab-content[aria-current]")
    assert page.locator(":focus").get_attribute("id") == "tab-content"
    desk.check()


def test_the_chosen_theme_stays(desk: Visit, login: dict[str, str]) -> None:
    desk.sign_in(login)

    desk.page.get_by_role("button", name="Use the dark theme").click()
    desk.page.reload()

    assert _theme(desk) == "dark"
    background = desk.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background != "rgb(255, 255, 255)"
    desk.page.get_by_role("button", name="Use the light theme").click()
    assert _theme(desk) == "light"
    desk.check()


def test_times_are_utc_and_the_readers_own_on_hover(desk: Visit, login: dict[str, str]) -> None:
    desk.sign_in(login)

    first = desk.page.locator("#results time").first

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", first.inner_text())
    assert "GMT+5:30 (your time)" in (first.get_attribute("title") or "")


def test_back_and_reload_keep_the_filters(desk: Visit, login: dict[str, str]) -> None:
    page = desk.page
    desk.sign_in(login)
    page.get_by_label("Status").select_option("error")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**status=error*")

    page.reload()
    assert page.get_by_label("Status").input_value() == "error"
    page.get_by_label("Status").select_option("ok")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**status=ok*")
    page.go_back()
    page.wait_for_url("**status=error*")

    until(lambda: page.get_by_label("Status").input_value() == "error", "the filter that was set")
    assert set(parse_qs(urlsplit(page.url).query)) == {"in", "status"}
    desk.check()


def test_a_bad_filter_is_named_beside_its_field(phone: Visit, login: dict[str, str]) -> None:
    phone.sign_in(login)

    phone.page.get_by_label("Trace id").fill("no such id")
    phone.page.get_by_role("button", name="Apply").click()

    phone.page.get_by_text("A trace id is 32 hexadecimal digits.").wait_for()
    assert "is-invalid" in phone.page.get_by_label("Trace id").evaluate("field => field.className")
    assert phone.fits()


def test_a_person_is_looked_for_without_a_trace_in_the_browser(
    desk: Visit, service: RunningService, login: dict[str, str]
) -> None:
    who = f"person-{uuid.uuid4().hex}"
    _send(service, name="about somebody", attributes={"user.id": who, "said": "something"})
    page = desk.page
    desk.sign_in(login)

    page.get_by_text("One person's interactions").click()
    page.get_by_label("User id").fill(who)
    page.get_by_role("button", name="Find").click()
    page.wait_for_selector("[data-announce='1 interactions']")

    assert page.locator(".av-what a").all_inner_texts() == ["about somebody"]
    assert who not in page.url
    assert [url for url in desk.requests if who in url] == []
    kept = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert who not in kept
    desk.check()


def test_what_a_sender_wrote_does_not_run(
    desk: Visit, service: RunningService, login: dict[str, str]
) -> None:
    fields = (
        "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
        "gen_ai.tool.name", "gen_ai.agent.name", "error.type", "gen_ai.input.messages",
        "gen_ai.prompt.name", "gen_ai.response.id", "anything.else",
    )  # fmt: skip
    trace_id = _send(service, name=ATTACK, attributes=dict.fromkeys(fields, ATTACK), sender=ATTACK)
    desk.sign_in(login)

    for path in (
        "/",
        *(f"/t/{trace_id}?tab={tab}" for tab in ("summary", "content", "attributes")),
    ):
        desk.open(path)
        assert "owned" not in desk.page.title()
        assert desk.page.locator("img").count() == 0
    desk.open(f"/?model={ATTACK}&service={ATTACK}")
    assert desk.page.get_by_label("Model").input_value() == ATTACK
    assert "owned" not in desk.page.title()
    desk.check()


def _send(
    service: RunningService, *, name: str, attributes: dict[str, str], sender: str = "shop"
) -> str:
    """Record one span for the demo tenant in region eu; its trace id."""

    def pairs(values: dict[str, str]) -> list[dict[str, object]]:
        return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]

    trace_id = uuid.uuid4().hex
    span = {
        "traceId": trace_id,
        "spanId": uuid.uuid4().hex[:16],
        "name": name,
        "startTimeUnixNano": "1795000000000000000",
        "endTimeUnixNano": "1795000000250000000",
        "attributes": pairs(attributes),
    }
    resource = {"attributes": pairs({"service.name": sender})}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    token = service.make_token("demo", "ingest")
    answer = service.post("/v1/traces", body, token)
    assert (answer.status, answer.json()) == (200, {})
    return trace_id


def test_choosing_a_span_on_a_phone_brings_its_details_into_view(
    phone: Visit, login: dict[str, str]
) -> None:
    page = phone.page
    phone.sign_in(login)
    phone.open("/?operation=invoke_agent")
    page.locator(".av-what a").first.click()
    page.wait_for_selector("#detail")
    name = page.locator(".av-row .av-row-text").nth(1).inner_text()

    page.locator(".av-row").nth(1).click()
    page.wait_for_selector(".av-rows li:nth-child(2) .av-row[aria-current]")

    assert page.locator("#detail-heading").inner_text() == name
    heading = page.locator("#detail-heading")
    top = "heading => heading.getBoundingClientRect().top"
    until(lambda: 0 <= heading.evaluate(top) < 900, "the details in view")
    phone.check()


def test_a_session_that_ended_leads_to_the_form(desk: Visit, login: dict[str, str]) -> None:
    desk.sign_in(login)
    desk.page.context.clear_cookies()

    desk.page.get_by_role("button", name="Apply").click()

    desk.page.wait_for_url("**/sign-in**")
    desk.check()


def test_after_signing_out_the_pages_are_gone(desk: Visit, login: dict[str, str]) -> None:
    page = desk.page
    desk.sign_in(login)
    page.locator("#person summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")

    page.go_back()

    page.wait_for_url("**/sign-in**")
    assert page.locator("#results").count() == 0
