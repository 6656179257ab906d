"""The vault from its own side: does what it holds open, is it what was recorded, and does anything lie there alone.

Verifying a log goes from its headers to the contents; this goes from the contents to their headers, and so can look
at a sample, and finds what no header leads to. Contents are opened one at a time and forgotten.

What does not open, or is not what its record committed to, is damage: the vault does not hold. What belongs to nothing
is reported beside it: a crash may leave a key or a subject without content, which is harmless and swept; a content that
no record leads to is not shown to anybody, and no retention would find it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg

from auditvault.core.tlog.commitment import CommitmentError, verify_content_commitment
from auditvault.evidence.payloads import contents_named
from auditvault.ledger.admin.services import OPERATOR
from auditvault.ledger.logs import region_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.pending import Permit, refuse_while_restore_pending
from auditvault.vault.integrity import idle_keys, sealed_identifiers
from auditvault.vault.opening import (
    ContentDamagedError,
    ContentGoneError,
    Examined,
    StoredObject,
    examine_stored,
)
from auditvault.vault.pieces import STRAY_PIECES
from auditvault.vault.services import lookup_tag

MOST_NAMED = 20
"""How many ids of a kind a report names; all are counted."""

_BATCH = 200
_LAST = UUID(int=2**128 - 1)
_COLUMNS = "object_id, record_id, subject_id, key_id, data_class, role, version, tag, wrapped_cek, envelope"
# Objects whose key went with their subject are no damage: they wait to be deleted.
_LIVING = (
    f"SELECT {_COLUMNS} FROM vault_kept AS o WHERE NOT EXISTS (SELECT FROM vault_subject AS s"  # noqa: S608
    " WHERE s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id"
    " AND s.state IN ('erasing', 'erased'))"
)
# Each finds rows that belong to nothing, by an id.
_ORPHANS = {
    "contents_without_subject": (
        "SELECT o.object_id FROM vault_object AS o WHERE NOT EXISTS (SELECT FROM vault_subject AS s"
        " WHERE s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id)"
    ),
    "contents_without_header": (
        "SELECT o.object_id FROM vault_object AS o WHERE NOT EXISTS (SELECT FROM traces_header AS h"
        " WHERE h.tenant_id = o.tenant_id AND h.record_id = o.record_id) AND NOT EXISTS (SELECT"
        " FROM access_event AS e WHERE e.tenant_id = o.tenant_id AND e.record_id = o.record_id)"
        " AND NOT EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = o.tenant_id"
        " AND s.subject_id = o.subject_id AND s.kind = 'tenant')"
    ),
    "pieces_without_content": STRAY_PIECES,
    "hashes_without_content": (
        "SELECT a.object_id FROM vault_tag_alias AS a WHERE NOT EXISTS (SELECT FROM vault_object AS o"
        " WHERE o.tenant_id = a.tenant_id AND o.object_id = a.object_id)"
    ),
    "records_without_header": (
        "SELECT r.record_id FROM vault_record AS r WHERE NOT EXISTS (SELECT FROM traces_header AS h"
        " WHERE h.tenant_id = r.tenant_id AND h.record_id = r.record_id)"
    ),
    "subjects_without_identifier": (
        "SELECT s.subject_id FROM vault_subject AS s WHERE s.kind <> 'tenant' AND s.state = 'active'"
        " AND s.created_at < now() - interval '1 hour' AND NOT EXISTS (SELECT FROM vault_identifier"
        " AS i WHERE i.tenant_id = s.tenant_id AND i.subject_id = s.subject_id)"
    ),
}

Progress = Callable[[UUID, int], None]
"""Takes a tenant's id, and how many of its contents were opened."""


@dataclass(slots=True)
class Found:
    """How many of a kind, and the first of them by id."""

    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, found_id: UUID) -> None:
        """Count one, and keep its id while there is room."""
        self.count += 1
        if len(self.ids) < MOST_NAMED:
            self.ids.append(str(found_id))


