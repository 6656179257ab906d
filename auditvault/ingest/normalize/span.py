"""One span to one `Interaction`: its ids judged, its attributes handed out, its leftovers sealed.

Rules: `docs/spec/header.md`. Nothing in here raises but SpanRejectedError, and that only for ids;
everything else a sender may get wrong has a place in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from auditvault.core.interaction import Content, Interaction
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ingest.dialects.fields import CONTENT_OWNERS
from auditvault.ingest.normalize.checks import ACCEPTED_NAMES
from auditvault.ingest.normalize.draft import Draft, dumps
from auditvault.ingest.normalize.events import MAX_LISTED, add_events
from auditvault.ingest.normalize.families import seal_families
from auditvault.ingest.normalize.handlers import SPAN_HANDLERS, settle_parameters
from auditvault.ingest.normalize.memo import (
    IDENTIFIER,
    MAX_SHORT_BYTES,
    TEXT_ROLES,
    RequestMemo,
)
from auditvault.ingest.normalize.origin import Origin
from auditvault.ingest.normalize.times import EARLIEST_NS, LATEST_NS, is_plausible
from auditvault.ingest.otlp.reading import MAX_ATTRIBUTES, SpanRejectedError, Value, as_object
from auditvault.ingest.otlp.wire import long_text, read_attributes, split_pair

HEADER_VERSION: Final = "auditvault/header/1"

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_NO_TRACE: Final = bytes(_TRACE_ID_BYTES)
_NO_SPAN: Final = bytes(_SPAN_ID_BYTES)
_FLAGS_MASK: Final = 0x3FF
_KINDS: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUSES: Final = {1: "ok", 2: "error"}
_ABSURD: Final = {
    (False, False): "absurd_times",
    (False, True): "absurd_start",
    (True, False): "absurd_end",
}
_RAW_ROLES: Final = {
    "execute_tool": (("input", "tool_arguments"), ("output", "tool_result")),
    "retrieval": (("input", "retrieval_query"),),
}
_ENTITY_FIELDS: Final = {
    "execute_tool": "tool_name",
    "invoke_agent": "agent_name",
    "workflow": "workflow_name",
}


def normalize_span(span: Any, origin: Origin, memo: RequestMemo) -> Interaction:
    """Normalise one span; raises SpanRejectedError.

    `memo` is the request's: what its spans repeat is read once, and shared texts are one object.
    """
    trace_id, span_id, attributes = span.trace_id, span.span_id, span.attributes
    parent = _check_ids(trace_id, span_id, span.parent_span_id)
    if len(attributes) > MAX_ATTRIBUTES:
        raise SpanRejectedError("too_many_attributes")
    header: dict[str, JsonValue] = origin.header.copy()
    draft = Draft(header, memo.contents)
    _read_attributes(draft, attributes, memo)
    _settle(draft, span)
    header["v"] = HEADER_VERSION
    header["trace_id"] = trace_id.hex()
    header["span_id"] = span_id.hex()
    if parent is not None:
        header["parent_span_id"] = parent.hex()
    left: dict[str, bytes] = {}
    started_at_ns, ended_at_ns = _set_times(header, span, left)
    _set_structure(header, span)
    _set_name(draft, span.name, left)
    _set_rest(draft, span, left)
    _set_marks(draft, origin)
    _add_attributes(draft, origin, left)
    return Interaction(
        trace_id,
        span_id,
        parent,
        started_at_ns,
        ended_at_ns,
        header,
        list(draft.contents.values()),
        _identifiers(draft, origin),
        draft.claims,
    )


def _read_attributes(draft: Draft, pairs: Sequence[bytes], memo: RequestMemo) -> None:
    """Hand out a span's attributes: the hottest loop of ingest."""
    header, identifiers, handlers = draft.header, draft.identifiers, SPAN_HANDLERS
    for pair in pairs:
        if len(pair) > MAX_SHORT_BYTES:
            _read_long(draft, pair)
            continue
        field, value, raw = memo[pair]
        if field == "":
            handlers[value](draft, value, raw)
        elif field == IDENTIFIER:
            if value not in identifiers:
                identifiers.append(value)
        elif field not in header:
            header[field] = value
        elif header[field] != value:
            draft.leave(*split_pair(pair))


