"""What a session has proved about the person who uses it, and for how long the session lives.

django-allauth keeps in the session which methods somebody used and when (`account_authentication_methods`). This module
reads that and nothing else: pages and the API get the same answer. Times in a session are seconds since 1970, since a
session holds JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from auditvault.core.policy.roles import Role

_RECORDS = "account_authentication_methods"
_RECORDS_OF = "account_authentication_methods_user"
SIGNED_IN = "signed_in_at"
SEEN = "seen_at"
# A request need not write: within this time nobody could tell the difference.
_SEEN_RESOLUTION = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """What a session proves."""

    strong_until: datetime | None = None
    """Until when the person counts as proved by a second factor; None where they are not."""
    reauthenticated_at: datetime | None = None
    """When they last said who they are, by any method."""


WEAK = Strength()


def strength_of(session: Mapping[str, Any], *, account: str, now: datetime) -> Strength:
    """What the session has proved about the account with that primary key.

    A second factor counts until the session's absolute limit, from when it was given.
    """
    records = session.get(_RECORDS)
    if session.get(_RECORDS_OF) != account or not isinstance(records, list):
        return WEAK
    times = [at for record in records if (at := _instant(record.get("at"))) and at <= now]
    strong = [
        at
        for record in records
        if _is_second_factor(record) and (at := _instant(record.get("at"))) and at <= now
    ]
    until = max(strong) + absolute_limit() if strong else None
    return Strength(
        strong_until=until if until and until > now else None,
        reauthenticated_at=max(times, default=None),
    )


def begin(session: MutableMapping[str, Any], *, now: datetime) -> None:
    """Somebody signed in: from here on the session's limits count."""
    session[SIGNED_IN] = session[SEEN] = now.timestamp()


def is_over(session: Mapping[str, Any], *, now: datetime) -> bool:
    """Whether a signed-in session is past its idle or its absolute limit; one that knows neither time is."""
    signed_in, seen = _instant(session.get(SIGNED_IN)), _instant(session.get(SEEN))
    if signed_in is None or seen is None:
        return True
    return now - signed_in > absolute_limit() or now - seen > idle_limit()


def touch(session: MutableMapping[str, Any], *, now: datetime) -> None:
    """The session was used. Written at most once a minute."""
    seen = _instant(session.get(SEEN))
    if seen is None or now - seen >= _SEEN_RESOLUTION:
        session[SEEN] = now.timestamp()


def idle_limit() -> timedelta:
    """How long a session may go unused."""
    return timedelta(minutes=settings.SESSION_IDLE_MINUTES)


def absolute_limit() -> timedelta:
    """How long a session lives, used or not."""
    return timedelta(hours=settings.SESSION_HOURS)


def strong_roles() -> frozenset[Role]:
    """The roles that this site lets nobody use without a second factor, besides the acts that always take one."""
    return frozenset(Role(name) for name in settings.SECOND_FACTOR_ROLES)


def _is_second_factor(record: Mapping[str, Any]) -> bool:
    """A code, recovery code or passkey; or another provider's word that it saw two factors, where it is believed."""
    return record.get("method") == "mfa" or record.get("saw_second_factor") is True


def _instant(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, (int, float)) else None
