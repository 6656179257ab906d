"""Stores that fail once, before or after they did what they were asked: a real store underneath."""

from __future__ import annotations

import threading


class Faulty:
    """Fails at the first object whose name has `part` in it, before it is made, or after."""

    def __init__(self, store, part, *, persisted):
        from auditvault.evidence.copies.store import StoreUnavailableError

        self._store, self._part, self._persisted = store, part, persisted
        self._error = StoreUnavailableError
        self._lock = threading.Lock()
        self.failed = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def create(self, name, data):
        with self._lock:
            fails = not self.failed and self._part in name
            self.failed = self.failed or fails
        if fails and not self._persisted:
            raise self._error("no answer")
        self._store.create(name, data)
        if fails:
            raise self._error("no answer")


class Interrupted:
    """Calls `act` before the object with `part` in its name is made, once."""

    def __init__(self, store, part, act):
        self._store, self._part, self._act = store, part, act
        self._lock = threading.Lock()
        self.called = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def create(self, name, data):
        with self._lock:
            if not self.called and self._part in name:
                self.called = True
                self._act()
        self._store.create(name, data)
