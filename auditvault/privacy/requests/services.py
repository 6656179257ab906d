"""Taking requests in, and moving them on.

Identifiers become keyed tags before anything is written, and are kept nowhere else; the requester's own words are
sealed. Each change is one transaction: the row, the step of its timeline, the entry in the tenant's admin log, whose
head is locked last. A crash before the commit leaves the request as it was, and after it all of them are there; keys
that were made for a sealer are swept. Two who move a request at once find one of them overtaken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.core.identifiers import NORMALISATION
from auditvault.core.ids import uuid7
from auditvault.core.policy.calendar import day_of
from auditvault.core.policy.erasure import (
    EDGES,
    RESTRICTING,
    SERVICE,
    Action,
    By,
    Kind,
    Request,
    RequestMoveError,
    receive,
)
from auditvault.core.policy.regimes import Clocks, Regime, clocks
from auditvault.core.policy.regimes import regime as named_regime
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.logs import LogRef
from auditvault.ledger.scope import RegionUnavailableError, region_alias, tenant_scope
from auditvault.privacy.requests.holidays import holidays_of, zone_of
from auditvault.privacy.requests.store import (
    RequestRecord,
    Tag,
    insert,
    move_on,
    region_tags_of,
    request_of,
    tags_of,
)
from auditvault.privacy.requests.wording import (
    RequestInvalidError,
    checked_words,
    seal_words,
    words_sealer,
)
from auditvault.vault.kinds import KindRules
from auditvault.vault.sealing import Sealer
from auditvault.vault.subjects import identifier_tag

ENTRY_TYPE_RECEIVED = "privacy_request.received"
ENTRY_TYPE_MOVED = "privacy_request.moved"
ENTRY_TYPE_EXTENDED = "privacy_request.extended"
MAX_IDENTIFIERS = 20
OLDEST = timedelta(days=366)
_ACT_OF = {edge.action: edge.act for edge in EDGES}
_NEED_WORDS = frozenset({Action.REFUSE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Whose days count: ISO 3166 codes and a time zone's name."""

    country: str
    zone: str
    subdivision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What somebody asks."""

    kind: Kind
    regime: str
    identifiers: tuple[tuple[str, str], ...] = field(repr=False)
    """Kind and value of whatever names the person: 1 to 20."""
    received_at: datetime
    calendar: Calendar
    words: str | None = field(default=None, repr=False)
    """The requester's own; sealed."""
    custom: Regime | None = None
    """The tenant's own regime, for `custom`."""
    regions: tuple[str, ...] = ()
    """Where else the person may be: regions beside the one that keeps the request."""


Also = Callable[[psycopg.Connection[Any], RequestRecord], None]
"""What else is written in the transaction of a step, once the request has moved."""


def write_nothing(_connection: psycopg.Connection[Any], _moved: RequestRecord) -> None:
    """Most steps write nothing else."""


class Naming(NamedTuple):
    """What names the person: in the region that keeps the request, and in others by their names."""

    here: list[Tag]
    elsewhere: dict[str, list[Tag]]


def receive_request(
    *, region: str, credential: Credential, asked: NewRequest, now: datetime
) -> RequestRecord:
    """Take a request in; returns it at its beginning.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError: the caller may not.
        RequestInvalidError, RegimeError, CalendarUnknownError, CalendarError, IdentifierInvalidError,
            IdentifierKindUnknownError: nothing was written.
    """
    by = entitled(region, credential, Act.PREPARE_ERASURE)
    _check_asked(asked, now)
    law, limits = _limits(asked)
    naming = _naming(region, credential, asked)
    words = checked_words(asked.words)
    return _take_in(region, credential, receive(asked.kind, by), law, limits, naming, words, now)


def clone_request(
    *, region: str, credential: Credential, request_id: UUID, asked: NewRequest, now: datetime
) -> RequestRecord:
    """Take in another request about the same person: `asked` without identifiers, which are the other's.

    Nothing else is inherited: no identity, no manifest, no approval. Raises as `receive_request`, RequestNotFoundError.
    """
    by = entitled(region, credential, Act.PREPARE_ERASURE)
    if asked.identifiers or asked.regions:
        raise RequestInvalidError(
            "A request about the same person has its identifiers and regions."
        )
    _check_instant(asked, now)
    law, limits = _limits(asked)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request_of(connection, request_id)
        naming = Naming(tags_of(connection, request_id), region_tags_of(connection, request_id))
    _check_regions(asked.kind, naming.elsewhere)
    words = checked_words(asked.words)
    return _take_in(region, credential, receive(asked.kind, by), law, limits, naming, words, now)


