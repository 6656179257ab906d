"""`auditvault-verify proof`: checks one entry's C2SP tlog-proof offline.

Rules kept: docs/spec/proof.md section 6. The log is the one that the entry names, and its key the
one that the verifier's own trust file gives.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.entry import Entry
from auditvault.core.tlog.tlog_proof import TlogProof
from auditvault.core.tlog.trust import TrustStore
from auditvault.core.tlog.witness_policy import WitnessPolicy
from auditvault.core.tlog.witness_policy import check as check_policy
from auditvault.verifier import report
from auditvault.verifier.bundle_checks import witnesses_detail
from auditvault.verifier.policy_file import read_policy
from auditvault.verifier.receipt_checks import Checklist, Outcome

Read = Callable[[Path, str], bytes]
ReadTrust = Callable[[Path], TrustStore]

_VERDICTS = {
    Outcome.HOLDS: "HOLDS: the entry is in the log under a checkpoint that you trust.",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD: do not rely on this proof. Keep it.",
    Outcome.NOT_CHECKED: "NOT CHECKED: nothing is wrong, but something could not be checked.",
}
_LIMITS = (
    "A proof cannot show: that the log has no other entry; that later checkpoints extend this one;",
    "that the service's clock was right; what the header and the sealed contents were.",
)
_DESCRIPTION = """\
Check that one entry is in a log, from a proof in the form of c2sp.org/tlog-proof.

Checked, in this order:
  entry       it is a ledger entry to the letter, at the proof's index
  checkpoint  a key that you trust for the entry's log has signed it
  inclusion   the entry's hash leads to the checkpoint's root
  witnesses   enough witnesses have cosigned (--witnesses)"""
_EPILOG = """\
exit codes:
  0  holds
  1  does not hold
  2  could not be checked: no proof, no entry, no key for its log

example:
  auditvault-verify proof entry-7.tlog-proof --trust trust.json"""


class ProofInputError(AuditvaultError):
    """A file that was named cannot be used."""

    code: ClassVar[str] = "input_unreadable"


class ProofMismatchError(AuditvaultError):
    """The entry and its proof say different things."""

    code: ClassVar[str] = "proof_mismatch"


def add_parser(commands: Any, read: Read, read_trust: ReadTrust) -> None:
    """Add the sub-command to argparse's `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "proof",
        help="check one entry's proof (C2SP tlog-proof)",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the proof")
    add("--trust", type=Path, required=True, metavar="TRUST.json", help="the keys that you trust")
    add("--entry", type=Path, metavar="FILE", help="the entry's bytes, instead of the proof's own")
    add("--witnesses", type=Path, metavar="POLICY", help="which witnesses you want, a tlog-policy")
    add("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=lambda arguments: _run(arguments, read, read_trust))


def _run(arguments: argparse.Namespace, read: Read, read_trust: ReadTrust) -> int:
    trust = read_trust(arguments.trust)
    proof = _read_proof(arguments.file, read)
    entry = proof.entry if arguments.entry is None else read(arguments.entry, "the entry")
    if entry is None:
        raise ProofInputError("the proof comes without its entry: give it with --entry")
    policy = None
    if arguments.witnesses is not None:
        policy = read_policy(arguments.witnesses, read)
    checklist, origin = _check(proof, entry, trust, policy, now=int(time.time()))
    if arguments.json:
        members = {"log": origin, "index": proof.index}
        sys.stdout.write(report.document("proof", members, checklist))
    else:
        facts = {"log": origin or "unknown", "index": str(proof.index)}
        verdict = _VERDICTS[checklist.result()]
        sys.stdout.write(report.page(facts, checklist, limits=_LIMITS, verdict=verdict))
    return checklist.result().exit_code


def _read_proof(path: Path, read: Read) -> TlogProof:
    data = read(path, "the proof")
    try:
        return TlogProof.parse(data.decode())
    except UnicodeDecodeError:
        raise ProofInputError("the proof is not UTF-8") from None
    except AuditvaultError as error:
        raise ProofInputError(f"the proof cannot be used: {error.message}") from error


def _check(
    proof: TlogProof, data: bytes, trust: TrustStore, policy: WitnessPolicy | None, *, now: int
) -> tuple[Checklist, str | None]:
    checklist = Checklist()
    entry = checklist.run(
        "entry", lambda: _entry(data, proof.index), lambda entry: f"recorded {entry.recorded_at}"
    )
    if entry is None:
        checklist.skip("checkpoint", "needs an entry that holds: it names the log")
        checklist.skip("inclusion", "needs an entry that holds")
        return checklist, None
    checkpoint = _check_checkpoint(checklist, proof, entry.log, trust)
    if checkpoint is None:
        checklist.skip("inclusion", "needs a checkpoint that holds")
        return checklist, entry.log
    checklist.run(
        "inclusion",
        lambda: proof.check_inclusion(data, checkpoint),
        lambda _: f"it leads to the root {checkpoint.root.hex()[:16]}...",
    )
    if policy is None:
        reason = "no policy was given (--witnesses): no cosignature was looked at"
        checklist.skip("witnesses", reason, needed=False)
    else:
        checklist.run(
            "witnesses", lambda: check_policy(policy, proof.checkpoint, now=now), witnesses_detail
        )
    return checklist, entry.log


def _entry(data: bytes, index: int) -> Entry:
    entry = Entry.from_bytes(data)
    if entry.index != index:
        raise ProofMismatchError("the entry is of another index than the proof")
    return entry


def _check_checkpoint(
    checklist: Checklist, proof: TlogProof, origin: str, trust: TrustStore
) -> Checkpoint | None:
    verifiers = trust.verifiers_for(origin)
    if not verifiers:
        checklist.skip("checkpoint", "the trust file has no key for this log")
        return None
    return checklist.run(
        "checkpoint",
        lambda: proof.check_checkpoint(origin=origin, verifiers=verifiers),
        lambda checkpoint: f"{checkpoint.size} entries, signed by a key of the trust file",
    )
