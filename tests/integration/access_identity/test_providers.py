"""Signing in through an identity provider: a real process, asked over loopback, that errs where it is told to."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from auditvault.cli.up.sockets import free_port
from auditvault.core.policy.addresses import networks_of

from .conftest import PASSWORD, Visitor, code_at
from .provider_process import CLIENT, SECRET

ROOT = Path(__file__).parents[3]


class Corp:
    """The provider, and what it says of whoever comes next."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def next(self, **said: object) -> None:
        requests.post(f"{self.url}/next", json=said, timeout=10).raise_for_status()

    def there(self, visitor: Visitor, **fields: str) -> str:
        """Where the browser is sent."""
        page = "/account" if fields.get("process") == "connect" else "/sign-in"
        answer = visitor.send("/sign-in/with/corp", fields, page=page)
        assert answer.status_code == 200, answer["Location"]
        return unescape(
            re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.content.decode())[1]
        )

    def back(self, url: str) -> str:
        """What the provider sends the browser back with."""
        answer = requests.get(url, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"].removeprefix("http://testserver")

    def sign_in(self, visitor: Visitor, **fields: str):
        return visitor.client.get(self.back(self.there(visitor, **fields)))


@pytest.fixture(scope="module")
def process() -> Iterator[Corp]:
    port = free_port()
    argv = ["-m", "tests.integration.access_identity.provider_process", str(port)]
    running = subprocess.Popen([sys.executable, *argv], cwd=ROOT)
    corp = Corp(port)
    while running.poll() is None:
        try:
            corp.next()
            break
        except requests.ConnectionError:
            continue
    yield corp
    running.terminate()
    running.wait(30)


@pytest.fixture
def roles(tenant) -> dict:
    return {
        "auditors": [(tenant.slug, "eu", "auditor")],
        "investigators": [(tenant.slug, "eu", "investigator")],
        "engineers": [(tenant.slug, "eu", "engineer"), (tenant.slug, "us", "engineer")],
        "nowhere": [("no-such-tenant", "eu", "viewer")],
    }


@pytest.fixture
def corp(process, settings, roles) -> Corp:
    provider = {
        "app": {
            "provider_id": "corp", "name": "Example Corp", "client_id": CLIENT, "secret": SECRET,
            "settings": {
                "server_url": process.url, "issuer": process.url, "fetch_userinfo": False,
                "scope": ["openid", "profile"],
            },
        },
        "groups_claim": "groups",
        "roles": roles,
        "second_factor_amr": frozenset({"mfa"}),
        "second_factor_acr": frozenset(),
    }  # fmt: skip
    settings.OUTBOUND_ALLOWED_NETWORKS = networks_of(["127.0.0.0/8"])
    settings.IDENTITY_PROVIDERS = {"corp": provider}
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "provider_class": "auditvault.access.identity.oidc.StrictProvider",
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [provider["app"]],
        }
    }
    process.next()
    return process


def _subject() -> str:
    return f"subject-{uuid.uuid4().hex}"


def _person(subject: str):
    from allauth.socialaccount.models import SocialAccount

    found = SocialAccount.objects.filter(extra_data__subject=subject).first()
    return found and found.user


def _places(subject: str) -> dict[str, set[str]]:
    from auditvault.access.people import places_of

    return {
        place.key.partition(".")[2]: {role.value for role in place.roles}
        for place in places_of(_person(subject))
    }


def _come(corp: Corp, subject: str, *groups: str, visitor: Visitor | None = None, **claims: object):
    corp.next(claims={"sub": subject, "groups": list(groups), **claims})
    return corp.sign_in(visitor or Visitor())


def test_somebody_new_whose_group_gives_a_role_comes_in(corp, visitor):
    subject = _subject()

    answer = _come(corp, subject, "auditors", visitor=visitor)

    assert answer["Location"] == "/"
    assert visitor.client.get("/").status_code == 200
    assert _places(subject) == {"eu": {"auditor"}}
    assert not _person(subject).has_usable_password()


def test_the_request_has_pkce_a_nonce_and_no_parameter_from_outside(corp, visitor):
    there = corp.there(visitor, auth_params="prompt=none", scope="admin")
    asked = parse_qs(urlsplit(there).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["nonce"][0]) >= 32
    assert "prompt" not in asked
    assert set(asked["scope"][0].split()) == {"openid", "profile"}


def test_somebody_without_a_group_that_gives_a_role_does_not_come_in(corp):
    subject = _subject()

    answer = _come(corp, subject, "others")

    assert answer["Location"] == "/sign-in/refused?why=no-role"
    assert _person(subject) is None