def move_request(
    *,
    region: str,
    credential: Credential,
    request_id: UUID,
    action: Action,
    now: datetime,
    manifest: bytes | None = None,
    words: str | None = None,
    also: Also = write_nothing,
) -> RequestRecord:
    """Let a person move a request on. `words` are sealed; a refusal needs them: the reasons, and where to complain.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, OwnApprovalError: the caller may not.
        RequestNotFoundError, RequestMoveError, ManifestDriftedError, RequestInvalidError, RequestOvertakenError:
            nothing was written.
    """
    act = _ACT_OF[action]
    if act is None:
        raise RequestMoveError("The service itself takes this step.")
    by = entitled(region, credential, act)
    sealed_words = checked_words(words, is_needed=action in _NEED_WORDS)
    return _move(
        region,
        credential.tenant_id,
        request_id,
        credential.actor,
        action.value,
        lambda record: record.request.move(action, by, manifest=manifest),
        details={"manifest": manifest.hex()} if manifest else {},
        words=sealed_words,
        now=now,
        also=also,
    )


def advance_request(
    *,
    region: str,
    tenant_id: UUID,
    request_id: UUID,
    action: Action,
    now: datetime,
    manifest: bytes | None = None,
    details: Mapping[str, JsonValue] | None = None,
    also: Also = write_nothing,
) -> RequestRecord:
    """Let the service itself move a request on; `details` go into the entry. Raises as `move_request`."""
    return _move(
        region,
        tenant_id,
        request_id,
        "auditvault",
        action.value,
        lambda record: record.request.move(action, SERVICE, manifest=manifest),
        details={**({"manifest": manifest.hex()} if manifest else {}), **(details or {})},
        words=None,
        now=now,
        also=also,
    )


def extend_request(
    *, region: str, credential: Credential, request_id: UUID, reasons: str, now: datetime
) -> RequestRecord:
    """Extend the time, which whoever asked is told with these reasons; they are sealed.

    Raises as `move_request`, ExtensionRefusedError.
    """
    by = entitled(region, credential, Act.PREPARE_ERASURE)
    return _move(
        region,
        credential.tenant_id,
        request_id,
        credential.actor,
        "extend",
        lambda record: record.request.extend(
            by, due_at=record.due_at, extended_due_at=record.extended_due_at, now=now
        ),
        details={},
        words=checked_words(reasons, is_needed=True),
        now=now,
    )


def _take_in(
    region: str,
    credential: Credential,
    request: Request,
    law: Regime,
    limits: Clocks,
    naming: Naming,
    words: bytes | None,
    now: datetime,
) -> RequestRecord:
    tenant_id = credential.tenant_id
    log = admin_log(region, tenant_id)
    sealer = words_sealer(region, tenant_id, words, now)
    record = _record(tenant_id, request, law, limits, now)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        return _write(connection, log, sealer, credential.actor, record, naming, words, now)


def take_in_all(
    *, region: str, credential: Credential, asked: Sequence[NewRequest], now: datetime
) -> list[RequestRecord]:
    """Take all of these in, which have no words, or none of them: one transaction.

    Raises as `receive_request`.
    """
    by = entitled(region, credential, Act.PREPARE_ERASURE)
    tenant_id = credential.tenant_id
    ready = []
    for each in asked:
        law, limits = check_request(each, now)
        record = _record(tenant_id, receive(each.kind, by), law, limits, now)
        ready.append((record, _naming(region, credential, each)))
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        return [
            _write(connection, log, None, credential.actor, record, naming, None, now)
            for record, naming in ready
        ]


def check_request(asked: NewRequest, now: datetime) -> tuple[Regime, Clocks]:
    """The law and the limits of what is asked; raises as `receive_request` what refuses it."""
    _check_asked(asked, now)
    return _limits(asked)


def _record(
    tenant_id: UUID, request: Request, law: Regime, limits: Clocks, now: datetime
) -> RequestRecord:
    return RequestRecord(
        tenant_id=tenant_id,
        request_id=uuid7(now),
        regime=law.name,
        regime_version=law.version,
        received_at=limits.received_at,
        acknowledge_by=limits.acknowledge_by,
        answer_by=limits.answer_by,
        extended_by=limits.extended_by,
        due_at=limits.due_at(is_extended=False),
        extended_due_at=limits.due_at(is_extended=True) if limits.extended_by else None,
        words_object=None,
        step=0,
        request=request,
    )


def _write(
    connection: psycopg.Connection[Any],
    log: LogRef,
    sealer: Sealer | None,
    actor: str,
    record: RequestRecord,
    naming: Naming,
    words: bytes | None,
    now: datetime,
) -> RequestRecord:
    """Write a request that comes in, and its entry, inside the caller's transaction."""
    admin_record = new_record_id(connection)
    sealed = seal_words(connection, sealer, words, admin_record, now)
    if sealed:
        record = replace(record, words_object=UUID(str(sealed["object"])))
    insert(
        connection, record, naming.here, naming.elsewhere, actor=actor, admin_record=admin_record
    )
    details: dict[str, JsonValue] = {
        "request": str(record.request_id),
        "kind": record.request.kind.value,
        "regime": record.regime,
        "regime_version": record.regime_version,
        "identifiers": len(naming.here),
        "answer_by": record.answer_by.isoformat(),
        "actor": actor,
        **({"regions": sorted(naming.elsewhere)} if naming.elsewhere else {}),
        **({"words": sealed} if sealed else {}),
    }
    record_in(connection, log, record_id=admin_record, action=ENTRY_TYPE_RECEIVED, details=details)
    return record


