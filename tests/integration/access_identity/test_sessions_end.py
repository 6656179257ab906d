"""Sessions end on the server: unused, old, or of somebody who went, for pages and the API alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from .conftest import PASSWORD, code_at


def _age(client: Client, **ago: timedelta) -> None:
    session = client.session
    for name, delta in ago.items():
        session[name] = (datetime.now(UTC) - delta).timestamp()
    session.save()


@pytest.fixture
def auditor(signed_in, tenant) -> Client:
    return signed_in({f"{tenant.slug}.eu": "auditor"})


@pytest.mark.parametrize(
    ("ago", "status"),
    [
        ({"seen_at": timedelta(minutes=29)}, 200),
        ({"seen_at": timedelta(minutes=31)}, 302),
        ({"signed_in_at": timedelta(hours=7, minutes=59)}, 200),
        ({"signed_in_at": timedelta(hours=8, minutes=1)}, 302),
    ],
)
def test_a_session_ends_when_unused_or_old(auditor, ago, status):
    _age(auditor, **ago)

    assert auditor.get("/").status_code == status
    assert auditor.get("/api/v1/logs").status_code == (200 if status == 200 else 401)


def test_a_session_that_is_over_is_deleted_and_does_not_come_back(auditor):
    from django.contrib.sessions.models import Session

    key = auditor.cookies["sessionid"].value
    _age(auditor, seen_at=timedelta(hours=1))
    auditor.get("/")

    assert not Session.objects.filter(session_key=key).exists()


def test_use_moves_the_idle_limit_and_not_the_absolute_one(auditor):
    _age(auditor, seen_at=timedelta(minutes=20), signed_in_at=timedelta(hours=7))
    before = auditor.session["signed_in_at"]

    auditor.get("/")

    assert datetime.now(UTC).timestamp() - auditor.session["seen_at"] < 60
    assert auditor.session["signed_in_at"] == before


def test_a_session_that_knows_no_time_is_over(auditor):
    session = auditor.session
    del session["seen_at"]
    session.save()

    assert auditor.get("/").status_code == 302


def test_the_api_takes_a_session_as_the_person(auditor, signed_in, tenant):
    assert {log["kind"] for log in auditor.get("/api/v1/logs").json()["logs"]} >= set()
    viewer = signed_in({f"{tenant.slug}.eu": "viewer"})
    assert viewer.get("/api/v1/logs").json()["code"] == "access_denied"


def test_the_api_asks_which_place_is_meant(signed_in, tenant, other_tenant):
    person = signed_in(
        {
            f"{tenant.slug}.eu": "auditor",
            f"{tenant.slug}.us": "auditor",
            f"{other_tenant.slug}.eu": "auditor",
        }
    )

    unsaid = person.get("/api/v1/logs", headers={"Auditvault-Region": "eu"})
    said = person.get(
        "/api/v1/logs", headers={"Auditvault-Region": "eu", "Auditvault-Tenant": tenant.slug}
    )
    elsewhere = person.get(
        "/api/v1/logs", headers={"Auditvault-Region": "us", "Auditvault-Tenant": other_tenant.slug}
    )

    assert (unsaid.status_code, unsaid.json()["code"]) == (400, "place_required")
    assert said.status_code == 200
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "region_denied")


def test_the_api_refuses_a_session_across_sites_and_takes_the_pages_token(make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "engineer"})
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    browser.get("/account")
    token = browser.cookies["csrftoken"].value
    body = {"data": "{}", "content_type": "application/json"}

    across = browser.post("/api/v1/traces/search", **body)
    ours = browser.post("/api/v1/traces/search", **body, headers={"X-CSRFToken": token})

    assert (across.status_code, across.json()["code"]) == (403, "cross_site_refused")
    assert ours.status_code == 200


def test_the_api_lets_nobody_see_content_without_a_second_factor(
    visitor, make_strong, make_person, tenant
):
    weak = make_person({f"{tenant.slug}.eu": "investigator"})
    browser = Client()
    browser.force_login(weak, backend="django.contrib.auth.backends.ModelBackend")
    body = {
        "content_hash": "sha256:" + "0" * 64,
        "purpose": {"code": "INCIDENT", "case": "INC-1", "reason": "a reason that is long enough"},
    }
    refused = browser.post("/api/v1/resolve", data=body, content_type="application/json")
    person, secret = make_strong({f"{tenant.slug}.eu": "investigator"})
    visitor.password(person.username)
    visitor.code(code_at(secret))
    token = visitor.client.cookies["csrftoken"].value
    looked = visitor.client.post(
        "/api/v1/resolve",
        data=body,
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )

    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    assert (looked.status_code, looked.json()["code"]) == (403, "grant_missing")


def test_a_token_in_the_header_is_who_calls_whatever_the_session_says(auditor, tenant):
    answer = auditor.get("/api/v1/logs", headers=tenant.headers("viewer"))

    assert answer.json()["code"] == "access_denied"


def test_who_said_it_too_long_ago_says_again_who_they_are(make_person, tenant):
    from auditvault.access.credentials import ReauthenticationRequiredError
    from auditvault.access.identity.strength import Strength
    from auditvault.access.people import credential_of, places_of

    person = make_person({f"{tenant.slug}.eu": "auditor"}, password=PASSWORD)
    now = datetime.now(UTC)
    place = places_of(person)[0]

    for ago, recent in ((0, True), (299, True), (301, False), (-5, False)):
        strength = Strength(reauthenticated_at=now - timedelta(seconds=ago))
        credential = credential_of(person, place, strength)
        if recent:
            assert credential.require_recent(now) == person.human_id
        else:
            with pytest.raises(ReauthenticationRequiredError):
                credential.require_recent(now)
    with pytest.raises(ReauthenticationRequiredError):
        credential_of(person, place).require_recent(now)
