"""What the endpoints of requests take and give; the OpenAPI schema is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from auditvault.api.serializers import NameRequest, StrictSerializer
from auditvault.core.policy.calendar import Period
from auditvault.core.policy.erasure import Action, Kind, State
from auditvault.core.policy.regimes import CUSTOM, REGIMES, Regime
from auditvault.privacy.requests.reading import MAX_PAGE, RequestShown
from auditvault.privacy.requests.services import (
    MAX_IDENTIFIERS,
    Calendar,
    NewRequest,
)
from auditvault.privacy.requests.store import RequestRecord, Step
from auditvault.privacy.requests.wording import MAX_WORDS

_SHORT = 64
_KINDS = [kind.value for kind in Kind]
_STATES = [state.value for state in State]
_PERIOD = r"^P[1-9][0-9]{0,4}[DMY]$"
_DIGEST = r"^[0-9a-f]{64}$"


class CalendarRequest(StrictSerializer):
    """Whose days count: ISO 3166 codes, and a time zone such as Europe/Berlin."""

    country = serializers.CharField(max_length=_SHORT)
    subdivision = serializers.CharField(max_length=_SHORT, required=False)
    zone = serializers.CharField(max_length=_SHORT)

    @staticmethod
    def of(given: dict[str, Any]) -> Calendar:
        """The calendar of checked members."""
        return Calendar(
            country=given["country"], zone=given["zone"], subdivision=given.get("subdivision")
        )


class RegimeRequest(StrictSerializer):
    """The tenant's own limits, for the regime `custom`; periods such as P30D or P1M, from the receipt."""

    version = serializers.RegexField(r"^[A-Za-z0-9.-]{1,16}$")
    legal_order = serializers.CharField(max_length=_SHORT)
    citation = serializers.CharField(max_length=256)
    answer = serializers.RegexField(_PERIOD)
    extended = serializers.RegexField(_PERIOD, required=False)
    acknowledge_business_days = serializers.IntegerField(min_value=1, max_value=100, required=False)
    rolls_over = serializers.BooleanField(default=False)

    @staticmethod
    def of(given: dict[str, Any]) -> Regime:
        """The regime of checked members; raises RegimeError, PeriodError."""
        return Regime(
            name=CUSTOM,
            version=given["version"],
            legal_order=given["legal_order"],
            source=given["citation"],
            answer=Period.parse(given["answer"]),
            extended=Period.parse(given["extended"]) if "extended" in given else None,
            acknowledge_business_days=given.get("acknowledge_business_days"),
            rolls_over=given["rolls_over"],
        )


class CloneRequest(StrictSerializer):
    """What somebody asks about a person who is named already."""

    kind = serializers.ChoiceField(_KINDS)
    regime = serializers.ChoiceField([*sorted(REGIMES), CUSTOM])
    custom = RegimeRequest(required=False)
    received_at = serializers.DateTimeField(required=False)
    calendar = CalendarRequest()
    words = serializers.CharField(max_length=MAX_WORDS, required=False, trim_whitespace=False)

    @staticmethod
    def of(given: dict[str, Any], now: datetime) -> NewRequest:
        """What is asked; raises RegimeError, PeriodError."""
        named = given.get("identifiers", ())
        return NewRequest(
            kind=Kind(given["kind"]),
            regime=given["regime"],
            custom=RegimeRequest.of(given["custom"]) if "custom" in given else None,
            identifiers=tuple((each["kind"], each["value"]) for each in named),
            received_at=given.get("received_at", now),
            calendar=CalendarRequest.of(given["calendar"]),
            words=given.get("words"),
            regions=tuple(given.get("regions", ())),
        )


class ReceiveRequest(CloneRequest):
    """What somebody asks. Identifiers become keyed tags at once, and the words are sealed; neither is given back."""

    identifiers = serializers.ListField(
        child=NameRequest(), min_length=1, max_length=MAX_IDENTIFIERS
    )
    regions = serializers.ListField(
        child=serializers.RegexField(r"^[a-z][a-z0-9_]{0,30}$"), max_length=99, required=False
    )


class MoveRequest(StrictSerializer):
    """A step, with words where there is something to say; they are sealed."""

    words = serializers.CharField(max_length=MAX_WORDS, required=False, trim_whitespace=False)


class ReasonsRequest(StrictSerializer):
    """A step that is explained to whoever asked; the reasons are sealed."""

    words = serializers.CharField(max_length=MAX_WORDS, trim_whitespace=False)


