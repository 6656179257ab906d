"""Reading content of another region over HTTP, and why it may leave."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access import across, approval_reading
from auditvault.access.admission import record_refusal
from auditvault.access.demands import Demand, needs
from auditvault.access.transfers import services
from auditvault.access.transfers.store import TransferBasisNotFoundError
from auditvault.api import access_forms, serializers
from auditvault.api import transfer_forms as forms
from auditvault.api.base import REGION, RegionView, operation_of
from auditvault.api.checking import body_of
from auditvault.api.views import revealed_body
from auditvault.core.policy.access import Act
from auditvault.core.policy.transfers import BasisKind


class BasesView(RegionView):
    """Why content may leave the region."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(Act.APPROVE_EXPORT, Act.READ_ACCESS_LOG),
        "POST": needs(Act.APPROVE_EXPORT, who="second_factor", answers=(404,)),
    }

    @extend_schema(
        operation_id="v1_access_transfer_bases_list",
        responses=forms.BasesResponse,
        parameters=[REGION],
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """What was recorded, ended ones too; newest first, 200 at most."""
        found = approval_reading.list_bases(
            credential=self.credential, region=self.region, now=datetime.now(UTC)
        )
        return Response({"bases": [forms.basis_body(record) for record in found]})

    @extend_schema(
        request=forms.BasisRequest, responses={201: forms.BasisResponse}, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Record one. It never changes: end it, and record another."""
        given = body_of(forms.BasisRequest, request)
        record = services.record(
            credential=self.credential,
            region=self.region,
            terms=services.BasisTerms(
                kind=BasisKind(given["kind"]),
                reference=given["reference"],
                to_region=given["to_region"],
                valid_from=given["valid_from"],
                valid_until=given["valid_until"],
            ),
            now=datetime.now(UTC),
        )
        return Response(forms.basis_body(record), status=201)


class EndBasisView(RegionView):
    """One basis."""

    demands = {"POST": needs(Act.APPROVE_EXPORT, who="second_factor", answers=(404,))}

    @extend_schema(request=access_forms.NoBody, responses=forms.BasisResponse, parameters=[REGION])
    def post(self, request: Request, basis_id: UUID) -> Response:
        """End it: no content passes on it any more, whatever was approved."""
        access_forms.NoBody(data=request.data).is_valid(raise_exception=True)
        now = datetime.now(UTC)
        try:
            record = services.end(
                credential=self.credential, region=self.region, basis_id=basis_id, now=now
            )
        except TransferBasisNotFoundError as error:
            record_refusal(
                credential=self.credential,
                operation=operation_of(self.request),
                region=self.region,
                code=error.code,
                now=now,
            )
            raise
        return Response(forms.basis_body(record))


class AskAcrossView(RegionView):
    """Asking to read content of another region."""

    demands = {
        "POST": needs(
            Act.RESOLVE_FULL, who="second_factor", in_service=True, answers=(404, 409, 422, 429)
        )
    }

    @extend_schema(
        request=forms.AskAcrossRequest,
        responses={201: access_forms.ApprovalResponse},
        parameters=[REGION],
    )
    def post(self, request: Request) -> Response:
        """A request that waits in the other region, for somebody there to approve."""
        given = body_of(forms.AskAcrossRequest, request)
        record = across.ask(
            credential=self.credential,
            here=self.region,
            wanted=across.Wanted(
                region=given["region"],
                contents=given["contents"],
                code=given["code"],
                case=given["case"],
                lifetime=timedelta(seconds=given["lifetime_seconds"]),
            ),
            now=datetime.now(UTC),
        )
        return Response(access_forms.approval_body(record), status=201)


class ReadAcrossView(RegionView):
    """Content of another region."""

    demands = {
        "POST": needs(
            Act.RESOLVE_FULL,
            who="second_factor",
            in_service=True,
            answers=(404, 409, 413, 422, 429),
        )
    }

    @extend_schema(
        request=forms.ReadAcrossRequest,
        responses=serializers.ResolveResponse,
        parameters=[REGION],
    )
    def post(self, request: Request) -> Response:
        """What was approved, once, after the look has been recorded in both regions; 503 where it cannot be."""
        given = body_of(forms.ReadAcrossRequest, request)
        shown = across.read(
            credential=self.credential,
            here=self.region,
            wanted=across.ApprovedRead(
                region=given["region"], approval_id=given["approval_id"], **given["purpose"]
            ),
            now=datetime.now(UTC),
        )
        return Response(
            {
                "access_record": str(shown.record_id),
                "contents": [revealed_body(item) for item in shown.contents],
                "more": shown.has_more,
            }
        )
