"""One handler per attribute key, resolved once and remembered.

The table's keys have their handlers from the start. A key of a flattened family
(`llm.input_messages.3.message.role`) and an unknown key get theirs when first seen; what is
remembered of them is bounded, because senders choose them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import orjson

from auditvault.core.identifiers import KIND, MAX_IDENTIFIER
from auditvault.ingest.dialects.fields import (
    ATTRIBUTE_FIELDS,
    CONTENT_OWNERS,
    INVOCATION_PARAMETERS,
    OPERATIONS,
    USAGE_MEMBERS,
)
from auditvault.ingest.dialects.table import IDENTIFIER_KINDS, ROWS, Row
from auditvault.ingest.normalize.checks import CHECKS, check_word
from auditvault.ingest.normalize.draft import REDACTED, REDACTED_RAW, Draft, Handler
from auditvault.ingest.otlp.reading import Value
from auditvault.ingest.otlp.wire import decode_text, read_value

FAMILY_ROLES: Final = {row.key: row.target for row in ROWS if row.place in {"family", "mapping"}}
"""Prefix of a flattened family or a mapping -> content role."""

_REMEMBERED: Final = 16_384
_IDENTIFIER_PREFIX: Final = "auditvault.identifier."
_MAX_PARAMETERS: Final = 65_536
_MAX_QUOTED: Final = 512
_PARAMETERS: Final[Mapping[tuple[str, ...], str]] = {
    (name,): field for name, field in INVOCATION_PARAMETERS.items()
}
_ECHOED: Final[Mapping[tuple[str, ...], str]] = {
    **_PARAMETERS,
    ("model",): "model_responded",
    ("id",): "response_id",
}
"""The same where a sender calls the response object its parameters; its model is the answer's."""
_SCRUBBED: Final = "[Scrubbed due to"
_SHA256_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_MAPPINGS: Final = tuple(row.key for row in ROWS if row.place == "mapping")
_INDEXED: Final = re.compile(
    "({})".format("|".join(re.escape(row.key) for row in ROWS if row.place == "family"))
    + r"\.([0-9]{1,6})(?:\.(.+))?",
    re.DOTALL,
)


def header_handler(field: str, read: Callable[[bytes], Value] = read_value) -> Handler:
    """Fill a header field with a value that passes its check."""
    if field == "operation":
        return _operation_handler(read)
    check = CHECKS[ATTRIBUTE_FIELDS[field]]

    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        checked = check(read(raw))
        if checked is None:
            draft.withhold(field, key, raw)
        else:
            draft.put(field, checked, key, raw)

    return handle


def _operation_handler(read: Callable[[bytes], Value]) -> Handler:
    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        header, sent = draft.header, check_word(read(raw))
        if sent is None:
            draft.withhold("operation", key, raw)
            return
        operation = OPERATIONS.get(sent, sent)
        if "operation" in header:
            draft.put("operation", operation, key, raw)
            return
        header["operation"] = operation
        if operation != sent:
            header["operation_as_sent"] = sent

    return handle


def read_quoted(raw: bytes) -> Value:
    """A value that may be JSON of one word or number in a string, as MLflow sends all of its own."""
    value = read_value(raw)
    if type(value) is not str or len(value) > _MAX_QUOTED:
        return value
    try:
        inner: Value = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return inner if type(inner) in {str, int, float, bool} else value


def _content_handler(role: str) -> Handler:
    seal = Draft.seal_shared if CONTENT_OWNERS[role] == "tenant" else Draft.seal

    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        if raw == REDACTED_RAW:
            draft.mark_redacted(role)
        else:
            seal(draft, role, key, raw)

    return handle


def _identifier_handler(kind: str) -> Handler:
    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        value = read_value(raw)
        text = identifier_text(value)
        if text is not None:
            identifier = (kind, text)
            if identifier not in draft.identifiers:
                draft.identifiers.append(identifier)
        elif type(value) is str and (value == REDACTED or value.startswith(_SCRUBBED)):
            draft.mark_redacted(kind)
        else:
            draft.leave_value(decode_text(key), value)

    return handle


def _declared_handler(kind: str) -> Handler:
    """Whether the tenant has such a kind is not known here: it is an identifier, and an attribute like any other."""

    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        text = identifier_text(read_value(raw))
        if text is not None and (kind, text) not in draft.identifiers:
            draft.identifiers.append((kind, text))
        draft.leave(key, raw)

    return handle


def identifier_text(value: Value) -> str | None:
    """A value as an identifier; None if it can't be one, or the sender hid it."""
    text = str(value) if type(value) is int else value
    if type(text) is not str or not 0 < len(text) <= MAX_IDENTIFIER:
        return None
    return None if text == REDACTED or text.startswith(_SCRUBBED) else text


def _claim_handler(role: str) -> Handler:
    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        value = read_value(raw)
        if type(value) is str and _SHA256_HEX.fullmatch(value):
            draft.claims.append((role, value.lower()))
        else:
            draft.leave_value(decode_text(key), value)

    return handle


