"""Exports over HTTP: ask, look, cancel, and fetch once. The file is encrypted to who asked, and to nobody else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.admission import record_refusal
from auditvault.access.approvals.store import ApprovalNotFoundError
from auditvault.access.demands import Demand, needs
from auditvault.api import export_forms as forms
from auditvault.api.access_forms import NoBody
from auditvault.api.base import REGION, RegionView, operation_of
from auditvault.api.checking import query_of
from auditvault.core.policy.access import Act
from auditvault.evidence.exports import reading, services
from auditvault.evidence.exports.services import ExportNotFoundError

_SEEING = (Act.READ_HEADERS, Act.READ_ACCESS_LOG)
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""What a ZIP file calls no time."""


class ExportView(RegionView):
    """A view about exports; who asks for one that is not theirs stands in the access log."""

    @contextmanager
    def refusals_recorded(self) -> Iterator[None]:
        """Record what is refused here because of what is asked about."""
        try:
            yield
        except (ExportNotFoundError, ApprovalNotFoundError) as error:
            record_refusal(
                credential=self.credential,
                operation=operation_of(self.request),
                region=self.region,
                code=error.code,
                now=datetime.now(UTC),
            )
            raise

    def shown(self, export_id: UUID) -> reading.ExportRecord:
        """An export that the caller sees; raises ExportNotFoundError."""
        with self.refusals_recorded():
            return reading.show_export(
                credential=self.credential,
                region=self.region,
                export_id=export_id,
                now=datetime.now(UTC),
            )


class ExportsView(ExportView):
    """Exports, and asking for one."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(*_SEEING, who="human"),
        "POST": needs(Act.READ_HEADERS, who="second_factor", answers=(404, 409, 422)),
    }

    @extend_schema(
        operation_id="v1_evidence_exports_list",
        responses=forms.ExportsResponse,
        parameters=[REGION, forms.ExportsQuery],
    )
    def get(self, request: Request) -> Response:
        """One's own; everybody's for who reads the access log. Newest first."""
        query = query_of(forms.ExportsQuery, request)
        page = reading.list_exports(
            credential=self.credential, region=self.region, now=datetime.now(UTC), **query
        )
        found = [forms.export_body(each) for each in page.exports]
        return Response({"exports": found, "next_cursor": page.next_cursor})

    @extend_schema(
        request=forms.ExportRequest, responses={201: forms.ExportResponse}, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Ask for an export, which is made soon after; a bulk one takes an approval of its plan."""
        form = forms.ExportRequest(data=request.data)
        form.is_valid(raise_exception=True)
        with self.refusals_recorded():
            export_id = services.ask(
                credential=self.credential,
                region=self.region,
                wanted=form.wanted(),
                now=datetime.now(UTC),
                approval_id=form.validated_data.get("approval_id"),
            )
        return Response(forms.export_body(self.shown(export_id)), status=201)


class ExportPlanView(ExportView):
    """What would be exported."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.READ_HEADERS, who="second_factor", answers=(422,))
    }

    @extend_schema(request=forms.WantedRequest, responses=forms.PlanResponse, parameters=[REGION])
    def post(self, request: Request) -> Response:
        """How many rows, and the plan that somebody else approves where they are many. Recorded."""
        form = forms.WantedRequest(data=request.data)
        form.is_valid(raise_exception=True)
        planned = services.plan_of(
            credential=self.credential,
            region=self.region,
            wanted=form.wanted(),
            now=datetime.now(UTC),
        )
        return Response(forms.plan_body(planned))


class ExportShownView(ExportView):
    """One export."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*_SEEING, who="human", answers=(404,))}

    @extend_schema(responses=forms.ExportResponse, parameters=[REGION])
    def get(self, request: Request, export_id: UUID) -> Response:  # noqa: ARG002
        """What was asked for, and how far it has come."""
        return Response(forms.export_body(self.shown(export_id)))


class ExportCancelView(ExportView):
    """Giving an export up."""

    demands: ClassVar[Mapping[str, Demand]] = {"POST": needs(*_SEEING, who="human", answers=(404,))}

    @extend_schema(request=NoBody, responses=forms.ExportResponse, parameters=[REGION])
    def post(self, request: Request, export_id: UUID) -> Response:
        """By who asked, until it is fetched or over its time; its parts are deleted."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            services.cancel(credential=self.credential, region=self.region, export_id=export_id)
        return Response(forms.export_body(self.shown(export_id)))


class ExportFileView(ExportView):
    """The file of an export."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(Act.READ_HEADERS, who="second_factor", answers=(404,))
    }

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002  # the framework's signature
        """Whatever is accepted: there is one form, and problems are JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY}, parameters=[REGION])
    def get(self, request: Request, export_id: UUID) -> HttpResponseBase:  # noqa: ARG002
        """The encrypted parts, once, for who asked, within a day. Recorded before they are given out."""
        with self.refusals_recorded():
            parts = services.fetch(
                credential=self.credential,
                region=self.region,
                export_id=export_id,
                now=datetime.now(UTC),
            )
        file = f"auditvault-export-{export_id}.zip"
        return HttpResponse(
            zipped(parts),
            content_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{file}"'},
        )

    def head(self, request: Request, export_id: UUID) -> HttpResponseBase:  # noqa: ARG002
        """Whether it is to be had; unlike `GET`, this does not use the one time up."""
        with self.refusals_recorded():
            reading.check_fetchable(
                credential=self.credential,
                region=self.region,
                export_id=export_id,
                now=datetime.now(UTC),
            )
        return HttpResponse(content_type="application/zip")


def zipped(parts: list[tuple[int, bytes]]) -> bytes:
    """`part-1.p7m` and so on in one file; not compressed, since what is encrypted cannot be."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for number, body in parts:
            archive.writestr(zipfile.ZipInfo(f"part-{number}.p7m", _EARLIEST), body)
    return made.getvalue()
