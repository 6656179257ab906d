"""One region's file: opened, redacted, encrypted to the person, and kept as ciphertext alone.

Order, and what a crash leaves behind:

1. The file is claimed for half an hour.                            Crash: claimed again when it is over.
2. The entry `access.package` names every object that is going to be opened.    Crash: a record of a look that was none.
3. Each is opened where its subject stands in that moment, looked through for personal data, rendered, and forgotten;
   the file is put together and encrypted in memory.                    Crash: nothing of it is kept.
4. The file and the entry `package.made` are written in one transaction.        Crash: before it as 3; after it done.

A try that was overtaken keeps nothing: of two workers at one file the later one's is kept. What the file is made of
stands in the manifest, which is read where the request is kept: a row of this region orders nothing by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from auditvault.access.events.selectors import access_headers
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.own_looks import look, seen_by, traces_of
from auditvault.core.crypto.cms import encrypt
from auditvault.core.errors import AuditvaultError
from auditvault.core.identifiers import NORMALISATION
from auditvault.core.packages.form import Content, LeftOut, Package, zipped
from auditvault.core.policy.access import Purpose, PurposeCode
from auditvault.core.policy.erasure import Kind, State
from auditvault.core.policy.manifest import RegionFound, objects_digest
from auditvault.core.reports.catalogue import Filters
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.privacy.detection.findings import Finding, from_json
from auditvault.privacy.detection.rendering import Placeholders, render
from auditvault.privacy.erasing.discovery import request_and_names
from auditvault.privacy.erasing.executing import ListingDamagedError, wait_after
from auditvault.privacy.erasing.store import listed, manifest_of
from auditvault.privacy.failures import FAILURES, code_of
from auditvault.privacy.packages import store
from auditvault.privacy.packages.store import Order
from auditvault.privacy.requests.store import RequestRecord, Tag
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.hash_only import stated_by
from auditvault.vault.kinds import Identifier, KindRules
from auditvault.vault.merging import names_of_group
from auditvault.vault.opening import (
    ContentGoneError,
    ContentTooLargeError,
    StoredObject,
    objects_by_id,
    open_stored,
)
from auditvault.vault.scans import findings_of
from auditvault.vault.services import lookup_tag
from auditvault.vault.subjects import identifier_tag

log = logging.getLogger("auditvault.privacy")

ENTRY_TYPE_MADE = "package.made"
DAYS = 14
"""How long a file is kept."""
MOST_BYTES = 64 * 1024 * 1024
"""Of contents in one file; what is over that is listed as left out."""
_LEASE = timedelta(minutes=30)
_MOST_LOOKS = 50_000
_IN_A_RECORD = 1000
_REASON = "A copy of their own data, which the person has asked for."

Analyse = Callable[[bytes], list[Finding]]
"""Finds what is personal in a content."""


class PackageNotOrderedError(AuditvaultError):
    """Where the request is kept, nobody has approved and ordered this file, or it is not being carried out."""

    code = "package_not_ordered"


class _Job(NamedTuple):
    """One file that is being made."""

    region: str
    tenant_id: UUID
    record: RequestRecord
    found: RegionFound
    order: Order
    tags: list[Tag]
    now: datetime


class _Opened(NamedTuple):
    """One object in clear, with what was found in it before; or why there is nothing."""

    object_id: UUID
    stored: StoredObject | None = None
    content: bytes | None = None
    findings: list[Finding] | None = None
    left_out: LeftOut | None = None


def make(
    *, region: str, tenant_id: UUID, request_id: UUID, now: datetime, analyse: Analyse
) -> bool:
    """Make a file that was ordered; whether its row changed. Raises what keeps that from being noted."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        which = store.called(
            connection,
            "SELECT privacy_package_claim(%s, %s)",
            request_id,
            _LEASE,
        )
        package = store.package_of(connection, request_id)
    if which is None or package is None:
        return False
    try:
        job = _job(region, tenant_id, package, now)
        contents, body = _made(job, analyse)
    except FAILURES as error:
        log.warning("the package of %s in %s failed: %s", request_id, region, code_of(error))
        with tenant_scope(region_alias(region), tenant_id) as connection:
            return bool(
                store.called(
                    connection,
                    "SELECT privacy_package_fail(%s, %s, %s, %s)",
                    request_id,
                    which,
                    code_of(error),
                    wait_after(which),
                )
            )
    return _keep(job, which, contents, body)


