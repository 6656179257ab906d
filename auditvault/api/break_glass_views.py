"""Break-glass over HTTP: open it in one's session, end it, and let somebody else review it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access import approval_reading
from auditvault.access.break_glass import services
from auditvault.access.break_glass.store import BreakGlassRecord
from auditvault.access.demands import Demand, needs
from auditvault.access.sealed_words import WordsNotFoundError
from auditvault.api.access_forms import NoBody, PageQuery, ReasonResponse
from auditvault.api.approval_views import StaffView
from auditvault.api.base import PLACE, REGION
from auditvault.api.checking import query_of
from auditvault.api.serializers import StrictSerializer
from auditvault.core.policy.access import REASON_MAX_LENGTH
from auditvault.core.policy.break_glass import ReviewState, Verdict
from auditvault.core.policy.roles import Act

_CASE = 64


class BreakGlassRequest(StrictSerializer):
    """For which case, and why at once; the reason is sealed."""

    case = serializers.CharField(max_length=_CASE)
    reason = serializers.CharField(max_length=REASON_MAX_LENGTH)


class BreakGlassReviewRequest(StrictSerializer):
    """Whether it was right, and the case under which that was looked into."""

    verdict = serializers.ChoiceField([each.value for each in Verdict])
    case = serializers.CharField(max_length=_CASE)


class BreakGlassResponse(serializers.Serializer[Any]):
    """A break-glass; `looks` is how many were made under it. Without its reason, which is sealed."""

    id = serializers.UUIDField()
    case = serializers.CharField()
    holder = serializers.CharField()
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField()
    review = serializers.ChoiceField([each.value for each in ReviewState])
    reviewer = serializers.CharField(allow_null=True)
    reviewed_at = serializers.DateTimeField(allow_null=True)
    review_case = serializers.CharField(allow_null=True)
    looks = serializers.IntegerField()


class BreakGlassListResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    break_glass = BreakGlassResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class BreakGlassView(StaffView):
    """What was opened, and opening it."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(Act.RESOLVE_FULL, Act.APPROVE_GRANT, Act.READ_ACCESS_LOG),
        "POST": needs(Act.RESOLVE_FULL, who="session", answers=(409, 422)),
    }

    @extend_schema(
        operation_id="v1_access_break_glass_list",
        responses=BreakGlassListResponse,
        parameters=[REGION, PageQuery],
    )
    def get(self, request: Request) -> Response:
        """One's own; everybody's for who reviews, and for an auditor. `open`: those that were not reviewed."""
        asked, now = query_of(PageQuery, request), datetime.now(UTC)
        page = approval_reading.list_break_glass(
            credential=self.credential,
            region=self.region,
            now=now,
            only_unreviewed=asked["open"],
            cursor=asked.get("cursor"),
            limit=asked["limit"],
        )
        return Response(
            {
                "break_glass": [_body(record, now) for record in page.records],
                "next_cursor": page.next_cursor,
            }
        )

    @extend_schema(request=BreakGlassRequest, responses={201: BreakGlassResponse}, parameters=PLACE)
    def post(self, request: Request) -> Response:
        """Open one for a case, for an hour; two others are told, and somebody reviews it."""
        form = BreakGlassRequest(data=request.data)
        form.is_valid(raise_exception=True)
        now = datetime.now(UTC)
        with self.refusals_recorded():
            record = services.open_break_glass(
                credential=self.credential,
                region=self.region,
                case=form.validated_data["case"],
                reason=form.validated_data["reason"],
                now=now,
            )
        return Response(_body(record, now), status=201)


class EndView(StaffView):
    """Ending one."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.RESOLVE_FULL, who="human", answers=(404, 409))
    }

    @extend_schema(request=NoBody, responses=BreakGlassResponse, parameters=[REGION])
    def post(self, request: Request, break_glass_id: UUID) -> Response:
        """End one's own early."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        now = datetime.now(UTC)
        with self.refusals_recorded():
            record = services.end(
                credential=self.credential,
                region=self.region,
                break_glass_id=break_glass_id,
                now=now,
            )
        return Response(_body(record, now))


class ReviewView(StaffView):
    """Reviewing one."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.APPROVE_GRANT, who="second_factor", answers=(404, 409))
    }

    @extend_schema(
        request=BreakGlassReviewRequest, responses=BreakGlassResponse, parameters=[REGION]
    )
    def post(self, request: Request, break_glass_id: UUID) -> Response:
        """Say whether it was right to open somebody else's, once it is over."""
        form = BreakGlassReviewRequest(data=request.data)
        form.is_valid(raise_exception=True)
        now = datetime.now(UTC)
        with self.refusals_recorded():
            record = services.review(
                credential=self.credential,
                region=self.region,
                break_glass_id=break_glass_id,
                verdict=Verdict(form.validated_data["verdict"]),
                case=form.validated_data["case"],
                now=now,
            )
        return Response(_body(record, now))


class ReasonView(StaffView):
    """Why one was opened."""

    recorded = (*StaffView.recorded, WordsNotFoundError)
    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.APPROVE_GRANT, who="second_factor", answers=(404,))
    }

    @extend_schema(request=NoBody, responses=ReasonResponse, parameters=[REGION])
    def post(self, request: Request, break_glass_id: UUID) -> Response:
        """In the holder's words, for who reviews it; recorded before it is shown."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            reason = approval_reading.read_break_glass_reason(
                credential=self.credential,
                region=self.region,
                break_glass_id=break_glass_id,
                now=datetime.now(UTC),
            )
        return Response({"reason": reason})


def _body(record: BreakGlassRecord, now: datetime) -> dict[str, Any]:
    opened = record.opened
    review = opened.review
    return {
        "id": str(opened.break_glass_id),
        "case": opened.case,
        "holder": record.holder,
        "opened_at": opened.opened_at,
        "expires_at": opened.expires_at,
        "ended_at": opened.ended_at,
        "due_at": opened.due_at,
        "review": opened.state(now).value,
        "reviewer": record.reviewer,
        "reviewed_at": review and review.reviewed_at,
        "review_case": review and review.case,
        "looks": record.looks,
    }
