"""Certificates: a region's signed word on what was done about one request about a person's data.

Rules kept: docs/spec/certificate.md. A certificate is a C2SP signed note whose text is one line of canonical JSON. It
holds ids, counts and hashes, and nothing of a person: no name, no identifier, no tag, no subject. What was destroyed is
named by records of the erasure ledgers. It attests what was done, not that nothing is anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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

CERTIFICATE_VERSION = "auditvault/certificate/1"
MAX_REGIONS = 100
MAX_RECORDS = 1000
MAX_GROUNDS = 20
MAX_RECIPIENTS = 1000

KINDS = frozenset({"erasure", "access", "portability", "rectification", "restriction", "objection"})
OUTCOMES = frozenset({"done", "partly", "nothing_found"})

_SUFFIX = "ledger/certificates"
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX_32 = re.compile(r"[0-9a-f]{64}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_VERSION = re.compile(r"[A-Za-z0-9.-]{1,16}")
_GROUND = re.compile(r"[0-9][A-Za-z0-9().-]{0,31}")
_MEMBERS = frozenset(
    {
        "v",
        "log",
        "id",
        "request",
        "kind",
        "tenant",
        "regime",
        "received_at",
        "completed_at",
        "issued_at",
        "outcome",
        "manifest",
        "objects",
        "grounds",
        "regions",
        "verification",
        "backups_past_recall_at",
        "recipients",
    }
)

VerifiersFor = Callable[[str], Iterable[LogVerifier]]
"""The trusted keys, each under the name asked for."""


class RequestCertificateError(AuditvaultError):
    """Bytes are no certificate, or one that contradicts itself."""

    code: ClassVar[str] = "request_certificate_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRecord:
    """A record of a region's erasure ledger: whose keys went, and when, stands there."""

    index: int
    record_hash: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionPart:
    """What was done in one region."""

    region: str
    done: int
    """Objects."""
    keys: int
    """Keys destroyed."""
    records: tuple[LedgerRecord, ...]
    """Ascending; empty where nothing was destroyed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """Why objects were left: a ground such as `17(3)(b)`."""

    ground: str
    objects: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """Somebody who was told, by the id that the tenant knows them under."""

    recipient_id: str
    attempts: int
    acknowledged_at: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestCertificate:
    """One certificate, as read or to be signed; ids are UUIDs' text, instants as an entry's `t`."""

    log: str
    """Whose word it is: `<host>/<region>/ledger/certificates`."""
    certificate_id: str
    request_id: str
    kind: str
    tenant_id: str
    regime: str
    regime_version: str
    received_at: str
    completed_at: str
    issued_at: str
    outcome: str
    manifest: bytes
    """SHA-256 of the frozen manifest."""
    found: int
    """Objects of the manifest: found = done + exempt + held."""
    done: int
    exempt: int
    held: int
    grounds: tuple[Ground, ...]
    """Ascending; their objects are the exempt ones."""
    regions: tuple[RegionPart, ...]
    """Ascending by name; their objects are those done."""
    checked: int
    """Objects that the verification tried to read afterwards. It opened none: else there is no certificate."""
    backups_past_recall_at: str | None
    """From when on no backup can bring back what was destroyed; None where nothing was."""
    recipients: tuple[Recipient, ...]

    def sign(self, signer: LogSigner) -> bytes:
        """Return the certificate's bytes; `signer` is named `log`. Raises RequestCertificateError."""
        try:
            text = canonical_bytes(self._members()).decode()
            note = sign_note(f"{text}\n", [signer]).encode()
            _read(note.decode())
        except (NoteError, CanonicalFormError) as error:
            raise RequestCertificateError(error.message) from error
        return note

    @property
    def region(self) -> str:
        """Whose word it is."""
        return self.log.removesuffix(f"/{_SUFFIX}").rpartition("/")[2]

    def _members(self) -> dict[str, JsonValue]:
        return {
            "v": CERTIFICATE_VERSION,
            "log": self.log,
            "id": self.certificate_id,
            "request": self.request_id,
            "kind": self.kind,
            "tenant": self.tenant_id,
            "regime": {"name": self.regime, "version": self.regime_version},
            "received_at": self.received_at,
            "completed_at": self.completed_at,
            "issued_at": self.issued_at,
            "outcome": self.outcome,
            "manifest": self.manifest.hex(),
            "objects": {
                "found": self.found,
                "done": self.done,
                "exempt": self.exempt,
                "held": self.held,
            },
            "grounds": [{"ground": each.ground, "objects": each.objects} for each in self.grounds],
            "regions": [_region_members(each) for each in self.regions],
            "verification": {"checked": self.checked, "opened": 0},
            "backups_past_recall_at": self.backups_past_recall_at,
            "recipients": [
                {
                    "recipient": each.recipient_id,
                    "attempts": each.attempts,
                    "acknowledged_at": each.acknowledged_at,
                }
                for each in self.recipients
            ],
        }


def certificate_name(host: str, region: str) -> str:
    """The name that a region signs under. No pattern of a trust file that is for logs matches it."""
    return f"{host}/{region}/{_SUFFIX}"


def read_certificate(data: bytes) -> RequestCertificate:
    """Return the certificate in `data`, whoever signed it; raises RequestCertificateError, NoteError."""
    return _read(_text_of(data))


def open_certificate(data: bytes, verifiers_for: VerifiersFor) -> RequestCertificate:
    """Return the certificate in `data`, which a trusted key has signed; raises RequestCertificateError, NoteError."""
    note = _text_of(data)
    certificate = _read(note)
    open_note(note, list(verifiers_for(certificate.log)))
    return certificate


