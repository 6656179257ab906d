"""The record of processing activities of one place (GDPR article 30), from what was sent and how the service is set.

Aggregates alone: no identifier, no content, no id of a person or a trace. What a controller must add in words (name and
contact, who the recipients are in law) the service does not know and does not make up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.transfers.store import newest
from auditvault.core.policy.retention_policy import RetentionPolicy, Rule
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.privacy.retention.selectors import version_in_force

FORM = "auditvault/processing-record/1"
MOST_ACTIVITIES = 1000
"""Rows; what is beyond is counted in `activities_left_out`."""

_COLUMNS = (
    "feature",
    "processing_purpose",
    "lawful_basis",
    "consent",
    "service",
    "environment",
    "operation",
    "provider",
)
# `json` and not `jsonb`: a text in a header may hold a NUL that is escaped, which `jsonb` refuses.
_ACTIVITIES = """
    WITH sent AS (
        SELECT feature, service, environment, operation, provider, started_at,
               convert_from(header, 'UTF8')::json AS said
        FROM traces_header WHERE record_id >= auditvault_uuid7_floor(%s)
    )
    SELECT feature, said ->> 'processing_purpose', said ->> 'lawful_basis', said ->> 'consent',
           service, environment, operation, provider, count(*), min(started_at), max(started_at)
    FROM sent GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ORDER BY count(*) DESC, 1, 2, 3, 4, 5, 6, 7, 8
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which place, and how far back what was sent is looked at."""

    region: str
    tenant_id: UUID
    days: int


def processing_record(*, ask: Ask, actor: str, now: datetime) -> dict[str, JsonValue]:
    """The record, as JSON; form: docs/spec/processing-record.md. That it was made is recorded before it is given out.

    Raises AccessNotRecordedError, and what the region's database raises.
    """
    since = now - timedelta(days=ask.days)
    with tenant_scope(region_alias(ask.region), ask.tenant_id, snapshot=True) as connection:
        rows = connection.execute(_ACTIVITIES, (since,)).fetchall()
        activities = [_activity(row) for row in rows[:MOST_ACTIVITIES]]
        found: dict[str, JsonValue] = {
            "form": FORM,
            "tenant": str(ask.tenant_id),
            "region": ask.region,
            "made_at": format_instant(now),
            "period": {"from": format_instant(since), "before": format_instant(now)},
            "activities": [*activities],
            "activities_left_out": len(rows) - len(activities),
            "data_subjects": _counts(
                connection,
                "SELECT kind, count(*) FROM vault_subject WHERE state <> 'erased' GROUP BY kind",
            ),
            "data_categories": _counts(
                connection, "SELECT data_class, count(*) FROM vault_object GROUP BY data_class"
            ),
            "transfers": _transfers(connection),
            "time_limits": _time_limits(connection, now),
        }
    # Whose models were asked: whoever answered an interaction got what was in it.
    providers = {str(each["provider"]) for each in activities if each["provider"]}
    found["recipients"] = {"processors": [*sorted(providers)], "copies": _copies(ask.region)}
    found["measures"] = _measures()
    details: dict[str, JsonValue] = {"days": ask.days, "rows": len(activities)}
    act = RecordedAct(
        actor=actor,
        actor_role=None,
        action="processing_record",
        outcome="granted",
        details=details,
    )
    record_id = record_act(region=ask.region, tenant_id=ask.tenant_id, act=act, now=now)
    return found | {"access_record": str(record_id)}


def _activity(row: tuple[Any, ...]) -> dict[str, JsonValue]:
    count, first_at, last_at = row[len(_COLUMNS) :]
    return {
        **dict(zip(_COLUMNS, row, strict=False)),
        "interactions": count,
        "first_at": format_instant(first_at),
        "last_at": format_instant(last_at),
    }


def _counts(connection: psycopg.Connection[Any], query: str) -> dict[str, JsonValue]:
    return dict(sorted(connection.execute(query).fetchall()))


def _transfers(connection: psycopg.Connection[Any]) -> list[JsonValue]:
    """Where content may be read from elsewhere, and on what basis."""
    return [
        {
            "to_region": record.basis.to_region,
            "kind": record.basis.kind.value,
            "reference": record.basis.reference,
            "valid_from": format_instant(record.basis.valid_from),
            "valid_until": format_instant(record.basis.ended_at or record.basis.valid_until),
        }
        for record in newest(connection)
    ]


def _time_limits(connection: psycopg.Connection[Any], now: datetime) -> JsonValue:
    """None where no retention policy is in force: everything is kept."""
    found = version_in_force(connection, now=now)
    if found is None:
        return None
    version, policy = found
    return {"version": version, "rules": _rules(policy)}


def _rules(policy: RetentionPolicy) -> list[JsonValue]:
    return [_rule(each) for each in policy.rules]


def _rule(rule: Rule) -> dict[str, JsonValue]:
    scope = rule.scope
    said: dict[str, JsonValue] = {
        "record_class": scope.record_class.value,
        "region": scope.region,
        "data_class": scope.data_class,
        "trace_type": scope.trace_type,
        "keep": str(rule.keep),
        "ceiling": str(rule.ceiling),
    }
    return {name: value for name, value in said.items() if value is not None}


def _copies(region: str) -> str | None:
    """Where copies of the log go, which hold headers and no content."""
    return settings.COPIES_URLS.get(region) or None


def _measures() -> dict[str, JsonValue]:
    """Technical measures as this process is set, in general terms (article 32(1))."""
    return {
        "encryption": "AES-256-GCM, a key for each content under a key for each person",
        "key_epoch_days": settings.KEY_EPOCH_DAYS or None,
        "witnesses": bool(settings.WITNESS_POLICY_FILE),
        "time_stamps": bool(settings.TSA_URL),
        "personal_data_detection": bool(settings.SCAN_CONTENTS),
        "looks_recorded_first": True,
        "erasure": "by destroying the person's key, and the rows",
    }
