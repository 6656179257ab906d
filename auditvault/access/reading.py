"""Reading headers and receipts, for whoever may: the console and the API both come here.

A search is recorded with its filters and its row count before the rows are given out. What names a person in a
filter is recorded as a keyed tag, and so is a text that no header holds, since that may be anything. Content is not
here; see `disclosure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.limits import take_lookup
from auditvault.access.log_reading import record_proof_read
from auditvault.access.typed import typed_filters
from auditvault.access.usage.recording import record_counted
from auditvault.access.usage.services import count_miss
from auditvault.core.policy.access import Act
from auditvault.core.policy.roles import AnyRole, acts_of_role
from auditvault.core.tlog.canonical import JsonValue
from auditvault.core.tlog.proof import InclusionProof, Receipt
from auditvault.core.tlog.tlog_proof import TlogProof
from auditvault.ledger.cosignatures import published_checkpoint
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import Located, locate
from auditvault.traces.selectors import (
    Found,
    Search,
    SpanNode,
    TraceNotFoundError,
    header_of,
    search,
    trace,
)
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.kinds import KindRules
from auditvault.vault.merging import records_of_person
from auditvault.vault.subjects import identifier_tag, subject_named

_MAX_RECORDS_OF_A_PERSON = 10_000
# Filters whose values are chosen from a list, not typed.
_VOCABULARIES = frozenset({"status"})


def find_headers(
    *,
    credential: Credential,
    region: str,
    query: Search,
    names: Mapping[str, str],
    now: datetime,
) -> Found:
    """Headers that match, newest first, once the search is recorded.

    `names` says who, by kind of identifier (docs/spec/subjects.md). They are personal data: they become keyed tags
    here and go no further. All of them must lead to the record, over every subject that is one person with theirs.

    Raises:
        AccessDeniedError, CursorError, AccessNotRecordedError, IdentifierKindUnknownError, IdentifierInvalidError.
        LookupsLimitedError, SubjectBudgetError: of a search by name, which is a lookup like one by hash.
    """
    role = credential.role_for(Act.READ_HEADERS)
    details = _filters(query)
    tags = _name_tags(region, credential.tenant_id, names)
    named: dict[str, JsonValue] = {f"{kind}_tag": tag.hex() for kind, tag in tags.items()}
    details |= named
    if tags:
        target = ",".join(f"{kind}:{tag}" for kind, tag in named.items())
        take_lookup(credential=credential, region=region, target=target, now=now, action="search")
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        if tags:
            # Who was erased may have a name again.
            refuse_while_restore_pending(connection, region)
        query, people = _of_people(connection, credential.tenant_id, query, tags)
        found = search(connection, query)
    details |= _texts(region, credential.tenant_id, query, matched=bool(found.headers))
    details["rows"] = len(found.headers)
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="search",
        outcome="granted",
        details=details,
    )
    if tags:
        record_counted(
            credential=credential, region=region, act=act, subjects=people, target=named, now=now
        )
    else:
        record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    return found


def _name_tags(region: str, tenant_id: UUID, names: Mapping[str, str]) -> dict[str, bytes]:
    """Kind -> tag of what somebody typed; comes before the transaction, which a look at the kinds would disturb."""
    rules = KindRules(region=region, tenant_id=tenant_id)
    identifiers = [rules.named(kind, value) for kind, value in names.items()]
    return {
        item.kind: identifier_tag(region=region, tenant_id=tenant_id, identifier=item)
        for item in identifiers
    }


def _of_people(
    connection: psycopg.Connection[Any], tenant_id: UUID, query: Search, tags: Mapping[str, bytes]
) -> tuple[Search, list[UUID]]:
    """The query, for the records of whoever all of these tags name, and who they are; nobody if a tag names nobody."""
    people = []
    for kind, tag in tags.items():
        subject = subject_named(connection, kind, tag)
        people += [subject] if subject else []
        records = (
            records_of_person(connection, tenant_id, subject, _MAX_RECORDS_OF_A_PERSON)
            if subject
            else []
        )
        before = query.record_ids
        query = replace(query, record_ids=[r for r in records if before is None or r in before])
    return query, people if len(people) == len(tags) else []


def trace_headers(
    *, credential: Credential, region: str, trace_id: bytes, now: datetime
) -> list[SpanNode]:
    """The trace's headers in tree order, once the look is recorded; raises TraceNotFoundError.

    A look for a trace that is not there is recorded too, with no rows.
    """
    role = credential.role_for(Act.READ_HEADERS)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        try:
            nodes = trace(connection, trace_id)
        except TraceNotFoundError:
            nodes = []
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="view_trace",
        outcome="granted",
        details={"trace_id": trace_id.hex(), "rows": len(nodes)},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    if not nodes:
        count_miss(credential=credential, region=region, action="view_trace", now=now)
        raise TraceNotFoundError("There is no such trace.")
    return nodes


def receipt(
    *, credential: Credential, region: str, record_id: UUID, now: datetime
) -> dict[str, Any]:
    """The receipt of a record as JSON members (docs/spec/receipt.md), once the look is recorded.

    Whoever may read headers gets the header and its opening with it, and each of their looks is recorded; a sender gets
    the proof alone, and the first look of a window is.

    Raises:
        AccessDeniedError, EntryNotFoundError, EntryPrunedError, AccessNotRecordedError, SubjectBudgetError.
    """
    role = credential.role_for(Act.READ_RECEIPT)
    if not _reads_headers(credential):
        record_proof_read(credential=credential, region=region, log=None, now=now)
        return receipt_of_shown(credential=credential, region=region, record_id=record_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        rows = int(header_of(connection, record_id) is not None)
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role.value,
        action="view_receipt",
        outcome="granted",
        details={"record": str(record_id), "rows": rows},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    if not rows:
        count_miss(credential=credential, region=region, action="view_receipt", now=now)
    return receipt_of_shown(credential=credential, region=region, record_id=record_id)


def receipt_of_shown(*, credential: Credential, region: str, record_id: UUID) -> dict[str, Any]:
    """The receipt of a record whose header the caller sees, which was recorded: `receipt` without a record of its own.

    Raises:
        AccessDeniedError, EntryNotFoundError, EntryPrunedError.
    """
    credential.role_for(Act.READ_RECEIPT)
    found = _located(credential, region, record_id)
    opened = None
    if _reads_headers(credential):
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            opened = header_of(connection, record_id)
    checkpoint = found.checkpoint
    return Receipt(
        interaction_id=str(record_id),
        log=found.log.origin,
        index=found.index,
        entry=found.entry,
        leaf_hash=found.leaf_hash,
        inclusion_proof=InclusionProof(size=checkpoint.size, hashes=found.proof)
        if checkpoint
        else None,
        checkpoint=checkpoint.note if checkpoint else None,
        header=opened[1] if opened else None,
        opening=opened[0] if opened else None,
    ).to_dict()


def _reads_headers(credential: Credential) -> bool:
    return any(role_allows_headers(role) for role in credential.roles)


def _located(credential: Credential, region: str, record_id: UUID) -> Located:
    """The record's entry, proved under a witnessed checkpoint where one covers it."""
    return locate(
        region=region,
        tenant_id=credential.tenant_id,
        record_id=record_id,
        preferred=published_checkpoint,
    )


