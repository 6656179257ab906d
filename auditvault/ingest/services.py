"""One request of interactions, from decoded spans to durable, chained, sealed records.

Order, and what a crash leaves behind:

0. Secrets are taken out of everything, in memory.             Crash: nothing.
1. Spans that are already recorded are recognised.             Crash: nothing.
2. New subjects are committed, then new keys, each apart.      Crash: names and keys without content; swept.
3. Contents are sealed in memory.                              Crash: nothing.
4. Objects and headers are written, then the head is locked, entries and tiles are written, the head moves, commit.
                                                               Crash before the commit: nothing of this request.
5. The answer goes out.                                        Crash before: the sender repeats, step 1 finds it.

Steps 1, 3 and 4 are one region transaction. A request that names somebody new ends it after step 1, because step 2
must be durable before anything is sealed, and begins again.

Two requests with the same new span race to step 4. The second finds the first's rows once it holds the head,
gives up its transaction and starts again at step 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import id_text, instant_of, raw_uuid7s, uuid7
from auditvault.core.interaction import Interaction
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.commitment import OPENING_SIZE, header_commitment
from auditvault.ingest.header import header_bytes
from auditvault.ingest.owners import whose
from auditvault.ingest.policies.contents import PartContent, under_policy, without_secrets
from auditvault.ingest.policies.services import policy_in_force
from auditvault.ingest.repeats import Draft, StoredSpan, TagOf, settle_repeats
from auditvault.ledger.copying import Row
from auditvault.ledger.logs import LogRef, log_ref
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import Pending, append
from auditvault.traces.services import (
    HeaderRows,
    SpanKey,
    count_spans,
    known_spans,
    stored_revisions,
    write_headers,
)
from auditvault.vault.erasures.pending import SEALERS_LOCK, refuse_while_restore_pending
from auditvault.vault.kinds import Identifier, KindRules
from auditvault.vault.opening import tags_of
from auditvault.vault.sealing import Sealer
from auditvault.vault.services import lookup_tag, make_sealer
from auditvault.vault.subjects import Naming, tenant_subject

ENTRY_TYPE = "interaction.recorded"
# Which contents a sender's own hash may be of: it says "prompt", and means the messages or the raw input.
CLAIMED_ROLES = {
    "prompt": frozenset({"input_messages", "input"}),
    "input": frozenset({"input_messages", "input", "tool_arguments", "retrieval_query"}),
    "output": frozenset({"output_messages", "output", "tool_result"}),
}
_MAX_ATTEMPTS = 5


class ConcurrentRepeatError(AuditvaultError):
    """Another request kept recording the same spans; the sender may try again."""

    code = "concurrent_repeat"


class _RepeatedMeanwhileError(Exception):
    """Another request recorded one of these spans between the look and the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of a request's spans."""

    record_ids: tuple[bytes, ...]
    """Of the new records, UUIDs' 16 bytes each, in the order sent."""
    repeated: int
    """Spans that were recorded already, by this request or before."""

    @property
    def recorded(self) -> tuple[UUID, ...]:
        """`record_ids` as UUIDs, which an OTLP sender does not ask for."""
        return tuple(UUID(bytes=raw) for raw in self.record_ids)


def ingest(
    *,
    region: str,
    tenant_id: UUID,
    source: str,
    interactions: Sequence[Interaction],
    received_at: datetime,
) -> Ingested:
    """Record interactions that one credential sent; returns once they are durable.

    `source` is the producer as it stands in entries: a credential's id, never a name.

    Raises:
        ConcurrentRepeatError: the same spans kept arriving at the same time.
        RestorePendingError: the region was restored; the sender may try again.
    """
    # Record ids carry milliseconds: the instant is cut to what can be read back from them.
    at = instant_of(uuid7(received_at))
    interactions = without_secrets(interactions)
    for _attempt in range(_MAX_ATTEMPTS):
        try:
            return _ingest_once(region, tenant_id, source, interactions, at)
        except _RepeatedMeanwhileError:
            continue
    raise ConcurrentRepeatError("The same spans are being recorded by another request.")


