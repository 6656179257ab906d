"""Runs the steps of a bundle's verification and keeps what became of each.

Rules kept: docs/spec/bundle.md section 6. A step that fails never hides the ones that do not depend
on it, and a step that could not run says why. How the outcome looks is left to `bundle_command`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle import Bundle, BundleUncomparableError, HeaderCount, Progress
from auditvault.core.tlog.bundle_prune import ProvedPrune
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.entry_chain import EntryChain
from auditvault.core.tlog.key_history import KeyHistory, Signers
from auditvault.core.tlog.note import LogVerifier, known_lines, parse_note
from auditvault.core.tlog.timestamp import (
    TimestampAlgorithmError,
    VerifiedStamp,
    verify_timestamp,
)
from auditvault.core.tlog.trust import TrustStore
from auditvault.core.tlog.witness_policy import Witnessed, WitnessPolicy
from auditvault.core.tlog.witness_policy import check as check_policy
from auditvault.verifier.history_checks import check_history, signers_of
from auditvault.verifier.receipt_checks import Checklist

_NO_HEADERS = {
    "not_requested": "the bundle has none: they were not asked for",
    "not_authorised": "the bundle has none: whoever had it made may not read them",
    "not_stored": "this log has none",
}
_NEEDS_CHECKPOINT = "needs a checkpoint that holds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the verifier brings along."""

    trust: TrustStore
    kept: str | None = None
    """A checkpoint that the verifier kept: a signed note."""
    policy: WitnessPolicy | None = None
    now: int = 0
    """POSIX seconds, for the policy."""
    tsa_roots: Sequence[x509.Certificate] = ()
    """Certificates of time-stamping authorities to trust; none: stamps are not judged."""


