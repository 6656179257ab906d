"""Each content that a header names: there and opening the header's commitment, or gone.

Contents are opened one at a time, large ones a piece at a time, and forgotten; nothing of them is kept, shown or
logged. What is gone is counted: its absence does not say whether it was erased, expired or taken away. An object whose
key is gone though its subject lives gets a second look, outside the snapshot: an erasure may have come in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg
from django.conf import settings

from auditvault.core.tlog.commitment import (
    CommitmentError,
    CommitmentMismatchError,
    verify_content_commitment,
)
from auditvault.evidence.verification_headers import Committed
from auditvault.evidence.verification_report import Report
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.opening import (
    ContentDamagedError,
    ContentGoneError,
    Examined,
    StoredObject,
    examine_stored,
    is_large,
)
from auditvault.vault.pieces import STRAY_PIECES
from auditvault.vault.services import lookup_tag

_MOST_DOUBTS = 1000
_MOST_SHARED = 10_000
_QUERY = (
    "SELECT o.object_id, o.record_id, o.subject_id, o.key_id, o.data_class, o.role, o.version, o.tag,"
    " o.wrapped_cek, o.envelope, s.state FROM vault_kept AS o"
    " LEFT JOIN vault_subject AS s USING (tenant_id, subject_id) WHERE o.object_id = ANY(%s)"
)
_ERASED_STATES = frozenset({"erasing", "erased"})


class Named(NamedTuple):
    """What a header says of one content; `place` is the entry's index."""

    place: int
    record_id: UUID
    role: str
    commitment: bytes


Wanted = dict[UUID, list[Named]]
Found = tuple[StoredObject, str | None, list[Named]]
"""An object, its subject's state, and what names it."""


def holds_keys(region: str) -> bool:
    """Whether this process has a key provider for the region, and so may open contents."""
    return bool(settings.KEY_PROVIDERS.get(region))


def contents_named(members: Mapping[str, Any]) -> Iterator[tuple[UUID, str, bytes]]:
    """Object, role and commitment of each content; raises ValueError, KeyError or TypeError for a malformed header."""
    listed = [*members.get("contents", ())]
    if "reason" in members:
        listed.append(members["reason"])
    for item in listed:
        yield UUID(item["object"]), item["role"], bytes.fromhex(item["commitment"])


