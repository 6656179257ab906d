"""Many requests about people's data over HTTP, from a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import Demand, needs
from auditvault.api.base import REGION
from auditvault.api.parsers import BoundedCSVParser
from auditvault.api.privacy_views import PrivacyView
from auditvault.core.policy.roles import Act
from auditvault.privacy.requests.importing import import_requests


class ImportedResponse(serializers.Serializer[Any]):
    """The new requests, in the order of the table's lines."""

    requests = serializers.ListField(child=serializers.UUIDField())


class ImportView(PrivacyView):
    """Requests from a table."""

    parser_classes = (BoundedCSVParser,)
    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PREPARE_ERASURE, who="human", answers=(422,))
    }

    @extend_schema(
        request={"text/csv": OpenApiTypes.STR},
        responses={201: ImportedResponse},
        parameters=[REGION],
    )
    def post(self, request: Request) -> Response:
        """Take every line's request in, or none."""
        table: object = request.data
        if not isinstance(table, bytes):
            raise ParseError
        with self.refusals_recorded():
            made = import_requests(
                region=self.region,
                credential=self.credential,
                table=table,
                now=datetime.now(UTC),
            )
        return Response({"requests": [str(each.request_id) for each in made]}, status=201)
