"""The manifest of a backup's part, and how each of its files is bound and sealed.

Rules kept: docs/spec/backup.md. A manifest is believed only under a key that the operator trusts, and a file only
under the manifest and the backup key: a file of another backup, region, part or place does not open. Reading files,
dumping and restoring are left to others.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar, Literal, cast
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditvault.core.crypto.envelope import ObjectContext
from auditvault.core.crypto.frames import FRAMED_HEAD_SIZE, open_frames, seal_frames
from auditvault.core.crypto.keywrap import SECRET_SIZE, WRAP_SIZE, WrapKey, wrap_context
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import (
    CanonicalFormError,
    JsonValue,
    canonical_bytes,
    parse_canonical,
)

VERSION = "auditvault/backup/1"
FILE_START = WRAP_SIZE + FRAMED_HEAD_SIZE
"""Bytes of a file before its first frame: the wrapped content key, and the head."""

Part = Literal["ledger", "vault", "keyring"]
PARTS: tuple[Part, ...] = ("ledger", "vault", "keyring")
Dump = Literal["schema", "data"]

_KEY_LABEL = b"auditvault/backup-key/1"
_NOBODY = UUID(int=0)


class ManifestError(AuditvaultError):
    """Something is no manifest of a backup."""

    code: ClassVar[str] = "backup_manifest_malformed"


class ManifestVersionError(ManifestError):
    """A format that this version does not know."""

    code: ClassVar[str] = "backup_version_unknown"


class ManifestSignatureError(ManifestError):
    """No trusted key has signed the manifest as it is."""

    code: ClassVar[str] = "backup_not_signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """One file of a dump, as it lies in the backup."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """Of the file, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a log ended, and the newest checkpoint that was signed of it by then."""

    log: str
    """Its origin."""
    size: int
    """Entries, those included that no checkpoint covers yet."""
    signed_size: int
    """Size of the checkpoint; 0 where none was signed."""
    signed_root: str
    """Hex; empty where none was signed."""
    note: str
    """The checkpoint as it was signed; empty where none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one part of one backup is."""

    backup: UUID
    """Of the run; the parts of one run have it in common."""
    part: Part
    region: str
    begun_at: datetime
    as_of: datetime
    """When the database's snapshot was taken, by the database's clock."""
    finished_at: datetime
    auditvault: str
    """Version of the program that wrote it."""
    postgresql: str
    """Version of the server."""
    pg_dump: str
    """Version of the program that dumped."""
    key: str
    """Id of the backup key, hex."""
    dumps: Mapping[str, Sequence[SealedFile]]
    """`data`, and for the ledger `schema`: the files of each, in order."""
    rows: Mapping[str, int]
    """Rows of each table whose data are in here."""
    heads: Sequence[Head] = ()
    """Of every log of the region; ledger only."""
    epoch: int | None = None
    """The newest epoch of keys; keyring only."""
    erasures: Mapping[str, JsonValue] | None = field(default=None)
    """`index` and `hash` of the last record of the erasure ledger that the database has carried out."""

    def __post_init__(self) -> None:
        for at in (self.begun_at, self.as_of, self.finished_at):
            if at.tzinfo is None:
                raise ManifestError("a time in a manifest has a zone")

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(one.size for files in self.dumps.values() for one in files)


class BackupKey:
    """Wraps the content keys of a backup's files. Not printed, not pickled."""

    __slots__ = ("_wrap_key", "key_id")

    def __init__(self, key: bytes) -> None:
        """`key` is 32 random bytes; raises WrapError for another size."""
        self.key_id = hmac.digest(key, _KEY_LABEL, "sha256")[:16]
        self._wrap_key = WrapKey(self.key_id, key)

    def seal(self, place: Place, content: Iterable[bytes]) -> Iterator[bytes]:
        """The file: a fresh content key of its own, wrapped; then `content` in frames."""
        secret = os.urandom(SECRET_SIZE)
        head, _, frames = seal_frames(cek=secret, context=place.context, content=content)
        yield self._wrap_key.wrap(secret, self._bound(place)) + head
        yield from frames

    def check(self, place: Place, start: bytes) -> None:
        """Raise a WrapError unless a file that begins with `start` is under this key and of this place."""
        self._wrap_key.unwrap(start[:WRAP_SIZE], self._bound(place))

    def open(self, place: Place, start: bytes, sealed: Iterable[bytes]) -> Iterator[bytes]:
        """What was sealed: `start` is the file's first FILE_START bytes, `sealed` all others, cut anywhere.

        Raises a WrapError or an EnvelopeError, the latter also while it is read. It is whole only when the iterator
        has ended.
        """
        secret = self._wrap_key.unwrap(start[:WRAP_SIZE], self._bound(place))
        head = start[WRAP_SIZE:]
        return open_frames(cek=secret, context=place.context, head=head, sealed=sealed).chunks

    def _bound(self, place: Place) -> bytes:
        return wrap_context(
            purpose="backup-file",
            region=place.region,
            key_or_object_id=place.backup,
            version=place.number,
            data_class=place.data_class,
            wrapping_key_id=self.key_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file belongs: it opens nowhere else."""

    backup: UUID
    region: str
    part: Part
    dump: Dump
    number: int
    """Of the file in its dump, from 1."""

    @property
    def data_class(self) -> str:
        """What stands for a data class in associated data."""
        return f"backup.{self.part}.{self.dump}"

    @property
    def context(self) -> ObjectContext:
        """Associated data of the frames."""
        return ObjectContext(
            region=self.region,
            tenant_id=_NOBODY,
            data_class=self.data_class,
            subject_id=_NOBODY,
            object_id=self.backup,
            version=self.number,
        )


def sign_manifest(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """The manifest's file."""
    body = _as_json(manifest)
    signature = key.sign(_signed(canonical_bytes(body)))
    return canonical_bytes(
        {
            "manifest": body,
            "key": key_name(key.public_key()),
            "signature": base64.b64encode(signature).decode("ascii"),
        }
    )


def open_manifest(data: bytes, trusted: Sequence[Ed25519PublicKey]) -> Manifest:
    """The manifest in a file; raises ManifestVersionError, ManifestSignatureError, or ManifestError."""
    try:
        outer = cast("dict[str, Any]", parse_canonical(data))
        body = outer["manifest"]
        name, signature = outer["key"], base64.b64decode(outer["signature"], validate=True)
        version = body["v"]
    except (CanonicalFormError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ManifestError("This is no manifest of a backup, or it was cut off.") from error
    if version != VERSION:
        raise ManifestVersionError(
            "The backup's format is unknown to this version. Restore with the version that made it, or a newer one."
        )
    for key in trusted:
        if key_name(key) == name:
            _verify(key, signature, canonical_bytes(body))
            return _from_json(body)
    raise ManifestSignatureError(
        "No trusted key has signed this manifest. Name the public key of whoever made the backup."
    )


def key_name(key: Ed25519PublicKey) -> str:
    """A public key's name: the beginning of its SHA-256, hex."""
    return sha256(key.public_bytes_raw()).hexdigest()[:32]


def _verify(key: Ed25519PublicKey, signature: bytes, body: bytes) -> None:
    try:
        key.verify(signature, _signed(body))
    except InvalidSignature as error:
        raise ManifestSignatureError(
            "The manifest was changed after it was signed. Use another backup."
        ) from error


def _signed(body: bytes) -> bytes:
    return VERSION.encode("ascii") + b"\n" + body


def _as_json(manifest: Manifest) -> dict[str, JsonValue]:
    plain = {name: getattr(manifest, name) for name in manifest.__slots__}
    return plain | {
        "v": VERSION,
        "backup": str(manifest.backup),
        "begun_at": manifest.begun_at.isoformat(),
        "as_of": manifest.as_of.isoformat(),
        "finished_at": manifest.finished_at.isoformat(),
        "dumps": {name: [asdict(one) for one in files] for name, files in manifest.dumps.items()},
        "heads": [asdict(head) for head in manifest.heads],
    }


def _from_json(body: dict[str, Any]) -> Manifest:
    """Signed by a trusted key: a form that is wrong all the same is a writer's fault, and refused."""
    known = dict(body)
    try:
        del known["v"]
        times: dict[str, Any] = {name: datetime.fromisoformat(known.pop(name)) for name in _TIMES}
        files = {
            name: tuple(SealedFile(**one) for one in files)
            for name, files in known.pop("dumps").items()
        }
        heads = tuple(Head(**head) for head in known.pop("heads"))
        backup = UUID(known.pop("backup"))
        return Manifest(backup=backup, dumps=files, heads=heads, **times, **known)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestError("The manifest has not the form of its version.") from error


_TIMES = ("begun_at", "as_of", "finished_at")
