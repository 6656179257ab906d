"""Django's cache in the control database: what slows guessing down counts for all processes.

Signing in takes the control database anyway, so a cache there adds no way to fail: where it is away nobody signs in and
no guess is made (docs/adr/0022-signing-in.md). Values are JSON, never pickled. `add` is one statement, so that of two
processes one wins. Nothing that lives is ever thrown out to make room; what is over is swept, now and then, by `set`.

django-allauth reads, changes and writes a counter under a lock that it takes with `add`, so counts are exact.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connections
from psycopg.types.json import Jsonb

_ADD = """
INSERT INTO access_identity_counter AS held (key_hash, value, expires_at) VALUES (%s, %s, %s)
ON CONFLICT (key_hash) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
    WHERE held.expires_at <= %s
"""
_SET = """
INSERT INTO access_identity_counter (key_hash, value, expires_at) VALUES (%s, %s, %s)
ON CONFLICT (key_hash) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
"""
_LIVE = "key_hash = %s AND (expires_at IS NULL OR expires_at > %s)"
_GET = f"SELECT value FROM access_identity_counter WHERE {_LIVE}"  # noqa: S608  # constants
_TOUCH = f"UPDATE access_identity_counter SET expires_at = %s WHERE {_LIVE}"  # noqa: S608  # constants
_DELETE = "DELETE FROM access_identity_counter WHERE key_hash = %s"
_SWEEP = "DELETE FROM access_identity_counter WHERE expires_at <= %s"
_SWEEP_ONE_IN = 200


class ControlDatabaseCache(BaseCache):
    """A cache backend for `CACHES`; `LOCATION` is not used."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        """Set it unless it is there; True where it was set, for one caller alone."""
        return self._write(_ADD, key, value, timeout, version, _now()) == 1

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        """Set it, whatever was there."""
        self._write(_SET, key, value, timeout, version)
        if secrets.randbelow(_SWEEP_ONE_IN) == 0:
            self._execute(_SWEEP, _now())

    def get(self, key: str, default: Any = None, version: Any = None) -> Any:
        """Its value, `default` where there is none or it is over."""
        with connections["default"].cursor() as cursor:
            cursor.execute(_GET, (self._hash(key, version), _now()))
            row = cursor.fetchone()
        if row is None:
            return default
        return json.loads(row[0]) if isinstance(row[0], str) else row[0]

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """Let it live longer; False where there is none."""
        until = self._expiry(timeout)
        return self._execute(_TOUCH, until, self._hash(key, version), _now()) == 1

    def delete(self, key: str, version: Any = None) -> bool:
        """Forget it; False where there was none."""
        return self._execute(_DELETE, self._hash(key, version)) == 1

    def clear(self) -> None:
        """Forget everything."""
        self._execute("DELETE FROM access_identity_counter")

    def _write(
        self, statement: str, key: str, value: Any, timeout: Any, version: Any, *more: object
    ) -> int:
        parameters = (self._hash(key, version), Jsonb(value), self._expiry(timeout), *more)
        return self._execute(statement, *parameters)

    def _execute(self, statement: str, *parameters: object) -> int:
        with connections["default"].cursor() as cursor:
            cursor.execute(statement, parameters)  # type: ignore[arg-type]  # Jsonb and instants, too
            return int(cursor.rowcount)

    def _hash(self, key: str, version: Any) -> bytes:
        return hashlib.sha256(self.make_key(key, version).encode()).digest()

    def _expiry(self, timeout: Any) -> datetime | None:
        seconds = self.get_backend_timeout(timeout)
        return None if seconds is None else datetime.fromtimestamp(max(seconds, 0), UTC)


def _now() -> datetime:
    return datetime.now(UTC)
