"""What the endpoints of discovery, manifests and certificates take and give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from rest_framework import serializers

from auditvault.api.privacy_forms import MoveRequest
from auditvault.core.policy.manifest import RegionFound
from auditvault.privacy.erasing.discovery import RegionDiscovery
from auditvault.privacy.erasing.reading import ManifestShown, PartShown
from auditvault.privacy.erasing.store import PartState
from auditvault.vault.finding import Found
from auditvault.vault.mentions import Mention

_PART_STATES = ["waiting", "unknown", *(state.value for state in PartState)]
MOST_SHOWN = 1000
"""Subjects of a region that are named in an answer."""


class FreezeRequest(MoveRequest):
    """Freeze what is found now. More subjects than a person is likely to have are confirmed by their number."""

    confirmed_subjects = serializers.IntegerField(min_value=0, max_value=10_000_000, required=False)


class RegionFoundResponse(serializers.Serializer[Any]):
    """What a region has of the person: `subjects` names the first 1000."""

    region = serializers.CharField()
    subjects = serializers.ListField(child=serializers.UUIDField())
    subject_count = serializers.IntegerField()
    objects = serializers.IntegerField()
    records = serializers.IntegerField()
    names = serializers.IntegerField()
    keys = serializers.IntegerField()
    holds = serializers.ListField(child=serializers.UUIDField())


class MentionResponse(serializers.Serializer[Any]):
    """A content of somebody else that names the person, and by which kinds of identifier."""

    object_id = serializers.UUIDField()
    interaction_id = serializers.UUIDField()
    subject = serializers.UUIDField()
    kinds = serializers.ListField(child=serializers.CharField())


class RegionDiscoveryResponse(RegionFoundResponse):
    """The same, and who shares a trace with them: who is the same person is merged, and looked for again."""

    neighbours = serializers.ListField(child=serializers.UUIDField())
    mentions = MentionResponse(many=True)


class DiscoveryResponse(serializers.Serializer[Any]):
    """What there is now, in each region of the request."""

    regions = RegionDiscoveryResponse(many=True)


class PartResponse(serializers.Serializer[Any]):
    """How far the request is in a region; `waiting` before it was ordered, `unknown` where that cannot be said."""

    region = serializers.CharField()
    part_state = serializers.ChoiceField(_PART_STATES)
    code = serializers.CharField(allow_null=True)
    holds = serializers.ListField(child=serializers.UUIDField())
    tries = serializers.IntegerField()
    destroyed = serializers.IntegerField(allow_null=True)
    keys = serializers.IntegerField(allow_null=True)
    done_at = serializers.DateTimeField(allow_null=True)
    checked = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    opened = serializers.IntegerField(allow_null=True)
    arrived = serializers.IntegerField(allow_null=True)
    verified_at = serializers.DateTimeField(allow_null=True)


class ManifestResponse(serializers.Serializer[Any]):
    """What was frozen, its digest, and how far it is."""

    manifest = serializers.CharField()
    regions = RegionFoundResponse(many=True)
    recipients = serializers.ListField(child=serializers.UUIDField())
    parts = PartResponse(many=True)


def discovery_body(found: list[RegionDiscovery]) -> dict[str, Any]:
    """What discovery found, as it is answered."""
    return {
        "regions": [
            _found(each.region, each.found, each.hold_ids)
            | {"neighbours": list(map(str, each.neighbours))}
            | {"mentions": list(map(_mention, each.mentions))}
            for each in found
        ]
    }


def _mention(one: Mention) -> dict[str, Any]:
    return {
        "object_id": str(one.object_id),
        "interaction_id": str(one.record_id),
        "subject": str(one.subject_id),
        "kinds": one.kinds,
    }


def manifest_response(shown: ManifestShown) -> dict[str, Any]:
    """A manifest with its progress, as it is answered."""
    return {
        "manifest": shown.digest.hex(),
        "regions": [_found(part.region, part, part.hold_ids) for part in shown.manifest.regions],
        "recipients": list(map(str, shown.manifest.recipient_ids)),
        "parts": [_part(each) for each in shown.parts],
    }


def _found(region: str, found: Found | RegionFound, hold_ids: Iterable[UUID]) -> dict[str, Any]:
    return {
        "region": region,
        "subjects": list(map(str, found.subject_ids[:MOST_SHOWN])),
        "subject_count": len(found.subject_ids),
        "objects": found.objects,
        "records": found.records,
        "names": found.names,
        "keys": found.keys,
        "holds": list(map(str, hold_ids)),
    }


def _part(shown: PartShown) -> dict[str, Any]:
    part = shown.part
    if part is None:
        nothing = dict.fromkeys(PartResponse().fields)
        state = "waiting" if shown.is_known else "unknown"
        return nothing | {"region": shown.region, "part_state": state, "holds": [], "tries": 0}
    return {
        "region": shown.region,
        "part_state": part.state.value,
        "code": part.code,
        "holds": list(map(str, part.holds)),
        "tries": part.tries,
        "destroyed": part.destroyed,
        "keys": part.keys,
        "done_at": part.done_at,
        "checked": part.checked,
        "remaining": part.remaining,
        "opened": part.opened,
        "arrived": part.arrived,
        "verified_at": part.verified_at,
    }
