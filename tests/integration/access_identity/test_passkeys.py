"""Passkeys and every page of an account in a real browser, whose policy lets no inline script run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.integration.console.test_browser import address, browser  # noqa: F401  # fixtures

from .conftest import PASSWORD, code_at


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=str)
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:  # noqa: F811
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(20_000)
    opened = context.new_page()
    opened.complaints = []  # type: ignore[attr-defined]
    opened.on(
        "console",
        lambda said: opened.complaints.append(said.text) if said.type == "error" else None,
    )
    yield opened
    # A refused form is a 4xx, which the browser says aloud; a script or style that was refused is another sentence.
    refused = [text for text in opened.complaints if "Content Security Policy" in text]
    assert refused == []
    context.close()


@pytest.fixture
def site(address: str) -> str:  # noqa: F811
    """By name: a passkey is bound to one, and an address is none."""
    return address.replace("127.0.0.1", "localhost")


def _virtual_key(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def _invited() -> tuple[str, str]:
    from auditvault.access.identity.entry_links import invite

    name = f"p-{uuid.uuid4().hex[:12]}"
    return name, invite(username=name, email=f"{name}@example.org", now=datetime.now(UTC))


def _sign_out(page: Page) -> None:
    page.click("#person summary")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("input[name=username]")


def test_from_an_invitation_to_a_passkey_that_signs_in_alone(page: Page, site: str) -> None:
    _virtual_key(page)
    name, token = _invited()

    page.goto(f"{site}/invitation/{token}")
    assert token not in page.url
    page.fill("input[name=password]", PASSWORD)
    page.fill("input[name=again]", PASSWORD)
    page.get_by_role("button", name="Set it").click()
    secret = page.inner_text(".av-secret")
    assert _fits(page)
    page.fill("input[name=code]", code_at(secret))
    page.get_by_role("button", name="Add it").click()
    assert page.locator(".av-codes li").count() == 10
    assert _fits(page)
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url("**/account")
    assert _fits(page)

    _sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_selector("#person")
    page.goto(f"{site}/account")
    assert name in page.inner_text("#person")
    page.get_by_text("Master key").wait_for()

    _sign_out(page)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/sign-in/second-factor")
    assert _fits(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_selector("#person")
    page.goto(f"{site}/account/password")
    page.get_by_role("link", name="Use a security key").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("heading", name="Change your password").wait_for()
    assert _fits(page)


def test_a_passkey_that_is_not_there_says_so(page: Page, site: str) -> None:
    page.goto(f"{site}/sign-in")
    session: Any = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "usb", "hasResidentKey": True,
                "hasUserVerification": True, "isUserVerified": False,
            }
        },
    )  # fmt: skip

    page.get_by_role("button", name="Use a passkey").click()

    page.get_by_text("The passkey was not used.").wait_for()


def test_every_page_before_signing_in_is_whole_under_the_policy(page: Page, site: str) -> None:
    for path in ("/sign-in", "/reset", "/sign-in/refused?why=no-role", "/invitation"):
        answer = page.goto(site + path)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "unsafe-inline" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert _fits(page)
