"""`auditvault-verify erasure-ledger`: checks a region's erasure ledger offline.

Rules kept: docs/spec/erasure-ledger.md section 3. The keys are those of the verifier's own trust file, and the head
that the ledger must reach is one that the user kept. What the records say was destroyed is not seen from here.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import (
    ErasureChain,
    ErasureChainError,
    ErasureRecordError,
    VerifiersFor,
    file_name,
    index_of,
)
from auditvault.core.tlog.note import LogVerifier
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier import report
from auditvault.verifier.receipt_checks import Checklist, Outcome

Read = Callable[[Path, str], bytes]
ReadTrust = Callable[[Path], TrustStore]
Head = tuple[int, bytes]

_HEAD = re.compile(r"(0|[1-9][0-9]{0,15}):([0-9a-f]{64})")
_VERDICTS = {
    Outcome.HOLDS: "HOLDS: every record is signed and follows the one before.",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD: do not replay this ledger. Keep it, and the databases.",
    Outcome.NOT_CHECKED: "NOT CHECKED: nothing is wrong, but something could not be checked.",
}
_LIMITS = (
    "A ledger cannot show: that nothing was cut from its end (--head can); that what it names was",
    "destroyed everywhere, or nothing else was.",
)
_DESCRIPTION = """\
Check a region's erasure ledger: a directory with one file for each record.

Checked, in this order:
  files       they are numbered 0, 1, 2 and so on, and nothing else lies there
  records     each is signed by a key that you trust, and holds the hash of the one before
  head        the ledger has the record that you kept the hash of (--head)"""
_EPILOG = """\
The trust file names the ledger's key for `<host>/<region>/ledger/erasures`.

exit codes:
  0  holds
  1  does not hold
  2  could not be checked

example:
  auditvault-verify erasure-ledger erasure_ledger/eu --region eu --trust trust.json"""


class ErasuresInputError(AuditvaultError):
    """An argument or the directory cannot be used."""

    code: ClassVar[str] = "input_unreadable"


def add_parser(commands: Any, read: Read, read_trust: ReadTrust) -> None:
    """Add the sub-command to argparse's `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "erasure-ledger",
        help="check a region's erasure ledger",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("directory", type=Path, metavar="DIRECTORY", help="the ledger, or a copy of it")
    add("--region", required=True, help="whose ledger it is")
    add("--trust", type=Path, required=True, metavar="TRUST.json", help="the keys that you trust")
    add("--head", metavar="INDEX:HASH", help="a record that it must have, as you kept it")
    add("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=lambda arguments: _run(arguments, read, read_trust))


def _run(arguments: argparse.Namespace, read: Read, read_trust: ReadTrust) -> int:
    trust = read_trust(arguments.trust)
    kept = _kept(arguments.head)
    names = _names(arguments.directory)
    checklist = Checklist()
    chain = ErasureChain(arguments.region, _needing_a_key(trust))
    size = checklist.run("files", lambda: _size(names), lambda size: f"{size} records")
    if size is None:
        checklist.skip("records", "needs files that hold")
        checklist.skip("head", "needs records that hold", needed=kept is not None)
    else:
        _check(checklist, chain, size, kept, lambda name: read(arguments.directory / name, name))
    if arguments.json:
        members = {"region": arguments.region, "records": chain.size, "head": chain.head.hex()}
        sys.stdout.write(report.document("erasure_ledger", members, checklist))
    else:
        facts = {"region": arguments.region, "records": str(chain.size), "head": chain.head.hex()}
        verdict = _VERDICTS[checklist.result()]
        sys.stdout.write(report.page(facts, checklist, limits=_LIMITS, verdict=verdict))
    return checklist.result().exit_code


def _check(
    checklist: Checklist,
    chain: ErasureChain,
    size: int,
    kept: Head | None,
    read: Callable[[str], bytes],
) -> None:
    seen: set[Head] = set()

    def records() -> int:
        for index in range(size):
            chain.add(read(file_name(index)))
            seen.add((index, chain.head))
        return size

    def head() -> Head:
        if kept is None or kept not in seen:
            raise ErasureChainError("the ledger has not the record that you kept")
        return kept

    try:
        whole = checklist.run("records", records, lambda size: f"{size} records, each signed")
    except _NoKeyError:
        whole = None
        checklist.skip("records", "the trust file has no key for this ledger")
    if kept is None:
        reason = "none was given (--head): nothing says whether the end was cut off"
        checklist.skip("head", reason, needed=False)
    elif whole is None:
        checklist.skip("head", "needs records that hold")
    else:
        checklist.run("head", head, lambda found: f"it has record {found[0]} as you kept it")


class _NoKeyError(Exception):
    """The trust file names no key for the ledger: nothing is wrong with the ledger."""


def _needing_a_key(trust: TrustStore) -> VerifiersFor:
    def verifiers_for(name: str) -> list[LogVerifier]:
        found = trust.verifiers_for(name)
        if not found:
            raise _NoKeyError
        return found

    return verifiers_for


def _kept(text: str | None) -> Head | None:
    if text is None:
        return None
    match = _HEAD.fullmatch(text)
    if match is None:
        raise ErasuresInputError("--head is an index, a colon and 64 lower-case hex digits")
    return int(match[1]), bytes.fromhex(match[2])


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ErasuresInputError(f"the directory cannot be read: {reason}") from error


def _size(names: list[str]) -> int:
    if sorted(map(index_of, names)) != list(range(len(names))):
        raise ErasureRecordError("a record is missing: they are not numbered 0, 1, 2 and so on")
    return len(names)
