"""Makes evidence bundles out of a log, for whoever may read it (docs/spec/bundle.md).

Order, and what a crash leaves behind:

1. The range is checked against the newest signed checkpoint.     Crash: nothing.
2. What is about to be taken away is recorded in the access log,  Crash after: a record of a bundle that nobody has,
   or, of the operator's log, in that log itself.                 which is the safe side.
3. The bundle is written beside its place, fsynced and renamed.   Crash before: a leftover `.part`, which is no bundle.

Entries, proofs and headers are read in one snapshot. Content is not here; see `access.disclosure`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import AccessDeniedError, Act
from auditvault.core.policy.roles import AnyRole
from auditvault.core.tlog.bundle_headers import Absent, Opened
from auditvault.core.tlog.bundle_manifest import Headers, Scope
from auditvault.core.tlog.bundle_prune import MAX_PRUNES, PruneEvidence
from auditvault.core.tlog.bundle_writer import Part, Previous, Proofs, Timestamp, write_bundle
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.merkle import ProofError, verify_consistency
from auditvault.core.tlog.note import parse_note
from auditvault.core.tlog.range_proof import make_range_proof
from auditvault.evidence.anchors.selectors import first_timestamp, last_timestamp
from auditvault.evidence.key_history import Step, read_key_history
from auditvault.evidence.verification import VerificationUnavailableError, read_log_keys
from auditvault.ledger.admin.services import OPERATOR as OPERATORS_LOG
from auditvault.ledger.admin.services import record_operation
from auditvault.ledger.cosignatures import published_checkpoint
from auditvault.ledger.logs import LogNotFoundError, LogRef, tenant_logs
from auditvault.ledger.pruning import prune_records
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import (
    EntryNotFoundError,
    SignedCheckpoint,
    consistency,
    entries,
    inclusion,
)
from auditvault.ledger.tiling import fetch_tiles

OPERATOR = "operator:cli"
"""Who acts where no token says it: somebody on the service's own machine."""

ENTRY_TYPE = "bundle.exported"
"""In the operator's log: a bundle of that log itself was made."""

_HEADER_TABLES = {
    "interactions": "traces_header",
    "access": "access_event",
    "admin": "admin_event",
}
_HEADER_ACTS = {"interactions": Act.READ_HEADERS, "access": Act.READ_ACCESS_LOG}


class BundleRequestError(AuditvaultError):
    """A bundle cannot be made as asked."""

    code = "bundle_request_invalid"


class BundlePreviousError(AuditvaultError):
    """The log does not extend the checkpoint that was handed in: one of the two is not the log's."""

    code = "bundle_previous_inconsistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be in a bundle."""

    tenant_id: UUID
    """The nil UUID for the operator's log, whose kind is `admin`."""
    region: str
    kind: str
    first: int = 0
    end: int | None = None
    """None: up to the newest checkpoint."""
    previous: str | None = None
    """A signed checkpoint that somebody kept; its signature is the verifier's to check."""
    headers: bool = False
    """The operator's log has nothing personal in its headers: they are always in its bundles."""

    @property
    def is_operators(self) -> bool:
        """Whether it is of the operator's log."""
        return self.tenant_id == OPERATORS_LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A bundle that was written."""

    scope: Scope
    sha256: str
    size_bytes: int
    access_record: UUID
    """In the access log; for a bundle of the operator's log, in that log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What will be written, before it is recorded."""

    log: LogRef
    scope: Scope
    checkpoint: SignedCheckpoint
    previous: Checkpoint | None
    history: list[Step]


