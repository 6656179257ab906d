"""Legal holds over HTTP: place, look, release with an approval, and put records to cases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import Demand, needs
from auditvault.access.sealed_words import WordsNotFoundError
from auditvault.api import hold_forms as forms
from auditvault.api.access_forms import NoBody, ReasonResponse
from auditvault.api.approval_views import StaffView
from auditvault.api.base import REGION
from auditvault.api.checking import body_of, query_of
from auditvault.core.policy.roles import Act
from auditvault.privacy.holds import reading, services
from auditvault.privacy.holds.selectors import HoldNotFoundError
from auditvault.privacy.looking import READING

_MISSING, _CONFLICT = 404, 409


class _HoldView(StaffView):
    """A view about holds; who is refused stands in the access log."""

    recorded = (
        *StaffView.recorded,
        HoldNotFoundError,
        WordsNotFoundError,
        services.HoldInvalidError,
    )


class HoldsView(_HoldView):
    """Holds, and placing one."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(*READING),
        "POST": needs(Act.PLACE_HOLD, who="second_factor"),
    }

    @extend_schema(
        operation_id="v1_privacy_holds_list",
        responses=forms.HoldsResponse,
        parameters=[REGION, forms.HoldsQuery],
    )
    def get(self, request: Request) -> Response:
        """The tenant's holds in the region, newest first."""
        asked, now = query_of(forms.HoldsQuery, request), datetime.now(UTC)
        page = reading.list_holds(
            credential=self.credential,
            region=self.region,
            only_in_force=asked["open"],
            overdue_on=now.date() if asked["overdue"] else None,
            cursor=asked.get("cursor"),
            limit=asked["limit"],
            now=now,
        )
        return Response(
            {
                "holds": [forms.hold_body(hold, name, now) for hold, name in page.holds],
                "next_cursor": page.next_cursor,
            }
        )

    @extend_schema(
        request=forms.PlaceRequest, responses={201: forms.PlacedResponse}, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Place a hold; it is in force when this is answered. The reason is sealed."""
        given = body_of(forms.PlaceRequest, request)
        with self.refusals_recorded():
            placed = services.place_hold(
                region=self.region,
                credential=self.credential,
                wanted=forms.PlaceRequest.of(given),
                now=datetime.now(UTC),
            )
        body = {
            "id": str(placed.hold_id),
            "record": str(placed.record_id),
            "already_erased": placed.already_erased,
        }
        return Response(body, status=201)


class HoldView(_HoldView):
    """One hold."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*READING, answers=(_MISSING,))}

    @extend_schema(responses=forms.HoldShownResponse, parameters=[REGION])
    def get(self, request: Request, hold_id: UUID) -> Response:  # noqa: ARG002
        """What it covers and, while it is in force, the plan that an approval of its release is asked for."""
        now = datetime.now(UTC)
        with self.refusals_recorded():
            hold, reference = reading.show_hold(
                credential=self.credential, region=self.region, hold_id=hold_id, now=now
            )
        return Response(forms.shown_body(hold, reference, now))


class HoldReasonView(_HoldView):
    """Why something is held."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PLACE_HOLD, who="second_factor", answers=(_MISSING,))
    }

    @extend_schema(request=NoBody, responses=ReasonResponse, parameters=[REGION])
    def post(self, request: Request, hold_id: UUID) -> Response:
        """In the words of who placed it; recorded before it is shown."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            reason = reading.read_reason(
                credential=self.credential,
                region=self.region,
                hold_id=hold_id,
                now=datetime.now(UTC),
            )
        return Response({"reason": reason})


class ReleaseHoldView(_HoldView):
    """The release of a hold."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PLACE_HOLD, who="second_factor", answers=(_MISSING, _CONFLICT))
    }

    @extend_schema(
        request=forms.ReleaseRequest, responses=forms.ReleasedResponse, parameters=[REGION]
    )
    def post(self, request: Request, hold_id: UUID) -> Response:
        """Release it, with an approval that somebody else gave to its plan and that is used up by this."""
        given = body_of(forms.ReleaseRequest, request)
        with self.refusals_recorded():
            record_id = services.release_hold(
                region=self.region,
                credential=self.credential,
                hold_id=hold_id,
                approval_id=given["approval_id"],
                now=datetime.now(UTC),
            )
        return Response({"id": str(hold_id), "record": str(record_id)})


class PutToCaseView(_HoldView):
    """Records of a case."""

    demands: ClassVar[Mapping[str, Demand]] = {"POST": needs(Act.PLACE_HOLD, who="second_factor")}

    @extend_schema(request=forms.PutRequest, responses={204: None}, parameters=[REGION])
    def post(self, request: Request) -> Response:
        """Put records to a case: a hold on it covers them from now on."""
        given = body_of(forms.PutRequest, request)
        with self.refusals_recorded():
            services.put_to_case(
                region=self.region,
                credential=self.credential,
                case=given["case"],
                record_ids=given["records"],
            )
        return Response(status=204)
