"""A person's own tokens: never more than the person, and strong only where the session was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from .conftest import code_at


def _ask(client: Client, headers: dict | None = None, **body):
    return client.post(
        "/api/v1/access/tokens/mine",
        data=body,
        content_type="application/json",
        headers=headers or {},
    )


def _credential(token: str):
    from auditvault.access.tokens import authenticate

    return authenticate(token, now=datetime.now(UTC))


def test_a_person_makes_a_token_that_works_as_them(signed_in, tenant):
    person = signed_in({f"{tenant.slug}.eu": "auditor"})

    answer = _ask(person, roles=["auditor"])

    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    token = answer.json()["token"]
    assert (
        Client().get("/api/v1/logs", headers={"Authorization": f"Bearer {token}"}).status_code
        == 200
    )
    assert _credential(token).strong_until is None


@pytest.mark.parametrize("roles", [["investigator"], ["auditor", "viewer"], ["ingest"], [], ["x"]])
def test_a_role_that_one_does_not_have_is_not_in_a_token(signed_in, tenant, roles):
    person = signed_in({f"{tenant.slug}.eu": "auditor"})

    assert _ask(person, roles=roles).status_code == 400


def test_a_token_makes_no_token(signed_in, tenant):
    person = signed_in({f"{tenant.slug}.eu": "auditor"})
    own = _ask(person, roles=["auditor"]).json()["token"]

    for token in (own, tenant.token("auditor")):
        answer = _ask(Client(), {"Authorization": f"Bearer {token}"}, roles=["auditor"])
        assert (answer.status_code, answer.json()["code"]) == (403, "human_required")


def test_a_token_of_a_strong_session_is_strong_and_no_longer_than_that(
    visitor, make_strong, tenant
):
    person, secret = make_strong({f"{tenant.slug}.eu": "investigator"})
    visitor.password(person.username)
    visitor.code(code_at(secret))
    csrf = visitor.client.cookies["csrftoken"].value

    token = _ask(visitor.client, {"X-CSRFToken": csrf}, roles=["investigator"], hours=48).json()[
        "token"
    ]

    left = _credential(token).strong_until - datetime.now(UTC)
    assert timedelta(hours=7, minutes=55) < left <= timedelta(hours=8)


def test_a_token_that_was_strong_is_weak_afterwards_and_is_refused_content(
    visitor, make_strong, tenant
):
    from auditvault.access.credentials import SecondFactorRequiredError
    from auditvault.access.models import ApiToken
    from auditvault.core.policy.roles import Act

    person, secret = make_strong({f"{tenant.slug}.eu": "investigator"})
    visitor.password(person.username)
    visitor.code(code_at(secret))
    csrf = visitor.client.cookies["csrftoken"].value
    token = _ask(visitor.client, {"X-CSRFToken": csrf}, roles=["investigator"], hours=48).json()[
        "token"
    ]
    ApiToken.objects.filter(human=person.human).update(
        strong_until=datetime.now(UTC) - timedelta(seconds=1)
    )

    credential = _credential(token)

    assert credential.role_for(Act.READ_HEADERS)
    with pytest.raises(SecondFactorRequiredError):
        credential.role_for(Act.RESOLVE_FULL)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "[" * 50_000, '{"roles": "auditor"}', '{"roles": ["auditor"], "human": 1}',
             '{"roles": ["auditor"], "hours": 0}', '{"roles": ["auditor"], "hours": 1e9}'],
)  # fmt: skip
def test_a_bad_body_is_refused(signed_in, tenant, body):
    person = signed_in({f"{tenant.slug}.eu": "auditor"})

    answer = person.post("/api/v1/access/tokens/mine", data=body, content_type="application/json")

    assert answer.status_code == 400


def test_a_session_of_another_site_makes_no_token(make_person, tenant):
    person = make_person({f"{tenant.slug}.eu": "auditor"})
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")

    assert _ask(browser, roles=["auditor"]).status_code == 403
