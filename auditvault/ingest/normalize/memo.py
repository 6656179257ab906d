"""What repeats among the attributes of a request is read once: fields, identifiers, shared texts.

An attribute is looked up by the bytes that were sent. Header fields are remembered across requests,
a bounded number of them, and only values that passed their check. Identifiers are personal data and
are forgotten with their request. What is remembered is shared between headers, which nobody changes
once they are made.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from auditvault.ingest.dialects.fields import ATTRIBUTE_FIELDS, OPERATIONS
from auditvault.ingest.dialects.table import ROWS
from auditvault.ingest.normalize.checks import CHECKS
from auditvault.ingest.normalize.draft import SharedContents
from auditvault.ingest.normalize.handlers import identifier_text
from auditvault.ingest.otlp.wire import pair_prefix, read_value, split_pair

MAX_SHORT_BYTES: Final = 160
"""An attribute longer than this, key and value, is not looked up."""
IDENTIFIER: Final = "identifier"
"""Stands for a header field where there is an identifier; no header field has this name."""
_REMEMBERED: Final = 16_384
_FIELDS: Final = {
    row.key.encode(): row.target
    for row in ROWS
    if row.place == "header" and row.rank == "strong" and row.dialects != {"resource"}
}
_IDENTIFIERS: Final = {
    row.key.encode(): row.target
    for row in ROWS
    if row.place == "identifier" and row.rank == "strong"
}
TEXT_ROLES: Final = {pair_prefix(row.key): row.target for row in ROWS if row.place == "content"}
"""How an attribute begins whose value is a content -> its role."""


Recalled: TypeAlias = tuple[str, Any, bytes]
"""What a short attribute comes to: `(field, checked value, b"")` for a header field,
`(IDENTIFIER, (kind, value), b"")`, or `("", key in UTF-8, value in wire form)`: then a handler must
look at it. A plain tuple, because one is made for every attribute that is new."""


class _FieldMemo(dict[bytes, Recalled]):
    """Across requests: header fields only; ids are not kept, because most of them occur once."""

    def __missing__(self, pair: bytes) -> Recalled:
        key, raw = split_pair(pair)
        field = _FIELDS.get(key)
        check = ATTRIBUTE_FIELDS[field] if field is not None else "id"
        if field is None or check == "id":
            return "", key, raw
        checked = CHECKS[check](read_value(raw))
        if checked is None or (check == "operation" and checked in OPERATIONS):
            return "", key, raw
        if len(self) >= _REMEMBERED:
            self.clear()
        self[pair] = field, checked, b""
        return self[pair]


FIELD_MEMO: Final = _FieldMemo()


class RequestMemo(dict[bytes, Recalled]):
    """Within one request: fields and identifiers by the attribute as sent, and shared contents."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: SharedContents = {}

    def __missing__(self, pair: bytes) -> Recalled:
        recalled = FIELD_MEMO[pair]
        field, key, raw = recalled
        if not field:
            kind = _IDENTIFIERS.get(key)
            text = identifier_text(read_value(raw)) if kind is not None else None
            if text is None:
                return recalled
            recalled = IDENTIFIER, (kind, text), b""
        self[pair] = recalled
        return recalled