def _ingest_once(
    region: str, tenant_id: UUID, source: str, interactions: Sequence[Interaction], at: datetime
) -> Ingested:
    log = log_ref(region, tenant_id, "interactions", settings.LOG_HOST)
    chosen, names = whose(interactions, KindRules(region=region, tenant_id=tenant_id))
    naming = Naming(region=region, tenant_id=tenant_id, names=names, at=at)
    # Made once, in a transaction of its own, and remembered: it must not be missing inside the next one.
    tenant_subject(region=region, tenant_id=tenant_id, at=at)
    with _sealing(region, tenant_id) as connection:
        naming.look_up(connection)
        if not naming.is_missing_any():
            return _record(connection, region, log, naming, chosen, source, interactions, at)
    naming.make_missing()
    with _sealing(region, tenant_id) as connection:
        naming.look_up(connection)
        if naming.is_missing_any():
            raise _RepeatedMeanwhileError  # somebody was erased in between: they are new
        return _record(connection, region, log, naming, chosen, source, interactions, at)


@contextmanager
def _sealing(region: str, tenant_id: UUID) -> Iterator[psycopg.Connection[Any]]:
    """A transaction in which nobody whom it looks up is erased, of a region that takes contents in.

    Raises RestorePendingError: what came back with an older backup is erased again, and would take with it what was
    recorded for the same person meanwhile.
    """
    alias = region_alias(region)
    with tenant_scope(alias, tenant_id, keep_plans=True, sharing=SEALERS_LOCK) as connection:
        refuse_while_restore_pending(connection, region)
        yield connection


def _record(
    connection: psycopg.Connection[Any],
    region: str,
    log: LogRef,
    naming: Naming,
    chosen: list[Identifier],
    source: str,
    interactions: Sequence[Interaction],
    at: datetime,
) -> Ingested:
    """Seal and append what is new, inside the caller's transaction."""
    tag_of = partial(_tag, region, log.tenant_id)
    interactions = under_policy(interactions, policy_in_force(connection), tag_of)
    seen = known_spans(connection, {interaction.trace_id for interaction in interactions})
    drafts = _drafts(interactions, naming, chosen, at)
    stored = partial(_stored, connection, tag_of)
    fresh = settle_repeats(drafts, seen, stored)
    if fresh:
        sealer = _sealer(connection, region, log.tenant_id, fresh, at)
        header_rows, pending = _compose(sealer, log.tenant_id, source, fresh, at)
        naming.write_aliases(connection)
        sealer.write(connection, at)
        write_headers(connection, header_rows, at)
        refuse_repeats = partial(_refuse_repeats, connection, fresh, seen)
        append(connection, log=log, pending=pending, once_locked=refuse_repeats)
    return Ingested(
        record_ids=tuple([draft.record_id for draft in fresh]), repeated=len(drafts) - len(fresh)
    )


def _refuse_repeats(
    connection: psycopg.Connection[Any], fresh: list[Draft], seen: dict[SpanKey, list[UUID]]
) -> None:
    """Look again once the head is held: nobody else can record one of these spans from here on.

    Counting is enough: what is there must be what was there, and what this request has just written.
    """
    known = sum(len(record_ids) for record_ids in seen.values())
    traces = {draft.interaction.trace_id for draft in fresh} | {trace_id for trace_id, _ in seen}
    if count_spans(connection, traces) != known + len(fresh):
        raise _RepeatedMeanwhileError


def _stored(
    connection: psycopg.Connection[Any], tag_of: TagOf, record_ids: Sequence[UUID]
) -> list[StoredSpan]:
    """The recorded revisions of a span, oldest first, with what their contents are known by."""
    revisions = stored_revisions(connection, record_ids)
    return [StoredSpan.read(known, partial(tags_of, connection), tag_of) for known in revisions]