def _job(region: str, tenant_id: UUID, package: store.Package, now: datetime) -> _Job:
    """Raises PackageNotOrderedError, ManifestNotFoundError, or what the other region's database raises."""
    record, naming = request_and_names(package.home, tenant_id, package.request_id)
    request = record.request
    with tenant_scope(region_alias(package.home), tenant_id) as connection:
        order = store.order_of(connection, package.request_id)
        manifest = manifest_of(connection, package.request_id, request.approved_manifest)
    is_meant = request.has_begun and request.state is State.EXECUTING
    if order is None or not is_meant or request.approved_manifest != package.manifest:
        raise PackageNotOrderedError("This package was not approved and ordered, or was not begun.")
    found = manifest.part(region)
    return _Job(region, tenant_id, record, found, order, naming.get(region, []), now)


def _made(job: _Job, analyse: Analyse) -> tuple[int, bytes]:
    """Steps 2 and 3: how many contents are in it, and the encrypted file."""
    alias = region_alias(job.region)
    with tenant_scope(alias, job.tenant_id) as connection:
        object_ids = sorted(each for each, _ in listed(connection, job.found.listing_id))
    if objects_digest(object_ids) != job.found.objects_digest:
        raise ListingDamagedError("The list of what was frozen is not the one that was frozen.")
    for start in range(0, len(object_ids), _IN_A_RECORD):
        record_act(
            region=job.region,
            tenant_id=job.tenant_id,
            act=_act(job, object_ids[start : start + _IN_A_RECORD]),
            now=job.now,
        )
    own = _Own(job)
    contents = []
    left = MOST_BYTES
    for object_id in object_ids:
        opened = _open(job, object_id)
        if opened.content is not None and len(opened.content) > left:
            opened = opened._replace(content=None, left_out="too_large")
        left -= len(opened.content or b"")
        contents.append(_content(opened, own, analyse))
    with tenant_scope(alias, job.tenant_id, snapshot=True) as connection:
        package = Package(
            request_id=str(job.record.request_id),
            kind="access" if job.record.request.kind is Kind.ACCESS else "portability",
            region=job.region,
            made_at=format_instant(job.now),
            records=_headers(connection, job.found.subject_ids),
            contents=contents,
            looks=_looks(connection, job),
        )
    given = sum(each.text is not None for each in contents)
    return given, encrypt(zipped(package), certificate=job.order.certificate)


def _act(job: _Job, object_ids: Sequence[UUID]) -> RecordedAct:
    return RecordedAct(
        actor="service",
        actor_role=None,
        action="package",
        outcome="granted",
        details={
            "request": str(job.record.request_id),
            "objects": [str(object_id) for object_id in object_ids],
        },
        purpose=Purpose(code=PurposeCode.DSAR, case=str(job.record.request_id), reason=_REASON),
    )


def _open(job: _Job, object_id: UUID) -> _Opened:
    """One object, restricted or not: a restriction keeps others from it, and not the person."""
    with tenant_scope(region_alias(job.region), job.tenant_id, snapshot=True) as connection:
        permit = refuse_while_restore_pending(connection, job.region)
        stored = objects_by_id(connection, [object_id]).get(object_id)
        if stored is None or not _stands(connection, stored.subject_id):
            return _Opened(object_id, left_out="erased")
        try:
            content = open_stored(permit=permit, tenant_id=job.tenant_id, stored=stored).content
            said = findings_of(permit=permit, tenant_id=job.tenant_id, stored=stored)
        except ContentTooLargeError:
            return _Opened(object_id, stored, left_out="too_large")
        except ContentGoneError:
            return _Opened(object_id, stored, left_out="gone")
    if stated_by(
        content,
        stored.tag,
        lambda digest: lookup_tag(
            region=job.region, tenant_id=job.tenant_id, content_sha256=digest
        ),
    ):
        return _Opened(object_id, stored, left_out="hash_only")
    found = from_json(said.findings) if said else None
    return _Opened(object_id, stored, content, found)


