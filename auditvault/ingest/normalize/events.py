"""Span events: which name and time may stand in the header, and where their attributes are sealed.

Old gen_ai instrumentations put the conversation into events, the operation-details event carries
what is otherwise on the span, and exceptions are events too. Everything else with attributes is
sealed in the role `events`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from auditvault.core.interaction import Content
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ingest.normalize.checks import check_words
from auditvault.ingest.normalize.draft import Draft, dumps
from auditvault.ingest.normalize.families import seal_families
from auditvault.ingest.normalize.handlers import SPAN_HANDLERS, later, quiet_handler
from auditvault.ingest.normalize.times import is_plausible, seconds_between
from auditvault.ingest.otlp.reading import MAX_ATTRIBUTES, SpanRejectedError, Value, as_object
from auditvault.ingest.otlp.wire import read_attributes, read_value, split_pairs

MAX_LISTED: Final = 64
"""Events, and links, that the header lists."""

_FIRST_CHUNK: Final = "First Token Stream Event"
_DETAILS: Final = "gen_ai.client.inference.operation.details"
_MESSAGE_ROLES: Final = {
    "gen_ai.system.message": "input_messages",
    "gen_ai.user.message": "input_messages",
    "gen_ai.assistant.message": "input_messages",
    "gen_ai.tool.message": "input_messages",
    "gen_ai.content.prompt": "input_messages",
    "gen_ai.choice": "output_messages",
    "gen_ai.content.completion": "output_messages",
}
_KNOWN_NAME: Final = re.compile(r"gen_ai\.[a-z_.]{1,64}|exception|" + _FIRST_CHUNK)
_exception_type: Final = later(quiet_handler("error_type"))


def add_events(draft: Draft, span: Any) -> None:
    """Read a span's events into the draft; raises SpanRejectedError."""
    if len(span.events) > MAX_ATTRIBUTES:
        raise SpanRejectedError("too_many_events")
    listed: list[JsonValue] = []
    detailed: list[Any] = []
    conversation: dict[str, list[Any]] = {}
    for event in span.events:
        known = _KNOWN_NAME.fullmatch(event.name) is not None and len(listed) < MAX_LISTED
        if known:
            listed.append(_listing(event))
        role = _MESSAGE_ROLES.get(event.name)
        if role is not None:
            conversation.setdefault(role, []).append(event)
        elif not _taken_apart(draft, span, event) and (event.attributes or not known):
            detailed.append(event)
    draft.header["event_count"] = len(span.events)
    if listed:
        draft.header["events"] = listed
    seal_families(draft)
    detailed += _seal_conversation(draft, conversation)
    if detailed:
        draft.contents["events"] = Content("events", dumps([_detail(event) for event in detailed]))


def _seal_conversation(draft: Draft, conversation: dict[str, list[Any]]) -> list[Any]:
    """Seal message events in their roles; gives back those whose role is taken."""
    left: list[Any] = []
    for role, events in conversation.items():
        if role in draft.contents:
            left += events
        else:
            draft.contents[role] = Content(role, dumps([_message(event) for event in events]))
    _finish_reasons(draft, conversation.get("output_messages", []))
    return left


def _listing(event: Any) -> dict[str, JsonValue]:
    if is_plausible(event.time_unix_nano):
        return {"name": event.name, "at": str(event.time_unix_nano)}
    return {"name": event.name}


def _taken_apart(draft: Draft, span: Any, event: Any) -> bool:
    """Use an event whose attributes have places of their own; False if it is not one of those."""
    if event.name == "exception":
        for key, raw in split_pairs(event.attributes):
            if key == b"exception.type":
                _exception_type(draft, key, raw)
        if draft.exceptions is None:
            draft.exceptions = []
        draft.exceptions.append(as_object(read_attributes(event.attributes)))
        return True
    if event.name == _DETAILS:
        for key, raw in split_pairs(event.attributes):
            SPAN_HANDLERS[key](draft, key, raw)
        return True
    if (
        event.name == _FIRST_CHUNK
        and is_plausible(span.start_time_unix_nano)
        and is_plausible(event.time_unix_nano)
    ):
        draft.header.setdefault(
            "first_token_seconds", seconds_between(span.start_time_unix_nano, event.time_unix_nano)
        )
    return False


def _message(event: Any) -> dict[str, Value]:
    attributes = as_object(read_attributes(event.attributes))
    if isinstance(attributes, dict) and "event" not in attributes:
        return {"event": event.name, **attributes}
    return {"event": event.name, "attributes": attributes}


def _detail(event: Any) -> dict[str, Value]:
    return {
        "name": event.name,
        "at": str(event.time_unix_nano),
        "attributes": as_object(read_attributes(event.attributes)),
    }


def _finish_reasons(draft: Draft, choices: list[Any]) -> None:
    reasons: list[Value] = [
        read_value(raw)
        for event in choices
        for key, raw in split_pairs(event.attributes)
        if key == b"finish_reason"
    ]
    checked = check_words(reasons)
    if checked is not None:
        draft.header.setdefault("finish_reasons", checked)
