"""Approvals over HTTP: ask, look, decide. Who asks and who decides are people, and not the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auditvault.access import approval_reading
from auditvault.access.admission import record_refusal
from auditvault.access.approvals import services
from auditvault.access.approvals.store import ApprovalNotFoundError
from auditvault.access.break_glass.store import BreakGlassNotFoundError
from auditvault.access.credentials import ReauthenticationRequiredError
from auditvault.access.demands import Demand, needs
from auditvault.access.grants.services import approve
from auditvault.access.grants.store import GrantNotFoundError
from auditvault.api import access_forms as forms
from auditvault.api.base import REGION, RegionView, operation_of
from auditvault.api.checking import body_of, query_of
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import (
    APPROVED_BY,
    REQUESTED_BY,
    Operation,
    OwnApprovalError,
    Plan,
    PlanError,
)
from auditvault.core.policy.break_glass import BreakGlassError
from auditvault.core.policy.roles import AccessDeniedError, Act

_ASKING = tuple(act for act in Act if any(act in acts for acts in REQUESTED_BY.values()))
DECIDING = tuple(act for act in Act if act in APPROVED_BY.values())
READING = tuple(act for act in Act if act in {*_ASKING, *DECIDING, Act.READ_ACCESS_LOG})
_CONFLICT, _MISSING = 409, 404


class StaffView(RegionView):
    """A view about what people may do, not about what was recorded; who is refused stands in the access log."""

    recorded: ClassVar[tuple[type[AuditvaultError], ...]] = (
        AccessDeniedError,
        OwnApprovalError,
        ApprovalNotFoundError,
        GrantNotFoundError,
        BreakGlassNotFoundError,
        BreakGlassError,
        ReauthenticationRequiredError,
    )
    """Refusals because of who asks or what they ask about."""

    @contextmanager
    def refusals_recorded(self) -> Iterator[None]:
        """Record what is refused here because of who asks or what they ask about."""
        try:
            yield
        except self.recorded as error:
            self._record(error)
            raise

    def _record(self, error: AuditvaultError) -> None:
        record_refusal(
            credential=self.credential,
            operation=operation_of(self.request),
            region=self.region,
            code=error.code,
            now=datetime.now(UTC),
        )


class ApprovalsView(StaffView):
    """What is asked for, and asking."""

    demands: ClassVar[Mapping[str, Demand]] = {
        "GET": needs(*READING),
        "POST": needs(*_ASKING, who="second_factor"),
    }

    @extend_schema(
        operation_id="v1_access_approvals_list",
        responses=forms.ApprovalsResponse,
        parameters=[REGION, forms.PageQuery],
    )
    def get(self, request: Request) -> Response:
        """One's own requests, those that one could decide about, and for an auditor all; newest first."""
        asked = query_of(forms.PageQuery, request)
        page = approval_reading.list_approvals(
            credential=self.credential,
            region=self.region,
            now=datetime.now(UTC),
            only_open=asked["open"],
            cursor=asked.get("cursor"),
            limit=asked["limit"],
        )
        return Response(
            {
                "approvals": [forms.approval_body(record) for record in page.records],
                "next_cursor": page.next_cursor,
            }
        )

    @extend_schema(
        request=forms.ApprovalRequest, responses={201: forms.ApprovalResponse}, parameters=[REGION]
    )
    def post(self, request: Request) -> Response:
        """Ask for a plan to be approved."""
        given = body_of(forms.ApprovalRequest, request)
        plan = Plan.parse(given["plan"].encode("utf-8", "replace"))
        if plan.operation is Operation.CONTENT_GRANT or plan.region != self.region:
            raise PlanError("This is the place for plans of this region, and not for grants.")
        with self.refusals_recorded():
            record = services.request(
                credential=self.credential, plan=plan, case=given["case"], now=datetime.now(UTC)
            )
        return Response(forms.approval_body(record), status=201)


class ApprovalView(StaffView):
    """One approval."""

    demands: ClassVar[Mapping[str, Demand]] = {"GET": needs(*READING, answers=(_MISSING,))}

    @extend_schema(responses=forms.ApprovalResponse, parameters=[REGION])
    def get(self, request: Request, approval_id: UUID) -> Response:  # noqa: ARG002
        """The plan exactly as it is bound, and how far it has come."""
        with self.refusals_recorded():
            record = approval_reading.show_approval(
                credential=self.credential,
                region=self.region,
                approval_id=approval_id,
                now=datetime.now(UTC),
            )
        return Response(forms.approval_body(record))


class _DecisionView(StaffView):
    """One step of an approval."""

    step: ClassVar[Any]

    @extend_schema(request=forms.NoBody, responses=forms.ApprovalResponse, parameters=[REGION])
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Take the step."""
        forms.NoBody(data=request.data).is_valid(raise_exception=True)
        with self.refusals_recorded():
            record = type(self).step(
                credential=self.credential,
                region=self.region,
                approval_id=approval_id,
                now=datetime.now(UTC),
            )
        return Response(forms.approval_body(record))


class ApproveView(_DecisionView):
    """Approve what somebody else asked for; a grant is live from then on."""

    demands = {"POST": needs(*DECIDING, who="second_factor", answers=(_MISSING, _CONFLICT))}
    step = staticmethod(approve)


class RefuseView(_DecisionView):
    """Refuse what somebody else asked for."""

    demands = {"POST": needs(*DECIDING, who="second_factor", answers=(_MISSING, _CONFLICT))}
    step = staticmethod(services.refuse)


class WithdrawView(_DecisionView):
    """Take one's own request back."""

    demands = {"POST": needs(*_ASKING, who="human", answers=(_MISSING, _CONFLICT))}
    step = staticmethod(services.withdraw)
