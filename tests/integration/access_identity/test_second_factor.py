"""Second factors: asked for, accepted once, needed for what is dangerous."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest

from auditvault.core.policy.roles import Act, Role

from .conftest import PASSWORD, Visitor, code_at


def _recovery_codes(person) -> list[str]:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    return RecoveryCodes.activate(person).get_unused_codes()


def test_a_password_alone_does_not_let_in_who_has_a_second_factor(visitor, make_strong):
    person, _ = make_strong()

    answer = visitor.password(person.username)

    assert answer["Location"] == "/sign-in/second-factor"
    assert not visitor.is_in
    assert visitor.client.get("/")["Location"].startswith("/sign-in")


def test_a_code_lets_in_and_leads_to_the_page_that_was_asked_for(visitor, make_strong):
    person, secret = make_strong()
    visitor.password(person.username, next="/?status=error")

    answer = visitor.code(code_at(secret))

    assert answer["Location"] == "/?status=error"
    assert visitor.is_in


@pytest.mark.parametrize("code", ["000000", "", "x" * 500, "\uff11" * 6, "12345\x006"])
def test_a_wrong_code_lets_nobody_in(visitor, make_strong, code):
    person, secret = make_strong()
    visitor.password(person.username)
    if code == code_at(secret):
        code = "111111"

    assert visitor.code(code).status_code == 200
    assert not visitor.is_in


def test_a_code_works_once_in_all_of_its_time(make_strong, monkeypatch):
    person, secret = make_strong()
    now = time.time()
    code = code_at(secret, now)
    first, second, late = Visitor(), Visitor(), Visitor()
    for one in (first, second, late):
        one.password(person.username)

    assert first.code(code).status_code == 302
    assert second.code(code).status_code == 200
    # In the next period the framework has forgotten the code, and would accept it still.
    monkeypatch.setattr("time.time", lambda: now + 31)
    monkeypatch.setattr(
        "auditvault.access.identity.counters._now", lambda: datetime.fromtimestamp(now + 31, UTC)
    )
    assert late.code(code).status_code == 200
    assert not late.is_in


def test_a_code_of_two_minutes_ago_is_wrong(visitor, make_strong):
    person, secret = make_strong()
    visitor.password(person.username)

    assert visitor.code(code_at(secret, time.time() - 120)).status_code == 200


def test_a_recovery_code_works_once(make_strong):
    person, _ = make_strong()
    code = _recovery_codes(person)[0]
    first, second = Visitor(), Visitor()
    for one in (first, second):
        one.password(person.username)

    assert first.code(code).status_code == 302
    assert second.code(code).status_code == 200
    assert first.is_in
    assert not second.is_in


def test_codes_are_guessed_five_times_and_no_more(make_strong):
    person, secret = make_strong()
    visitors = [Visitor() for _ in range(2)]
    for one in visitors:
        one.password(person.username)
    for number in range(5):
        visitors[number % 2].code(f"{number:06}")

    answer = visitors[0].code(code_at(secret))

    assert answer.status_code == 200
    assert "Too many attempts" in answer.content.decode()


def test_a_secret_stands_encrypted_in_the_database(make_strong):
    from allauth.mfa.models import Authenticator

    person, secret = make_strong()
    _recovery_codes(person)

    for row in Authenticator.objects.filter(user=person):
        stored = str(row.data)
        assert secret not in stored
        assert "gAAAA" in stored


def test_an_app_is_added_with_its_first_code_and_makes_the_session_strong(
    visitor, make_person, tenant
):
    person = make_person({f"{tenant.slug}.eu": "investigator"}, password=PASSWORD)
    visitor.password(person.username)
    again = visitor.client.get("/account/app/add")
    assert again["Location"].startswith("/sign-in/again?next=")
    visitor.send("/sign-in/again", {"password": PASSWORD, "next": "/account/app/add"})
    page = visitor.client.get("/account/app/add").content.decode()
    secret = re.search(r'class="av-secret">(\w+)<', page)[1]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]

    answer = visitor.client.post(
        "/account/app/add", {"code": code_at(secret), "csrfmiddlewaretoken": token}
    )

    assert answer["Location"] == "/account/recovery-codes"
    shown = visitor.client.get("/account/recovery-codes").content.decode()
    assert len(re.findall(r"<li><code>\d{12}</code></li>", shown)) == 10
    assert not re.search(
        r"<code>\d", visitor.client.get("/account/recovery-codes").content.decode()
    )
    assert _credential(visitor, person).role_for(Act.RESOLVE_FULL) == Role.INVESTIGATOR


def _credential(visitor, person):
    """What the person's session is for the services."""
    from auditvault.access.identity.strength import strength_of
    from auditvault.access.people import credential_of, places_of

    strength = strength_of(visitor.client.session, account=str(person.pk), now=datetime.now(UTC))
    return credential_of(person, places_of(person)[0], strength)


