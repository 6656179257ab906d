"""Signing in and out."""

from __future__ import annotations

import re

import pytest
from django.test import Client

PASSWORD = "long-enough-to-try"


@pytest.fixture
def browser(service) -> Client:
    return Client(enforce_csrf_checks=True)


def _try(browser: Client, username: str, password: str, **more: str):
    form = browser.get("/sign-in").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
    fields = {"username": username, "password": password, "csrfmiddlewaretoken": token, **more}
    return browser.post("/sign-in", fields)


def _seen(answer, username: str) -> str:
    """What is on the page, without what differs on every page."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
    return text.replace(username, "NAME")


def test_a_person_signs_in_and_comes_to_the_list(browser, make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "auditor"}, password=PASSWORD)

    answer = _try(browser, person.username, PASSWORD)

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert browser.get("/").status_code == 200


def test_unknown_wrong_and_disabled_look_the_same(browser, make_person):
    known, disabled = (
        make_person(password=PASSWORD),
        make_person(password=PASSWORD, is_active=False),
    )

    pages = {
        _seen(_try(browser, name, password), name)
        for name, password in (
            (known.username, "not-the-password"),
            (disabled.username, PASSWORD),
            ("nobody-of-that-name", PASSWORD),
        )
    }

    assert len(pages) == 1
    assert "User name and password do not match" in pages.pop()


def test_after_signing_in_one_comes_to_the_page_that_was_asked_for(browser, make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "auditor"}, password=PASSWORD)
    asked = browser.get("/?status=error")

    answer = _try(browser, person.username, PASSWORD, next="/?status=error")

    assert asked["Location"] == "/sign-in?next=/%3Fstatus%3Derror"
    assert answer["Location"] == "/?status=error"


def test_signing_in_leads_to_no_other_site(browser, make_person):
    person = make_person(password=PASSWORD)

    answer = _try(browser, person.username, PASSWORD, next="https://elsewhere.example/")

    assert answer["Location"] == "/"


def test_signing_in_starts_a_new_session(browser, make_person):
    person = make_person(password=PASSWORD)
    browser.cookies["sessionid"] = "chosen-by-somebody-else"

    _try(browser, person.username, PASSWORD)

    assert browser.cookies["sessionid"].value != "chosen-by-somebody-else"
    assert browser.cookies["sessionid"]["httponly"]
    assert browser.cookies["sessionid"]["samesite"] == "Lax"


def test_signing_out_ends_the_session(auditor):
    assert auditor.post("/sign-out").status_code == 302

    assert auditor.get("/")["Location"].startswith("/sign-in")


def test_a_link_signs_nobody_out(auditor):
    assert auditor.get("/sign-out").status_code == 405
    assert auditor.get("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/t/" + "0" * 32, f"/r/{'0' * 8}-0000-4000-8000-{'0' * 12}.json"]
)
def test_nobody_sees_a_page_without_signing_in(browser, path):
    answer = browser.get(path)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?next=")
    assert answer["Cache-Control"] == "no-store"


def test_a_part_of_a_page_asked_for_after_the_session_ended_becomes_the_whole_form(browser):
    answer = browser.get("/", headers={"HX-Request": "true"})

    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/sign-in")


def test_a_machine_token_opens_no_page(browser, tenant):
    answer = browser.get("/", headers=tenant.headers("auditor"))

    assert answer["Location"].startswith("/sign-in")


def test_signing_in_while_the_database_is_away_is_a_page_that_says_so(
    browser, make_person, monkeypatch
):
    from django.db import OperationalError

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the server at a place that must not be shown")

    person = make_person(password=PASSWORD)
    monkeypatch.setattr("allauth.account.adapter.authenticate", away)

    answer = _try(browser, person.username, PASSWORD)

    assert answer.status_code == 503
    assert "A database cannot be reached or written." in answer.content.decode()
    assert "must not be shown" not in answer.content.decode()
