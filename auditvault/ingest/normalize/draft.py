"""An interaction in the making: what the handlers of one span's attributes write into.

Nothing gets lost here: a value that finds its place taken, or fails its check, is left for the
`attributes` content.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from auditvault.core.interaction import Content
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ingest.dialects.fields import CONTENT_OWNERS
from auditvault.ingest.otlp.reading import Value
from auditvault.ingest.otlp.wire import decode_text, read_value, text_bytes

REDACTED: Final = "__REDACTED__"
"""What OpenInference writes where the sender hid a value."""
REDACTED_RAW: Final = AnyValue(string_value=REDACTED).SerializeToString()
"""The same in wire form."""

SharedContents: TypeAlias = dict[bytes, Content]
"""Contents that belong to the tenant, of one request.

System prompts and tool definitions repeat in it.
"""


def dumps(value: object) -> bytes:
    """JSON with sorted keys, the form of every structured content."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class Draft:
    """Fields, contents and leftovers of one span, or one resource, while it is read."""

    # What most spans have not got is a class attribute until it is needed: one is made per span.
    repeated: list[Value] | None = None
    withheld: set[str] | None = None
    redacted: set[str] | None = None
    families: dict[str, dict[int, dict[str, Value]]] | None = None
    """Prefix -> index -> what follows the index -> value; a mapping's one object has index -1."""
    error: dict[str, Value] | None = None
    exceptions: list[Value] | None = None
    parameters: dict[str, Value] | None = None
    """Header field -> value from a JSON of request parameters or of usage."""
    weak: list[tuple[Handler, bytes, bytes]] | None = None
    """Sources that count only where no strong one filled the field; applied after all others."""

    def __init__(self, header: dict[str, JsonValue], shared: SharedContents) -> None:
        self.header = header
        self.shared = shared
        self.contents: dict[str, Content] = {}
        self.identifiers: list[tuple[str, str]] = []
        self.claims: list[tuple[str, str]] = []
        self.left: dict[str, Value] = {}
        """Attributes that the allow-list did not take."""

    def put(self, field: str, checked: JsonValue, key: bytes, raw: bytes) -> None:
        """Fill a header field, or leave the value if the field already says something else."""
        header = self.header
        if field not in header:
            header[field] = checked
        elif header[field] != checked:
            self.leave(key, raw)

    def leave(self, key: bytes, raw: bytes) -> None:
        """Keep an attribute for the `attributes` content."""
        self.leave_value(decode_text(key), read_value(raw))

    def leave_value(self, key: str, value: Value) -> None:
        """As `leave`, for a value that was read already."""
        if key not in self.left:
            self.left[key] = value
        elif self.repeated is None:
            self.repeated = [[key, value]]
        else:
            self.repeated.append([key, value])

    def withhold(self, field: str, key: bytes, raw: bytes) -> None:
        """Keep a value out of the header because it is not what the field holds."""
        value = read_value(raw)
        if value != "" and value is not None:
            self.mark_withheld(field)
        self.leave_value(decode_text(key), value)

    def mark_withheld(self, field: str) -> None:
        """Let the header say that this field's value is sealed."""
        if self.withheld is None:
            self.withheld = set()
        self.withheld.add(field)

    def mark_redacted(self, role: str) -> None:
        """Let the header say that the sender hid this."""
        if self.redacted is None:
            self.redacted = set()
        self.redacted.add(role)

    def seal(self, role: str, key: bytes, raw: bytes) -> None:
        """Make a content of an attribute, or leave it if it is empty or the role is taken."""
        if role in self.contents:
            self.leave(key, raw)
            return
        body = text_bytes(raw)
        if body:
            self.contents[role] = Content(role, body, CONTENT_OWNERS[role])
        else:
            self.seal_value(role, decode_text(key), read_value(raw))

    def seal_shared(self, role: str, key: bytes, raw: bytes) -> None:
        """As `seal`, for a content of the tenant's: one object for all spans of the request."""
        sent = key + b"\0" + raw
        content = self.shared.get(sent)
        if content is None or role in self.contents:
            taken = role in self.contents
            self.seal(role, key, raw)
            if not taken and role in self.contents:
                self.shared[sent] = self.contents[role]
        else:
            self.contents[role] = content

    def seal_value(self, role: str, key: str, value: Value) -> None:
        """As `seal`, for a value that was read already."""
        if role in self.contents or value is None or value == "":
            self.leave_value(key, value)
        else:
            body = value.encode() if type(value) is str else dumps(value)
            self.contents[role] = Content(role, body, CONTENT_OWNERS[role])


Handler: TypeAlias = Callable[[Draft, bytes, bytes], None]
"""What to do with one attribute: (draft, key in UTF-8, value in wire form)."""