def test_without_a_second_factor_what_needs_one_is_refused_and_the_rest_goes_on(
    visitor, make_person, tenant
):
    from auditvault.access.credentials import SecondFactorRequiredError

    person = make_person({f"{tenant.slug}.eu": "investigator"}, password=PASSWORD)
    visitor.password(person.username)
    credential = _credential(visitor, person)

    assert credential.role_for(Act.READ_HEADERS) == Role.INVESTIGATOR
    assert visitor.client.get("/").status_code == 200
    with pytest.raises(SecondFactorRequiredError):
        credential.role_for(Act.RESOLVE_FULL)
    with pytest.raises(SecondFactorRequiredError):
        credential.require_strong(datetime.now(UTC))


def test_a_site_can_ask_for_a_second_factor_of_further_roles(
    visitor, make_person, tenant, settings
):
    from auditvault.access.credentials import SecondFactorRequiredError

    settings.SECOND_FACTOR_ROLES = ["auditor"]
    person = make_person({f"{tenant.slug}.eu": "auditor"}, password=PASSWORD)
    visitor.password(person.username)

    with pytest.raises(SecondFactorRequiredError):
        _credential(visitor, person).role_for(Act.READ_HEADERS)
    assert visitor.client.get("/").status_code == 403


def test_a_session_is_strong_until_its_absolute_limit(visitor, make_strong, tenant, settings):
    person, secret = make_strong({f"{tenant.slug}.eu": "investigator"})
    visitor.password(person.username)
    visitor.code(code_at(secret))
    now = datetime.now(UTC)

    credential = _credential(visitor, person)

    assert credential.require_strong(now) == person.human_id
    assert credential.require_recent(now) == person.human_id
    left = credential.strong_until - now
    assert 7.9 < left.total_seconds() / 3600 <= 8


def test_nothing_that_another_account_proved_counts(visitor, make_strong, make_person, tenant):
    person, secret = make_strong()
    other = make_person({f"{tenant.slug}.eu": "investigator"})
    visitor.password(person.username)
    visitor.code(code_at(secret))

    assert _credential(visitor, other).strong_until is None


def test_forgotten_factors_end_all_sessions(visitor, make_strong):
    from auditvault.access.identity.recovery import forget_factors

    person, secret = make_strong()
    visitor.password(person.username)
    visitor.code(code_at(secret))

    forget_factors(username=person.username)

    assert not visitor.is_in
    assert visitor.password(person.username).status_code == 200


def test_a_removed_app_asks_for_the_password_first_and_is_gone(visitor, make_strong):
    from allauth.mfa.models import Authenticator

    person, secret = make_strong()
    visitor.password(person.username)
    visitor.code(code_at(secret))

    assert visitor.client.get("/account/app/remove")["Location"].startswith("/sign-in/again")
    visitor.send("/sign-in/again", {"password": PASSWORD, "next": "/account"})
    visitor.send("/account/app/remove", {})

    assert not Authenticator.objects.filter(user=person).exists()
