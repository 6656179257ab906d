"""What every JSON view has in common: who calls, what is demanded of them, about which region, and who may keep it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg
from django.db import DatabaseError
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auditvault.access.admission import admit, record_refusal
from auditvault.access.credentials import Credential
from auditvault.access.demands import Demand
from auditvault.access.events.refused import REFUSED
from auditvault.api.authentication import (
    REGION_HEADER,
    TENANT_HEADER,
    RegionDeniedError,
    RegionRequiredError,
    region_of,
)
from auditvault.core.policy.access import Act

REGION = OpenApiParameter(
    REGION_HEADER,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Needed where a token has several.",
)
PLACE = [
    OpenApiParameter(
        TENANT_HEADER,
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="Of a person's session that has roles on several tenants.",
    ),
    REGION,
]
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


def operation_of(request: HttpRequest | Request) -> str:
    """The method and the path's template: nothing that the caller sent stands in it."""
    match = request.resolver_match
    route = _CONVERTER.sub(r"{\1}", match.route) if match else ""
    method = "GET" if request.method == "HEAD" else request.method
    return f"{method} /{route}"


def region_for(credential: Credential, request: HttpRequest | Request) -> str:
    """The region that a request is about; raises RegionDeniedError, once it is recorded, or RegionRequiredError."""
    try:
        return region_of(credential, request.headers.get(REGION_HEADER))
    except RegionDeniedError as error:
        record_refusal(
            credential=credential,
            operation=operation_of(request),
            region=None,
            code=error.code,
            now=datetime.now(UTC),
        )
        raise


class CallerView(APIView):
    """A view for callers with a credential. Its demands are looked at before the request's body or any record is."""

    demands: ClassVar[Mapping[str, Demand]] = {}
    is_known = False
    """Whether it was looked at who calls."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise what the caller is refused with, once it is recorded; a method without a demand is answered 405."""
        super().initial(request, *args, **kwargs)
        self.is_known = True
        demand = self.demands.get("GET" if request.method == "HEAD" else str(request.method))
        if demand is None:
            self.http_method_not_allowed(request)
            return
        admit(
            credential=self.credential,
            demand=demand,
            operation=operation_of(request),
            region=self.region_asked,
            now=datetime.now(UTC),
        )

    @property
    def allowed_methods(self) -> list[str]:
        """What is declared, for `Allow`."""
        return sorted({*self.demands} | ({"HEAD"} if "GET" in self.demands else set()))

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """What one person may see is nobody else's to keep."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer["Cache-Control"] = "no-store"
        return answer

    def require(self, act: Act) -> None:
        """For what depends on the request's body: raise AccessDeniedError unless a role of the caller's allows it."""
        self.credential.role_for(act)

    @property
    def credential(self) -> Credential:
        """Who calls."""
        caller: Any = self.request.user
        found: Credential = caller.credential
        return found

    @property
    def region_asked(self) -> str | None:
        """The region that the request names, or the caller's only one; None where there is neither."""
        try:
            return region_of(self.credential, self.request.headers.get(REGION_HEADER))
        except (RegionDeniedError, RegionRequiredError):
            return None


class RegionView(CallerView):
    """A view about one region of the caller's tenant."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """As of every caller's view; a region that is not the caller's is a refusal too."""
        super().initial(request, *args, **kwargs)
        region_for(self.credential, self.request)

    def handle_exception(self, exc: Exception) -> Response:
        """The answer to an error; a look that a database kept from happening is remembered, for the log."""
        # To ask who calls would authenticate again, where just that has failed.
        if self.is_known and isinstance(exc, (DatabaseError, psycopg.Error)):
            region = self.region_asked
            if region is not None:
                tenant_id = self.credential.tenant_id
                REFUSED.note(region=region, tenant_id=tenant_id, now=datetime.now(UTC))
        answer: Response = super().handle_exception(exc)
        return answer

    @property
    def region(self) -> str:
        """Where; raises RegionDeniedError or RegionRequiredError."""
        return region_of(self.credential, self.request.headers.get(REGION_HEADER))