def create_bundle(
    *, order: Order, credential: Credential | None, path: Path, now: datetime
) -> Made:
    """Write a bundle to `path`, where nothing may stand yet, once it is recorded.

    Without a credential the caller is the operator, who gets entries and proofs and no headers.

    Raises:
        AccessDeniedError: the credential may not read this log; the refusal is recorded.
        BundleRequestError, LogNotFoundError, BundlePreviousError: it cannot be made as asked.
        AccessNotRecordedError: the access log could not be written; nothing was.
    """
    if path.exists():
        raise BundleRequestError("The output exists already. Bundles are not written over.")
    role = _role(order, credential, now)
    plan = _plan(order, credential)
    details: dict[str, JsonValue] = {
        "log": plan.log.origin,
        "first": plan.scope.first,
        "end": plan.scope.end,
        "size": plan.scope.size,
        "headers": plan.scope.headers,
    }
    if order.is_operators:
        record = record_operation(region=order.region, action=ENTRY_TYPE, details=details)
    else:
        act = RecordedAct(
            actor=credential.actor if credential else OPERATOR,
            actor_role=role.value if role else None,
            action="export_bundle",
            outcome="granted",
            details=details,
        )
        record = record_act(region=order.region, tenant_id=order.tenant_id, act=act, now=now)
    sha256, size_bytes = _write(order, plan, path)
    return Made(scope=plan.scope, sha256=sha256, size_bytes=size_bytes, access_record=record)


def _role(order: Order, credential: Credential | None, now: datetime) -> AnyRole | None:
    """The role under which the caller reads the log; None for the operator."""
    if credential is None:
        return None
    if order.is_operators:
        raise BundleRequestError(
            "The operator's log is of no tenant, and a token is for one. Make its bundle without AUDITVAULT_TOKEN."
        )
    if credential.tenant_id != order.tenant_id or order.region not in credential.regions:
        raise BundleRequestError("The token is of another tenant, or not for that region.")
    try:
        return credential.role_for(Act.READ_LOG)
    except AccessDeniedError as error:
        refusal = RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="export_bundle",
            outcome="denied",
            details={"kind": order.kind, "code": error.code},
        )
        record_act(region=order.region, tenant_id=order.tenant_id, act=refusal, now=now)
        raise


def _plan(order: Order, credential: Credential | None) -> _Plan:
    log = _log(order)
    with tenant_scope(region_alias(order.region), order.tenant_id) as connection:
        checkpoint = published_checkpoint(connection, log)
        if checkpoint is None:
            raise LogNotFoundError("This log has no checkpoint yet.")
        previous = _previous(connection, order, log, checkpoint)
    end = checkpoint.size if order.end is None else order.end
    if not 0 <= order.first < end <= checkpoint.size:
        raise BundleRequestError(
            f"The range must have an entry, and end within the {checkpoint.size} signed ones."
        )
    scope = Scope(
        log=log.origin,
        first=order.first,
        end=end,
        size=checkpoint.size,
        headers=_headers(order, credential),
    )
    history = read_key_history(order.region, until=checkpoint if order.is_operators else None)
    return _Plan(log=log, scope=scope, checkpoint=checkpoint, previous=previous, history=history)


def _log(order: Order) -> LogRef:
    for log in tenant_logs(region=order.region, tenant_id=order.tenant_id):
        if log.kind == order.kind:
            return log
    whose = "operator" if order.is_operators else "tenant"
    raise LogNotFoundError(f"The {whose} has no such log in this region yet.")


def _headers(order: Order, credential: Credential | None) -> Headers:
    if order.is_operators:
        return "included"
    act = _HEADER_ACTS.get(order.kind)
    if act is None:
        return "not_stored"
    if not order.headers:
        return "not_requested"
    if credential is None:
        return "not_authorised"
    try:
        credential.role_for(act)
    except AccessDeniedError:
        return "not_authorised"
    return "included"


def _previous(
    connection: psycopg.Connection[Any], order: Order, log: LogRef, checkpoint: SignedCheckpoint
) -> Checkpoint | None:
    if order.previous is None:
        return None
    previous = Checkpoint.parse(parse_note(order.previous)[0])
    if previous.origin != log.origin or not 0 < previous.size <= checkpoint.size:
        raise BundleRequestError(
            "The previous checkpoint is of another log, empty, or larger than the newest one."
        )
    try:
        verify_consistency(
            old_size=previous.size,
            new_size=checkpoint.size,
            old_root=previous.root,
            new_root=checkpoint.root,
            proof=consistency(connection, log, old_size=previous.size, new_size=checkpoint.size),
        )
    except ProofError as error:
        raise BundlePreviousError(
            "The log does not extend the previous checkpoint. Keep it, and verify the log."
        ) from error
    return previous