def tlog_proof(
    *, credential: Credential, region: str, record_id: UUID, now: datetime
) -> str | None:
    """A record's entry and its proof as a C2SP tlog-proof; None until a checkpoint covers it.

    Of these looks the first of a window is recorded.

    Raises:
        AccessDeniedError, EntryNotFoundError, EntryPrunedError, AccessNotRecordedError.
    """
    credential.role_for(Act.READ_RECEIPT)
    record_proof_read(credential=credential, region=region, log=None, now=now)
    found = _located(credential, region, record_id)
    if found.checkpoint is None:
        return None
    return TlogProof(
        index=found.index,
        hashes=found.proof,
        checkpoint=found.checkpoint.note,
        entry=found.entry,
    ).to_text()


def role_allows_headers(role: AnyRole) -> bool:
    """Whether a role may read headers."""
    return Act.READ_HEADERS in acts_of_role(role)


def _texts(region: str, tenant_id: UUID, query: Search, *, matched: bool) -> dict[str, JsonValue]:
    """The filters that somebody typed; those of a vocabulary are in clear."""
    chosen = {name: value for name, value in query.equal.items() if name in _VOCABULARIES}
    typed = {name: value for name, value in query.equal.items() if name not in _VOCABULARIES}
    return chosen | typed_filters(region=region, tenant_id=tenant_id, typed=typed, matched=matched)


def _filters(query: Search) -> dict[str, JsonValue]:
    """The other filters, as references and numbers; none of them names a person."""
    details: dict[str, JsonValue] = {}
    if query.started_from:
        details["started_from"] = query.started_from.isoformat()
    if query.started_before:
        details["started_before"] = query.started_before.isoformat()
    if query.trace_id:
        details["trace_id"] = query.trace_id.hex()
    if query.min_total_tokens is not None:
        details["min_total_tokens"] = query.min_total_tokens
    return details
