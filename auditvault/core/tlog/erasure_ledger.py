"""The erasure ledger: signed records of what was erased, each holding the hash of the one before.

Rules kept: docs/spec/erasure-ledger.md sections 2 and 3. A record is a C2SP signed note whose text is one line of
canonical JSON. It holds ids and nothing of a person. Where records are kept is left to the callers, and so is which
keys to trust: a record is of no use before a trusted key has signed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import (
    MAX_INTEGER,
    CanonicalFormError,
    JsonValue,
    canonical_bytes,
    parse_canonical,
)
from auditvault.core.tlog.note import (
    LogSigner,
    LogVerifier,
    NoteError,
    open_note,
    parse_note,
    sign_note,
)
from auditvault.core.tlog.origin import OriginError, check_origin
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys

RECORD_VERSION = "auditvault/erasure/1"
HASH_SIZE = 32
NO_HASH = bytes(HASH_SIZE)
"""What the first record has before it."""

MAX_SUBJECTS = 1000
MAX_KEYS = 4000

_SUFFIX = "ledger/erasures"
_KEYS = frozenset(
    {"v", "log", "i", "prev", "t", "erasure", "reference", "tenant", "subjects", "keys"}
)
_KEY_MEMBERS = frozenset({"id", "subject", "class", "version"})
_HEX_32 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_CLASS = re.compile(r"[a-z][a-z0-9_]{0,30}")
_FILE_NAME = re.compile(r"[0-9]{19}")

VerifiersFor = Callable[[str], Iterable[LogVerifier]]
"""The trusted keys, each under the name asked for."""


class ErasureRecordError(AuditvaultError):
    """Bytes are no record of an erasure ledger, or values are none."""

    code: ClassVar[str] = "erasure_record_malformed"


class ErasureChainError(AuditvaultError):
    """A record is not the one that follows: the ledger was cut, edited or forked, or is another region's."""

    code: ClassVar[str] = "erasure_chain_broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class DestroyedKey:
    """A key that the erasure destroys; every member is public."""

    key_id: str
    """UUID."""
    subject_id: str
    """UUID."""
    data_class: str
    """A lower-case letter, then up to 30 of `a-z 0-9 _`."""
    version: int
    """1 to 2^53 - 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErasureRecord:
    """One erasure, as read or to be signed; every id is a UUID's text."""

    log: str
    """Name of the ledger: `<host>/<region>/ledger/erasures`."""
    index: int
    """0 to 2^53 - 1."""
    previous: bytes
    """`record_hash` of the record before; `NO_HASH` for the first."""
    recorded_at: str
    """UTC, as an entry's `t`."""
    erasure_id: str
    reference: str
    """Of the request that ordered it."""
    tenant_id: str
    subject_ids: tuple[str, ...]
    """1 to 1000, ascending."""
    keys: tuple[DestroyedKey, ...]
    """At most 4000: every key that was there when the erasure was begun."""

    def sign(self, signer: LogSigner) -> bytes:
        """Return the record's bytes; `signer` is named `log`. Raises ErasureRecordError."""
        try:
            text = canonical_bytes(self._members()).decode()
            note = sign_note(f"{text}\n", [signer]).encode()
            _read(note.decode())
        except (NoteError, CanonicalFormError) as error:
            raise ErasureRecordError(error.message) from error
        return note

    def _members(self) -> dict[str, JsonValue]:
        return {
            "v": RECORD_VERSION,
            "log": self.log,
            "i": self.index,
            "prev": self.previous.hex(),
            "t": self.recorded_at,
            "erasure": self.erasure_id,
            "reference": self.reference,
            "tenant": self.tenant_id,
            "subjects": list(self.subject_ids),
            "keys": [
                {
                    "id": key.key_id,
                    "subject": key.subject_id,
                    "class": key.data_class,
                    "version": key.version,
                }
                for key in self.keys
            ],
        }

    @property
    def region(self) -> str:
        """Whose ledger it is."""
        return self.log.removesuffix(f"/{_SUFFIX}").rpartition("/")[2]


def ledger_name(host: str, region: str) -> str:
    """The name of a region's ledger. No pattern of a trust file that is for logs matches it."""
    return f"{host}/{region}/{_SUFFIX}"


