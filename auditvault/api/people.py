"""Endpoints for people, about themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import signed_in
from auditvault.access.granting import ROLES_OF_PEOPLE
from auditvault.access.identity.own_tokens import create_own_token
from auditvault.api.base import PLACE, RegionView
from auditvault.api.checking import body_of
from auditvault.api.serializers import StrictSerializer

_LONGEST_HOURS = 366 * 24
_LONGEST_LIST = 20


class OwnTokenRequest(StrictSerializer):
    """What the token may do, and for how long."""

    roles = serializers.ListField(
        child=serializers.ChoiceField([role.value for role in ROLES_OF_PEOPLE]),
        min_length=1,
        max_length=_LONGEST_LIST,
    )
    hours = serializers.IntegerField(min_value=1, max_value=_LONGEST_HOURS, default=12)
    description = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default=""
    )


class OwnTokenResponse(serializers.Serializer[dict[str, str]]):
    """The token, shown this once."""

    token = serializers.CharField()


class OwnTokensView(RegionView):
    """A person's own tokens."""

    demands: ClassVar = {"POST": signed_in()}

    @extend_schema(request=OwnTokenRequest, responses={201: OwnTokenResponse}, parameters=PLACE)
    def post(self, request: Request) -> Response:
        """Make one, in the place that the request is about."""
        given = body_of(OwnTokenRequest, request)
        token = create_own_token(
            credential=self.credential,
            roles=given["roles"],
            lifetime=timedelta(hours=given["hours"]),
            now=datetime.now(UTC),
            description=given["description"],
        )
        return Response({"token": token}, status=201)