def _region_members(part: RegionPart) -> dict[str, JsonValue]:
    return {
        "region": part.region,
        "done": part.done,
        "keys": part.keys,
        "records": [
            {"i": record.index, "hash": record.record_hash.hex()} for record in part.records
        ],
    }


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RequestCertificateError("a certificate is UTF-8") from None


def _read(note: str) -> RequestCertificate:
    try:
        text, _ = parse_note(note)
        members = _object(parse_canonical(text.removesuffix("\n").encode()), _MEMBERS)
        certificate = _from_members(members)
    except (CanonicalFormError, StrictJsonError, OriginError) as error:
        raise RequestCertificateError(f"no certificate: {error.message}") from error
    _check_sums(certificate)
    _check_order(certificate)
    return certificate


def _from_members(members: Mapping[str, Any]) -> RequestCertificate:
    if members["v"] != CERTIFICATE_VERSION:
        raise RequestCertificateError("not a certificate of version 1")
    regime = _object(members["regime"], {"name", "version"})
    objects = _object(members["objects"], {"found", "done", "exempt", "held"})
    verification = _object(members["verification"], {"checked", "opened"})
    if verification["opened"] != 0 or verification["opened"] is False:
        raise RequestCertificateError("something could still be opened: that is no certificate")
    return RequestCertificate(
        log=_log(members["log"]),
        certificate_id=_text(members["id"], _ID),
        request_id=_text(members["request"], _ID),
        kind=_one_of(members["kind"], KINDS),
        tenant_id=_text(members["tenant"], _ID),
        regime=_text(regime["name"], _NAME),
        regime_version=_text(regime["version"], _VERSION),
        received_at=_text(members["received_at"], _INSTANT),
        completed_at=_text(members["completed_at"], _INSTANT),
        issued_at=_text(members["issued_at"], _INSTANT),
        outcome=_one_of(members["outcome"], OUTCOMES),
        manifest=bytes.fromhex(_text(members["manifest"], _HEX_32)),
        **{name: _number(value) for name, value in objects.items()},
        grounds=tuple(map(_ground, _list(members["grounds"], MAX_GROUNDS))),
        regions=tuple(map(_region, _list(members["regions"], MAX_REGIONS))),
        checked=_number(verification["checked"]),
        backups_past_recall_at=_instant_or_none(members["backups_past_recall_at"]),
        recipients=tuple(map(_recipient, _list(members["recipients"], MAX_RECIPIENTS))),
    )


def _check_sums(certificate: RequestCertificate) -> None:
    parts = certificate.done + certificate.exempt + certificate.held
    if (
        certificate.found != parts
        or certificate.done != sum(part.done for part in certificate.regions)
        or certificate.exempt != sum(each.objects for each in certificate.grounds)
    ):
        raise RequestCertificateError("the counts contradict each other")
    left = certificate.exempt + certificate.held
    expected = "nothing_found" if certificate.found == 0 else "partly" if left else "done"
    if certificate.outcome != expected:
        raise RequestCertificateError("the outcome is not the one that the counts say")


def _check_order(certificate: RequestCertificate) -> None:
    times = [certificate.received_at, certificate.completed_at, certificate.issued_at]
    # One form and one zone, so they sort as texts.
    if times != sorted(times):
        raise RequestCertificateError("it was issued before it was done, or done before it came")
    _check_ascending([part.region for part in certificate.regions])
    _check_ascending([each.ground for each in certificate.grounds])
    _check_ascending([each.recipient_id for each in certificate.recipients])
    for part in certificate.regions:
        _check_ascending([record.index for record in part.records])
        if part.keys and not part.records:
            raise RequestCertificateError("keys were destroyed without a record of it")


def _check_ascending(values: list[Any]) -> None:
    if values != sorted(set(values)):
        raise RequestCertificateError("a list is in ascending order, each member once")


def _log(value: Any) -> str:
    log = _text(value)
    check_origin(log)
    if not log.endswith(f"/{_SUFFIX}") or not log.removesuffix(f"/{_SUFFIX}").count("/"):
        raise RequestCertificateError("not the name that a region signs certificates under")
    return log


def _region(value: Any) -> RegionPart:
    members = _object(value, {"region", "done", "keys", "records"})
    return RegionPart(
        region=_text(members["region"], _NAME),
        done=_number(members["done"]),
        keys=_number(members["keys"]),
        records=tuple(map(_record, _list(members["records"], MAX_RECORDS))),
    )


def _record(value: Any) -> LedgerRecord:
    members = _object(value, {"i", "hash"})
    return LedgerRecord(
        index=_number(members["i"]), record_hash=bytes.fromhex(_text(members["hash"], _HEX_32))
    )


def _ground(value: Any) -> Ground:
    members = _object(value, {"ground", "objects"})
    return Ground(ground=_text(members["ground"], _GROUND), objects=_number(members["objects"]))


def _recipient(value: Any) -> Recipient:
    members = _object(value, {"recipient", "attempts", "acknowledged_at"})
    return Recipient(
        recipient_id=_text(members["recipient"], _ID),
        attempts=_number(members["attempts"]),
        acknowledged_at=_instant_or_none(members["acknowledged_at"]),
    )


def _object(value: Any, keys: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestCertificateError("an object is meant")
    check_keys(value, required=frozenset(keys))
    return value


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise RequestCertificateError(f"a list of at most {most} is meant")
    return value


def _text(value: Any, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise RequestCertificateError("a member is not of its form")
    return value


def _instant_or_none(value: Any) -> str | None:
    return None if value is None else _text(value, _INSTANT)


def _one_of(value: Any, words: frozenset[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise RequestCertificateError("a member is none of its words")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise RequestCertificateError("a number is an integer from 0 on")
    return value
