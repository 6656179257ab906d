"""C2SP signed notes: a text and the signatures under it.

Rules kept: docs/spec/checkpoint.md section 2 and c2sp.org/signed-note. A note is opened with the
verifier's own keys; its text is of no use before that. A key's algorithm byte says what its
signatures mean, and each meaning has a class of its own: `NoteVerifier` here for an Ed25519
signature of the text (0x01), `MlDsaVerifier` in `mldsa` for a log's ML-DSA-44 signature (0x06),
`CosignatureVerifier` in `cosignature` for a witness's (0x04). Which keys to trust is left to
`trust`, what the text says to `checkpoint`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import ClassVar, NamedTuple, Protocol, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditvault.core.errors import AuditvaultError

MAX_NOTE_SIZE = 1_000_000
"""Bytes of UTF-8."""

MAX_SIGNATURES = 100
PUBLIC_KEY_SIZE = 32

_KEY_ID_SIZE = 4
_DASH = "\u2014 "
_KEY_NAME = re.compile(r"[^\s+]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID_HEX = re.compile(r"[0-9a-f]{8}")


class NoteError(AuditvaultError):
    """A note, a key name or a verifier key is malformed."""

    code: ClassVar[str] = "note_malformed"


class NoteSignatureError(NoteError):
    """A signature that names a known key does not verify."""

    code: ClassVar[str] = "note_signature_invalid"


class NoteUntrustedError(NoteError):
    """No known key has signed the note."""

    code: ClassVar[str] = "note_untrusted"


class SignatureLine(NamedTuple):
    """One signature under a note, as read: nothing is verified."""

    name: str
    key_id: bytes
    signature: bytes

    def render(self) -> str:
        """Return the line, newline included."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_DASH}{self.name} {encoded}\n"


class _PublicKey(Protocol):
    """What `cryptography`'s public keys of both algorithms offer."""

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raise InvalidSignature unless `signature` is the key's over `data`."""


class KeyVerifier:
    """One public key under one name, for one kind of signature.

    `public_key` is 32 bytes, or as many as the kind's algorithm has. Raises NoteError when the name
    is empty, is not Unicode or holds a space or `+`, or when the key has another size.
    """

    __slots__ = ("_public_key", "_raw", "key_id", "name")

    ALGORITHM: ClassVar[bytes]
    """The kind's signature type, one byte."""

    def __init__(self, name: str, public_key: bytes) -> None:
        self.name = name
        self.key_id = key_id_of(name, self.ALGORITHM, public_key)
        self._raw = bytes(public_key)
        self._public_key = self._load(public_key)

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read `name+hex(key ID)+base64(type || public key)`.

        Raises NoteError for another form, another algorithm or a key ID that is not the key's.
        """
        name, key_id, material = split_vkey(vkey)
        if material[:1] != cls.ALGORITHM:
            raise NoteError("a verifier key of an unknown algorithm")
        verifier = cls(name, material[1:])
        if verifier.key_id.hex() != key_id:
            raise NoteError("a verifier key's hash is not the one of its name and key")
        return verifier

    def vkey(self) -> str:
        """Return the text that `parse` reads."""
        return join_vkey(self.name, self.key_id, self.ALGORITHM + self._raw)

    @property
    def public_key(self) -> bytes:
        """The key's bytes: 32 of Ed25519 (RFC 8032) or 1,312 of ML-DSA-44 (FIPS 204)."""
        return self._raw

    def _load(self, public_key: bytes) -> _PublicKey:
        if len(public_key) != PUBLIC_KEY_SIZE:
            raise NoteError("an Ed25519 public key is 32 bytes")
        return Ed25519PublicKey.from_public_bytes(public_key)

    def _check(self, message: bytes, signature: bytes) -> None:
        try:
            self._public_key.verify(signature, message)
        except InvalidSignature as error:
            raise NoteSignatureError("a signature of a known key does not verify") from error


class LogVerifier(KeyVerifier):
    """A key that a log may sign its checkpoints with; a witness's is never one."""

    __slots__ = ()

    def verify(self, text: str, signature: bytes) -> None:
        """Raise NoteSignatureError unless `signature` is this key's for `text`."""
        raise NotImplementedError


class NoteVerifier(LogVerifier):
    """An Ed25519 key that signs a note's text: a log's, for one."""

    __slots__ = ()

    ALGORITHM: ClassVar[bytes] = b"\x01"

    def verify(self, text: str, signature: bytes) -> None:
        """Raise NoteSignatureError unless `signature` is this key's over `text`."""
        self._check(text.encode(), signature)


_Key = TypeVar("_Key", bound=KeyVerifier)


class LogSigner(Protocol):
    """What signs a note: a private key under one name."""

    def signature_line(self, text: str) -> str:
        """Return the line, newline included, that signs `text`; raises NoteError."""


class NoteSigner:
    """One Ed25519 key under one name; a log's signer is named by the log's origin."""

    __slots__ = ("_private_key", "_verifier")

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self._verifier = NoteVerifier(name, private_key.public_key().public_bytes_raw())

    def vkey(self) -> str:
        """Return the public verifier key as text."""
        return self._verifier.vkey()

    def verifier(self) -> NoteVerifier:
        """Return the verifier of what this signer signs."""
        return self._verifier

    def signature_line(self, text: str) -> str:
        """Return the line, newline included, that signs `text`."""
        signature = self._private_key.sign(text.encode())
        return SignatureLine(self._verifier.name, self._verifier.key_id, signature).render()


