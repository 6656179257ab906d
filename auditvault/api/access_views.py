"""`/api/v1/access/…`: who did what, and reports about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.access_log import read_access_log
from auditvault.access.demands import needs
from auditvault.api import access_serializers as forms
from auditvault.api.base import REGION, RegionView
from auditvault.api.checking import body_of, query_of
from auditvault.core.policy.access import Act
from auditvault.core.policy.reviews import ACTS as REVIEWING
from auditvault.core.policy.reviews import Decision
from auditvault.core.reports.catalogue import CATALOGUE, LOG_FILTERS, read_filters, report_named
from auditvault.evidence.reports.running import Order, Person, run_report
from auditvault.evidence.reviews.reading import list_reviews, named, read_review
from auditvault.evidence.reviews.selectors import Review
from auditvault.evidence.reviews.services import open_review, sign_off

REPORTING = tuple(act for act in Act if any(act in rule.acts for rule in CATALOGUE.values()))
"""Acts that allow some report; which, is the report's own to say."""
_MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8; header=present"}


class AccessLogView(RegionView):
    """Access records."""

    demands = {"GET": needs(Act.READ_ACCESS_LOG, in_service=True)}

    @extend_schema(responses=forms.AccessLogResponse, parameters=[REGION, forms.AccessLogQuery])
    def get(self, request: Request) -> Response:
        """Records that match every filter, newest first. The look is recorded, too."""
        query = query_of(forms.AccessLogQuery, request)
        limit, cursor = query.pop("limit"), query.pop("cursor", None)
        page = read_access_log(
            credential=self.credential,
            region=self.region,
            filters=read_filters(query, allowed=LOG_FILTERS),
            limit=limit,
            cursor=cursor,
            now=datetime.now(UTC),
        )
        return Response({"records": page.records, "next_cursor": page.next_cursor})


class ReportsView(RegionView):
    """Reports."""

    demands = {"POST": needs(*REPORTING, answers=(422,))}

    @extend_schema(
        request=forms.ReportRequest,
        responses={(200, "application/json"): forms.ReportResponse, (200, "text/csv"): str},
        parameters=[REGION],
    )
    def post(self, request: Request) -> HttpResponseBase:
        """The report's file, byte for byte as its hash is of (docs/spec/report.md)."""
        given = body_of(forms.ReportRequest, request)
        name, now = report_named(given["name"]), datetime.now(UTC)
        identifier, staff = given.get("identifier"), given.get("staff_names")
        made = run_report(
            credential=self.credential,
            region=self.region,
            order=Order(
                name=name,
                filters=read_filters(given["filters"], allowed=CATALOGUE[name].filters),
                format=given["format"],
                person=Person(**identifier) if identifier else None,
                staff_named_for=(staff["case"], staff["reason"]) if staff else None,
            ),
            now=now,
        )
        file = f"auditvault-{name}-{now:%Y%m%dT%H%M%SZ}.{given['format']}"
        return HttpResponse(
            made.content,
            content_type=_MEDIA_TYPES[given["format"]],
            headers={"Content-Disposition": f'attachment; filename="{file}"'},
        )


class ReviewsView(RegionView):
    """Access reviews of the place."""

    demands = {
        "GET": needs(*REVIEWING),
        "POST": needs(*REVIEWING, who="second_factor", answers=(409, 422)),
    }

    @extend_schema(
        operation_id="access_reviews_list",
        responses=forms.ReviewsResponse,
        parameters=[REGION, forms.ReviewsQuery],
    )
    def get(self, request: Request) -> Response:
        """Reviews, newest first. The look is recorded."""
        query = query_of(forms.ReviewsQuery, request)
        page = list_reviews(
            credential=self.credential,
            region=self.region,
            limit=query["limit"],
            cursor=query.get("cursor"),
            now=datetime.now(UTC),
        )
        found = [_review(each) for each in page.reviews]
        return Response({"reviews": found, "next_cursor": page.next_cursor})

    @extend_schema(
        request=forms.OpenReviewRequest,
        responses={201: forms.ReviewResponse},
        parameters=[REGION],
    )
    def post(self, request: Request) -> Response:
        """Freeze who can see content now, for this quarter or the last; once each."""
        form = forms.OpenReviewRequest(data=request.data)
        form.is_valid(raise_exception=True)
        opened = open_review(
            credential=self.credential,
            region=self.region,
            quarter=form.validated_data.get("quarter"),
            now=datetime.now(UTC),
        )
        return Response(_with_lines(opened), status=201)


class ReviewView(RegionView):
    """One access review."""

    demands = {"GET": needs(*REVIEWING, answers=(404,))}

    @extend_schema(responses=forms.ReviewResponse, parameters=[REGION])
    def get(self, request: Request, review_id: UUID) -> Response:  # noqa: ARG002
        """Its list, as it was frozen, and what was decided. The look is recorded."""
        found = read_review(
            credential=self.credential,
            region=self.region,
            review_id=review_id,
            now=datetime.now(UTC),
        )
        return Response(_with_lines(found))


class ReviewSignOffView(RegionView):
    """The end of an access review."""

    demands = {"POST": needs(*REVIEWING, who="second_factor", answers=(404, 409, 422))}

    @extend_schema(
        request=forms.SignOffRequest, responses=forms.ReviewResponse, parameters=[REGION]
    )
    def post(self, request: Request, review_id: UUID) -> Response:
        """Decide about each line, by somebody who gave none of the rights and holds none."""
        given = body_of(forms.SignOffRequest, request)
        signed = sign_off(
            credential=self.credential,
            region=self.region,
            review_id=review_id,
            list_sha256=given["list_sha256"],
            decisions=[Decision(**each) for each in given["decisions"]],
            now=datetime.now(UTC),
        )
        return Response(_with_lines(signed))


def _review(found: Review) -> dict[str, Any]:
    return {
        "id": str(found.review_id),
        "quarter": found.quarter,
        "opened_at": found.opened_at,
        "opened_by": found.opener,
        "lines": len(found.lines),
        "list_sha256": found.list_sha256,
        "signed_at": found.signed_at,
        "signed_by": found.signer,
        "removed": len(found.removed()),
    }


def _with_lines(found: Review) -> dict[str, Any]:
    names = named(found)
    decisions: Sequence[object] = found.decisions or [None] * len(found.lines)
    lines = [
        {"line": number, **line, "username": names.get(str(line["actor"])), "decided": decision}
        for number, (line, decision) in enumerate(zip(found.lines, decisions, strict=True))
    ]
    return {**_review(found), "list": lines}