def record_hash(data: bytes) -> bytes:
    """SHA-256 over a record's bytes, signature included: what the next one holds."""
    return sha256(data).digest()


def file_name(index: int) -> str:
    """The name under which a record is kept."""
    return f"{index:019d}"


def index_of(name: str) -> int:
    """Read what `file_name` writes; raises ErasureRecordError."""
    if not _FILE_NAME.fullmatch(name):
        raise ErasureRecordError("a record's file has 19 digits for a name")
    return int(name)


def open_record(data: bytes, verifiers_for: VerifiersFor) -> ErasureRecord:
    """Return the record in `data`, which a trusted key has signed; raises ErasureRecordError, NoteError."""
    note = _text_of(data)
    record = _read(note)
    open_note(note, list(verifiers_for(record.log)))
    return record


class ErasureChain:
    """Takes a region's records from the first on; each is proved before the next is looked at."""

    def __init__(self, region: str, verifiers_for: VerifiersFor) -> None:
        self._region = region
        self._verifiers_for = verifiers_for
        self._log: str | None = None
        self.size = 0
        self.head = NO_HASH

    def add(self, data: bytes) -> ErasureRecord:
        """Return the next record; raises ErasureChainError, ErasureRecordError, NoteError."""
        record = open_record(data, self._verifiers_for)
        if record.region != self._region or record.log != (self._log or record.log):
            raise ErasureChainError(f"record {self.size} is of another ledger")
        if record.index != self.size:
            raise ErasureChainError(f"record {self.size} says that it is record {record.index}")
        if record.previous != self.head:
            raise ErasureChainError(f"record {self.size} does not follow the one before it")
        self._log, self.size, self.head = record.log, self.size + 1, record_hash(data)
        return record


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ErasureRecordError("a record is UTF-8") from None


def _read(note: str) -> ErasureRecord:
    try:
        text, _ = parse_note(note)
        members = parse_canonical(text.removesuffix("\n").encode())
        if not isinstance(members, dict):
            raise ErasureRecordError("a record is an object")
        check_keys(members, required=_KEYS)
        return _from_members(members)
    except (CanonicalFormError, StrictJsonError, OriginError) as error:
        raise ErasureRecordError(f"no erasure record: {error.message}") from error


def _from_members(members: Mapping[str, Any]) -> ErasureRecord:
    if members["v"] != RECORD_VERSION:
        raise ErasureRecordError("not an erasure record of version 1")
    subjects = tuple(_text(item, _ID) for item in _list(members["subjects"], MAX_SUBJECTS))
    if not subjects or list(subjects) != sorted(set(subjects)):
        raise ErasureRecordError("subjects are one or more ids in ascending order")
    log = _text(members["log"])
    check_origin(log)
    if not log.endswith(f"/{_SUFFIX}") or not log.removesuffix(f"/{_SUFFIX}").count("/"):
        raise ErasureRecordError("not the name of an erasure ledger")
    return ErasureRecord(
        log=log,
        index=_number(members["i"], least=0),
        previous=bytes.fromhex(_text(members["prev"], _HEX_32)),
        recorded_at=_text(members["t"], _INSTANT),
        erasure_id=_text(members["erasure"], _ID),
        reference=_text(members["reference"], _ID),
        tenant_id=_text(members["tenant"], _ID),
        subject_ids=subjects,
        keys=tuple(_key(item, subjects) for item in _list(members["keys"], MAX_KEYS)),
    )


def _key(value: Any, subjects: tuple[str, ...]) -> DestroyedKey:
    if not isinstance(value, dict):
        raise ErasureRecordError("a key is an object")
    check_keys(value, required=_KEY_MEMBERS)
    key = DestroyedKey(
        key_id=_text(value["id"], _ID),
        subject_id=_text(value["subject"], _ID),
        data_class=_text(value["class"], _CLASS),
        version=_number(value["version"], least=1),
    )
    if key.subject_id not in subjects:
        raise ErasureRecordError("a key of somebody who is not erased")
    return key


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ErasureRecordError(f"a list of at most {most} is meant")
    return value


def _text(value: Any, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise ErasureRecordError("a member is not of its form")
    return value


def _number(value: Any, *, least: int) -> int:
    if type(value) is not int or not least <= value <= MAX_INTEGER:
        raise ErasureRecordError("a number is an integer in its range")
    return value