def _write(order: Order, plan: _Plan, path: Path) -> tuple[str, int]:
    """Write beside the place first: what bears the bundle's name is whole. Returns SHA-256 and bytes."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _write_contents(order, plan, file)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return digest, size_bytes


def _write_contents(order: Order, plan: _Plan, file: BinaryIO) -> None:
    alias = region_alias(order.region)
    with tenant_scope(alias, order.tenant_id, snapshot=True) as connection:
        proofs = _proofs(connection, order, plan)
        parts = _parts(connection, plan)
        write_bundle(file, scope=plan.scope, proofs=proofs, parts=parts)


def _proofs(connection: psycopg.Connection[Any], order: Order, plan: _Plan) -> Proofs:
    scope, previous = plan.scope, None
    fetch = partial(fetch_tiles, connection, plan.log)
    if plan.previous is not None and order.previous is not None:
        size = plan.previous.size
        proof = consistency(connection, plan.log, old_size=size, new_size=scope.size)
        previous = Previous(note=order.previous, proof=proof)
    return Proofs(
        checkpoint=plan.checkpoint.note,
        hashes=make_range_proof(scope.first, scope.end, scope.size, fetch),
        previous=previous,
        keys=_keys(plan.log),
        timestamps=_timestamps(connection, plan),
        prunes=_prunes(connection, plan),
        history=plan.history,
    )


def _timestamps(connection: psycopg.Connection[Any], plan: _Plan) -> list[Timestamp]:
    """The first stamp over the whole range; before there is one, the newest over some of it."""
    scope = plan.scope
    stamped = first_timestamp(connection, plan.log, size=scope.end)
    if stamped is None or stamped.size > scope.size:
        stamped = last_timestamp(connection, plan.log, size=scope.size)
    if stamped is None or stamped.size <= scope.first:
        return []
    proof: list[bytes] = []
    if stamped.size != scope.size:
        proof = consistency(connection, plan.log, old_size=stamped.size, new_size=scope.size)
    return [Timestamp(size=stamped.size, proof=stamped.proof, consistency=proof)]


def _prunes(connection: psycopg.Connection[Any], plan: _Plan) -> list[tuple[int, PruneEvidence]]:
    """What the log has said that it gave up, as far as the checkpoint covers it: whatever the range."""
    size = plan.scope.size
    return [
        (
            stored.index,
            PruneEvidence(
                entry=stored.entry,
                header=stored.header,
                opening=stored.opening,
                inclusion=tuple(inclusion(connection, plan.log, index=stored.index, size=size)),
                last_inclusion=tuple(
                    inclusion(connection, plan.log, index=stored.minimum - 1, size=size)
                ),
                consistency=tuple(
                    consistency(connection, plan.log, old_size=stored.minimum, new_size=size)
                ),
            ),
        )
        for stored in prune_records(connection, plan.log)
        if stored.index < size
    ][-MAX_PRUNES:]


def _keys(log: LogRef) -> list[str]:
    """The signer's keys under the log's name: for information, so a missing file stops nothing."""
    try:
        keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    except VerificationUnavailableError:
        return []
    return [key.vkey(log.origin) for key in keys]


def _parts(connection: psycopg.Connection[Any], plan: _Plan) -> Iterator[Part]:
    for indices in plan.scope.parts():
        rows = entries(connection, plan.log, start=indices.start, end=indices.stop)
        if [index for index, _, _ in rows] != list(indices):
            raise EntryNotFoundError(
                "Entries that were signed are not in the database. Verify the log."
            )
        headers = None
        if plan.scope.headers == "included":
            headers = _opened(connection, plan.log.kind, [record for _, record, _ in rows])
        yield Part(entries=[entry for _, _, entry in rows], headers=headers)


def _opened(
    connection: psycopg.Connection[Any], kind: str, records: list[UUID]
) -> list[Opened | Absent]:
    """Each record's header and opening, or that it is gone: by retention or erasure."""
    table = _HEADER_TABLES[kind]
    rows = connection.execute(
        f"SELECT record_id, header, opening FROM {table} WHERE record_id = ANY(%s)",  # noqa: S608
        (records,),
    ).fetchall()
    found = {row[0]: Opened(header=bytes(row[1]), opening=bytes(row[2])) for row in rows}
    return [found.get(record, Absent(reason="gone")) for record in records]