def test_groups_give_and_take_at_each_sign_in(corp):
    subject = _subject()
    _come(corp, subject, "engineers")
    assert _places(subject) == {"eu": {"engineer"}, "us": {"engineer"}}

    _come(corp, subject, "auditors")
    assert _places(subject) == {"eu": {"auditor"}}

    _come(corp, subject)
    assert _places(subject) == {}


def test_a_role_that_was_given_by_hand_stays_whatever_the_groups_say(corp, tenant):
    from auditvault.access.people import grant_role

    subject = _subject()
    _come(corp, subject, "engineers")
    grant_role(
        username=_person(subject).username, tenant_slug=tenant.slug, region="eu", role="viewer"
    )

    _come(corp, subject)

    assert _places(subject) == {"eu": {"viewer"}}


def test_groups_that_give_too_much_give_nothing_new_and_let_nobody_in(corp):
    subject = _subject()
    _come(corp, subject, "engineers")
    visitor = Visitor()

    answer = _come(corp, subject, "auditors", "investigators", "engineers", visitor=visitor)

    assert answer["Location"] == "/sign-in/refused?why=duties"
    assert not visitor.is_in
    assert _places(subject) == {"eu": {"engineer"}, "us": {"engineer"}}


def test_a_new_person_whose_groups_give_too_much_is_not_made(corp):
    subject = _subject()

    _come(corp, subject, "auditors", "investigators")

    assert _person(subject) is None


def test_what_groups_no_longer_give_goes_even_where_the_rest_is_refused(corp):
    subject = _subject()
    _come(corp, subject, "engineers")

    _come(corp, subject, "auditors", "investigators")

    assert _places(subject) == {}


def test_a_mapping_to_a_place_that_is_not_there_is_refused(corp):
    assert _come(corp, _subject(), "nowhere")["Location"] == "/sign-in/refused?why=mapping"


@pytest.mark.parametrize("groups", ["auditors", {"auditors": 1}, [["auditors"]], 7, None])
def test_a_claim_of_another_form_gives_no_more_than_it_says(corp, groups):
    corp.next(claims={"sub": _subject(), "groups": groups})

    answer = corp.sign_in(Visitor())

    expected = "/" if groups == "auditors" else "/sign-in/refused?why=no-role"
    assert answer["Location"] == expected


WRONG = {
    "another issuer": {"claims": {"iss": "https://elsewhere.example"}},
    "another client": {"claims": {"aud": "another-client"}},
    "another client as well": {"claims": {"aud": [CLIENT, "another-client"]}},
    "for another party": {"claims": {"azp": "another-client"}},
    "another attempt": {"claims": {"nonce": "of-another-attempt"}},
    "no nonce": {"without": ["nonce"]},
    "no subject": {"without": ["sub"]},
    "an empty subject": {"claims": {"sub": ""}},
    "no end": {"without": ["exp"]},
    "over": {"claims": {"exp": 1}},
    "from tomorrow": {"claims": {"iat": 4_000_000_000, "nbf": 4_000_000_000}},
    "not signed": {"signed": "not at all"},
    "signed under the client's secret": {"signed": "under the client's secret"},
    "signed under the public key": {"signed": "under the public key"},
    "signed by another key": {"signed": "by another key"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_is_not_for_this_attempt_lets_nobody_in(corp, visitor, wrong):
    said = {**WRONG[wrong]}
    said["claims"] = {"groups": ["auditors"], **said.get("claims", {})}
    corp.next(**said)

    answer = corp.sign_in(visitor)

    assert answer.status_code == 401 or answer["Location"].startswith("/sign-in/refused")
    assert not visitor.is_in


def test_a_discovery_document_of_another_issuer_is_refused(corp, visitor):
    corp.next(discovery={"issuer": "https://elsewhere.example"})

    answer = visitor.send("/sign-in/with/corp", {}, page="/sign-in")

    assert answer["Location"] == "/sign-in/refused?why=provider"


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/token",
        "https://192.168.0.1/token",
    ],
)
def test_no_document_sends_this_service_into_a_private_network(corp, visitor, place):
    corp.next(discovery={"token_endpoint": place}, claims={"groups": ["auditors"]})

    answer = corp.sign_in(visitor)

    assert answer.status_code == 503
    assert not visitor.is_in


def test_a_provider_in_a_private_network_is_not_asked_unless_that_is_allowed(
    corp, visitor, settings
):
    settings.OUTBOUND_ALLOWED_NETWORKS = ()

    answer = visitor.send("/sign-in/with/corp", {}, page="/sign-in")

    assert answer.status_code == 503


def test_a_redirect_is_not_followed(corp, visitor):
    corp.next(redirect=f"{corp.url}/keys")

    answer = visitor.send("/sign-in/with/corp", {}, page="/sign-in")

    assert answer["Location"] == "/sign-in/refused?why=provider"