def _move(
    region: str,
    tenant_id: UUID,
    request_id: UUID,
    actor: str,
    action: str,
    change: Callable[[RequestRecord], Request],
    *,
    details: Mapping[str, JsonValue],
    words: bytes | None,
    now: datetime,
    also: Also = write_nothing,
) -> RequestRecord:
    log = admin_log(region, tenant_id)
    sealer = words_sealer(region, tenant_id, words, now)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        before = request_of(connection, request_id)
        moved = replace(before, request=change(before), step=before.step + 1)
        admin_record = new_record_id(connection)
        sealed = seal_words(connection, sealer, words, admin_record, now)
        move_on(connection, moved, action=action, actor=actor, admin_record=admin_record)
        also(connection, moved)
        said: dict[str, JsonValue] = {
            "request": str(request_id),
            "actor": actor,
            **_what(before, moved, action),
            **details,
            **({"words": sealed} if sealed else {}),
        }
        entry_type = ENTRY_TYPE_EXTENDED if action == "extend" else ENTRY_TYPE_MOVED
        record_in(connection, log, record_id=admin_record, action=entry_type, details=said)
    return moved


def _what(before: RequestRecord, moved: RequestRecord, action: str) -> dict[str, JsonValue]:
    if action == "extend":
        return {"answer_by": str(moved.extended_by)}
    return {
        "action": action,
        "from": before.request.state.value,
        "to": moved.request.state.value,
    }


def entitled(region: str, credential: Credential, act: Act) -> By:
    """The caller with the act that is needed and no other; raises what refuses them."""
    credential.role_for(act)
    if region not in credential.regions:
        raise RegionUnavailableError("The caller has no rights in that region.")
    return By(human=credential.require_human(), acts=frozenset({act}))


def _check_asked(asked: NewRequest, now: datetime) -> None:
    if not 1 <= len(asked.identifiers) <= MAX_IDENTIFIERS:
        raise RequestInvalidError(f"A request has 1 to {MAX_IDENTIFIERS} identifiers.")
    _check_regions(asked.kind, asked.regions)
    _check_instant(asked, now)


def _check_regions(kind: Kind, elsewhere: Collection[str]) -> None:
    if elsewhere and kind in RESTRICTING:
        # Nothing carries a restriction out elsewhere: it must not look as if.
        raise RequestInvalidError("Ask for this in each region by itself; it is done there alone.")


def _check_instant(asked: NewRequest, now: datetime) -> None:
    if asked.received_at.tzinfo is None or not now - OLDEST <= asked.received_at <= now:
        raise RequestInvalidError("It was received at an instant with a zone, in the last year.")


def _limits(asked: NewRequest) -> tuple[Regime, Clocks]:
    law = named_regime(asked.regime, asked.custom)
    place, zone = asked.calendar, zone_of(asked.calendar.zone)
    year = day_of(asked.received_at, zone).year
    # The longest limit that a regime may have is some months; a custom one may be longer, and has fewer holidays then.
    free = holidays_of(place.country, place.subdivision, range(year, year + 3))
    return law, clocks(law, received_at=asked.received_at, zone=zone, holidays=free)


def _naming(region: str, credential: Credential, asked: NewRequest) -> Naming:
    """What names the person, in each region that is asked about; raises as `receive_request`."""
    regions = {region, *asked.regions}
    if len(regions) != 1 + len(asked.regions):
        raise RequestInvalidError("Further regions are named once each, and are not this one.")
    if not regions <= set(credential.regions):
        raise RegionUnavailableError("The caller has no rights in one of these regions.")
    here, *others = (
        _tags(each, credential.tenant_id, asked.identifiers) for each in (region, *asked.regions)
    )
    return Naming(here, dict(zip(asked.regions, others, strict=True)))


def _tags(region: str, tenant_id: UUID, identifiers: tuple[tuple[str, str], ...]) -> list[Tag]:
    """What names the person, as keyed tags: the identifiers go no further."""
    rules = KindRules(region=region, tenant_id=tenant_id)
    named = {rules.named(kind, value) for kind, value in identifiers}
    return [
        Tag(
            kind=item.kind,
            tag=identifier_tag(region=region, tenant_id=tenant_id, identifier=item),
            normalisation=NORMALISATION,
        )
        for item in sorted(named)
    ]
