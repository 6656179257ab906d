"""Requests about a person's data over HTTP: take in, look, and the steps that people take.

What discovery finds, freezing it and the certificate are in `privacy_execution_views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access.demands import Demand, needs
from auditvault.access.sealed_words import WordsNotFoundError
from auditvault.api import privacy_forms as forms
from auditvault.api.access_forms import NoBody
from auditvault.api.approval_views import StaffView
from auditvault.api.base import REGION
from auditvault.api.checking import body_of, query_of
from auditvault.api.serializers import StrictSerializer
from auditvault.core.policy.erasure import Action, Kind, State
from auditvault.core.policy.roles import Act
from auditvault.privacy.erasing.store import CertificateNotFoundError, ManifestNotFoundError
from auditvault.privacy.looking import READING
from auditvault.privacy.requests import reading, services
from auditvault.privacy.requests.store import RequestNotFoundError, RequestRecord
from auditvault.privacy.requests.words import read_words

_MISSING, _CONFLICT = 404, 409


class PrivacyView(StaffView):
    """A view about requests; who is refused stands in the access log."""

    recorded = (
        *StaffView.recorded,
        RequestNotFoundError,
        ManifestNotFoundError,
        CertificateNotFoundError,
        WordsNotFoundError,
    )

    def answer(self, record: RequestRecord, now: datetime, status: int = 200) -> Response:
        """A request as it stands now."""
        return Response(forms.request_body(record, now), status=status)


class RequestsView(PrivacyView):
    """Requests, and taking one in."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(*READING),
        "POST": needs(Act.PREPARE_ERASURE, who="human"),
    }

    @extend_schema(
        operation_id="v1_privacy_requests_list",
        responses=forms.RequestsResponse,
        parameters=[REGION, forms.RequestsQuery],
    )
    def get(self, request: Request) -> Response:
        """The tenant's requests in the region, newest first."""
        asked, now = query_of(forms.RequestsQuery, request), datetime.now(UTC)
        page = reading.list_requests(
            credential=self.credential,
            region=self.region,
            wanted=reading.Wanted(
                kind=Kind(asked["kind"]) if "kind" in asked else None,
                state=State(asked["state"]) if "state" in asked else None,
                only_open=asked["open"],
                due_before=asked.get("due_before"),
                cursor=asked.get("cursor"),
                limit=asked["limit"],
            ),
            now=now,
        )
        return Response(
            {
                "requests": [forms.request_body(record, now) for record in page.records],
                "next_cursor": page.next_cursor,
            }
        )

    @extend_schema(
        request=forms.ReceiveRequest, responses={201: forms.RequestResponse}, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Take a request in. What names the person is not given back, here or anywhere."""
        given, now = body_of(forms.ReceiveRequest, request), datetime.now(UTC)
        with self.refusals_recorded():
            record = services.receive_request(
                region=self.region,
                credential=self.credential,
                asked=forms.ReceiveRequest.of(given, now),
                now=now,
            )
        return self.answer(record, now, status=201)


class RequestView(PrivacyView):
    """One request."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*READING, answers=(_MISSING,))}

    @extend_schema(responses=forms.RequestShownResponse, parameters=[REGION])
    def get(self, request: Request, request_id: UUID) -> Response:  # noqa: ARG002
        """Where it is, what is due when, how it has gone, and what the caller may do next."""
        now = datetime.now(UTC)
        with self.refusals_recorded():
            shown = reading.show_request(
                credential=self.credential, region=self.region, request_id=request_id, now=now
            )
        return Response(forms.shown_body(shown, now))


class WordsView(PrivacyView):
    """What was written."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(
            Act.PREPARE_ERASURE, Act.APPROVE_ERASURE, who="second_factor", answers=(_MISSING,)
        )
    }

    @extend_schema(request=NoBody, responses=forms.WordsResponse, parameters=[REGION])
    def post(self, request: Request, request_id: UUID) -> Response:
        """The requester's own words and those that went with steps; recorded before they are shown."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            found = read_words(
                credential=self.credential,
                region=self.region,
                request_id=request_id,
                now=datetime.now(UTC),
            )
        return Response({"words": [asdict(each) for each in found]})


class CloneView(PrivacyView):
    """Another request about the same person."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PREPARE_ERASURE, who="human", answers=(_MISSING,))
    }

    @extend_schema(
        request=forms.CloneRequest, responses={201: forms.RequestResponse}, parameters=[REGION]
    )
    def post(self, request: Request, request_id: UUID) -> Response:
        """It begins at the beginning: neither identity nor manifest nor approval is taken over."""
        given, now = body_of(forms.CloneRequest, request), datetime.now(UTC)
        with self.refusals_recorded():
            record = services.clone_request(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                asked=forms.CloneRequest.of(given, now),
                now=now,
            )
        return self.answer(record, now, status=201)


class ExtendView(PrivacyView):
    """More time."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "POST": needs(Act.PREPARE_ERASURE, who="human", answers=(_MISSING, _CONFLICT))
    }

    @extend_schema(
        request=forms.ReasonsRequest, responses=forms.RequestResponse, parameters=[REGION]
    )
    def post(self, request: Request, request_id: UUID) -> Response:
        """Once, before the first limit has passed; whoever asked is told with these reasons."""
        given, now = body_of(forms.ReasonsRequest, request), datetime.now(UTC)
        with self.refusals_recorded():
            record = services.extend_request(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                reasons=given["words"],
                now=now,
            )
        return self.answer(record, now)


class _StepView(PrivacyView):
    """One step that a person takes; which, is said where the path is."""

    action: ClassVar[Action]
    form: ClassVar[type[StrictSerializer]] = forms.MoveRequest

    def post(self, request: Request, request_id: UUID) -> Response:
        """Take the step."""
        given, now = body_of(self.form, request), datetime.now(UTC)
        manifest = given.get("manifest")
        with self.refusals_recorded():
            record = services.move_request(
                region=self.region,
                credential=self.credential,
                request_id=request_id,
                action=self.action,
                manifest=bytes.fromhex(manifest) if manifest else None,
                words=given.get("words"),
                now=now,
            )
        return self.answer(record, now)


@extend_schema(request=forms.MoveRequest, responses=forms.RequestResponse, parameters=[REGION])
class _PreparedView(_StepView):
    demands = {"POST": needs(Act.PREPARE_ERASURE, who="human", answers=(_MISSING, _CONFLICT))}


@extend_schema(request=forms.ApproveRequest, responses=forms.RequestResponse, parameters=[REGION])
class ApproveRequestView(_StepView):
    """Approve the manifest that was frozen; whoever had a hand in the request cannot."""

    action = Action.APPROVE
    form = forms.ApproveRequest
    demands = {
        "POST": needs(Act.APPROVE_ERASURE, who="second_factor", answers=(_MISSING, _CONFLICT))
    }


@extend_schema(request=forms.ReasonsRequest, responses=forms.RequestResponse, parameters=[REGION])
class RefuseRequestView(_StepView):
    """Refuse, with the reasons and where to complain; whoever had a hand in the request cannot."""

    action = Action.REFUSE
    form = forms.ReasonsRequest
    demands = {
        "POST": needs(Act.APPROVE_ERASURE, who="second_factor", answers=(_MISSING, _CONFLICT))
    }


def step_view(action: Action) -> Any:
    """The view of a step that is prepared."""
    name = "".join(part.title() for part in action.value.split("_"))
    made: Any = type(f"{name}View", (_PreparedView,), {"action": action})
    return made.as_view()
