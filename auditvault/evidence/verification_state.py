"""What earlier runs have verified, in a file: docs/spec/verification-state.md.

The file is replaced whole, so a run that is stopped leaves what it had before or after a range, never half of it. It is
believed: whoever can write it can have ranges passed over, so it must lie where the database's owner cannot write.
Which of it still counts, given what was signed since, is left to `verification_merge`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from auditvault.evidence.verification_checkpoints import VerificationUnavailableError
from auditvault.evidence.verification_merge import Verified
from auditvault.ledger.durable import replace_file

_VERSION = "auditvault/verification-state/1"
_HASHES = ("root", "leaf", "against")


class VerificationState:
    """What was verified of each log, from its first range on.

    Raises VerificationUnavailableError where it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """A file that is not there yet holds nothing."""
        self._path = path
        self._logs: dict[str, Any] = {}
        try:
            text = path.read_text()
        except FileNotFoundError:
            return
        except OSError as error:
            raise VerificationUnavailableError(
                "The state of earlier runs cannot be read."
            ) from error
        self._logs = _read(text)

    def verified(self, origin: str, span: int) -> Sequence[Verified]:
        """The ranges of so many entries that were verified of a log; none where they were of another length."""
        length, ranges = self._logs.get(origin, (span, ()))
        return ranges if length == span else ()

    def keep(self, origin: str, span: int, ranges: Sequence[Verified]) -> None:
        """Put these in the place of what was known of a log; returns when that is durable."""
        self._logs[origin] = (span, tuple(ranges))
        self.save()

    def save(self) -> None:
        """Replace the file; also a way to find out that it cannot be written before there is anything to write."""
        try:
            # Crash before: the old state. After: the new one. A range that is read twice costs time only.
            replace_file(self._path, json.dumps(self._body()))
        except OSError as error:
            raise VerificationUnavailableError("The state cannot be written.") from error

    def _body(self) -> dict[str, Any]:
        return {
            "v": _VERSION,
            "logs": {
                origin: {"entries": span, "ranges": [_written(verified) for verified in ranges]}
                for origin, (span, ranges) in sorted(self._logs.items())
            },
        }


def _written(verified: Verified) -> dict[str, Any]:
    return {
        key: value.hex() if isinstance(value, bytes) else value
        for key, value in asdict(verified).items()
    }


def _read(text: str) -> dict[str, tuple[int, tuple[Verified, ...]]]:
    try:
        body = json.loads(text)
        if body["v"] != _VERSION:
            raise VerificationUnavailableError("The state of earlier runs is of another version.")
        return {
            origin: (int(log["entries"]), tuple(_verified(item) for item in log["ranges"]))
            for origin, log in body["logs"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerificationUnavailableError(
            "The state of earlier runs is none. Without it everything is read."
        ) from error


def _verified(item: dict[str, Any]) -> Verified:
    hashes = {key: bytes.fromhex(item[key]) for key in _HASHES}
    if any(len(value) != 32 for value in hashes.values()):  # noqa: PLR2004  # SHA-256
        raise ValueError("not a hash")
    return Verified(**{**item, **hashes})
