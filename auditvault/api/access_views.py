"""`/api/v1/access/…`: who did what, and reports about it."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.access_log import read_access_log
from auditvault.access.demands import needs
from auditvault.api import access_serializers as forms
from auditvault.api.base import REGION, RegionView
from auditvault.api.views import query_of
from auditvault.core.policy.access import Act
from auditvault.core.reports.catalogue import CATALOGUE, LOG_FILTERS, read_filters, report_named
from auditvault.evidence.reports.running import Order, Person, run_report

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
        form = forms.ReportRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
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
