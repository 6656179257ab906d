"""`auditvault-verify bundle`: checks an evidence bundle offline.

Rules kept: docs/spec/bundle.md section 7. The file is opened once and read in place: nothing is
unpacked, and nothing of it decides what is trusted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.bundle_proofs import entry_proof
from auditvault.core.tlog.key_history import KeyHistory
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier import report
from auditvault.verifier.bundle_checks import Asked, BundleChecks
from auditvault.verifier.history_checks import as_members
from auditvault.verifier.policy_file import read_policy
from auditvault.verifier.progress import Progress
from auditvault.verifier.receipt_checks import Checklist, Outcome

Read = Callable[[Path, str], bytes]
ReadTrust = Callable[[Path], TrustStore]

_VERDICTS = {
    Outcome.HOLDS: "HOLDS: these entries are in the log under a checkpoint that you trust.",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD: do not rely on this bundle. Keep it.",
    Outcome.NOT_CHECKED: "NOT CHECKED: nothing is wrong, but something could not be checked.",
}
_LIMITS = (
    "A bundle cannot show: what the log holds outside this range; what was never recorded;",
    "that the service's clock was right; what the sealed contents were.",
)
_DESCRIPTION = """\
Check that the entries in an evidence bundle are a log's, whole and in order.

Checked, in this order:
  manifest    every member of the file is the one that its manifest lists
  history     how the keys that sign came and went (if the bundle has that)
  checkpoint  a key that you trust for this log, and that was not retired, has signed it
  entries     each is a ledger entry to the letter, at its place, naming the one before
  range       the entries lead to the checkpoint's root: none is missing, changed or added
  headers     each header is the one that its entry commits to (if the bundle has them)
  previous    the log only grew since an earlier checkpoint in the bundle (if it has one)
  kept        the log still has what a checkpoint that you kept says (--previous)
  witnesses   enough witnesses have cosigned (--witnesses)
  timestamps  an authority stamped the log when it had these entries (--tsa-roots)
  prunes      what the log gave up, it has said itself (if the bundle has prune records)"""
_EPILOG = """\
Without --previous and --witnesses nothing shows that others were given the same log.
The trust file is the one of `auditvault-verify receipt`. A key in a bundle is never trusted, but for
one that the operator's log announced, where the trust file says to follow that log ("follow").

exit codes:
  0  holds
  1  does not hold
  2  could not be checked: no bundle, no key for this log, nothing to compare a kept checkpoint with

example:
  auditvault-verify bundle evidence.zip --trust trust.json --previous checkpoint.2026-10-01"""


class BundleInputError(AuditvaultError):
    """A file that was named cannot be used."""

    code: ClassVar[str] = "input_unreadable"


def add_parser(commands: Any, read: Read, read_trust: ReadTrust) -> None:
    """Add the sub-command to argparse's `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bundle",
        help="check an evidence bundle",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the bundle")
    add("--trust", type=Path, required=True, metavar="TRUST.json", help="the keys that you trust")
    add(
        "--previous", type=Path, metavar="CHECKPOINT", help="a checkpoint of this log that you kept"
    )
    add("--witnesses", type=Path, metavar="POLICY", help="which witnesses you want, a tlog-policy")
    add("--tsa-roots", type=Path, metavar="PEM", help="authorities for time stamps that you trust")
    add(
        "--write-proof",
        type=int,
        metavar="INDEX",
        help="if the bundle holds, write this entry's own proof (C2SP tlog-proof) to --output",
    )
    add("--output", type=Path, metavar="FILE", help="for --write-proof; it must not exist")
    add("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=lambda arguments: _run(arguments, read, read_trust))


def _run(arguments: argparse.Namespace, read: Read, read_trust: ReadTrust) -> int:
    if (arguments.write_proof is None) != (arguments.output is None):
        raise BundleInputError("--write-proof and --output come together")
    asked = Asked(
        trust=read_trust(arguments.trust),
        kept=_read_kept(arguments.previous, read),
        policy=read_policy(arguments.witnesses, read) if arguments.witnesses else None,
        now=int(time.time()),
        tsa_roots=_read_roots(arguments.tsa_roots, read),
    )
    try:
        with arguments.file.open("rb") as file:
            bundle = Bundle(file)
            progress = Progress(sys.stderr, total=bundle.scope.end - bundle.scope.first)
            checks = BundleChecks(bundle, asked, progress)
            checklist = checks.run()
            progress.clear()
            if arguments.write_proof is not None and checklist.result() is Outcome.HOLDS:
                _write_proof(bundle, arguments.write_proof, arguments.output)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise BundleInputError(f"the bundle cannot be read: {reason}") from error
    if arguments.json:
        sys.stdout.write(_as_json(bundle, checklist, checks.history))
    else:
        sys.stdout.write(_as_text(bundle, checklist, checks.history))
    return checklist.result().exit_code


def _write_proof(bundle: Bundle, index: int, path: Path) -> None:
    text = entry_proof(bundle, index).to_text()
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        reason = error.strerror or "it cannot be written"
        raise BundleInputError(f"the proof cannot be written: {reason}") from error


def _as_text(bundle: Bundle, checklist: Checklist, history: KeyHistory | None) -> str:
    scope = bundle.scope
    facts = {
        "log": scope.log,
        "entries": f"{scope.first} to {scope.end - 1}, of {scope.size} under the checkpoint",
    }
    if history is not None:
        facts["keys by"] = history.log
    return report.page(facts, checklist, limits=_LIMITS, verdict=_VERDICTS[checklist.result()])


def _as_json(bundle: Bundle, checklist: Checklist, history: KeyHistory | None) -> str:
    scope = bundle.scope
    members: dict[str, Any] = {
        "log": scope.log,
        "first": scope.first,
        "end": scope.end,
        "size": scope.size,
    }
    if history is not None:
        members["keys"] = as_members(history)
    return report.document("bundle", members, checklist)


def _read_kept(path: Path | None, read: Read) -> str | None:
    if path is None:
        return None
    try:
        return read(path, "the checkpoint you kept").decode()
    except UnicodeDecodeError:
        raise BundleInputError("the checkpoint you kept is not UTF-8") from None


def _read_roots(path: Path | None, read: Read) -> list[x509.Certificate]:
    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(read(path, "the file of authorities"))
    except ValueError as error:
        raise BundleInputError("the file of authorities holds no certificate in PEM") from error