class ApproveRequest(MoveRequest):
    """The manifest that was looked at, by its SHA-256: nothing else is approved."""

    manifest = serializers.RegexField(_DIGEST)


class RequestsQuery(StrictSerializer):
    """Which page of which requests."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=50)
    cursor = serializers.CharField(max_length=256, required=False)
    open = serializers.BooleanField(default=False)
    kind = serializers.ChoiceField(_KINDS, required=False)
    state = serializers.ChoiceField(_STATES, required=False)
    due_before = serializers.DateTimeField(required=False)


class RequestResponse(serializers.Serializer[Any]):
    """A request. `due_at` is the first instant that is too late as it stands; `seconds_left` is negative after it."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(_KINDS)
    state = serializers.ChoiceField(_STATES)
    step = serializers.IntegerField()
    regime = serializers.CharField()
    regime_version = serializers.CharField()
    received_at = serializers.DateTimeField()
    acknowledge_by = serializers.DateField(allow_null=True)
    answer_by = serializers.DateField()
    extended_by = serializers.DateField(allow_null=True)
    due_at = serializers.DateTimeField()
    seconds_left = serializers.IntegerField()
    is_extended = serializers.BooleanField()
    is_identified = serializers.BooleanField()
    has_begun = serializers.BooleanField()
    has_words = serializers.BooleanField()
    manifest = serializers.CharField(allow_null=True)
    approved_manifest = serializers.CharField(allow_null=True)


class StepResponse(serializers.Serializer[Any]):
    """One step of the timeline, and the entry's record that says so."""

    step = serializers.IntegerField()
    action = serializers.CharField()
    from_state = serializers.CharField(allow_null=True)
    to_state = serializers.CharField()
    actor = serializers.CharField()
    record = serializers.UUIDField()
    taken_at = serializers.DateTimeField()


class RequestShownResponse(RequestResponse):
    """A request, its timeline, kinds of what names the person, and what the caller may do next."""

    identifiers = serializers.ListField(child=serializers.CharField())
    hands = serializers.IntegerField()
    actions = serializers.ListField(
        child=serializers.ChoiceField([action.value for action in Action])
    )
    timeline = StepResponse(many=True)


class StepWordsResponse(serializers.Serializer[Any]):
    """What was written with a step; with `receive`, by the requester. It may name anybody."""

    step = serializers.IntegerField()
    action = serializers.CharField()
    text = serializers.CharField()


class WordsResponse(serializers.Serializer[Any]):
    """Everything that is written in a request, in the order of its steps."""

    words = StepWordsResponse(many=True)


class RequestsResponse(serializers.Serializer[Any]):
    """One page, newest first."""

    requests = RequestResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True)


def request_body(record: RequestRecord, now: datetime) -> dict[str, Any]:
    """A request as it is answered."""
    request = record.request
    return {
        "id": str(record.request_id),
        "kind": request.kind.value,
        "state": request.state.value,
        "step": record.step,
        "regime": record.regime,
        "regime_version": record.regime_version,
        "received_at": record.received_at,
        "acknowledge_by": record.acknowledge_by,
        "answer_by": record.answer_by,
        "extended_by": record.extended_by,
        "due_at": record.is_due_at,
        "seconds_left": int((record.is_due_at - now).total_seconds()),
        "is_extended": request.is_extended,
        "is_identified": request.is_identified,
        "has_begun": request.has_begun,
        "has_words": record.words_object is not None,
        "manifest": _hex(request.manifest),
        "approved_manifest": _hex(request.approved_manifest),
    }


def shown_body(shown: RequestShown, now: datetime) -> dict[str, Any]:
    """A request with its timeline, as it is answered."""
    return {
        **request_body(shown.record, now),
        "identifiers": shown.identifiers,
        "hands": len(shown.record.request.hands),
        "actions": [action.value for action in shown.actions],
        "timeline": [_step_body(step) for step in shown.steps],
    }


def _step_body(step: Step) -> dict[str, Any]:
    return {
        "step": step.step,
        "action": step.action,
        "from_state": step.from_state,
        "to_state": step.to_state,
        "actor": step.actor,
        "record": str(step.record_id),
        "taken_at": step.taken_at,
    }


def _hex(digest: bytes | None) -> str | None:
    return digest.hex() if digest else None
