"""What the endpoints of exports take and give; the OpenAPI schema is made from these."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from auditvault.api.serializers import StrictSerializer
from auditvault.evidence.exports.reading import MAX_PAGE, ExportRecord
from auditvault.evidence.exports.services import Planned, Wanted

_CURSOR = 64
_PEM = 24_576
_STATES = ["queued", "made", "fetched", "cancelled", "failed", "expired"]


class WantedRequest(StrictSerializer):
    """What to take away: filters that name nobody, since they are stored; the form; and to which certificate (PEM)."""

    started_from = serializers.DateTimeField()
    started_before = serializers.DateTimeField()
    trace_id = serializers.RegexField(r"^[0-9a-fA-F]{32}$", required=False)
    status = serializers.ChoiceField(["unset", "ok", "error"], required=False)
    form = serializers.ChoiceField(["csv", "jsonl"], default="csv")
    certificate = serializers.CharField(max_length=_PEM)

    def wanted(self) -> Wanted:
        """As the services take it; the request must be valid."""
        given: dict[str, Any] = dict(self.validated_data)
        given.pop("approval_id", None)
        if "trace_id" in given:
            given["trace_id"] = bytes.fromhex(given["trace_id"])
        return Wanted(**given)


class ExportRequest(WantedRequest):
    """The same, and for a bulk export the approval of its plan."""

    approval_id = serializers.UUIDField(required=False)


class PlanResponse(serializers.Serializer[Any]):
    """The canonical text to ask for approval of, where the export is a bulk one."""

    plan = serializers.CharField()
    rows = serializers.IntegerField()
    needs_approval = serializers.BooleanField()


class ExportsQuery(StrictSerializer):
    """Which page."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=_CURSOR, required=False)


class ExportResponse(serializers.Serializer[Any]):
    """An export; `request` as it was recorded. `rows` and `parts` grow while it is made."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(_STATES)
    requester = serializers.CharField()
    request = serializers.DictField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    rows = serializers.IntegerField()
    parts = serializers.IntegerField()


class ExportsResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    exports = ExportResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


def export_body(record: ExportRecord) -> dict[str, Any]:
    """An export as it is answered."""
    return {
        "id": str(record.export_id),
        "state": record.state,
        "requester": record.actor,
        "request": record.request,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "rows": record.rows,
        "parts": record.parts,
    }


def plan_body(planned: Planned) -> dict[str, Any]:
    """A plan as it is answered."""
    return {
        "plan": planned.plan.body().decode(),
        "rows": planned.rows,
        "needs_approval": planned.is_bulk,
    }