def _stands(connection: psycopg.Connection[Any], subject_id: UUID) -> bool:
    """In the transaction that opens: a cached key may outlive its subject by a minute; this check does not."""
    return bool(
        store.called(
            connection,
            "SELECT EXISTS (SELECT FROM vault_subject WHERE subject_id = %s AND state IN ('active', 'restricted'))",
            subject_id,
        )
    )


def _content(opened: _Opened, own: _Own, analyse: Analyse) -> Content:
    text, left_out, replaced = None, opened.left_out, 0
    if opened.content is not None:
        before = own.places
        try:
            findings = opened.findings
            if findings is None:
                findings = analyse(opened.content)
            text = render(opened.content, findings, own).decode()
            replaced = own.places - before
        except Exception as error:  # noqa: BLE001  # whatever a content does to a recogniser: it is held back
            log.warning("object %s is left out: %s", opened.object_id, type(error).__name__)
            left_out = "not_examined"
    return Content(
        object_id=str(opened.object_id),
        record_id=str(opened.stored.record_id if opened.stored else opened.object_id),
        role=opened.stored.role if opened.stored else "unknown",
        text=text,
        left_out=left_out,
        replaced=replaced,
    )


class _Own(Placeholders):
    """Replaces what is not known to be the person's own: by the tags that lead to them, not by any text."""

    def __init__(self, job: _Job) -> None:
        super().__init__()
        self.places = 0
        self._job = job
        self._rules = KindRules(region=job.region, tenant_id=job.tenant_id)
        with tenant_scope(region_alias(job.region), job.tenant_id) as connection:
            names = names_of_group(connection, job.found.subject_ids)
        self._names = {
            *names,
            *((t.kind, t.tag) for t in job.tags if t.normalisation == NORMALISATION),
        }
        self._kinds = sorted({kind for kind, _ in self._names} - {"session", "trace"})

    def of(self, entity: str, value: str) -> str:
        """The value itself, where it names the person."""
        if self._is_own(value):
            return value
        self.places += 1
        return super().of(entity, value)

    def _is_own(self, value: str) -> bool:
        return any(
            name is not None and (name.kind, self._tag(name)) in self._names
            for kind in self._kinds
            if (name := self._rules.name(kind, value)) is not None
        )

    def _tag(self, name: Identifier) -> bytes:
        return identifier_tag(
            region=self._job.region, tenant_id=self._job.tenant_id, identifier=name
        )


def _headers(
    connection: psycopg.Connection[Any], subjects: Sequence[UUID]
) -> list[dict[str, JsonValue]]:
    rows = connection.execute(
        "SELECT header FROM traces_header WHERE record_id IN ("
        " SELECT record_id FROM vault_object WHERE subject_id = ANY(%(who)s)"
        " UNION SELECT record_id FROM vault_record WHERE subject_id = ANY(%(who)s)) ORDER BY record_id",
        {"who": list(subjects)},
    ).fetchall()
    return [orjson.loads(row[0]) for row in rows]


def _looks(connection: psycopg.Connection[Any], job: _Job) -> list[dict[str, JsonValue]]:
    """The newest 50,000 records of the tenant are looked through; the person's own report takes a period."""
    if not job.found.subject_ids:
        return []
    person = traces_of(connection, job.tenant_id, job.found.subject_ids, _MOST_LOOKS)
    return [
        look(header, what, person)
        for header in access_headers(connection, Filters(outcome="granted"), limit=_MOST_LOOKS)
        if (what := seen_by(header, person))
    ]


def _keep(job: _Job, which: int, contents: int, body: bytes) -> bool:
    """Step 4."""
    request_id = job.record.request_id
    admin = admin_log(job.region, job.tenant_id)
    with tenant_scope(region_alias(job.region), job.tenant_id) as connection:
        if not store.called(
            connection,
            "SELECT privacy_package_keep(%s, %s, %s, %s, %s)",
            request_id,
            which,
            body,
            contents,
            DAYS,
        ):
            return False
        details: dict[str, JsonValue] = {
            "request": str(request_id),
            "manifest": (job.record.request.approved_manifest or b"").hex(),
            "contents": contents,
            "sha256": sha256(body).hexdigest(),
            "certificate": sha256(job.order.certificate).hexdigest(),
        }
        record_in(
            connection,
            admin,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_MADE,
            details=details,
        )
    return True
