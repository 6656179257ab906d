"""What the signer remembers: a file outside the database, replaced whole and fsynced.

Rules kept: docs/spec/checkpoint.md sections 3 and 3.1. Memory changes only once it is durable, so nothing can be
published that a crash would forget. One process at a time may sign from a file; anybody may read it.

Version 1 had no keys: a file of it is read, and written as version 2 by the next save.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.log_key import LogKey, LogKeyError
from auditvault.ledger.durable import replace_file
from auditvault.ledger.restores import read_restores, restore_of

_VERSIONS = ("auditvault/signer-state/1", "auditvault/signer-state/2")


class SignerStateError(AuditvaultError):
    """The state file cannot be read, or is not one. Signing without memory would sign anything."""

    code = "signer_state_unreadable"


class SignerStateUnwritableError(AuditvaultError):
    """The state file cannot be written: nothing is signed until it can."""

    code = "signer_state_unwritable"


class SignerRunningError(AuditvaultError):
    """Another process signs from this state file."""

    code = "signer_running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The last checkpoint signed for an origin."""

    size: int
    root: str
    note: str
    signed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """When a key stopped."""

    index: int
    """The entry of the region's operator's log that says so."""
    sizes: Mapping[str, int]
    """The last size that was signed of each log of the region by then, by origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionKey:
    """A key that signs, or signed, the logs of a region."""

    key: LogKey
    announced: int | None
    """The entry of the region's operator's log that announces it; None for the region's first key."""
    retired: Retirement | None = None


class SignerState:
    """What the signer remembers of logs, by origin, and of keys, by region."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.signed: Mapping[str, Signed] = {}
        self.keys: Mapping[str, tuple[RegionKey, ...]] = {}
        if path.exists():
            self.signed, self.keys = _read_state(path)

    @classmethod
    @contextmanager
    def for_signing(cls, path: Path) -> Iterator[SignerState]:
        """The state, read under a lock that is held inside the block; raises SignerRunningError."""
        try:
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SignerStateError("The signer's state cannot be locked.") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SignerRunningError("Another signer runs on this state file.") from None
            yield cls(path)
        finally:
            os.close(lock)

    def save(
        self, *, signed: Mapping[str, Signed], keys: Mapping[str, tuple[RegionKey, ...]]
    ) -> None:
        """Make this the memory, durably; raises SignerStateUnwritableError, and then the memory is what it was.

        The file may then be the old or the new one. Either will do: what the new one has in addition was never
        released, and extends what the old one has.
        """
        body = {
            "v": _VERSIONS[-1],
            "logs": {origin: asdict(last) for origin, last in sorted(signed.items())},
            "keys": {
                region: [_key_as_json(each) for each in ring]
                for region, ring in sorted(keys.items())
            },
        }
        try:
            replace_file(self._path, json.dumps(body))
        except OSError as error:
            reason = error.strerror or "unknown error"
            raise SignerStateUnwritableError(
                f"The signer's state cannot be written: {reason}."
            ) from error
        self.signed, self.keys = dict(signed), dict(keys)

    def restored_from(self, origin: str) -> tuple[int, bytes] | None:
        """Size and root that the log goes on from, where its last checkpoint was lost by an acknowledged restore."""
        last = self.signed[origin]
        restores = read_restores(self._path)
        found = restore_of(restores, origin=origin, note=last.note, signed_at=last.signed_at)
        return None if found is None else (found.kept_size, bytes.fromhex(found.kept_root))


def _read_state(path: Path) -> tuple[dict[str, Signed], dict[str, tuple[RegionKey, ...]]]:
    try:
        body = json.loads(path.read_text())
        if body["v"] not in _VERSIONS:
            raise SignerStateError("The signer's state is of another version.")
        signed = {origin: Signed(**last) for origin, last in body["logs"].items()}
        rings = body["keys"].items() if body["v"] == _VERSIONS[-1] else ()
        keys = {region: tuple(_key_from_json(each) for each in ring) for region, ring in rings}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, LogKeyError) as error:
        raise SignerStateError(
            "The signer's state cannot be read. Restore it; a signer without memory signs anything."
        ) from error
    return signed, keys


def _key_as_json(item: RegionKey) -> dict[str, Any]:
    return {
        "algorithm": item.key.algorithm,
        "public_key": item.key.encoded(),
        "announced": item.announced,
        "retired": None if item.retired is None else asdict(item.retired),
    }


def _key_from_json(item: dict[str, Any]) -> RegionKey:
    retired = item["retired"]
    return RegionKey(
        key=LogKey.from_base64(item["algorithm"], item["public_key"]),
        announced=item["announced"],
        retired=None if retired is None else Retirement(**retired),
    )
