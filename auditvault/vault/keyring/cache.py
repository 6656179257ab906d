"""A small cache for unwrapped keys: 60 seconds from creation, never from last use.

Revocation bites within a minute however busy a key is, and at once where the keyring's word of it is heard
(`listening`). Python cannot wipe `bytes`; the time limit is the defence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

KEY_LIFETIME_SECONDS = 60.0
MAX_KEYS = 50_000

Value = TypeVar("Value")


class KeyCache(Generic[Value]):
    """Holds at most `max_keys` values, each for `lifetime_seconds` from its creation. Threads may share it."""

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
        self._changing = threading.Lock()
        self._evictions = 0

    @property
    def evictions(self) -> int:
        """How often something was evicted: whoever loads a value notes this first and hands it to `put`."""
        return self._evictions

    def get(self, key: Hashable) -> Value | None:
        """The value, or None where it is missing or too old."""
        found = self._held.get(key)
        if found is None:
            return None
        if found[0] <= self._now():
            with self._changing:
                self._held.pop(key, None)
            return None
        return found[1]

    def put(self, key: Hashable, value: Value, *, evictions: int | None = None) -> None:
        """Keep a value that was just made; the oldest goes where there is no room.

        With `evictions`, nothing is kept if something was evicted since that was read: it may have been this value, on
        its way here.
        """
        with self._changing:
            if evictions is not None and evictions != self._evictions:
                return
            while len(self._held) >= self._max:
                del self._held[next(iter(self._held))]
            # Re-inserting moves the key to the end, so the first key is always the oldest.
            self._held.pop(key, None)
            self._held[key] = (self._now() + self._lifetime, value)

    def forget(self, key: Hashable) -> None:
        """Drop a value at once."""
        with self._changing:
            self._evictions += 1
            self._held.pop(key, None)

    def forget_all(self, *, matching: Callable[[Hashable], bool] = lambda _key: True) -> None:
        """Drop every value, or those whose key matches."""
        with self._changing:
            self._evictions += 1
            self._held = {key: held for key, held in self._held.items() if not matching(key)}

    def __len__(self) -> int:
        return len(self._held)


class SingleFlight:
    """Lets one thread at a time load a thing; those who waited find it loaded. Different things do not wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._flights: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, key: Hashable) -> Iterator[None]:
        """Hold the thing's turn; look again whether it is there once inside."""
        with self._guard:
            lock, waiting = self._flights.get(key) or (threading.Lock(), 0)
            self._flights[key] = lock, waiting + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, waiting = self._flights.pop(key)
                if waiting > 1:
                    self._flights[key] = lock, waiting - 1