def _read_long(draft: Draft, pair: bytes) -> None:
    start = pair[1] + 3  # after the key and the value's tag, if written in the usual way
    role = TEXT_ROLES.get(pair[:start])
    if role is not None and role not in draft.contents:
        owner = CONTENT_OWNERS[role]
        content = draft.shared.get(pair) if owner == "tenant" else None
        if content is None:
            text = long_text(pair, start)
            content = Content(role, text, owner) if text is not None else None
        if content is not None:
            draft.contents[role] = content
            if owner == "tenant":
                draft.shared[pair] = content
            return
    key, raw = split_pair(pair)
    SPAN_HANDLERS[key](draft, key, raw)


def _check_ids(trace_id: bytes, span_id: bytes, parent: bytes) -> bytes | None:
    """Judge the ids; gives back the parent's, None for a root; raises SpanRejectedError."""
    if len(trace_id) != _TRACE_ID_BYTES or trace_id == _NO_TRACE:
        raise SpanRejectedError("bad_trace_id")
    if len(span_id) != _SPAN_ID_BYTES or span_id == _NO_SPAN:
        raise SpanRejectedError("bad_span_id")
    if not parent or parent == _NO_SPAN:
        return None
    if len(parent) != _SPAN_ID_BYTES:
        raise SpanRejectedError("bad_parent_span_id")
    return parent


def _settle(draft: Draft, span: Any) -> None:
    """Decide what needed all attributes.

    Events, families, weak sources, and what depends on the operation.
    """
    if span.events:
        add_events(draft, span)
    elif draft.families is not None:
        seal_families(draft)
    if draft.weak is not None:
        for handler, key, raw in draft.weak:
            handler(draft, key, raw)
    if draft.parameters is not None:
        settle_parameters(draft)
    if "input" in draft.contents or "output" in draft.contents:
        _rename_raw_roles(draft)
    if "entity_name" in draft.header or "model" in draft.header:
        _settle_names(draft.header)


def _settle_names(header: dict[str, JsonValue]) -> None:
    """Say whose name OpenLLMetry's entity is, and which model OpenInference's one name is."""
    if "entity_name" in header:
        field = _ENTITY_FIELDS.get(str(header.get("operation")), "entity_name")
        if field not in header:
            header[field] = header.pop("entity_name")
    if "model" in header and "model_responded" not in header:
        requested = header.get("model_requested")
        if requested is not None and requested != header["model"]:
            header["model_responded"] = header.pop("model")


def _rename_raw_roles(draft: Draft) -> None:
    contents = draft.contents
    for raw_role, role in _RAW_ROLES.get(str(draft.header.get("operation")), ()):
        if raw_role in contents and role not in contents:
            contents[role] = Content(role, contents.pop(raw_role).body)


def _set_times(header: dict[str, JsonValue], span: Any, left: dict[str, bytes]) -> tuple[int, int]:
    """Set `started_at`, `ended_at` and `clock`; gives back the two times, 0 for an absurd one."""
    started, ended = span.start_time_unix_nano, span.end_time_unix_nano
    if EARLIEST_NS <= started <= ended <= LATEST_NS:
        header["started_at"] = str(started)
        header["ended_at"] = str(ended)
        return started, ended
    plausible = is_plausible(started), is_plausible(ended)
    if plausible[0]:
        header["started_at"] = str(started)
    if plausible[1]:
        header["ended_at"] = str(ended)
    if plausible == (True, True):
        header["clock"] = "end_before_start"
        return started, ended
    header["clock"] = _ABSURD[plausible]
    sent = {"started_at": started, "ended_at": ended}
    absurd = {
        name: str(at)
        for (name, at), fine in zip(sent.items(), plausible, strict=True)
        if at and not fine
    }
    if absurd:
        left["times"] = dumps(absurd)
    return started if plausible[0] else 0, ended if plausible[1] else 0