def sign_note(text: str, signers: Sequence[LogSigner]) -> str:
    """Return the note of `text`, which ends in a newline, with a line for each signer in order.

    Raises NoteError when the text is malformed, no signer is given or one is given twice.
    """
    if not text.endswith("\n"):
        raise NoteError("a note's text ends in a newline")
    note = f"{text}\n{''.join(signer.signature_line(text) for signer in signers)}"
    parse_note(note)
    return note


def open_note(note: str, verifiers: Iterable[LogVerifier]) -> str:
    """Return the note's text after at least one of `verifiers` has been found to have signed it.

    Lines of other keys are ignored. Raises NoteError when the note is malformed, NoteSignatureError
    when a line of a known key does not verify, NoteUntrustedError when no line is of a known key.
    """
    text, lines = parse_note(note)
    known = known_lines(lines, verifiers)
    for verifier, line in known:
        verifier.verify(text, line.signature)
    if not known:
        raise NoteUntrustedError("no trusted key has signed the note")
    return text


def algorithm_of(vkey: str) -> bytes:
    """Return a verifier key's algorithm byte; empty when it has no key. Raises NoteError."""
    return split_vkey(vkey)[2][:1]


def known_lines(
    lines: Iterable[SignatureLine], verifiers: Iterable[_Key]
) -> list[tuple[_Key, SignatureLine]]:
    """Return the lines of known keys, in order, each with its key; nothing is verified.

    Raises NoteError when two of `verifiers` share name and key ID but not the key.
    """
    known = _by_name_and_id(verifiers)
    return [
        (known[line.name, line.key_id], line) for line in lines if (line.name, line.key_id) in known
    ]


def decode_base64(text: str) -> bytes:
    """Decode standard base64 with padding, in its one canonical encoding; raises NoteError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise NoteError("not the canonical base64 of its bytes")
    return data


def parse_note(note: str) -> tuple[str, list[SignatureLine]]:
    """Split a note into its text, last newline included, and its signature lines.

    Nothing is verified, so the text may be read for one thing only: to find the keys that are
    trusted for it. Raises NoteError.
    """
    try:
        size = len(note.encode())
    except UnicodeEncodeError:
        raise NoteError("a note is Unicode text") from None
    if size > MAX_NOTE_SIZE:
        raise NoteError("a note is at most 1,000,000 bytes")
    if _CONTROL.search(note):
        raise NoteError("a note has no control character but the newline")
    body, separator, block = note.rpartition("\n\n")
    if not separator:
        raise NoteError("a note is a text, an empty line and signature lines")
    return body + "\n", parse_signature_lines(block)


def parse_signature_lines(block: str) -> list[SignatureLine]:
    """Read the signature lines under a note: 1 to 100, each ended by a newline. Raises NoteError."""
    if not block.endswith("\n"):
        raise NoteError("a note ends in a newline")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError("a note has at most 100 signatures")
    signatures = [_parse_signature(line) for line in lines]
    if len({(line.name, line.key_id) for line in signatures}) != len(signatures):
        raise NoteError("two signature lines name the same key")
    return signatures


def _parse_signature(line: str) -> SignatureLine:
    if not line.startswith(_DASH):
        raise NoteError("a signature line begins with an em dash and a space")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    _check_key_name(name)
    blob = decode_base64(encoded)
    if len(blob) <= _KEY_ID_SIZE:
        raise NoteError("a signature line has a key ID and a signature")
    return SignatureLine(name, blob[:_KEY_ID_SIZE], blob[_KEY_ID_SIZE:])


def key_id_of(name: str, algorithm: bytes, public_key: bytes) -> bytes:
    """Return the four bytes by which a line names its key; raises NoteError for a bad name."""
    _check_key_name(name)
    return sha256(name.encode() + b"\n" + algorithm + public_key).digest()[:_KEY_ID_SIZE]


def join_vkey(name: str, key_id: bytes, material: bytes) -> str:
    """Return a verifier key as text; `material` is the algorithm byte and the public key."""
    return f"{name}+{key_id.hex()}+{base64.b64encode(material).decode()}"


def split_vkey(vkey: str) -> tuple[str, str, bytes]:
    """Return name, key ID in hex, and algorithm byte with public key; raises NoteError."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    if not _KEY_ID_HEX.fullmatch(key_id):
        raise NoteError("a verifier key is name+hash+key")
    return name, key_id, decode_base64(encoded)


def _by_name_and_id(verifiers: Iterable[_Key]) -> Mapping[tuple[str, bytes], _Key]:
    known: dict[tuple[str, bytes], _Key] = {}
    for verifier in verifiers:
        other = known.setdefault((verifier.name, verifier.key_id), verifier)
        if other.public_key != verifier.public_key:
            raise NoteError("two known keys share name and key ID")
    return known


def _check_key_name(name: str) -> None:
    if not _KEY_NAME.fullmatch(name):
        raise NoteError("a key name is not empty and has neither spaces nor '+'")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise NoteError("a key name is Unicode text") from None