def test_an_answer_works_once_and_in_its_own_browser(corp, visitor):
    corp.next(claims={"sub": _subject(), "groups": ["auditors"]})
    back = corp.back(corp.there(visitor))
    thief = Visitor()

    assert thief.client.get(back).status_code == 401
    assert not thief.is_in
    assert visitor.client.get(back)["Location"] == "/"
    visitor.client.post("/sign-out")
    again = Visitor()
    again.client.cookies = visitor.client.cookies
    assert again.client.get(back).status_code == 401


def test_an_answer_of_another_issuer_is_refused(corp, visitor):
    corp.next(claims={"groups": ["auditors"]})
    back = corp.back(corp.there(visitor))

    answer = visitor.client.get(f"{back}&iss=https://elsewhere.example")

    assert answer["Location"] == "/sign-in/refused?why=provider"
    assert not visitor.is_in


def test_an_address_alone_opens_no_account_and_makes_no_second_one(corp, make_person):
    person = make_person(password=PASSWORD, email=f"{uuid.uuid4().hex}@example.org")
    subject = _subject()

    answer = _come(corp, subject, "auditors", email=person.email.upper(), email_verified=True)

    assert answer["Location"] == "/sign-in/refused?why=connect"
    assert _person(subject) is None


def test_an_address_that_nobody_confirmed_is_not_looked_at(corp, make_person):
    person = make_person(password=PASSWORD, email=f"{uuid.uuid4().hex}@example.org")
    subject = _subject()

    _come(corp, subject, "auditors", email=person.email)

    assert _person(subject) != person
    assert _person(subject).email == ""


def test_who_connects_stays_one_human(corp, make_strong, tenant):
    person, secret = make_strong({f"{tenant.slug}.eu": "viewer"})
    subject = _subject()
    visitor = Visitor()
    visitor.password(person.username)
    visitor.code(code_at(secret))
    corp.next(claims={"sub": subject, "groups": ["engineers"]})
    visitor.send("/sign-in/again", {"password": PASSWORD, "next": "/account"})

    answer = corp.sign_in(visitor, process="connect")

    assert answer.status_code == 302
    assert _person(subject) == person
    assert _person(subject).human_id == person.human_id


def test_to_connect_one_says_again_who_one_is(corp, make_person):
    person = make_person(password=PASSWORD)
    subject = _subject()
    visitor = Visitor()
    visitor.password(person.username)
    corp.next(claims={"sub": subject, "groups": ["engineers"]})

    answer = corp.sign_in(visitor, process="connect")

    assert answer["Location"].startswith("/sign-in/again")
    assert _person(subject) is None


def test_a_closed_account_is_not_opened_by_its_provider(corp):
    subject = _subject()
    _come(corp, subject, "auditors")
    person = _person(subject)
    type(person).objects.filter(pk=person.pk).update(is_active=False)
    visitor = Visitor()

    answer = _come(corp, subject, "auditors", visitor=visitor)

    assert answer["Location"] == "/sign-in/refused?why=closed"
    assert not visitor.is_in


def test_the_same_subject_at_another_issuer_is_somebody_else(corp):
    from auditvault.access.identity.oidc import StrictProvider

    one, other = (
        StrictProvider.extract_uid(None, {"id_token": {"iss": issuer, "sub": "somebody"}})
        for issuer in ("https://a.example", "https://b.example")
    )

    assert one != other


@pytest.mark.parametrize(
    ("amr", "strong"), [(["pwd", "mfa"], True), (["pwd"], False), ("mfa", False), (None, False)]
)
def test_a_providers_second_factor_counts_where_the_site_believes_it(corp, amr, strong):
    from auditvault.access.identity.strength import strength_of

    subject, visitor = _subject(), Visitor()
    _come(corp, subject, "investigators", visitor=visitor, **({"amr": amr} if amr else {}))

    found = strength_of(
        visitor.client.session, account=str(_person(subject).pk), now=datetime.now(UTC)
    )

    assert (found.strong_until is not None) is strong


def test_who_has_a_factor_here_is_asked_for_it_after_their_provider(corp):
    from auditvault.access.identity.recovery import seed_app

    subject = _subject()
    _come(corp, subject, "investigators")
    secret = seed_app(username=_person(subject).username)
    visitor = Visitor()

    answer = _come(corp, subject, "investigators", visitor=visitor)

    assert answer["Location"] == "/sign-in/second-factor"
    assert visitor.code(code_at(secret)).status_code == 302


def test_what_is_kept_of_a_claim_is_issuer_and_subject(corp):
    from allauth.socialaccount.models import SocialAccount, SocialToken

    subject = _subject()
    _come(corp, subject, "auditors", name="Somebody By Name", email="x@example.org")

    row = SocialAccount.objects.get(extra_data__subject=subject)
    assert row.extra_data == {"issuer": corp.url, "subject": subject}
    assert not SocialToken.objects.exists()
