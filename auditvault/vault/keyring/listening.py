"""Hears from the keyring that keys were destroyed, and has this process forget them.

Each process that holds keys of a region has one thread with a connection of its own that listens. It is a help and no
promise: while it cannot listen, a key that was destroyed may stay in memory until its minute is over, as if there were
none. Every time it begins to listen, everything is forgotten, because word may have been missed.
"""

from __future__ import annotations

import logging
import re
import threading
import weakref
from contextlib import closing
from typing import Protocol
from uuid import UUID

import psycopg
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from auditvault.ledger.scope import driver_connection

log = logging.getLogger("auditvault.vault")
CHANNEL = "auditvault_keys"
_TENANT = re.compile(r"tenant [0-9a-f-]{36}")
_LOOK_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0


class Forgetful(Protocol):
    """Who holds keys."""

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Drop the tenant's keys."""

    def forget_epochs(self) -> None:
        """Drop the keys of epochs."""

    def forget_all(self) -> None:
        """Drop everything."""


class KeyListener:
    """Listens for one keyring, from the first time that keys are asked for until the keyring or the process is gone."""

    def __init__(self, alias: str, holder: Forgetful) -> None:
        self._alias = alias
        self._holder = weakref.ref(holder)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_listening = threading.Event()
        """Set while word is heard at once; else the minute from a key's creation is the bound."""

    def ensure(self) -> None:
        """Have a thread that listens; costs nothing where there is one."""
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"key-listener-{self._alias}", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        pause, ending = _FIRST_PAUSE_SECONDS, threading.Event()
        while self._holder() is not None:
            try:
                wrapper = connections.create_connection(self._alias)
                with closing(wrapper):
                    self._listen(wrapper)
            except (DatabaseError, psycopg.Error, OSError) as error:
                if self._holder() is None:
                    return
                was_listening = self.is_listening.is_set()
                pause = (
                    _FIRST_PAUSE_SECONDS
                    if was_listening
                    else min(2 * pause, _LONGEST_PAUSE_SECONDS)
                )
                log.info("%s cannot be listened to: %s", self._alias, type(error).__name__)
            finally:
                self.is_listening.clear()
            ending.wait(pause)

    def _listen(self, wrapper: BaseDatabaseWrapper) -> None:
        wrapper.ensure_connection()
        connection = driver_connection(wrapper)
        connection.execute(f"LISTEN {CHANNEL}".encode("ascii"))
        self._tell("")
        self.is_listening.set()
        while self._holder() is not None:
            for heard in connection.notifies(timeout=_LOOK_SECONDS):
                self._tell(heard.payload)

    def _tell(self, payload: str) -> None:
        """`tenant <id>`, `epoch`, or something that this version does not know, for which all is forgotten."""
        holder = self._holder()
        if holder is None:
            return
        if payload == "epoch":
            holder.forget_epochs()
        elif _TENANT.fullmatch(payload):
            holder.forget_tenant(UUID(payload.removeprefix("tenant ")))
        else:
            holder.forget_all()
