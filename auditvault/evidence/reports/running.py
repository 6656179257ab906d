"""Running a report: may they, make it, record it, give it out.

Order, and what a crash leaves behind:

1. Whether the caller may is checked; a refusal is recorded.   Crash: nothing.
2. It is made, in read-only transactions (PCI 10.4.1).         Crash: nothing.
3. It is recorded with its filters, rows and SHA-256.          Crash after: a record of a report that nobody has, which
                                                               is the safe side.
4. The file is handed to the caller.

The record comes before the file, so it says which file was given out, and a report never has the record of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg

from auditvault.access.access_log import recorded_filters
from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import access_log, record_act
from auditvault.access.holdings import staff_snapshot
from auditvault.core.policy.access import (
    AccessDeniedError,
    Act,
    Purpose,
    PurposeCode,
    check_reason,
)
from auditvault.core.policy.cases import check_case
from auditvault.core.reports import form
from auditvault.core.reports.catalogue import (
    CATALOGUE,
    Filters,
    ReportFilterError,
    ReportName,
    Rule,
    with_period,
)
from auditvault.core.tlog.canonical import JsonValue
from auditvault.evidence.reports import records, rights
from auditvault.evidence.reports.break_glass import break_glass
from auditvault.evidence.reports.grants import grants
from auditvault.evidence.reports.reviewed import reviewed
from auditvault.evidence.reports.sources import Made, Report, Sources
from auditvault.evidence.reports.subject import subject_looks
from auditvault.ledger.admin.services import OPERATOR, admin_log
from auditvault.ledger.logs import LogRef, tenant_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import head
from auditvault.ledger.services import format_instant
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.kinds import KindRules
from auditvault.vault.subjects import identifier_tag

Format = Literal["json", "csv"]

_REPORTS: dict[ReportName, Report] = {
    ReportName.CONTENT_ACCESS: rights.content_access,
    ReportName.DORMANT_RIGHTS: rights.dormant_rights,
    ReportName.LEAVERS: rights.leavers,
    ReportName.CONFLICTING_RIGHTS: rights.conflicting_rights,
    ReportName.EXPIRED_RIGHTS: rights.expired_rights,
    ReportName.GRANTS: grants,
    ReportName.LOOKS: records.looks,
    ReportName.BREAK_GLASS: break_glass,
    ReportName.DENIALS: records.denials,
    ReportName.REVIEWS: reviewed,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a report is for. `value` is personal data: it becomes a keyed tag at once and goes no further."""

    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for."""

    name: ReportName
    filters: Filters = field(default_factory=Filters)
    format: Format = "json"
    person: Person | None = None
    """Of a person's own report, and of no other."""
    staff_named_for: tuple[str, str] | None = field(default=None, repr=False)
    """Case and reason for which a person's own report names staff; the reason is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """A report as it is given out, and the access record that was committed before."""

    content: bytes
    rows: int
    sha256: str
    access_record: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An order that was checked."""

    order: Order
    rule: Rule
    filters: Filters
    role: str
    purpose: Purpose | None
    name: tuple[str, bytes] | None
    """Kind and keyed tag of the person."""


def run_report(*, credential: Credential, region: str, order: Order, now: datetime) -> ReportFile:
    """Make a report about one place, record that, and return its file.

    Raises:
        AccessDeniedError: refused, and the refusal recorded.
        ReportFilterError, PurposeError, CaseError: it cannot be made as asked.
        IdentifierKindUnknownError, IdentifierInvalidError: nothing was looked for.
        RestorePendingError: the region was restored; a person's own report is not made.
        ReportTooLargeError: too many records match.
        AccessNotRecordedError: the access log cannot be written, and nothing is given out.
    """
    asked = _checked(credential, region, order, now)
    verified, heads = _of_operator(region, credential.tenant_id, asked)
    with _sources(credential, region, asked, now) as (sources, logs):
        rows, facts = _made(asked, sources, verified)
        heads += [_head(sources.records, log) for log in logs]
    return _given_out(credential, region, asked, rows, facts, heads, now)


def _checked(credential: Credential, region: str, order: Order, now: datetime) -> _Asked:
    rule = CATALOGUE[order.name]
    is_of_person = order.name is ReportName.SUBJECT_LOOKS
    if is_of_person != (order.person is not None):
        raise ReportFilterError(
            "This report is of one person: say who."
            if is_of_person
            else "This report is of no person."
        )
    if order.staff_named_for and not is_of_person:
        raise ReportFilterError("This report has staff names anyway.")
    role = _role(credential, region, order, now)
    filters = with_period(rule, order.filters, now)
    purpose = None
    if order.staff_named_for:
        case, reason = order.staff_named_for
        check_case(case)
        purpose = Purpose(code=PurposeCode.DSAR, case=case, reason=check_reason(reason, case=case))
    name = _tagged(region, credential.tenant_id, order.person) if order.person else None
    return _Asked(order=order, rule=rule, filters=filters, role=role, purpose=purpose, name=name)