class PayloadCheck:
    """Checks the contents that one log's headers name."""

    def __init__(
        self, region: str, log: LogRef, connection: psycopg.Connection[Any], report: Report
    ) -> None:
        # Raises RestorePendingError: what was erased may lie there again.
        self._permit = refuse_while_restore_pending(connection, region)
        self._region = region
        self._log = log
        self._connection = connection
        self._report = report
        report.payloads = 0
        # Contents of many records, checked once: object, role and commitment.
        self._shared: dict[tuple[UUID, str, bytes], None] = {}
        self._doubts: Wanted = {}

    def take(self, headers: Sequence[Committed]) -> None:
        """Check every content that these headers name."""
        wanted: Wanted = {}
        for index, record_id, members in headers:
            try:
                named = list(contents_named(members))
            except (ValueError, KeyError, TypeError):
                self._report.bad("header_form", index)
                continue
            for object_id, role, commitment in named:
                if (object_id, role, commitment) in self._shared:
                    self._count(1)
                else:
                    item = Named(index, record_id, role, commitment)
                    wanted.setdefault(object_id, []).append(item)
        if wanted:
            self._look(self._connection, wanted)

    def look_again(self) -> None:
        """What was in doubt, as it is now, outside the snapshot; to be called when that has ended."""
        doubts, self._doubts = self._doubts, {}
        if doubts:
            # One snapshot for a row and its pieces.
            with tenant_scope(
                region_alias(self._region), self._log.tenant_id, snapshot=True
            ) as connection:
                self._permit = refuse_while_restore_pending(connection, self._region)
                self._look(connection, doubts, is_last=True)

    def _look(
        self, connection: psycopg.Connection[Any], wanted: Wanted, *, is_last: bool = False
    ) -> None:
        missing = dict(wanted)
        elsewhere: list[tuple[StoredObject, list[Named]]] = []
        # Their pieces are asked for when the connection is free again.
        large: list[Found] = []

        def check(found: Found) -> None:
            stored, _, named = found
            holds = self._check(found, is_last=is_last)
            if holds and all(item.record_id != stored.record_id for item in named):
                # The envelope has been looked at: what is kept is small.
                elsewhere.append((stored._replace(envelope=b""), named))

        with connection.cursor() as cursor:
            # One row at a time: a batch's contents may be far larger than this process.
            for row in cursor.stream(_QUERY, (list(wanted),), binary=True):
                stored = StoredObject(*row[:7], *(bytes(part) for part in row[7:10]))
                found = stored, row[10], missing.pop(stored.object_id)
                if is_large(stored):
                    large.append(found)
                else:
                    check(found)
        for found in large:
            check(found)
        self._report.payloads_gone += sum(map(len, missing.values()))
        self._check_sealed_by(connection, elsewhere)

    def _check(self, found: Found, *, is_last: bool) -> bool:
        """Check one object for everything that names it; returns whether nothing was found."""
        stored, state, named = found
        if state in _ERASED_STATES:
            self._report.payloads_gone += len(named)
            return False
        try:
            examined = examine_stored(
                permit=self._permit, tenant_id=self._log.tenant_id, stored=stored
            )
        except ContentDamagedError:
            return self._damaged(named)
        except ContentGoneError:
            # Its key is gone, and its subject is there.
            if is_last:
                return self._damaged(named)
            self._doubt(stored.object_id, named)
            return False
        return self._compare(stored, examined, named)

    def _compare(self, stored: StoredObject, examined: Examined, named: list[Named]) -> bool:
        tag = lookup_tag(
            region=self._region, tenant_id=self._log.tenant_id, content_sha256=examined.sha256
        )
        own_roles = {item.role for item in named if item.record_id == stored.record_id}
        if tag != stored.tag or (own_roles and stored.role not in own_roles):
            return self._damaged(named)
        holds = True
        for item in named:
            try:
                verify_content_commitment(
                    item.commitment,
                    opening=examined.opening,
                    role=item.role,
                    content_sha256=examined.sha256,
                )
                self._count(1)
            except CommitmentMismatchError:
                self._report.bad("payload_commitment", item.place)
                holds = False
            except CommitmentError:
                self._report.bad("header_form", item.place)
                holds = False
        return holds

    def _check_sealed_by(
        self,
        connection: psycopg.Connection[Any],
        elsewhere: Sequence[tuple[StoredObject, list[Named]]],
    ) -> None:
        """An object that another record is said to have sealed must be named by that record's header."""
        if not elsewhere:
            return
        sealers = list({stored.record_id for stored, _ in elsewhere})
        rows = connection.execute(
            "SELECT record_id, header FROM traces_header WHERE record_id = ANY(%s)"
            " UNION ALL SELECT record_id, header FROM access_event WHERE record_id = ANY(%s)",
            (sealers, sealers),
        ).fetchall()
        said = {record_id: set(_objects(bytes(header))) for record_id, header in rows}
        for stored, named in elsewhere:
            # A header that is no longer there says nothing; its entry is looked for at the end.
            if (stored.object_id, stored.role) in said.get(
                stored.record_id, {(stored.object_id, stored.role)}
            ):
                self._remember(stored.object_id, named)
            else:
                self._damaged(named)

    def _remember(self, object_id: UUID, named: Iterable[Named]) -> None:
        for item in named:
            if len(self._shared) >= _MOST_SHARED:
                self._shared.pop(next(iter(self._shared)))
            self._shared[object_id, item.role, item.commitment] = None

    def _doubt(self, object_id: UUID, named: list[Named]) -> None:
        """Keep for a second look; the first ones decide which index is named, the rest counts as gone."""
        if object_id in self._doubts or len(self._doubts) < _MOST_DOUBTS:
            self._doubts.setdefault(object_id, []).extend(named)
        else:
            self._report.payloads_gone += len(named)

    def _damaged(self, named: Iterable[Named]) -> bool:
        for item in named:
            self._report.bad("payload_damaged", item.place)
        return False

    def _count(self, contents: int) -> None:
        self._report.payloads = (self._report.payloads or 0) + contents


def _objects(header: bytes) -> Iterator[tuple[UUID, str]]:
    """Object and role of each content that a header names; none where it is malformed, which is found elsewhere."""
    try:
        members = orjson.loads(header)
        yield from ((object_id, role) for object_id, role, _ in contents_named(members))
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def check_unrecorded_payloads(
    connection: psycopg.Connection[Any], logs: Sequence[LogRef], reports: Sequence[Report]
) -> None:
    """Every object of the tenant belongs to a record that an entry of one of its logs records.

    Where not, the end of the tenant's first log is named. Entries that are missing leave their objects behind. What
    belongs to nobody (a system prompt) outlives the pruned record that brought it: later ones share it.
    """
    left_over = sum(report.unaccounted for report in reports)
    row = connection.execute(
        "SELECT count(*) FROM (SELECT DISTINCT o.record_id FROM vault_object AS o WHERE NOT EXISTS ("
        " SELECT FROM ledger_entry AS e WHERE e.tenant_id = o.tenant_id AND e.log_id = ANY(%s)"
        " AND e.record_id = o.record_id) AND NOT (o.role <> 'access_reason' AND EXISTS ("
        " SELECT FROM ledger_pruned AS p WHERE p.tenant_id = o.tenant_id) AND EXISTS ("
        " SELECT FROM vault_subject AS s WHERE s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id"
        " AND s.kind = 'tenant')) LIMIT %s) AS unrecorded",
        ([log.log_id for log in logs], left_over + 1),
    ).fetchone()
    if row is not None and row[0] > left_over:
        reports[0].bad("payload_unrecorded", reports[0].entries)
    _check_stray_pieces(connection, reports[0])


def _check_stray_pieces(connection: psycopg.Connection[Any], report: Report) -> None:
    """Every piece belongs to an object that is framed, in that version. Pieces and row were written at once."""
    row = connection.execute(f"SELECT EXISTS ({STRAY_PIECES})").fetchone()
    if row is not None and row[0]:
        report.bad("payload_unrecorded", report.entries)
