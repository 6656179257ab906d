"""What the endpoints under `/api/v1/access/` take and give."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from auditvault.access.access_log import MAX_PAGE
from auditvault.api.serializers import NameRequest, StrictSerializer
from auditvault.core.policy.access import PurposeCode
from auditvault.core.reports.catalogue import ReportName
from auditvault.evidence.reviews.reading import MAX_PAGE as MAX_REVIEWS

_SHORT = 64
MAX_LINES = 20_000
"""Rights that one review may decide about."""


class AccessLogQuery(StrictSerializer):
    """Filters, all of which must match: ids, codes, tags and references, none of which names a data subject."""

    recorded_from = serializers.DateTimeField(required=False)
    recorded_before = serializers.DateTimeField(required=False)
    actor = serializers.CharField(max_length=_SHORT, required=False)
    action = serializers.CharField(max_length=_SHORT, required=False)
    outcome = serializers.ChoiceField(["granted", "denied"], required=False)
    purpose_code = serializers.ChoiceField([code.value for code in PurposeCode], required=False)
    case = serializers.CharField(max_length=_SHORT, required=False)
    role = serializers.CharField(max_length=_SHORT, required=False)
    target = serializers.CharField(max_length=2 * _SHORT, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=_SHORT, required=False)


class AccessLogResponse(serializers.Serializer[Any]):
    """One page of access records (docs/reference/entry-types.md), newest first."""

    records = serializers.ListField(child=serializers.DictField())
    next_cursor = serializers.CharField(allow_null=True)


class StaffNamesRequest(StrictSerializer):
    """Why a person is told who of the staff looked. The reason is sealed in the vault."""

    case = serializers.CharField(max_length=_SHORT)
    reason = serializers.CharField(max_length=2000)


class ReportRequest(StrictSerializer):
    """A report by name. `identifier` says of whom a person's own report is: personal data, which no URL holds."""

    name = serializers.ChoiceField([name.value for name in ReportName])
    filters = serializers.DictField(default=dict)
    format = serializers.ChoiceField(["json", "csv"], default="json")
    identifier = NameRequest(required=False)
    staff_names = StaffNamesRequest(required=False)


class ReportResponse(serializers.Serializer[Any]):
    """docs/spec/report.md."""

    body = serializers.DictField()
    footer = serializers.DictField()


class ReviewsQuery(StrictSerializer):
    """Which page of reviews."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_REVIEWS, default=MAX_REVIEWS)
    cursor = serializers.CharField(max_length=_SHORT, required=False)


class OpenReviewRequest(StrictSerializer):
    """Of which quarter, `2026-Q4`; the present one where none is named."""

    quarter = serializers.RegexField(r"^2[01][0-9]{2}-Q[1-4]$", required=False)


class DecisionRequest(StrictSerializer):
    """What becomes of one line. A removal needs a case."""

    line = serializers.IntegerField(min_value=0, max_value=MAX_LINES)
    decision = serializers.ChoiceField(["keep", "remove"])
    case = serializers.CharField(max_length=_SHORT, required=False)


class SignOffRequest(StrictSerializer):
    """A decision about each line of the list with that hash."""

    list_sha256 = serializers.RegexField(r"^[0-9a-f]{64}$")
    decisions = serializers.ListField(child=DecisionRequest(), max_length=MAX_LINES)


class ReviewSummary(serializers.Serializer[Any]):
    """A review, without its list."""

    id = serializers.UUIDField()
    quarter = serializers.CharField()
    opened_at = serializers.DateTimeField()
    opened_by = serializers.CharField()
    lines = serializers.IntegerField()
    list_sha256 = serializers.CharField()
    signed_at = serializers.DateTimeField(allow_null=True)
    signed_by = serializers.CharField(allow_null=True)
    removed = serializers.IntegerField()


class ReviewsResponse(serializers.Serializer[Any]):
    """One page of reviews, newest first."""

    reviews = ReviewSummary(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class ReviewResponse(ReviewSummary):
    """A review with its lines: what was frozen, the account's present username, and what was decided."""

    list = serializers.ListField(child=serializers.DictField())
