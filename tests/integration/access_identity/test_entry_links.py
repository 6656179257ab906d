"""Invitations and resets: one person, once, in time."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from .conftest import Visitor, code_at

NEW = "quite-a-long-password"


def _name() -> str:
    return f"p-{uuid.uuid4().hex[:20]}"


def _invite(links, **more) -> tuple[str, str]:
    name = _name()
    token = links.invite(username=name, email=f"{name}@example.org", now=datetime.now(UTC), **more)
    return name, token


def _accept(visitor: Visitor, token: str, password: str = NEW):
    answer = visitor.client.get(f"/invitation/{token}")
    assert answer["Location"] == "/invitation"
    return visitor.send("/invitation", {"password": password, "again": password})


def test_an_invitation_leads_to_a_password_and_then_to_a_second_factor(links, visitor, tenant):
    name, token = _invite(links, roles=[(tenant.slug, "eu", "investigator")])

    answer = _accept(visitor, token)

    assert answer["Location"] == "/account/app/add"
    page = visitor.client.get("/account/app/add").content.decode()
    secret = re.search(r'class="av-secret">(\w+)<', page)[1]
    csrf = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    added = visitor.client.post(
        "/account/app/add", {"code": code_at(secret), "csrfmiddlewaretoken": csrf}
    )
    assert added["Location"] == "/account/recovery-codes"
    assert Visitor().password(name, NEW)["Location"] == "/sign-in/second-factor"


def test_an_invitation_opens_once(links, visitor):
    _, token = _invite(links)
    _accept(visitor, token)
    later = Visitor()

    later.client.get(f"/invitation/{token}")

    assert later.client.get("/invitation").status_code == 404


def test_of_two_who_use_a_link_at_once_one_does(links):
    from django.db import connections

    _, token = _invite(links)

    def use(number: int) -> bool:
        try:
            links.use(token, password=f"{NEW}-{number}", now=datetime.now(UTC))
        except links.EntryLinkError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(use, range(4))) == [False, False, False, True]


@pytest.mark.parametrize("hours", [73, 24 * 365])
def test_an_invitation_is_over_after_its_time(links, hours):
    _, token = _invite(links)

    with pytest.raises(links.EntryLinkError):
        links.look_up(token, now=datetime.now(UTC) + timedelta(hours=hours))
    assert links.look_up(token, now=datetime.now(UTC) + timedelta(hours=71))


@pytest.mark.parametrize("token", ["", "x", "x" * 5000, "é", "../..", "\x00"])
def test_a_token_that_was_not_given_out_opens_nothing(links, token):
    with pytest.raises(links.EntryLinkError):
        links.look_up(token, now=datetime.now(UTC))


def test_a_token_stands_hashed_in_the_database(links):
    from auditvault.access.identity.models import EntryLink

    name, token = _invite(links)
    row = EntryLink.objects.get(person__username=name)

    assert token.encode() not in bytes(row.token_hash)
    assert len(bytes(row.token_hash)) == 32


@pytest.mark.parametrize("password", ["short", "password1234", "111111111111", ""])
def test_a_weak_password_is_refused_and_the_link_still_works(links, visitor, password):
    _, token = _invite(links)

    refused = _accept(visitor, token, password)

    assert refused.status_code == 400
    assert _accept(visitor, token).status_code == 302


def test_a_password_that_is_the_name_is_refused(links, visitor):
    name, token = _invite(links)

    assert _accept(visitor, token, name).status_code == 400


def test_a_reset_ends_sessions_and_does_not_get_around_the_second_factor(links, make_strong):
    person, secret = make_strong()
    inside = Visitor()
    inside.password(person.username)
    inside.code(code_at(secret))
    token = links.make_reset(username=person.username, now=datetime.now(UTC))
    outside = Visitor()

    answer = _accept(outside, token)

    assert answer["Location"] == "/sign-in"
    assert not inside.is_in
    assert not outside.is_in
    assert outside.password(person.username, NEW)["Location"] == "/sign-in/second-factor"


def test_a_reset_by_letter_reaches_who_has_the_address_and_nobody_else(
    links, make_person, settings
):
    from django.core import mail

    from auditvault.console.account.mail import _send_reset

    settings.EMAIL_HOST = "mail.example.org"
    person = make_person(password=NEW, email=f"{_name()}@example.org")
    mail.outbox = []
    for address in (person.email.upper(), "nobody@example.org"):
        _send_reset(address, "https://audit.example.org/")

    (letter,) = mail.outbox
    assert letter.to == [person.email]
    link = re.search(r"https://audit\.example\.org(/invitation/\S+)", letter.body)[1]
    assert links.look_up(link.rpartition("/")[2], now=datetime.now(UTC)).person == person


def test_an_address_that_two_accounts_have_gets_no_letter(links, make_person):
    address = f"{_name()}@example.org"
    for _ in range(2):
        make_person(password=NEW, email=address)

    assert links.reset_for_address(email=address, now=datetime.now(UTC)) is None


def test_who_was_closed_meanwhile_comes_in_by_no_link(links):
    from auditvault.access.models import User

    name, token = _invite(links)
    User.objects.filter(username=name).update(is_active=False)

    with pytest.raises(links.EntryLinkError):
        links.use(token, password=NEW, now=datetime.now(UTC))


def test_an_invitation_that_cannot_be_given_leaves_nobody(links, tenant):
    from auditvault.access.models import User
    from auditvault.access.people import GrantError
    from auditvault.core.policy.separation import SeparationError

    for roles, error in (
        ([(tenant.slug, "eu", "auditor"), (tenant.slug, "eu", "investigator")], SeparationError),
        ([(tenant.slug, "mars", "auditor")], GrantError),
    ):
        name = _name()
        with pytest.raises(error):
            links.invite(username=name, email="a@example.org", roles=roles, now=datetime.now(UTC))
        assert not User.objects.filter(username=name).exists()


def test_a_taken_name_is_no_second_account(links):
    name, _ = _invite(links)

    with pytest.raises(links.InvitationError):
        links.invite(username=name, email="b@example.org", now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("role", "strong", "region", "error"),
    [
        ("auditor", True, "eu", "AccessDeniedError"),
        ("security_admin", False, "eu", "SecondFactorRequiredError"),
        ("security_admin", True, "us", "InvitationError"),
        ("security_admin", True, "eu", None),
    ],
)
def test_who_gives_roles_invites_for_their_own_place(
    links, make_person, tenant, role, strong, region, error
):
    from auditvault.access.identity.strength import WEAK, Strength
    from auditvault.access.people import credential_of, places_of

    now = datetime.now(UTC)
    inviter = make_person({f"{tenant.slug}.eu": role})
    proved = Strength(strong_until=now + timedelta(hours=1)) if strong else WEAK
    credential = credential_of(inviter, places_of(inviter)[0], proved)
    asked = {"roles": [(tenant.slug, region, "viewer")], "invited_by": credential}

    if error is None:
        assert _invite(links, **asked)
    else:
        with pytest.raises(Exception) as raised:  # noqa: PT011  # named below
            _invite(links, **asked)
        assert type(raised.value).__name__ == error


def test_the_command_prints_a_link_once(links, tenant):
    name, out = _name(), StringIO()

    call_command(
        "person",
        "invite",
        name,
        email=f"{name}@example.org",
        role=[f"{tenant.slug}.eu:auditor"],
        url="https://audit.example.org/",
        json=True,
        stdout=out,
    )

    link = json.loads(out.getvalue())["link"]
    assert link.startswith("https://audit.example.org/invitation/")
    assert links.look_up(link.rpartition("/")[2], now=datetime.now(UTC)).person.username == name
    with pytest.raises(CommandError):
        call_command("person", "invite", name, email="a@example.org", stdout=StringIO())
    with pytest.raises(CommandError):
        call_command("person", "reset", "nobody-of-that-name", stdout=StringIO())
