"""What the endpoints of transfer bases and of reading from another region take and give."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from auditvault.access.transfers.store import BasisRecord
from auditvault.api.serializers import PurposeRequest, StrictSerializer
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.transfers import MAX_CONTENTS, MAX_LIFETIME, BasisKind

_REGION = r"^[a-z][a-z0-9_-]{0,30}$"
_HASH = r"^(sha256|tag):[0-9a-f]{64}$"
_CASE = r"^[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}$"
_REFERENCE = r"^[A-Za-z0-9][A-Za-z0-9._/#:()-]{0,127}$"
_LONGEST = int(MAX_LIFETIME / timedelta(seconds=1))


class BasisRequest(StrictSerializer):
    """Why content of the request's region may be read from another. Nothing personal stands in the reference."""

    kind = serializers.ChoiceField([kind.value for kind in BasisKind])
    reference = serializers.RegexField(_REFERENCE)
    to_region = serializers.RegexField(_REGION)
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField()


class BasisResponse(serializers.Serializer[Any]):
    """A basis; `ended_at` and `ended_by` are null unless somebody ended it before its time."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField([kind.value for kind in BasisKind])
    reference = serializers.CharField()
    region = serializers.CharField()
    to_region = serializers.CharField()
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField()
    digest = serializers.CharField()
    recorded_by = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    ended_by = serializers.CharField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class BasesResponse(serializers.Serializer[Any]):
    """The newest, newest first."""

    bases = BasisResponse(many=True)


class AskAcrossRequest(StrictSerializer):
    """What somebody asks to read once: contents of `region`, from the region that the request is about."""

    region = serializers.RegexField(_REGION)
    contents = serializers.ListField(
        child=serializers.RegexField(_HASH), min_length=1, max_length=MAX_CONTENTS
    )
    code = serializers.ChoiceField([code.value for code in PurposeCode])
    case = serializers.RegexField(_CASE)
    lifetime_seconds = serializers.IntegerField(min_value=60, max_value=_LONGEST, default=_LONGEST)


class ReadAcrossRequest(StrictSerializer):
    """An approved read, and why it happens now."""

    region = serializers.RegexField(_REGION)
    approval_id = serializers.UUIDField()
    purpose = PurposeRequest()


def basis_body(record: BasisRecord) -> dict[str, Any]:
    """A basis as it is answered."""
    basis = record.basis
    return {
        "id": str(basis.basis_id),
        "kind": basis.kind.value,
        "reference": basis.reference,
        "region": basis.region,
        "to_region": basis.to_region,
        "valid_from": basis.valid_from,
        "valid_until": basis.valid_until,
        "digest": basis.digest().hex(),
        "recorded_by": record.recorder,
        "recorded_at": record.recorded_at,
        "ended_by": record.ender,
        "ended_at": basis.ended_at,
    }