@dataclass(slots=True)
class VaultReport:
    """What was found in the vault of one tenant in one region."""

    region: str
    tenant_id: UUID
    opened: int = 0
    identifiers: int = 0
    # None: everything was looked at.
    sample: int | None = None
    damaged: dict[str, Found] = field(default_factory=dict)
    orphans: dict[str, Found] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether everything that was opened is what was recorded."""
        return not self.damaged

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "region": self.region,
            "tenant": str(self.tenant_id),
            "holds": self.holds,
            "opened": self.opened,
            "identifiers": self.identifiers,
            "sample": self.sample,
            "damaged": {kind: asdict(found) for kind, found in self.damaged.items()},
            "orphans": {kind: asdict(found) for kind, found in self.orphans.items()},
        }

    def bad(self, kind: str, found_id: UUID) -> None:
        """Note damage."""
        self.damaged.setdefault(kind, Found()).add(found_id)

    def orphan(self, kind: str, found_id: UUID) -> None:
        """Note something that belongs to nothing."""
        self.orphans.setdefault(kind, Found()).add(found_id)


def check_vault(
    *,
    region: str,
    sample: int | None = None,
    progress: Progress | None = None,
    tenants: Sequence[UUID] | None = None,
) -> list[VaultReport]:
    """A report on the vault of each tenant, or of these; the process must hold the region's keys.

    With `sample`, so many contents of each tenant are opened, at random places; orphans are looked for among all.
    """
    if tenants is None:
        tenants = sorted({log.tenant_id for log in region_logs(region)} - {OPERATOR})
    return [_check_tenant(region, tenant_id, sample, progress) for tenant_id in tenants]


def _check_tenant(
    region: str, tenant_id: UUID, sample: int | None, progress: Progress | None
) -> VaultReport:
    report = VaultReport(region, tenant_id, sample=sample)
    doubts: list[UUID] = []
    alias = region_alias(region)
    with tenant_scope(alias, tenant_id, snapshot=True) as connection:
        permit = refuse_while_restore_pending(connection, region)
        for batch in _sampled(connection, sample) if sample is not None else _all(connection):
            doubts += _check_batch(permit, report, batch)
            if progress is not None:
                progress(tenant_id, report.opened)
        doubts_of_names = _check_identifiers(permit, report)
        for kind, query in _ORPHANS.items():
            with connection.cursor() as cursor:
                for (found_id,) in cursor.stream(query):
                    report.orphan(kind, found_id)
    # A later look: an erasure, or the sealing of a first content, may have come in between. A content's pieces are read
    # after its row, so this one is a snapshot too.
    with tenant_scope(alias, tenant_id, snapshot=True) as connection:
        permit = refuse_while_restore_pending(connection, region)
        _look_again(permit, report, doubts)
        _check_identifiers(permit, report, only=doubts_of_names)
    with tenant_scope(alias, tenant_id) as connection:
        for key_id in idle_keys(connection, region=region, tenant_id=tenant_id):
            report.orphan("keys_without_content", key_id)
    return report


def _all(connection: psycopg.Connection[Any]) -> Iterator[list[StoredObject]]:
    after = UUID(int=0)
    while batch := _objects(connection, after, _BATCH):
        after = batch[-1].object_id
        yield batch


def _sampled(connection: psycopg.Connection[Any], sample: int) -> Iterator[list[StoredObject]]:
    """Contents at random places between the first and the last, each once.

    Ids begin with the time, so a quiet hour's contents are likelier to be met than a busy one's.
    """
    row = connection.execute(
        "SELECT (SELECT object_id FROM vault_object ORDER BY object_id LIMIT 1),"
        " (SELECT object_id FROM vault_object ORDER BY object_id DESC LIMIT 1)"
    ).fetchone()
    if row is None or row[0] is None:
        return
    first, last = row[0].int, row[1].int
    seen: set[UUID] = set()
    for _ in range(sample):
        place = UUID(int=first - 1 + uuid4().int * (last - first + 1) // 2**128)
        batch = [one for one in _objects(connection, place, 1) if one.object_id not in seen]
        seen.update(one.object_id for one in batch)
        yield batch


def _objects(connection: psycopg.Connection[Any], after: UUID, limit: int) -> list[StoredObject]:
    rows = connection.execute(
        f"{_LIVING} AND object_id > %s ORDER BY object_id LIMIT %s", (after, limit)
    ).fetchall()
    return [StoredObject(*row[:7], *(bytes(part) for part in row[7:])) for row in rows]


def _check_batch(permit: Permit, report: VaultReport, batch: Sequence[StoredObject]) -> list[UUID]:
    """Check contents against the headers of their records; returns those whose key is gone."""
    said = _said(permit.connection, {stored.record_id for stored in batch})
    gone = []
    for stored in batch:
        try:
            opened = _opened(permit, report, stored)
        except ContentGoneError:
            gone.append(stored.object_id)
            continue
        if opened is None:
            report.bad("content_damaged", stored.object_id)
            continue
        report.opened += 1
        _compare(report, stored, opened, said.get(stored.record_id))
    return gone


def _check_identifiers(
    permit: Permit, report: VaultReport, *, only: set[UUID] | None = None
) -> set[UUID]:
    """Open every identifier, or these once more; returns those whose key is gone at the first look."""
    gone: set[UUID] = set()
    if only == set():
        return gone
    for stored in sealed_identifiers(permit.connection):
        if only is not None and stored.object_id not in only:
            continue
        report.identifiers += only is None
        try:
            if _opened(permit, report, stored) is None:
                report.bad("identifier_damaged", stored.object_id)
        except ContentGoneError:
            if only is None:
                gone.add(stored.object_id)
            else:
                report.bad("key_missing", stored.object_id)
    return gone


def _opened(permit: Permit, report: VaultReport, stored: StoredObject) -> Examined | None:
    """What opens, or None; raises ContentGoneError where the key is gone."""
    try:
        return examine_stored(permit=permit, tenant_id=report.tenant_id, stored=stored)
    except ContentDamagedError:
        return None


def _compare(
    report: VaultReport,
    stored: StoredObject,
    opened: Examined,
    said: dict[tuple[UUID, str], bytes] | None,
) -> None:
    digest = opened.sha256
    tag = lookup_tag(region=report.region, tenant_id=report.tenant_id, content_sha256=digest)
    if tag != stored.tag:
        report.bad("tag_wrong", stored.object_id)
    if said is None:
        return  # its header is gone; that is counted among the orphans
    commitment = said.get((stored.object_id, stored.role))
    if commitment is None:
        report.bad("content_unnamed", stored.object_id)
        return
    try:
        verify_content_commitment(
            commitment, opening=opened.opening, role=stored.role, content_sha256=digest
        )
    except CommitmentError:
        report.bad("commitment_wrong", stored.object_id)


def _said(
    connection: psycopg.Connection[Any], records: set[UUID]
) -> dict[UUID, dict[tuple[UUID, str], bytes]]:
    """Record -> (object, role) -> commitment, for the records whose header is there."""
    rows = connection.execute(
        "SELECT record_id, header FROM traces_header WHERE record_id = ANY(%s)"
        " UNION ALL SELECT record_id, header FROM access_event WHERE record_id = ANY(%s)",
        (list(records), list(records)),
    ).fetchall()
    return {record_id: dict(_commitments(bytes(header))) for record_id, header in rows}


def _commitments(header: bytes) -> Iterator[tuple[tuple[UUID, str], bytes]]:
    """What a header commits to; nothing where it is malformed, which verifying its log finds."""
    try:
        for object_id, role, commitment in contents_named(orjson.loads(header)):
            yield (object_id, role), commitment
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def _look_again(permit: Permit, report: VaultReport, doubts: Sequence[UUID]) -> None:
    """A content whose key is gone is damage if its subject still lives."""
    for start in range(0, len(doubts), _BATCH):
        rows = permit.connection.execute(
            f"{_LIVING} AND object_id = ANY(%s)", (list(doubts[start : start + _BATCH]),)
        ).fetchall()
        for row in rows:
            stored = StoredObject(*row[:7], *(bytes(part) for part in row[7:]))
            try:
                _opened(permit, report, stored)
            except ContentGoneError:
                report.bad("key_missing", stored.object_id)
