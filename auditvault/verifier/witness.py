"""A witness: cosigns a log's checkpoint once it has seen that the log has only grown.

Rules kept: docs/spec/witness.md section 3, with its table of crashes. It knows the logs of its own
trust file and nothing else of a log's operator. Rules of the protocol are in
`core.tlog.witnessing`, memory is in `witness_state`, HTTP in `witness_server`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.core.tlog.trust import TrustStore
from auditvault.core.tlog.witnessing import (
    Submission,
    SubmissionForkError,
    decide,
    open_submission,
)
from auditvault.verifier.witness_state import (
    Remembered,
    WitnessState,
    WitnessStateError,
    seen_in,
)


class WitnessClockError(AuditvaultError):
    """The clock stands before the last cosignature, or before 1970."""

    code: ClassVar[str] = "witness_clock_behind"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that whoever runs a witness wants to know."""

    name: str
    """`cosigned`, `fork`, or a refusal's or failure's code."""
    origin: str | None = None
    """The log, if a key of it that is trusted has signed."""
    size: int | None = None
    """Size of its checkpoint."""


class Witness:
    """One witness; its methods may be called from several threads.

    `now` gives POSIX seconds; `report` is told what happened.
    """

    def __init__(
        self,
        *,
        signer: CosignatureSigner,
        trust: TrustStore,
        state: WitnessState,
        now: Callable[[], int],
        report: Callable[[Event], None],
    ) -> None:
        self._signer = signer
        self._trust = trust
        self._state = state
        self._now = now
        self._report = report

    def add_checkpoint(self, body: bytes) -> bytes:
        """Return the cosignature line for an add-checkpoint request.

        Raises a SubmissionError when the checkpoint is refused; WitnessStateError or
        WitnessClockError when the witness cannot do its work now.
        """
        submission = Submission.parse(body)
        signed = open_submission(submission, self._trust.verifiers_for)
        checkpoint = signed.checkpoint
        with self._state.locked(checkpoint.origin):
            last = self._state.recall(checkpoint.origin)
            try:
                decide(seen_in(last), submission, checkpoint)
            except SubmissionForkError:
                self._keep_fork(last, signed.note)
                raise
            line = self._signer.signature_line(checkpoint, timestamp=self._time_after(last))
            self._state.remember(checkpoint.origin, signed.note + line)
        self._report(Event(name="cosigned", origin=checkpoint.origin, size=checkpoint.size))
        return line.encode()

    def checkpoint(self, hashed_origin: str) -> str | None:
        """Return the last note cosigned for the log of that origin hash; None if there is none."""
        return self._state.shown(hashed_origin)

    def _keep_fork(self, last: Remembered | None, refused: str) -> None:
        if last is None:
            return
        checkpoint = last.checkpoint
        try:
            if self._state.keep_fork(checkpoint.origin, kept=last.note, refused=refused):
                self._report(Event(name="fork", origin=checkpoint.origin, size=checkpoint.size))
        except WitnessStateError as error:  # the refusal matters more than its proof
            self._report(Event(name=error.code, origin=checkpoint.origin, size=checkpoint.size))

    def _time_after(self, last: Remembered | None) -> int:
        now = self._now()
        if now < (1 if last is None else last.cosigned_at):
            raise WitnessClockError("the witness's clock is behind its last cosignature")
        return now
