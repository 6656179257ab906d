"""C2SP cosignatures: a witness's timestamped signature of a checkpoint (Ed25519, type 0x04).

Rules kept: docs/spec/witness.md section 1 and c2sp.org/tlog-cosignature. A cosigner signs a
`Checkpoint`, never a text: what is signed was rendered from what was understood. Cosignatures are
read with verifiers of their own type, so that a witness can never stand in for a log. When a
witness may cosign is left to `witnessing`, how many are needed to `witness_policy`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.note import (
    KeyVerifier,
    NoteError,
    NoteSignatureError,
    NoteUntrustedError,
    NoteVerifier,
    SignatureLine,
    algorithm_of,
    known_lines,
    parse_note,
    parse_signature_lines,
)

MAX_TIMESTAMP = 2**63 - 1
MAX_ANSWER_SIZE = 131_072
"""Bytes of signature lines that a witness may answer with."""

_TIMESTAMP_SIZE = 8
_SIGNATURE_SIZE = 64


class CosignatureTimeError(AuditvaultError):
    """A cosigner was given a time that a cosignature cannot have."""

    code: ClassVar[str] = "cosignature_time_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosignature:
    """What a verified cosignature says."""

    verifier: CosignatureVerifier
    """The witness that made it."""
    timestamp: int
    """When, in POSIX seconds by the witness's clock."""


class CosignatureVerifier(KeyVerifier):
    """A witness's public key under the witness's name."""

    __slots__ = ()

    ALGORITHM: ClassVar[bytes] = b"\x04"

    def verify(self, text: str, signature: bytes) -> int:
        """Return the time, in POSIX seconds, at which this key cosigned `text`.

        `text` is a checkpoint's whole text, `signature` its timestamp and Ed25519 signature, 72
        bytes. Raises NoteSignatureError.
        """
        timestamp = int.from_bytes(signature[:_TIMESTAMP_SIZE], "big")
        if len(signature) != _TIMESTAMP_SIZE + _SIGNATURE_SIZE or timestamp > MAX_TIMESTAMP:
            raise NoteSignatureError("a cosignature of a known key is malformed")
        self._check(_signed_message(text, timestamp), signature[_TIMESTAMP_SIZE:])
        return timestamp


class CosignatureSigner:
    """A witness's private key under the witness's name."""

    __slots__ = ("_private_key", "_verifier")

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self._verifier = CosignatureVerifier(name, private_key.public_key().public_bytes_raw())

    def vkey(self) -> str:
        """Return the public verifier key as text."""
        return self._verifier.vkey()

    def verifier(self) -> CosignatureVerifier:
        """Return the verifier of what this signer signs."""
        return self._verifier

    def signature_line(self, checkpoint: Checkpoint, *, timestamp: int) -> str:
        """Return the line, newline included, that cosigns `checkpoint`.

        `timestamp` is the time in POSIX seconds, 1 to 2^63 - 1; raises CosignatureTimeError.
        """
        if type(timestamp) is not int or not 1 <= timestamp <= MAX_TIMESTAMP:
            raise CosignatureTimeError("a cosignature's time is 1 to 2^63 - 1 seconds")
        signature = self._private_key.sign(_signed_message(checkpoint.body(), timestamp))
        blob = timestamp.to_bytes(_TIMESTAMP_SIZE, "big") + signature
        return SignatureLine(self._verifier.name, self._verifier.key_id, blob).render()


_KINDS: dict[bytes, type[NoteVerifier | CosignatureVerifier]] = {
    kind.ALGORITHM: kind for kind in (NoteVerifier, CosignatureVerifier)
}


def parse_vkey(vkey: str) -> NoteVerifier | CosignatureVerifier:
    """Read a verifier key of either kind, told apart by its algorithm byte; raises NoteError."""
    kind = _KINDS.get(algorithm_of(vkey))
    if kind is None:
        raise NoteError("a verifier key of an unknown algorithm")
    return kind.parse(vkey)


def read_cosignatures(
    note: str, verifiers: Iterable[CosignatureVerifier]
) -> tuple[str, list[Cosignature]]:
    """Return the note's text, and what the known witnesses among its signers say of it.

    The list may be empty, and the text is of no more use then than before. Lines of other keys are
    ignored. Raises NoteError when the note is malformed, NoteSignatureError when a known witness's
    line does not verify.
    """
    text, lines = parse_note(note)
    return text, _verified(text, lines, verifiers)


def add_cosignatures(note: str, answer: bytes, verifiers: Iterable[CosignatureVerifier]) -> str:
    """Return `note` with the cosignatures of known witnesses from a witness's answer.

    Of two lines of one key the newer stays. Lines of other keys in the answer are dropped, those
    of the note stay. Raises NoteError when note or answer is malformed, NoteSignatureError when a
    known witness's line does not verify, NoteUntrustedError when the answer has none of theirs.
    """
    text, lines = parse_note(note)
    verifiers = list(verifiers)
    offered = known_lines(_answer_lines(answer), verifiers)
    if not offered:
        raise NoteUntrustedError("the answer has no cosignature of a known witness")
    held = {(line.name, line.key_id): line for line in lines}
    for verifier, line in offered:
        timestamp = verifier.verify(text, line.signature)
        earlier = held.get((line.name, line.key_id))
        if earlier is None or verifier.verify(text, earlier.signature) < timestamp:
            held[line.name, line.key_id] = line
    merged = f"{text}\n{''.join(line.render() for line in held.values())}"
    parse_note(merged)  # the answer's lines may be too many
    return merged


def _verified(
    text: str, lines: Iterable[SignatureLine], verifiers: Iterable[CosignatureVerifier]
) -> list[Cosignature]:
    return [
        Cosignature(verifier=verifier, timestamp=verifier.verify(text, line.signature))
        for verifier, line in known_lines(lines, verifiers)
    ]


def _answer_lines(answer: bytes) -> list[SignatureLine]:
    if len(answer) > MAX_ANSWER_SIZE:
        raise NoteError("an answer is at most 131,072 bytes")
    try:
        return parse_signature_lines(answer.decode())
    except UnicodeDecodeError:
        raise NoteError("an answer is UTF-8") from None


def _signed_message(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
