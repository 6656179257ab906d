"""What a request finds, what is frozen of it, how far it is, and its certificate, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import Demand, needs
from auditvault.api import privacy_execution_forms as forms
from auditvault.api.base import REGION
from auditvault.api.checking import body_of
from auditvault.api.privacy_forms import RequestResponse
from auditvault.api.privacy_views import PrivacyView
from auditvault.core.policy.roles import Act
from auditvault.privacy.erasing import discovery, freezing, reading
from auditvault.privacy.looking import READING

_MISSING, _CONFLICT, _NOT_ALLOWED = 404, 409, 422


class DiscoveryView(PrivacyView):
    """What there is of the person."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(Act.PREPARE_ERASURE, Act.APPROVE_ERASURE, answers=(_MISSING,))
    }

    @extend_schema(responses=forms.DiscoveryResponse, parameters=[REGION])
    def get(self, request: Request, request_id: UUID) -> Response:  # noqa: ARG002
        """Counted now, in every region of the request; nothing is opened, and nothing frozen."""
        with self.refusals_recorded():
            found = discovery.discover(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                now=datetime.now(UTC),
            )
        return Response(forms.discovery_body(found))


class FreezeView(PrivacyView):
    """Freezing it."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PREPARE_ERASURE, who="human", answers=(_MISSING, _CONFLICT, _NOT_ALLOWED))
    }

    @extend_schema(request=forms.FreezeRequest, responses=RequestResponse, parameters=[REGION])
    def post(self, request: Request, request_id: UUID) -> Response:
        """What is found now becomes the manifest: its digest is what somebody else approves."""
        given, now = body_of(forms.FreezeRequest, request), datetime.now(UTC)
        with self.refusals_recorded():
            record = freezing.freeze(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                confirmed_subjects=given.get("confirmed_subjects"),
                words=given.get("words"),
                now=now,
            )
        return self.answer(record, now)


class ManifestView(PrivacyView):
    """What was frozen."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*READING, answers=(_MISSING,))}

    @extend_schema(responses=forms.ManifestResponse, parameters=[REGION])
    def get(self, request: Request, request_id: UUID) -> Response:  # noqa: ARG002
        """With its digest, and how far the request is in each region."""
        with self.refusals_recorded():
            shown = reading.show_manifest(
                credential=self.credential,
                region=self.region,
                request_id=request_id,
                now=datetime.now(UTC),
            )
        return Response(forms.manifest_response(shown))


class CertificateView(PrivacyView):
    """What was signed."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*READING, answers=(_MISSING,))}

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002  # the framework's signature
        """Whatever is accepted: there is one form, and problems are JSON."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, parameters=[REGION])
    def get(self, request: Request, request_id: UUID) -> HttpResponseBase:  # noqa: ARG002
        """The certificate to the byte, for `auditvault-verify certificate`."""
        with self.refusals_recorded():
            body = reading.show_certificate(
                credential=self.credential,
                region=self.region,
                request_id=request_id,
                now=datetime.now(UTC),
            )
        file = f"auditvault-certificate-{request_id}.txt"
        return HttpResponse(
            body,
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{file}"'},
        )
