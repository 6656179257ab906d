"""People with and without a second factor, and a browser that signs them in as a person would."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from tests.integration.console.conftest import make_person, signed_in  # noqa: F401  # fixtures
from tests.integration.loopback_only import loopback_only  # noqa: F401  # fixture

PASSWORD = "long-enough-to-try"


class Visitor:
    """A browser of one person, which sends what a page's form would send."""

    def __init__(self, **more: Any) -> None:
        self.client = Client(enforce_csrf_checks=True, **more)

    def send(
        self, path: str, fields: dict[str, str], *, page: str | None = None, **more: Any
    ) -> Any:
        """The answer to the form of `page` (default: `path`), filled in."""
        text = self.client.get(page or path).content.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
        assert token, text
        return self.client.post(path, {**fields, "csrfmiddlewaretoken": token[1]}, **more)

    def password(self, username: str, password: str = PASSWORD, **more: str) -> Any:
        """The answer to user name and password."""
        return self.send("/sign-in", {"username": username, "password": password, **more})

    def code(self, code: str) -> Any:
        """The answer to a second factor."""
        return self.send("/sign-in/second-factor", {"code": code})

    @property
    def is_in(self) -> bool:
        """Whether the account's page is shown."""
        return self.client.get("/account").status_code == 200


@pytest.fixture
def visitor(service: Any) -> Visitor:
    return Visitor()


@pytest.fixture(autouse=True)
def fresh_counters(service: Any) -> Iterator[None]:
    """Tests come from one address: without this they would slow each other down."""
    from django.core.cache import cache

    cache.clear()
    yield
    cache.clear()


def code_at(secret: str, at: float | None = None) -> str:
    """The code of an authenticator app at an instant (default: now)."""
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

    return str(format_hotp_value(hotp_value(secret, int((at or time.time()) // 30))))


@pytest.fixture
def make_strong(make_person: Callable[..., Any]) -> Callable[..., Any]:  # noqa: F811
    """`make_strong(roles)` is a person with a password and an authenticator app, and the app's secret."""
    from auditvault.access.identity.recovery import seed_app

    def make(roles: dict[str, str] | None = None) -> tuple[Any, str]:
        person = make_person(roles, password=PASSWORD)
        return person, seed_app(username=person.username)

    return make


@pytest.fixture
def settings(service: Any) -> Iterator[Any]:
    """Settings of this site, changed for one test by assignment."""
    from django.test import override_settings

    changed: list[Any] = []

    class Site:
        def __setattr__(self, name: str, value: Any) -> None:
            changed.append(override_settings(**{name: value}))
            changed[-1].enable()

    yield Site()
    for one in reversed(changed):
        one.disable()


@pytest.fixture
def links(service: Any) -> Any:
    """The module of invitations and resets: it holds models, which can be imported once Django is set up."""
    from auditvault.access.identity import entry_links

    return entry_links