class BundleChecks:
    """One run over one bundle."""

    def __init__(self, bundle: Bundle, asked: Asked, progress: Progress) -> None:
        self._bundle = bundle
        self._asked = asked
        self._progress = progress
        self._signers = Signers(current=asked.trust.verifiers_for(bundle.scope.log))
        self.history: KeyHistory | None = None
        """What was proved of the keys; None where nothing was."""
        self.checklist = Checklist()

    @property
    def _verifiers(self) -> Sequence[LogVerifier]:
        """Whose signatures count, also under what a retired key signed in its time."""
        return self._signers.all

    def run(self) -> Checklist:
        """Run all steps that can be run; never raises for a bundle that does not hold."""
        self.checklist.run(
            "manifest",
            self._bundle.check_members,
            lambda count: f"{count} members are the ones that it lists",
        )
        self.history = check_history(self._bundle, self._asked.trust, self.checklist)
        self._signers = signers_of(self._bundle, self._asked.trust, self.history)
        checkpoint = self._check_checkpoint()
        kept = self._open_kept()
        chain = self._check_entries(kept)
        proved = self._check_range(chain, checkpoint)
        self._check_headers(chain)
        self._check_previous(checkpoint)
        self._check_kept(kept, checkpoint, proved)
        self._check_witnesses(checkpoint)
        self._check_timestamps(checkpoint)
        self._check_prunes(checkpoint)
        self._say_what_is_not_checked()
        return self.checklist

    def _check_checkpoint(self) -> Checkpoint | None:
        if not self._verifiers:
            self.checklist.skip("checkpoint", "the trust file has no key for this log")
            return None
        return self.checklist.run(
            "checkpoint",
            lambda: self._bundle.check_checkpoint(self._signers),
            lambda checkpoint: f"{checkpoint.size} entries, signed by a key {self._whose()}",
        )

    def _whose(self) -> str:
        """Where the keys come from that were accepted for the checkpoint."""
        ours = {key.public_key for key in self._asked.trust.keys_for(self._bundle.scope.log)}
        lines = parse_note(self._bundle.checkpoint)[1]
        known = known_lines(lines, self._signers.current)
        if any(verifier.public_key in ours for verifier, _ in known):
            return "of the trust file"
        return "that the operator's log announced"

    def _open_kept(self) -> Checkpoint | None:
        """The checkpoint that the verifier kept; it is theirs, so a bad one says nothing of the log."""
        if self._asked.kept is None or not self._verifiers:
            return None
        try:
            return open_checkpoint(
                self._asked.kept, origin=self._bundle.scope.log, verifiers=self._verifiers
            )
        except AuditvaultError as error:
            self.checklist.skip("kept", f"the checkpoint you kept cannot be used: {error.message}")
            return None

    def _check_entries(self, kept: Checkpoint | None) -> EntryChain | None:
        sizes = [kept.size] if kept else []
        return self.checklist.run(
            "entries", lambda: self._bundle.check_entries(sizes, self._progress), self._walked
        )

    def _walked(self, chain: EntryChain) -> str:
        scope = self._bundle.scope
        count = scope.end - scope.first
        return f"{count} in a row, recorded {chain.first_time} to {chain.time}"

    def _check_range(
        self, chain: EntryChain | None, checkpoint: Checkpoint | None
    ) -> EntryChain | None:
        if chain is None or checkpoint is None:
            missing = "entries" if chain is None else "a checkpoint"
            self.checklist.skip("range", f"needs {missing} that hold{'' if chain is None else 's'}")
            return None
        return self.checklist.run(
            "range",
            lambda: self._ranged(chain, checkpoint),
            lambda _: f"the entries lead to the root {checkpoint.root.hex()[:16]}...",
        )

    def _ranged(self, chain: EntryChain, checkpoint: Checkpoint) -> EntryChain:
        self._bundle.check_range(chain, checkpoint)
        return chain

    def _check_headers(self, chain: EntryChain | None) -> None:
        headers = self._bundle.scope.headers
        if headers != "included":
            self.checklist.skip("headers", _NO_HEADERS[headers], needed=False)
        elif chain is None:
            self.checklist.skip("headers", "needs entries that hold")
        else:
            self.checklist.run(
                "headers", lambda: self._bundle.check_headers(self._progress), _headers_detail
            )

    def _check_previous(self, checkpoint: Checkpoint | None) -> None:
        if self._bundle.previous is None:
            reason = "the bundle has no earlier checkpoint"
            self.checklist.skip("previous", reason, needed=False)
        elif checkpoint is None:
            self.checklist.skip("previous", _NEEDS_CHECKPOINT)
        else:
            self.checklist.run(
                "previous",
                lambda: self._bundle.check_previous(checkpoint, self._verifiers),
                lambda size: f"the log only grew since the bundle's own checkpoint of {size}",
            )

    def _check_kept(
        self, kept: Checkpoint | None, checkpoint: Checkpoint | None, proved: EntryChain | None
    ) -> None:
        if self._asked.kept is None:
            reason = "no checkpoint of your own was given (--previous): others may see another log"
            self.checklist.skip("kept", reason, needed=False)
        elif kept is None:
            return  # said when it was opened, or by the checkpoint's step
        elif checkpoint is None or proved is None:
            self.checklist.skip("kept", "needs a checkpoint and a range that hold")
        else:
            self._compare_kept(kept, checkpoint, proved)

    def _compare_kept(self, kept: Checkpoint, checkpoint: Checkpoint, proved: EntryChain) -> None:
        def compare() -> None:
            self._bundle.check_kept(kept, checkpoint, proved)

        try:
            compare()
        except BundleUncomparableError as error:
            self.checklist.skip("kept", error.message)
            return
        except AuditvaultError:
            pass  # it is raised again below, and kept
        detail = f"the log still has the {kept.size} entries of the checkpoint you kept"
        self.checklist.run("kept", compare, lambda _: detail)

    def _check_witnesses(self, checkpoint: Checkpoint | None) -> None:
        policy = self._asked.policy
        if policy is None:
            reason = "no policy was given (--witnesses): no cosignature was looked at"
            self.checklist.skip("witnesses", reason, needed=False)
        elif checkpoint is None:
            self.checklist.skip("witnesses", _NEEDS_CHECKPOINT)
        else:
            self.checklist.run(
                "witnesses",
                lambda: check_policy(policy, self._bundle.checkpoint, now=self._asked.now),
                witnesses_detail,
            )

    def _check_timestamps(self, checkpoint: Checkpoint | None) -> None:
        sizes = self._bundle.timestamp_sizes
        if not sizes:
            self.checklist.skip("timestamps", "the bundle has none", needed=False)
        elif checkpoint is None:
            self.checklist.skip("timestamps", _NEEDS_CHECKPOINT)
        else:
            for size in sizes:
                self._check_timestamp(size, checkpoint)

    def _check_timestamp(self, size: int, checkpoint: Checkpoint) -> None:
        """The log's part of it always; the stamp itself under the authorities that the verifier trusts."""
        roots = self._asked.tsa_roots

        def check() -> VerifiedStamp | None:
            proof = self._bundle.check_timestamp(size, checkpoint, self._verifiers)
            text = proof.super_root.text().encode()
            return verify_timestamp(proof.response, text, roots) if roots else None

        try:
            stamp = check()
        except TimestampAlgorithmError as error:
            self.checklist.skip("timestamps", error.message)
            return
        except AuditvaultError as error:
            self.checklist.fail("timestamps", error)
            return
        if stamp is None:
            reason = f"the first {size} entries: no authority to trust was given (--tsa-roots)"
            self.checklist.skip("timestamps", reason, needed=False)
            return
        at = stamp.gen_time.isoformat()
        self.checklist.hold("timestamps", f"the first {size} entries existed at {at}")

    def _check_prunes(self, checkpoint: Checkpoint | None) -> None:
        if not self._bundle.prune_indices:
            return  # most logs were never pruned: nothing is missing
        if checkpoint is None:
            self.checklist.skip("prunes", _NEEDS_CHECKPOINT)
        else:
            self.checklist.run(
                "prunes", lambda: self._bundle.check_prunes(checkpoint), _prunes_detail
            )

    def _say_what_is_not_checked(self) -> None:
        for folder, count in self._bundle.reserved().items():
            reason = f"{count} in the bundle; this version does not know what they say"
            self.checklist.skip(folder, reason, needed=False)
        if self._bundle.keys:
            reason = f"{len(self._bundle.keys)} named in the bundle, for information; none was used"
            self.checklist.skip("keys", reason, needed=False)


def _headers_detail(found: HeaderCount) -> str:
    absent = "".join(f", {count} absent ({reason})" for reason, count in found.absent.items())
    return f"{found.opened} are the ones that their entries commit to{absent}"


def _prunes_detail(found: Sequence[ProvedPrune]) -> str:
    record = found[-1].record
    return (
        f"the log itself said that it gives up the entries below {record.minimum}, the newest of"
        f" {found[-1].start.time}, under the policy {record.policy_id}"
    )


def witnesses_detail(found: Witnessed) -> str:
    """Return how many have cosigned, and since when enough of them had."""
    if found.quorum_at is None:
        return "the policy asks for none"
    try:
        at = datetime.fromtimestamp(found.quorum_at, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        at = str(found.quorum_at)
    return f"{len(found.cosigned_at)} have cosigned; enough of them at {at}"