def _error_handler(member: str) -> Handler:
    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        if raw == REDACTED_RAW:
            draft.mark_redacted("error_message")
        elif draft.error is None:
            draft.error = {member: read_value(raw)}
        elif member in draft.error:
            draft.leave(key, raw)
        else:
            draft.error[member] = read_value(raw)

    return handle


def quiet_handler(field: str) -> Handler:
    """As `header_handler`, for a value whose attribute is sealed whole anyway."""
    check = CHECKS[ATTRIBUTE_FIELDS[field]]

    def handle(draft: Draft, _key: bytes, raw: bytes) -> None:
        checked = check(read_value(raw))
        if checked is None:
            draft.mark_withheld(field)
        else:
            draft.header.setdefault(field, checked)

    return handle


def _members_handler(members: Mapping[tuple[str, ...], str]) -> Handler:
    """Seal a JSON object whole, and remember its members that fill header fields."""

    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        value = read_value(raw)
        draft.leave_value(decode_text(key), value)
        if type(value) is str and len(value) <= _MAX_PARAMETERS:
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                return  # sealed as it is
        if type(value) is not dict:
            return
        if draft.parameters is None:
            draft.parameters = {}
        # No request to a model has an id or a time; OpenAI's response object has both.
        echoed = members is _PARAMETERS and "id" in value and "created_at" in value
        for path, field in (_ECHOED if echoed else members).items():
            member: Value = value
            for name in path:
                member = member.get(name) if type(member) is dict else None
            if member is not None:
                draft.parameters.setdefault(field, member)

    return handle


def settle_parameters(draft: Draft) -> None:
    """Fill from members of JSON objects the fields that no attribute of their own has filled."""
    for field, value in (draft.parameters or {}).items():
        checked = CHECKS[ATTRIBUTE_FIELDS[field]](value)
        if checked is None:
            draft.mark_withheld(field)
        else:
            draft.header.setdefault(field, checked)


def later(handler: Handler) -> Handler:
    """Let a source count only where no strong one fills the field."""

    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        if draft.weak is None:
            draft.weak = []
        draft.weak.append((handler, key, raw))

    return handle


def _member_handler(prefix: str, index: int, rest: str) -> Handler:
    role = FAMILY_ROLES[prefix]

    def handle(draft: Draft, key: bytes, raw: bytes) -> None:
        if raw == REDACTED_RAW:
            draft.mark_redacted(role)
            return
        if draft.families is None:
            draft.families = {}
        item = draft.families.setdefault(prefix, {}).setdefault(index, {})
        if rest in item:
            draft.leave(key, raw)
        else:
            item[rest] = read_value(raw)

    return handle


class HandlerTable(dict[bytes, Handler]):
    """Attribute key in UTF-8 -> handler."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._known = {
            row.key.encode(): _handler(row)
            for row in rows
            if row.place not in {"family", "mapping"}
        }
        super().__init__(self._known)

    def __missing__(self, key: bytes) -> Handler:
        if len(self) >= _REMEMBERED:
            self.clear()
            self.update(self._known)
        handler = self[key] = _resolve(decode_text(key))
        return handler


def _handler(row: Row) -> Handler:
    handler: Handler
    if row.place == "header":
        handler = header_handler(row.target)
    elif row.place == "quoted":
        handler = header_handler(row.target, read_quoted)
    elif row.place in {"parameters", "usage"}:
        handler = _members_handler(_PARAMETERS if row.place == "parameters" else USAGE_MEMBERS)
    else:
        makers = {
            "content": _content_handler,
            "identifier": _identifier_handler,
            "claim": _claim_handler,
            "error": _error_handler,
        }
        handler = makers[row.place](row.target)
    return later(handler) if row.rank == "weak" else handler


def _resolve(key: str) -> Handler:
    indexed = _INDEXED.fullmatch(key)
    if indexed is not None:
        prefix, index, rest = indexed.groups()
        return _member_handler(prefix, int(index), rest or "value")
    for prefix in _MAPPINGS:
        if key.startswith(prefix + ".") and len(key) > len(prefix) + 1:
            return _member_handler(prefix, -1, key[len(prefix) + 1 :])
    kind = key.removeprefix(_IDENTIFIER_PREFIX)
    if kind not in {key, "trace"} and KIND.fullmatch(kind):
        known = kind in IDENTIFIER_KINDS
        return _identifier_handler(kind) if known else _declared_handler(kind)
    return Draft.leave


SPAN_HANDLERS: Final = HandlerTable(row for row in ROWS if row.dialects != {"resource"})


class _ResourceTable(HandlerTable):
    """A resource has fields and identifiers.

    A family or a content on it is an attribute like any other.
    """

    def __missing__(self, _key: bytes) -> Handler:
        return Draft.leave


RESOURCE_HANDLERS: Final = _ResourceTable(
    row
    for row in ROWS
    if "resource" in row.dialects or row.place == "identifier" or row.target == "sender_tenant"
)
