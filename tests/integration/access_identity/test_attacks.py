"""What somebody tries who is not let in: to learn who there is, to guess, to take a session over."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from .conftest import PASSWORD, Visitor, code_at


def _seen(answer, *names: str) -> tuple[int, str]:
    """Status and page, without what differs on every page."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
    for name in names:
        text = text.replace(name, "NAME")
    return answer.status_code, text


def test_after_five_failures_a_name_is_shut_for_whoever_asks_known_or_not(make_person):
    known, unknown = make_person(password=PASSWORD).username, "nobody-of-that-name"
    seen = []
    for name in (known, unknown):
        answers = [Visitor().password(name, "wrong") for _ in range(6)]
        seen.append([_seen(answer, name) for answer in answers])

    assert seen[0] == seen[1]
    assert "Too many attempts" in seen[0][5][1]
    right = Visitor()
    right.password(known)
    assert not right.is_in


def test_another_host_or_spelling_of_the_name_opens_no_further_attempts(make_person, settings):
    settings.ALLOWED_HOSTS = ["testserver", "localhost"]
    name = make_person(password=PASSWORD).username
    hosts = ["testserver", "localhost", "localhost:1", "localhost:2", "testserver:81"]
    for number, host in enumerate(hosts):
        Visitor(
            SERVER_NAME=host.partition(":")[0], SERVER_PORT=host.partition(":")[2] or "80"
        ).password(name if number % 2 else name.upper(), "wrong")

    answer = Visitor(SERVER_NAME="localhost", SERVER_PORT="3").password(name)

    assert "Too many attempts" in answer.content.decode()


def test_a_success_does_not_wipe_what_failed_before(make_person):
    name = make_person(password=PASSWORD).username
    for _ in range(4):
        Visitor().password(name, "wrong")
    assert Visitor().password(name).status_code == 302
    Visitor().password(name, "wrong")

    assert "Too many attempts" in Visitor().password(name).content.decode()


def test_many_at_once_get_no_more_attempts_than_one(make_person):
    from django.db import connections

    name = make_person(password=PASSWORD).username

    def guess(_: int) -> bool:
        try:
            return "Too many" not in Visitor().password(name, "wrong").content.decode()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        looked_at = sum(pool.map(guess, range(16)))

    assert looked_at == 5


def test_another_process_sees_the_attempts_of_this_one(make_person, cluster):
    name = make_person(password=PASSWORD).username
    for _ in range(5):
        Visitor().password(name, "wrong")
    program = (
        "import django; django.setup()\n"
        "from tests.integration.access_identity.conftest import Visitor\n"
        "from django.test.utils import setup_test_environment; setup_test_environment()\n"
        f"print('Too many attempts' in Visitor().password({name!r}).content.decode())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**cluster.environment("web"), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "True"


def test_an_unknown_name_costs_what_a_wrong_password_costs(make_person, monkeypatch):
    """What takes time is hashing; how often that is done can be counted, and a clock would count the neighbours too."""
    from django.contrib.auth.hashers import MD5PasswordHasher

    known = make_person(password=PASSWORD).username
    disabled = make_person(password=PASSWORD, is_active=False).username
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher, "encode", lambda *given: hashed.append("once") or encode(*given)
    )
    costs = []
    for pair in ((known, "wrong"), ("nobody-of-that-name", "wrong"), (disabled, PASSWORD)):
        hashed.clear()
        Visitor().password(*pair)
        costs.append(len(hashed))

    assert costs == [1, 1, 1]


def test_a_reset_says_the_same_of_everybody_and_at_once(make_person, monkeypatch):
    written = []
    monkeypatch.setattr(
        "auditvault.console.account.entry.send_reset_later", lambda **given: written.append(given)
    )
    known = make_person(password=PASSWORD, email="somebody@example.org")
    seen = {
        _seen(Visitor().send("/reset", {"email": email}), email)
        for email in (known.email, "nobody@example.org")
    }

    assert len(seen) == 1
    # What depends on there being such a person happens after the answer.
    assert len(written) == 2


def test_there_is_no_sign_up(visitor):
    for path in ("/signup", "/accounts/signup/", "/sign-up"):
        assert visitor.client.get(path).status_code == 404


@pytest.mark.parametrize(
    "place",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example/",
        "https:elsewhere.example",
        "javascript:alert(1)",
        "http://testserver@elsewhere.example/",
        "\thttps://elsewhere.example/",
    ],
)
def test_no_step_of_signing_in_leads_to_another_site(make_strong, place):
    person, secret = make_strong()
    visitor = Visitor()
    visitor.password(person.username, next=place)

    assert visitor.code(code_at(secret))["Location"] == "/"
    again = visitor.send("/sign-in/again", {"password": PASSWORD, "next": place})
    assert again["Location"] == "/"
    assert "elsewhere" not in visitor.client.get("/sign-in", {"next": place})["Location"]


def test_each_step_of_signing_in_starts_a_session_of_a_new_name(make_strong):
    person, secret = make_strong()
    visitor = Visitor()
    visitor.client.get("/sign-in")
    visitor.client.cookies["sessionid"] = "chosen-by-somebody-else"
    visitor.password(person.username)
    half = visitor.client.cookies["sessionid"].value
    visitor.code(code_at(secret))

    assert half != "chosen-by-somebody-else"
    assert visitor.client.cookies["sessionid"].value != half
    thief = Client()
    thief.cookies["sessionid"] = half
    assert thief.get("/account").status_code == 302


def test_who_is_deactivated_is_out_at_the_next_request(visitor, make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "auditor"}, password=PASSWORD)
    visitor.password(person.username)
    assert visitor.client.get("/").status_code == 200

    type(person).objects.filter(pk=person.pk).update(is_active=False)

    assert visitor.client.get("/")["Location"].startswith("/sign-in")
    assert visitor.client.get("/api/v1/logs").status_code == 401


def test_a_changed_password_ends_the_other_sessions(make_person):
    person = make_person(password=PASSWORD)
    here, there = Visitor(), Visitor()
    for one in (here, there):
        one.password(person.username)
    here.send("/sign-in/again", {"password": PASSWORD, "next": "/account/password"})

    answer = here.send(
        "/account/password",
        {
            "oldpassword": PASSWORD,
            "password1": "an-even-longer-one",
            "password2": "an-even-longer-one",
        },
    )

    assert answer["Location"] == "/account"
    assert here.is_in
    assert not there.is_in


@pytest.mark.parametrize("path", ["/sign-in", "/reset", "/invitation", "/sign-in/again"])
def test_a_form_of_another_site_is_refused(path, make_person, signed_in):
    client = Client(enforce_csrf_checks=True)

    assert client.post(path, {"username": "x", "password": "y"}).status_code == 403


def test_where_counters_cannot_be_written_nobody_signs_in_and_nothing_fails(
    visitor, make_person, monkeypatch
):
    from django.db import OperationalError

    from auditvault.access.identity.counters import ControlDatabaseCache

    person = make_person(password=PASSWORD)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the server at a place that must not be shown")

    monkeypatch.setattr(ControlDatabaseCache, "add", away)
    answer = visitor.password(person.username)

    assert answer.status_code == 503
    assert "must not be shown" not in answer.content.decode()
    assert not visitor.is_in
