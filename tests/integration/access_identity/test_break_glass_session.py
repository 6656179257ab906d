"""Break-glass is opened in a session of somebody who has just said who they are, and by no token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.staff import STRONG_FOR
from tests.staff import make_person as make_staff

from .conftest import code_at

PATH = "/api/v1/access/break-glass"
BODY = {"case": "INC-1", "reason": "The hospital asks at once what the assistant said"}


@pytest.fixture
def browser(make_strong, visitor, tenant):
    """An investigator who has signed in with a second factor; two others would be told."""
    for _ in range(2):
        officer = make_staff(tenant, "privacy_officer").user
        officer.email = f"{officer.username}@acme.example"
        officer.save()
    person, secret = make_strong({f"{tenant.slug}.eu": "investigator"})
    visitor.password(person.username)
    visitor.code(code_at(secret))
    return SimpleNamespace(person=person, client=visitor.client)


def opened(browser):
    """Status and code of the answer, or its review state."""
    answer = browser.client.post(
        PATH,
        data=BODY,
        content_type="application/json",
        headers={"X-CSRFToken": browser.client.cookies["csrftoken"].value},
    )
    said = answer.json()
    return answer.status_code, said.get("code") or said["review"]


def age(browser, **names):
    """Set times of the session back."""
    session = browser.client.session
    for name, ago in names.items():
        if name == "records":
            for each in session["account_authentication_methods"]:
                each["at"] -= ago.total_seconds()
        else:
            session[name] = (datetime.now(UTC) - ago).timestamp()
    session.save()


def test_who_has_just_signed_in_opens_it(browser):
    assert opened(browser) == (201, "open")
    (listed,) = browser.client.get(PATH).json()["break_glass"]
    ended = browser.client.post(
        f"{PATH}/{listed['id']}/end",
        data={},
        content_type="application/json",
        headers={"X-CSRFToken": browser.client.cookies["csrftoken"].value},
    )
    assert (ended.status_code, ended.json()["review"]) == (200, "waiting")


def test_who_signed_in_longer_ago_says_again_who_they_are(browser):
    age(browser, records=timedelta(minutes=6))

    assert opened(browser) == (403, "reauthentication_required")


def test_a_session_that_is_over_opens_nothing(browser):
    age(browser, seen_at=timedelta(hours=1))

    assert opened(browser)[0] == 401


def test_a_persons_token_opens_nothing_however_strong(browser, client, tenant):
    from auditvault.access.tokens import create_token

    now = datetime.now(UTC)
    token = create_token(
        tenant_slug=tenant.slug,
        regions=("eu",),
        roles=("investigator",),
        lifetime=STRONG_FOR,
        now=now,
        human=browser.person.human_id,
        strong_until=now + STRONG_FOR,
    )
    answer = client.post(
        PATH,
        data=BODY,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "human_required")