def _drafts(
    interactions: Sequence[Interaction], naming: Naming, chosen: list[Identifier], at: datetime
) -> list[Draft]:
    subjects = {identifier: naming.subject(identifier).bytes for identifier in set(chosen)}
    ids = raw_uuid7s(at, len(interactions))
    return [
        Draft(interaction, record_id, subjects[identifier])
        for interaction, identifier, record_id in zip(interactions, chosen, ids, strict=True)
    ]


def _tag(region: str, tenant_id: UUID, digest: bytes) -> bytes:
    return lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest)


def _sealer(
    connection: psycopg.Connection[Any],
    region: str,
    tenant_id: UUID,
    fresh: list[Draft],
    at: datetime,
) -> Sealer:
    subjects = {UUID(bytes=raw) for raw in {draft.subject_id for draft in fresh}}
    sealer = make_sealer(region=region, tenant_id=tenant_id, subjects=subjects, at=at)
    sealer.recall(
        connection,
        {
            content.digest
            for draft in fresh
            for content in draft.interaction.contents
            if content.owner == "tenant"
        },
    )
    return sealer


def _compose(
    sealer: Sealer, tenant_id: UUID, source: str, fresh: list[Draft], at: datetime
) -> tuple[list[Row], list[Pending]]:
    encode = HeaderRows(tenant_id, at).encode
    openings = os.urandom(OPENING_SIZE * len(fresh))
    rows: list[Row] = []
    pending: list[Pending] = []
    for position, draft in enumerate(fresh):
        interaction, record_id = draft.interaction, draft.record_id
        header = interaction.header.copy()
        header["id"] = id_text(record_id)
        if draft.revises is not None:
            header["revision"] = draft.revision
            header["revises"] = str(draft.revises)
        header["contents"] = _sealed(sealer, draft)
        sealer.own(draft.subject_id, record_id)
        body = header_bytes(header)
        opening = openings[position * OPENING_SIZE : (position + 1) * OPENING_SIZE]
        rows.append(encode(interaction, header, record_id=record_id, opening=opening, body=body))
        commitment = header_commitment(opening, ENTRY_TYPE, body)
        pending.append(Pending(record_id, ENTRY_TYPE, source, commitment))
    return rows, pending


def _sealed(sealer: Sealer, draft: Draft) -> list[JsonValue]:
    """Seal a draft's contents; returns what its header says of each."""
    person, tenant = draft.subject_id, sealer.tenant_subject
    record_id, claims = draft.record_id, draft.interaction.claims
    said: list[JsonValue] = []
    for content in draft.interaction.contents:
        subject_id = tenant if content.owner == "tenant" else person
        if isinstance(content, PartContent):
            reference = _seal_part(sealer, content, subject_id, record_id)
        else:
            reference = sealer.seal(
                subject_id=subject_id,
                record_id=record_id,
                role=content.role,
                body=content.body,
                digest=content.digest,
            )
        said.append(reference)
        if claims and not (isinstance(content, PartContent) and content.is_scrubbed):
            for claim, claimed in claims:
                if content.role in CLAIMED_ROLES[claim]:
                    sealer.alias(bytes.fromhex(claimed), UUID(str(reference["object"])))
    return said


def _seal_part(
    sealer: Sealer, content: PartContent, subject_id: bytes, record_id: bytes
) -> dict[str, JsonValue]:
    """Seal what is kept of a content; returns what a header says of it, what is missing included."""
    if content.is_hash_only:
        return sealer.seal_hash(
            subject_id=subject_id,
            record_id=record_id,
            role=content.role,
            digest=content.digest,
            size_bytes=content.sent_bytes,
        )
    reference = sealer.seal(
        subject_id=subject_id,
        record_id=record_id,
        role=content.role,
        body=content.body,
        digest=content.digest,
    )
    if content.sent_bytes == len(content.body):
        return reference
    if content.sent_digest is not None:
        sealer.alias(content.sent_digest, UUID(str(reference["object"])))
    return reference | {"truncated": True, "original_bytes": content.sent_bytes}
