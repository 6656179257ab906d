"""`/api/v1/access/alerts`: what somebody had to hear of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.alerts.reading import MAX_PAGE, list_alerts
from auditvault.access.demands import needs
from auditvault.api.base import REGION, RegionView
from auditvault.api.checking import query_of
from auditvault.api.serializers import StrictSerializer
from auditvault.core.policy.access import Act
from auditvault.core.policy.alerts import AlertKind

_CURSOR = 64


class AlertsQuery(StrictSerializer):
    """Which page."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=_CURSOR, required=False)


class AlertResponse(serializers.Serializer[Any]):
    """An alert. `details` are references and figures, as in its entry `alert.raised`."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField([kind.value for kind in AlertKind])
    raised_at = serializers.DateTimeField()
    details = serializers.DictField()


class AlertsResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    alerts = AlertResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class AlertsView(RegionView):
    """Alerts of the place."""

    demands = {"GET": needs(Act.READ_ACCESS_LOG, Act.GRANT_ROLES)}

    @extend_schema(responses=AlertsResponse, parameters=[REGION, AlertsQuery])
    def get(self, request: Request) -> Response:
        """Alerts, newest first. The look is recorded."""
        query = query_of(AlertsQuery, request)
        page = list_alerts(
            credential=self.credential,
            region=self.region,
            limit=query["limit"],
            cursor=query.get("cursor"),
            now=datetime.now(UTC),
        )
        found = [
            {
                "id": str(each.alert_id),
                "kind": each.kind,
                "raised_at": each.raised_at,
                "details": each.details,
            }
            for each in page.alerts
        ]
        return Response({"alerts": found, "next_cursor": page.next_cursor})
