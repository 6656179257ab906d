"""What the endpoints under `/api/v1/access/` take and give."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from auditvault.access.access_log import MAX_PAGE
from auditvault.api.serializers import NameRequest, StrictSerializer
from auditvault.core.policy.access import PurposeCode
from auditvault.core.reports.catalogue import ReportName

_SHORT = 64


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
