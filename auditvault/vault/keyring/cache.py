"""A small cache for unwrapped keys: 60 seconds from creation, never from last use.

Revocation bites within a minute however busy a key is. Python cannot wipe `bytes`; the time limit is the defence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

KEY_LIFETIME_SECONDS = 60.0
MAX_KEYS = 50_000

Value = TypeVar("Value")


class KeyCache(Generic[Value]):
    """Holds at most `max_keys` values, each for `lifetime_seconds` from its creation."""

    def __init__(
        self,
        *,
        lifetime_seconds: float = KEY_LIFETIME_SECONDS,
        max_keys: int = MAX_KEYS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime = lifetime_seconds
        self._max = max_keys
        self._now = monotonic
        self._held: dict[Hashable, tuple[float, Value]] = {}

    def get(self, key: Hashable) -> Value | None:
        """The value, or None where it is missing or too old."""
        found = self._held.get(key)
        if found is None:
            return None
        if found[0] <= self._now():
            self._held.pop(key, None)
            return None
        return found[1]

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value that was just made; the oldest goes where there is no room."""
        while len(self._held) >= self._max:
            self._held.pop(next(iter(self._held)), None)
        # Re-inserting moves the key to the end, so the first key is always the oldest.
        self._held.pop(key, None)
        self._held[key] = (self._now() + self._lifetime, value)

    def forget(self, key: Hashable) -> None:
        """Drop a value at once."""
        self._held.pop(key, None)
