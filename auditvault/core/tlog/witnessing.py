"""The add-checkpoint protocol between a log and its witness, without network, clock or disk.

Rules kept: docs/spec/witness.md section 2 and c2sp.org/tlog-witness. The witness's side reads a
submission, verifies it with the keys it trusts and decides against what it cosigned last; each
refusal is an error of its own, in the order that the page gives. The log's side renders a
submission and reads a conflict. HTTP, locks and memory are left to whoever runs either side.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError
from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_SIZE,
    ProofError,
    verify_consistency,
)
from auditvault.core.tlog.note import (
    LogVerifier,
    NoteError,
    NoteSignatureError,
    NoteUntrustedError,
    decode_base64,
    known_lines,
    open_note,
    parse_note,
)
from auditvault.core.tlog.origin import OriginError

MAX_REQUEST_SIZE = 131_072
"""Bytes; 16 signatures of 5 kB, as signed notes must allow, fit."""

MAX_PROOF_LINES = 63
SIZE_CONTENT_TYPE = "text/x.tlog.size"

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_OLD = "old "
_EMPTY_TREE = re.compile(r"[^\n]+\n0\n[A-Za-z0-9+/]{43}=\n")


class SubmissionError(AuditvaultError):
    """A witness does not cosign what was submitted; every subclass has its own code."""

    code: ClassVar[str] = "submission_refused"


class SubmissionMalformedError(SubmissionError):
    """The body is not a submission, its note no checkpoint, or its old size beyond its size."""

    code: ClassVar[str] = "submission_malformed"


class SubmissionUnknownLogError(SubmissionError):
    """The witness trusts no key for this origin."""

    code: ClassVar[str] = "submission_log_unknown"


class SubmissionUntrustedError(SubmissionError):
    """No trusted key of the log has signed the checkpoint, or one has not as it seems."""

    code: ClassVar[str] = "submission_untrusted"


class SubmissionConflictError(SubmissionError):
    """The submission does not begin where the witness stands; `size` says where that is."""

    code: ClassVar[str] = "submission_conflict"

    def __init__(self, size: int) -> None:
        super().__init__("the old size is not the one that was cosigned last")
        self.size = size


class SubmissionInconsistentError(SubmissionError):
    """The proof does not lead from what was cosigned last to the checkpoint."""

    code: ClassVar[str] = "submission_inconsistent"


class SubmissionForkError(SubmissionInconsistentError):
    """The log has signed two roots for the size that was cosigned last."""

    code: ClassVar[str] = "submission_fork"


class WitnessAnswerError(AuditvaultError):
    """A witness's answer is not one of the protocol."""

    code: ClassVar[str] = "witness_answer_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The tree that a witness cosigned last for a log."""

    size: int
    root: bytes


