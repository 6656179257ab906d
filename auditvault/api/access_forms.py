"""What the endpoints of approvals and grants take and give; the OpenAPI schema is made from these."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from auditvault.access.approvals.store import ApprovalRecord
from auditvault.access.grants.selectors import GrantShown
from auditvault.access.grants.store import GrantRecord
from auditvault.api.serializers import StrictSerializer, TraceSearchRequest
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.approvals import Operation, State
from auditvault.core.policy.grants import (
    DEFAULT_LIFETIME,
    GRANT_CODES,
    MAX_LIFETIME,
    MAX_NAMED,
)
from auditvault.core.tlog.canonical import JsonValue

_CASE = 64
_SHORT = 256
_MAX_PAGE = 200
_TRACE = r"^[0-9a-f]{32}$"
_PLAN = 262_144


class ApprovalRequest(StrictSerializer):
    """A plan that somebody else is to approve: its canonical text, to the byte what the act will be compared with."""

    plan = serializers.CharField(max_length=_PLAN, trim_whitespace=False)
    case = serializers.CharField(max_length=_CASE)


class ReasonResponse(serializers.Serializer[Any]):
    """What somebody wrote. It may name anybody."""

    reason = serializers.CharField()


class PageQuery(StrictSerializer):
    """Which page."""

    limit = serializers.IntegerField(min_value=1, max_value=_MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=_SHORT, required=False)
    open = serializers.BooleanField(default=False)


class NoBody(StrictSerializer):
    """Nothing: an empty object."""


class ApprovalResponse(serializers.Serializer[Any]):
    """An approval, with the plan exactly as its digest binds it. Actors are `user:…`, `token:…` or `operator:cli`."""

    id = serializers.UUIDField()
    operation = serializers.ChoiceField([each.value for each in Operation])
    case = serializers.CharField()
    state = serializers.ChoiceField([each.value for each in State])
    plan = serializers.DictField()
    digest = serializers.CharField()
    requester = serializers.CharField()
    requested_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    approver = serializers.CharField(allow_null=True)
    approved_at = serializers.DateTimeField(allow_null=True)
    ended_by = serializers.CharField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class ApprovalsResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    approvals = ApprovalResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class ScopeRequest(StrictSerializer):
    """What a grant is to cover: one of these members, or the two times together."""

    traces = serializers.ListField(
        child=serializers.RegexField(_TRACE), max_length=MAX_NAMED, required=False
    )
    records = serializers.ListField(
        child=serializers.UUIDField(), max_length=MAX_NAMED, required=False
    )
    subjects = serializers.ListField(
        child=serializers.UUIDField(), max_length=MAX_NAMED, required=False
    )
    recorded_from = serializers.DateTimeField(required=False)
    recorded_before = serializers.DateTimeField(required=False)
    query = TraceSearchRequest(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One kind of scope; of two, one would be ignored."""
        if len(attrs) != 1 and set(attrs) != {"recorded_from", "recorded_before"}:
            raise serializers.ValidationError("Give one kind of scope.", code="invalid")
        return attrs


class GrantRequest(StrictSerializer):
    """What somebody asks to see, for themselves."""

    case = serializers.CharField(max_length=_CASE)
    codes = serializers.ListField(
        child=serializers.ChoiceField([code.value for code in PurposeCode if code in GRANT_CODES]),
        min_length=1,
        max_length=len(GRANT_CODES),
    )
    scope = ScopeRequest()
    lifetime_seconds = serializers.IntegerField(
        min_value=60,
        max_value=int(MAX_LIFETIME / timedelta(seconds=1)),
        default=int(DEFAULT_LIFETIME / timedelta(seconds=1)),
    )


class GrantResponse(serializers.Serializer[Any]):
    """A grant; `uses` is how many times a content was seen under it."""

    id = serializers.UUIDField()
    approval = serializers.UUIDField()
    case = serializers.CharField()
    codes = serializers.ListField(child=serializers.CharField())
    scope = serializers.DictField()
    holder = serializers.CharField()
    approver = serializers.CharField()
    starts_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    revoked_by = serializers.CharField(allow_null=True)
    uses = serializers.IntegerField()


class GrantUseResponse(serializers.Serializer[Any]):
    """One content that was seen, and the access record that says so."""

    object = serializers.UUIDField()
    access_record = serializers.UUIDField()
    used_at = serializers.DateTimeField()


class GrantShownResponse(GrantResponse):
    """A grant, and what was seen under it, newest first."""

    seen = GrantUseResponse(many=True)


class GrantsResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    grants = GrantResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


def approval_body(record: ApprovalRecord) -> dict[str, Any]:
    """An approval as it is answered."""
    plan, asked = record.plan, record.approval
    return {
        "id": str(record.approval_id),
        "operation": plan.operation.value,
        "case": record.case,
        "state": asked.state.value,
        "plan": plan.members(),
        "digest": asked.plan_digest.hex(),
        "requester": record.requester,
        "requested_at": asked.requested_at,
        "expires_at": asked.expires_at,
        "approver": record.approver,
        "approved_at": record.approved_at,
        "ended_by": record.ender,
        "ended_at": record.ended_at,
    }


def grant_body(record: GrantRecord) -> dict[str, Any]:
    """A grant as it is answered."""
    grant = record.grant
    codes: JsonValue = record.terms.parameters()["codes"]
    return {
        "id": str(grant.grant_id),
        "approval": str(record.approval_id),
        "case": grant.case,
        "codes": codes,
        "scope": record.terms.scope.parameters(),
        "holder": record.holder,
        "approver": record.approver,
        "starts_at": grant.starts_at,
        "expires_at": grant.expires_at,
        "revoked_at": grant.revoked_at,
        "revoked_by": record.revoker,
        "uses": record.uses,
    }


def shown_body(shown: GrantShown) -> dict[str, Any]:
    """A grant with its uses, as it is answered."""
    seen = [
        {
            "object": str(use.object_id),
            "access_record": str(use.record_id),
            "used_at": use.used_at,
        }
        for use in shown.uses
    ]
    return {**grant_body(shown.record), "seen": seen}