def _set_structure(header: dict[str, JsonValue], span: Any) -> None:
    flags = span.flags & _FLAGS_MASK
    if flags:
        header["flags"] = flags
    kind = _KINDS.get(span.kind)
    if kind is not None:
        header["kind"] = kind
    if span.dropped_attributes_count:
        header["dropped_attributes"] = span.dropped_attributes_count
    if span.dropped_events_count:
        header["dropped_events"] = span.dropped_events_count
    if span.dropped_links_count:
        header["dropped_links"] = span.dropped_links_count


def _set_name(draft: Draft, name: str, left: dict[str, bytes]) -> None:
    header = draft.header
    if not name:
        return
    if ACCEPTED_NAMES[name]:
        header["name"] = name
        return
    operation, _, rest = name.partition(" ")
    named = (header.get("model_requested"), header.get("model"), header.get("model_responded"))
    if rest and rest in named and operation == header.get("operation"):
        header["name"] = name  # "chat claude-3-5-sonnet-20241022": both halves were accepted
    else:
        draft.mark_withheld("name")
        left["name"] = dumps(name)


def _set_rest(draft: Draft, span: Any, left: dict[str, bytes]) -> None:
    """Status, links, trace state and the error's text."""
    if span.HasField("status"):
        status = span.status
        if status.code in _STATUSES:
            draft.header["status"] = _STATUSES[status.code]
        if status.message:
            draft.error = {**(draft.error or {}), "status_message": status.message}
    if span.trace_state:
        left["trace_state"] = dumps(span.trace_state)
    if span.links:
        _set_links(draft.header, span.links, left)
    if draft.exceptions is not None:
        draft.error = {**(draft.error or {}), "exceptions": draft.exceptions}
    if draft.error is not None:
        draft.contents["error_message"] = Content("error_message", dumps(draft.error))


def _set_links(header: dict[str, JsonValue], links: Sequence[Any], left: dict[str, bytes]) -> None:
    if len(links) > MAX_ATTRIBUTES:
        raise SpanRejectedError("too_many_links")
    listed: list[JsonValue] = []
    detailed: list[Value] = []
    for link in links:
        whole = len(link.trace_id) == _TRACE_ID_BYTES and len(link.span_id) == _SPAN_ID_BYTES
        fits = whole and len(listed) < MAX_LISTED
        ids = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()}
        if fits:
            listed.append({**ids})
        if not fits or link.attributes or link.trace_state:
            detailed.append(
                {
                    **ids,
                    "trace_state": link.trace_state,
                    "attributes": as_object(read_attributes(link.attributes)),
                }
            )
    header["link_count"] = len(links)
    if listed:
        header["links"] = listed
    if detailed:
        left["links"] = dumps(detailed)


def _set_marks(draft: Draft, origin: Origin) -> None:
    withheld, redacted = draft.withheld, draft.redacted
    if withheld or origin.withheld:
        draft.header["withheld"] = sorted(origin.withheld.union(withheld or ()))
    if redacted or origin.redacted:
        draft.header["redacted_at_source"] = sorted(origin.redacted.union(redacted or ()))


def _add_attributes(draft: Draft, origin: Origin, left: dict[str, bytes]) -> None:
    """Seal everything that found no place, as one JSON object with sorted members."""
    span = dumps(draft.left) if draft.left else None
    if draft.repeated is not None:
        left["repeated"] = dumps(draft.repeated)
    if not left:
        if span is not None:
            body = b'%s"span":%s}' % (origin.head, span)
            draft.contents["attributes"] = Content("attributes", body)
        elif origin.content is not None:
            draft.contents["attributes"] = origin.content
        return
    left.update(origin.left)
    if span is not None:
        left["span"] = span
    members = b",".join(b'"%s":%s' % (name.encode(), body) for name, body in sorted(left.items()))
    draft.contents["attributes"] = Content("attributes", b"{" + members + b"}")


def _identifiers(draft: Draft, origin: Origin) -> list[tuple[str, str]]:
    """The span's own first: they are about this interaction, a resource's about the process."""
    if not origin.identifiers:
        return draft.identifiers
    return list(dict.fromkeys((*draft.identifiers, *origin.identifiers)))