NOTHING_SEEN = Seen(size=0, root=EMPTY_ROOT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """An add-checkpoint request, as read or to be sent: well-formed, nothing verified."""

    old_size: int
    """Size of the tree that the proof begins at, 0 to 2^63 - 1."""
    proof: tuple[bytes, ...]
    """Consistency proof, at most 63 hashes of 32 bytes."""
    note: str
    """The checkpoint with its signatures."""

    def render(self) -> bytes:
        """Return the request's body; raises SubmissionMalformedError if `parse` would refuse it."""
        lines = [f"{_OLD}{self.old_size}", *(base64.b64encode(h).decode() for h in self.proof)]
        body = "\n".join(lines) + "\n\n" + self.note
        try:
            data = body.encode()
        except UnicodeEncodeError:
            raise SubmissionMalformedError("a note is Unicode text") from None
        self.parse(data)
        return data

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """Read exactly what `render` writes; raises SubmissionMalformedError on anything else."""
        if len(body) > MAX_REQUEST_SIZE:
            raise SubmissionMalformedError("a submission is at most 131,072 bytes")
        try:
            head, separator, note = body.decode().partition("\n\n")
        except UnicodeDecodeError:
            raise SubmissionMalformedError("a submission is UTF-8") from None
        if not separator or note.startswith("\n"):
            raise SubmissionMalformedError("one empty line stands before the checkpoint")
        old, *proof = head.split("\n")
        if not old.startswith(_OLD):
            raise SubmissionMalformedError("the first line is the word old and a size")
        if len(proof) > MAX_PROOF_LINES:
            raise SubmissionMalformedError("a proof has at most 63 lines")
        try:
            parse_note(note)
            return cls(
                old_size=_size(old.removeprefix(_OLD)),
                proof=tuple(_hash(line) for line in proof),
                note=note,
            )
        except NoteError as error:
            raise SubmissionMalformedError(error.message) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedCheckpoint:
    """A checkpoint that a trusted key of its log has signed."""

    checkpoint: Checkpoint
    note: str
    """Its text as rendered again, and the lines that were verified; no other line."""


def open_submission(
    submission: Submission, verifiers_for: Callable[[str], Sequence[LogVerifier]]
) -> SignedCheckpoint:
    """Return the submitted checkpoint after its log's signature has been verified.

    `verifiers_for` gives the keys trusted for an origin and may raise OriginError. Raises
    SubmissionUnknownLogError, SubmissionUntrustedError, SubmissionMalformedError or
    SubmissionInconsistentError.
    """
    text, lines = parse_note(submission.note)
    verifiers = _trusted_for(text.partition("\n")[0], verifiers_for)
    try:
        open_note(submission.note, verifiers)
    except (NoteSignatureError, NoteUntrustedError) as error:
        raise SubmissionUntrustedError(error.message) from error
    try:
        checkpoint = Checkpoint.parse(text)
    except CheckpointError as error:
        if _EMPTY_TREE.fullmatch(text):  # well-formed but for its root: the protocol's 422
            raise SubmissionInconsistentError(error.message) from error
        raise SubmissionMalformedError(error.message) from error
    verified = "".join(line.render() for _, line in known_lines(lines, verifiers))
    return SignedCheckpoint(checkpoint=checkpoint, note=f"{checkpoint.body()}\n{verified}")


def decide(seen: Seen, submission: Submission, checkpoint: Checkpoint) -> None:
    """Return if `checkpoint`, from `open_submission`, may be cosigned by whoever last saw `seen`.

    Raises SubmissionMalformedError, SubmissionConflictError, SubmissionForkError or
    SubmissionInconsistentError. Reading `seen`, this call and remembering `checkpoint` must be one
    step for the log: otherwise two submissions may both be right about the same `seen`.
    """
    if submission.old_size > checkpoint.size:
        raise SubmissionMalformedError("the old size is larger than the checkpoint's")
    if submission.old_size != seen.size:
        raise SubmissionConflictError(seen.size)
    if checkpoint.size == seen.size and checkpoint.root != seen.root:
        raise SubmissionForkError("another root was cosigned for this size")
    try:
        verify_consistency(
            old_size=seen.size,
            new_size=checkpoint.size,
            old_root=seen.root,
            new_root=checkpoint.root,
            proof=submission.proof,
        )
    except ProofError as error:
        raise SubmissionInconsistentError(error.message) from error


def conflict_answer(size: int) -> bytes:
    """Return the body of a conflict's answer; its content type is SIZE_CONTENT_TYPE."""
    return f"{size}\n".encode()


def parse_conflict(content_type: str | None, body: bytes) -> int:
    """Return the size that a witness's conflict names: what to submit from next.

    Raises WitnessAnswerError for a conflict that names none, which is a refusal.
    """
    text = body[: len(str(MAX_SIZE)) + 2].decode("ascii", errors="replace")
    if content_type != SIZE_CONTENT_TYPE or not text.endswith("\n"):
        raise WitnessAnswerError("a conflict that names no size")
    try:
        return _size(text[:-1])
    except SubmissionMalformedError as error:
        raise WitnessAnswerError("a conflict that names no size") from error


def _trusted_for(
    origin: str, verifiers_for: Callable[[str], Sequence[LogVerifier]]
) -> Sequence[LogVerifier]:
    try:
        verifiers = verifiers_for(origin)
    except OriginError:
        verifiers = ()  # an origin that nobody could have written into a trust file
    if not verifiers:
        raise SubmissionUnknownLogError("no key is trusted for this log")
    return verifiers


def _size(text: str) -> int:
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise SubmissionMalformedError("a size is a decimal without leading zeros up to 2^63 - 1")
    return int(text)


def _hash(line: str) -> bytes:
    value = decode_base64(line)
    if len(value) != HASH_SIZE:
        raise SubmissionMalformedError("a hash is 32 bytes")
    return value
