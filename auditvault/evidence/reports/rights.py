"""Reports about rights: who can see content now, and rights that are unused, left behind, in conflict or over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from auditvault.access.events.selectors import last_acts
from auditvault.access.grants.store import page
from auditvault.access.holdings import OPERATOR, GivenRights, Holding, holdings, rights_given
from auditvault.core.policy.roles import Act
from auditvault.core.policy.separation import broken_rules
from auditvault.core.reports.catalogue import DORMANT_DAYS
from auditvault.core.reports.form import Row
from auditvault.core.tlog.canonical import JsonValue
from auditvault.evidence.reports.sources import MAX_RECORDS, Made, Sources, instant

CONTENT = {Act.RESOLVE_FULL: "full", Act.RESOLVE_REDACTED: "redacted"}
"""Act -> what of content it shows; the first that a role allows counts."""
# Acts that leave a record in the access log. Of others, that somebody signed in is all that is known.
_RECORDED = frozenset(
    {
        Act.READ_RECEIPT,
        Act.READ_HEADERS,
        Act.READ_LOG,
        Act.READ_ACCESS_LOG,
        Act.RESOLVE_REDACTED,
        Act.RESOLVE_FULL,
        Act.REPORT_TO_SUBJECT,
    }
)


def content_access(sources: Sources) -> Made:
    """Whoever can see content of the place now, and by what."""
    found = holdings(sources.staff, sources.tenant_id, sources.now)
    live: dict[str, list[JsonValue]] = defaultdict(list)
    for each in page(
        sources.records, human=None, live_at=sources.now, before=None, limit=MAX_RECORDS
    ):
        ends = instant(each.grant.expires_at.astimezone(UTC))
        live[str(each.grant.human)].append(
            {"case": each.grant.case, "expires_at": ends, "approver": each.approver}
        )
    given = rights_given(sources.records)
    rows: list[Row] = [
        {
            **row,
            "live_grants": live.get(str(row["human"]), [])
            if row["representation"] == "full"
            else [],
        }
        for row in content_rows(found, given, sources.region, sources.now)
    ]
    return rows, {}


def content_rows(
    found: list[Holding], given: GivenRights, region: str, now: datetime
) -> Iterator[Row]:
    """Rights that show content of the place, in the order of the holdings."""
    acts = _acts_by_holder(found, now)
    for each in found:
        seen = next((CONTENT[act] for act in CONTENT if act in each.acts), None)
        if each.region != region or seen is None or not each.counts(now):
            continue
        said = given.get((each.actor, each.role, each.through.startswith("group")))
        broken = [
            rule.name
            for rule in broken_rules(acts[_holder(each)])
            if rule.these | rule.those & CONTENT.keys() and each.acts & (rule.these | rule.those)
        ]
        yield {
            **_who(each),
            "representation": seen,
            "through": each.through,
            "held_since": instant(said.at if said else each.held_since),
            "given_by": said.by if said else OPERATOR,
            "case": said.case if said else None,
            "blocked_by": " ".join(broken),
        }


def dormant_rights(sources: Sources) -> Made:
    """Live rights of the place that nobody used for `days`, or since they were given."""
    days = sources.filters.days or DORMANT_DAYS
    acted = {(each.actor, each.role): each.at for each in last_acts(sources.records)}
    given = rights_given(sources.records)
    rows: list[Row] = []
    for each in holdings(sources.staff, sources.tenant_id, sources.now):
        if each.region != sources.region or not each.counts(sources.now):
            continue
        said = given.get((each.actor, each.role, each.through.startswith("group")))
        since = said.at if said else each.held_since
        last_act = acted.get((each.actor, each.role))
        is_recorded = each.acts <= _RECORDED
        used = max(
            filter(None, (last_act, None if is_recorded else each.last_seen_at)), default=None
        )
        unused = _days_since(used or since, sources.now)
        if unused is not None and unused <= days:
            continue
        rows.append(
            {
                **_who(each),
                "through": each.through,
                "held_since": instant(since),
                "last_act_at": instant(last_act),
                "last_seen_at": instant(each.last_seen_at),
                "days_unused": unused,
            }
        )
    return rows, {}


def leavers(sources: Sources) -> Made:
    """Rights on the tenant, in any region, that accounts hold which are switched off, or tokens of such people."""
    rows: list[Row] = []
    for each in holdings(sources.staff, sources.tenant_id, sources.now):
        if each.human is None or (each.is_active and each.is_own) or each.is_over(sources.now):
            continue
        if each.is_active:
            why = "the person lost the role"
        elif each.username is None:
            why = "the person has no active account"
        else:
            why = "the account is switched off"
        rows.append(
            {
                **_who(each),
                "through": each.through,
                "last_seen_at": instant(each.last_seen_at),
                "why": why,
            }
        )
    return rows, {}


def conflicting_rights(sources: Sources) -> Made:
    """Each human, or machine's token, that can do what must be in two hands, by all accounts and tokens together."""
    found = holdings(sources.staff, sources.tenant_id, sources.now)
    by_holder: dict[UUID | str, list[Holding]] = defaultdict(list)
    for each in found:
        if each.counts(sources.now):
            by_holder[_holder(each)].append(each)
    rows: list[Row] = []
    for own in by_holder.values():
        acts = frozenset(act for each in own for act in each.acts)
        for rule in broken_rules(acts):
            part = [each for each in own if each.acts & (rule.these | rule.those)]
            rows.append(
                {
                    "human": _text(own[0].human),
                    "actors": " ".join(sorted({each.actor for each in part})),
                    "usernames": " ".join(
                        sorted({each.username for each in part if each.username})
                    ),
                    "rule": rule.name,
                    "acts": " ".join(sorted(acts & (rule.these | rule.those))),
                    "roles": " ".join(sorted({f"{each.region}:{each.role}" for each in part})),
                    "why": rule.why,
                }
            )
    return rows, {}


def expired_rights(sources: Sources) -> Made:
    """Rights on the tenant that are over and were not taken away."""
    rows: list[Row] = [
        {**_who(each), "through": each.through, "expired_at": instant(each.expires_at)}
        for each in holdings(sources.staff, sources.tenant_id, sources.now)
        if each.is_over(sources.now)
    ]
    return rows, {}


def _holder(each: Holding) -> UUID | str:
    return each.human or each.actor


def _acts_by_holder(found: list[Holding], now: datetime) -> dict[UUID | str, set[Act]]:
    acts: dict[UUID | str, set[Act]] = defaultdict(set)
    for each in found:
        if each.counts(now):
            acts[_holder(each)] |= each.acts
    return acts


def _days_since(at: datetime | None, now: datetime) -> int | None:
    return (now - at).days if at else None


def _who(each: Holding) -> dict[str, JsonValue]:
    return {
        "human": _text(each.human),
        "actor": each.actor,
        "username": each.username,
        "region": each.region,
        "role": each.role,
    }


def _text(human: UUID | None) -> str | None:
    return str(human) if human else None
