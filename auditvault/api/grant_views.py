"""Grants over HTTP: ask for one, look at one's own and what they were used for, take one back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access import approval_reading
from auditvault.access.demands import Demand, needs
from auditvault.access.grants import services
from auditvault.api import access_forms as forms
from auditvault.api.approval_views import StaffView
from auditvault.api.base import REGION
from auditvault.api.checking import query_of
from auditvault.api.serializers import TraceSearchRequest
from auditvault.api.views import search_of
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.grants import (
    GrantTerms,
    PeriodScope,
    RecordScope,
    Scope,
    SubjectScope,
    TraceScope,
)
from auditvault.core.policy.roles import Act

_READING = (Act.RESOLVE_FULL, Act.APPROVE_GRANT, Act.READ_ACCESS_LOG)


class GrantsView(StaffView):
    """Grants, and asking for one."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(*_READING),
        "POST": needs(Act.RESOLVE_FULL, who="second_factor", answers=(422,)),
    }

    @extend_schema(
        operation_id="v1_access_grants_list",
        responses=forms.GrantsResponse,
        parameters=[REGION, forms.PageQuery],
    )
    def get(self, request: Request) -> Response:
        """One's own; everybody's for who may approve grants, and for an auditor. `open`: those that are live."""
        asked = query_of(forms.PageQuery, request)
        page = approval_reading.list_grants(
            credential=self.credential,
            region=self.region,
            now=datetime.now(UTC),
            only_live=asked["open"],
            cursor=asked.get("cursor"),
            limit=asked["limit"],
        )
        return Response(
            {
                "grants": [forms.grant_body(record) for record in page.records],
                "next_cursor": page.next_cursor,
            }
        )

    @extend_schema(
        request=forms.GrantRequest, responses={201: forms.ApprovalResponse}, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Ask for a grant; the answer is the request that somebody else has to approve."""
        form = forms.GrantRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given, now = form.validated_data, datetime.now(UTC)
        with self.refusals_recorded():
            terms = GrantTerms(
                case=given["case"],
                codes=frozenset(PurposeCode(code) for code in given["codes"]),
                scope=self._scope(form, now),
                lifetime=timedelta(seconds=given["lifetime_seconds"]),
            )
            record = services.ask(
                credential=self.credential, region=self.region, terms=terms, now=now
            )
        return Response(forms.approval_body(record), status=201)

    def _scope(self, form: forms.GrantRequest, now: datetime) -> Scope:
        given: dict[str, Any] = form.validated_data["scope"]
        if "traces" in given:
            return TraceScope(trace_ids=frozenset(map(bytes.fromhex, given["traces"])))
        if "records" in given:
            return RecordScope(record_ids=frozenset(given["records"]))
        if "subjects" in given:
            return SubjectScope(subject_ids=frozenset(given["subjects"]))
        if "query" in given:
            return services.scope_of_query(
                credential=self.credential,
                region=self.region,
                query=search_of(given["query"]),
                names=TraceSearchRequest.names_in(given["query"]),
                now=now,
            )
        return PeriodScope(
            recorded_from=given["recorded_from"].astimezone(UTC),
            recorded_before=given["recorded_before"].astimezone(UTC),
        )


class GrantView(StaffView):
    """One grant."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*_READING, answers=(404,))}

    @extend_schema(responses=forms.GrantShownResponse, parameters=[REGION])
    def get(self, request: Request, grant_id: UUID) -> Response:  # noqa: ARG002
        """What it covers, until when, and what was seen under it."""
        with self.refusals_recorded():
            shown = approval_reading.show_grant(
                credential=self.credential,
                region=self.region,
                grant_id=grant_id,
                now=datetime.now(UTC),
            )
        return Response(forms.shown_body(shown))


class RevokeView(StaffView):
    """Taking a grant back."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.RESOLVE_FULL, Act.APPROVE_GRANT, who="human", answers=(404,))
    }

    @extend_schema(request=forms.NoBody, responses=forms.GrantResponse, parameters=[REGION])
    def post(self, request: Request, grant_id: UUID) -> Response:
        """It ends at once; taking it back twice changes nothing."""
        forms.NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            record = services.revoke(
                credential=self.credential,
                region=self.region,
                grant_id=grant_id,
                now=datetime.now(UTC),
            )
        return Response(forms.grant_body(record))
