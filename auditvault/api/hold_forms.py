"""What the endpoints of legal holds take and give; the OpenAPI schema is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from auditvault.api.serializers import StrictSerializer
from auditvault.core.policy.access import REASON_MAX_LENGTH
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.holds import (
    MAX_NAMED,
    MAX_RECORDS,
    AnyScope,
    Hold,
    parse_scope,
    scope_digest,
)
from auditvault.privacy.holds.reading import MAX_PAGE
from auditvault.privacy.holds.services import MOST_PUT, NewHold, release_plan

_SHORT = 64


class HoldScopeRequest(StrictSerializer):
    """What a hold is for, as in docs/spec/legal-holds.md: the kind, and its members."""

    kind = serializers.ChoiceField(["subject", "trace", "case", "records", "period", "tenant"])
    subjects = serializers.ListField(
        child=serializers.UUIDField(), max_length=MAX_NAMED, required=False
    )
    traces = serializers.ListField(
        child=serializers.RegexField(r"^[0-9a-f]{32}$"), max_length=MAX_NAMED, required=False
    )
    cases = serializers.ListField(
        child=serializers.CharField(max_length=_SHORT), max_length=MAX_NAMED, required=False
    )
    records = serializers.ListField(
        child=serializers.UUIDField(), max_length=MAX_RECORDS, required=False
    )
    before = serializers.DateTimeField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        """With `from`, which is no name in Python."""
        found = super().get_fields()
        found["from"] = serializers.DateTimeField(required=False, allow_null=True)
        return found

    @staticmethod
    def of(given: dict[str, Any]) -> AnyScope:
        """The scope of checked members; raises HoldScopeError."""
        return parse_scope({name: _json_value(value) for name, value in given.items()})


class PlaceRequest(StrictSerializer):
    """What is to be held, the matter's reference, why, and who answers for it."""

    scope = HoldScopeRequest()
    reference = serializers.CharField(max_length=_SHORT)
    reason = serializers.CharField(max_length=2 * REASON_MAX_LENGTH)
    custodian = serializers.UUIDField()
    review_on = serializers.DateField()

    @staticmethod
    def of(given: dict[str, Any]) -> NewHold:
        """What is to be held; raises HoldScopeError."""
        return NewHold(
            scope=HoldScopeRequest.of(given["scope"]),
            reference=given["reference"],
            reason=given["reason"],
            custodian=HumanId(given["custodian"]),
            review_on=given["review_on"],
        )


class ReleaseRequest(StrictSerializer):
    """The approval of the hold's release plan, which somebody else gave."""

    approval_id = serializers.UUIDField()


class PutRequest(StrictSerializer):
    """Records that belong to a case."""

    case = serializers.CharField(max_length=_SHORT)
    records = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MOST_PUT
    )


class HoldsQuery(StrictSerializer):
    """Which page of which holds: `open` those in force, `overdue` those whose review is due."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=256, required=False)
    open = serializers.BooleanField(default=False)
    overdue = serializers.BooleanField(default=False)


class PlacedResponse(serializers.Serializer[Any]):
    """A hold in force, and how many of the subjects that it names had been erased before."""

    id = serializers.UUIDField()
    record = serializers.UUIDField()
    already_erased = serializers.IntegerField()


class ReleasedResponse(serializers.Serializer[Any]):
    """The record of the entry that says so."""

    id = serializers.UUIDField()
    record = serializers.UUIDField()


class HoldResponse(serializers.Serializer[Any]):
    """A hold. `scope_sha256` is the digest that stands in entries and plans."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    scope_sha256 = serializers.CharField()
    reference = serializers.CharField()
    placed_by = serializers.UUIDField()
    custodian = serializers.UUIDField()
    review_on = serializers.DateField()
    is_overdue = serializers.BooleanField()
    placed_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)


class HoldShownResponse(HoldResponse):
    """A hold with its scope, and the plan of its release: null once it was released."""

    scope = serializers.JSONField()
    release_plan = serializers.CharField(allow_null=True)


class HoldsResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    holds = HoldResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


def _json_value(value: Any) -> Any:
    """A checked value as a scope's parameters have it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [str(item) for item in value]
    return value


def hold_body(hold: Hold, reference: str, now: datetime) -> dict[str, Any]:
    """A hold as it is answered."""
    return {
        "id": str(hold.hold_id),
        "kind": hold.scope.parameters()["kind"],
        "scope_sha256": scope_digest(hold.scope).hex(),
        "reference": reference,
        "placed_by": str(hold.placed_by),
        "custodian": str(hold.custodian),
        "review_on": hold.review_on,
        "is_overdue": hold.is_overdue(now.date()),
        "placed_at": hold.placed_at,
        "released_at": hold.released_at,
    }


def shown_body(hold: Hold, reference: str, now: datetime) -> dict[str, Any]:
    """A hold with its scope and the plan of its release, as it is answered."""
    plan = None if hold.released_at else release_plan(hold).body().decode()
    return {
        **hold_body(hold, reference, now),
        "scope": hold.scope.parameters(),
        "release_plan": plan,
    }
