"""Restrictions of people over HTTP: lifting what a request restricts, and deciding about an objection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import Demand, needs
from auditvault.api.base import REGION
from auditvault.api.checking import body_of
from auditvault.api.privacy_forms import ReasonsRequest
from auditvault.api.privacy_views import PrivacyView
from auditvault.core.policy.roles import Act
from auditvault.privacy.requests.restricting import lift_restriction
from auditvault.privacy.requests.ruling import Ruling, rule_on_objection

_MISSING, _CONFLICT = 404, 409


class LiftedResponse(serializers.Serializer[Any]):
    """How many subjects a request restricts no more; none where it was lifted before."""

    lifted = serializers.IntegerField()
    readable = serializers.IntegerField(help_text="Those of them whom no other request restricts.")


class LiftRestrictionView(PrivacyView):
    """The end of a restriction."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.APPROVE_ERASURE, who="second_factor", answers=(_MISSING, _CONFLICT))
    }

    @extend_schema(request=ReasonsRequest, responses=LiftedResponse, parameters=[REGION])
    def post(self, request: Request, request_id: UUID) -> Response:
        """`words` are what the person was told before; whoever had a hand in the request cannot lift it."""
        given = body_of(ReasonsRequest, request)
        with self.refusals_recorded():
            lifted = lift_restriction(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                notice=given["words"],
                now=datetime.now(UTC),
            )
        return Response({"lifted": len(lifted.subjects), "readable": len(lifted.readable)})


class RuleRequest(ReasonsRequest):
    """What is decided, on which grounds (they are sealed), and the erasure that follows where one was asked for."""

    ruling = serializers.ChoiceField([ruling.value for ruling in Ruling])
    follow_up = serializers.UUIDField(required=False)


class RulingResponse(serializers.Serializer[Any]):
    """What was decided."""

    ruling = serializers.ChoiceField([ruling.value for ruling in Ruling])
    follow_up = serializers.UUIDField(allow_null=True)


class RuleView(PrivacyView):
    """The decision about an objection."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.APPROVE_ERASURE, who="second_factor", answers=(_MISSING, _CONFLICT))
    }

    @extend_schema(request=RuleRequest, responses=RulingResponse, parameters=[REGION])
    def post(self, request: Request, request_id: UUID) -> Response:
        """Once. Overridden, the restriction may be lifted; upheld, it stays."""
        given = body_of(RuleRequest, request)
        with self.refusals_recorded():
            rule_on_objection(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                ruling=Ruling(given["ruling"]),
                grounds=given["words"],
                follow_up=given.get("follow_up"),
                now=datetime.now(UTC),
            )
        return Response({"ruling": given["ruling"], "follow_up": given.get("follow_up")})