def _role(credential: Credential, region: str, order: Order, now: datetime) -> str:
    """The role under which it is run; a refusal is recorded and raised."""
    try:
        role = _first_role(credential, CATALOGUE[order.name].acts)
        if order.staff_named_for:
            role = credential.role_for(Act.NAME_STAFF).value
    except AccessDeniedError as error:
        refusal = RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="report",
            outcome="denied",
            details={"report": order.name.value, "code": error.code},
        )
        record_act(region=region, tenant_id=credential.tenant_id, act=refusal, now=now)
        raise
    return role


def _first_role(credential: Credential, acts: tuple[Act, ...]) -> str:
    *others, last = acts
    for act in others:
        try:
            return credential.role_for(act).value
        except AccessDeniedError:
            continue
    return credential.role_for(last).value


def _tagged(region: str, tenant_id: UUID, person: Person) -> tuple[str, bytes]:
    found = KindRules(region=region, tenant_id=tenant_id).named(person.kind, person.value)
    return found.kind, identifier_tag(region=region, tenant_id=tenant_id, identifier=found)


@contextmanager
def _sources(
    credential: Credential, region: str, asked: _Asked, now: datetime
) -> Iterator[tuple[Sources, list[LogRef]]]:
    """What the report may look at, and the logs that it is made from."""
    tenant_id, alias = credential.tenant_id, region_alias(region)
    access_log(region, tenant_id)
    logs = [
        log
        for log in tenant_logs(region=region, tenant_id=tenant_id)
        if log.kind in asked.rule.logs
    ]
    with staff_snapshot() as staff, tenant_scope(alias, tenant_id, snapshot=True) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        sources = Sources(
            tenant_id=tenant_id,
            region=region,
            now=now,
            filters=asked.filters,
            records=connection,
            staff=staff,
        )
        yield sources, logs


def _of_operator(
    region: str, tenant_id: UUID, asked: _Asked
) -> tuple[list[form.Row], list[form.LogHead]]:
    """What the operator's log of the region adds, and that log's head; scopes do not nest, so it comes first."""
    if asked.order.name is not ReportName.EVIDENCE_ACTS:
        return [], []
    origins = {log.origin for log in tenant_logs(region=region, tenant_id=tenant_id)}
    log = admin_log(region, OPERATOR)
    with tenant_scope(region_alias(region), OPERATOR, snapshot=True) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        return records.verifications(connection, asked.filters, origins), [_head(connection, log)]


def _head(connection: psycopg.Connection[Any], log: LogRef) -> form.LogHead:
    state = head(connection, log)
    return form.LogHead(origin=log.origin, kind=log.kind, size=state.size, root=state.root)


def _made(asked: _Asked, sources: Sources, verified: list[form.Row]) -> Made:
    if asked.name is not None:
        refuse_while_restore_pending(sources.records, sources.region)
        return subject_looks(sources, asked.name, with_staff=asked.purpose is not None)
    if asked.order.name is ReportName.EVIDENCE_ACTS:
        return records.evidence_acts(sources, verified)
    return _REPORTS[asked.order.name](sources)


def _given_out(
    credential: Credential,
    region: str,
    asked: _Asked,
    rows: list[form.Row],
    facts: dict[str, JsonValue],
    heads: list[form.LogHead],
    now: datetime,
) -> ReportFile:
    contents = form.Contents(
        report=asked.order.name.value,
        tenant=str(credential.tenant_id),
        region=region,
        columns=asked.rule.columns,
        rows=rows,
    )
    is_csv = asked.order.format == "csv"
    body = form.csv_body(contents) if is_csv else form.json_body(contents)
    digest = form.body_digest(body)
    filters = recorded_filters(region, credential.tenant_id, asked.filters, matched=bool(rows))
    if asked.name is not None:
        kind, tag = asked.name
        filters[f"{kind}_tag"] = tag.hex()
    said: dict[str, JsonValue] = {
        "report": contents.report,
        "format": asked.order.format,
        "filters": filters,
        "rows": len(rows),
        "sha256": digest,
        "logs": [each.members() for each in heads],
        "facts": facts,
    }
    act = RecordedAct(
        actor=credential.actor,
        actor_role=asked.role,
        action="report",
        outcome="granted",
        details=said,
        purpose=asked.purpose,
    )
    record_id = record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
    footer = form.Footer(
        actor=credential.actor,
        role=asked.role,
        filters=filters,
        at=format_instant(now),
        rows=len(rows),
        logs=heads,
        sha256=digest,
        access_record=str(record_id),
        facts=facts,
    )
    write = form.csv_file if is_csv else form.json_file
    return ReportFile(
        content=write(body, footer), rows=len(rows), sha256=digest, access_record=record_id
    )
