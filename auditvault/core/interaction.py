"""What one interaction is, before it is sealed, recorded and stored: plain values and nothing else.

Every way in (OTLP traces, logs, REST) ends in an `Interaction`; vault, ledger and traces start from
one. The header's fields and the contents' roles are described in `docs/spec/header.md`. How they
are found in a span is left to `auditvault.ingest`.

The classes are made in a hot loop, several per span, so they are plain slotted dataclasses and not
frozen ones. Their `repr` shows no personal data and no plaintext.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from auditvault.core.tlog.canonical import JsonValue

Owner = Literal["subject", "tenant"]
"""Whose key seals a content: the person's, or the tenant's where the content belongs to nobody."""


@dataclass(slots=True, init=False)
class Content:
    """One text or structure to be sealed."""

    role: str
    """What it is: `input_messages`, `output_messages`, `attributes`, … (`docs/spec/header.md`)."""
    body: bytes = field(repr=False)
    """The sealed bytes: the UTF-8 that was sent, or sorted JSON of a structured value."""
    owner: Owner
    digest: bytes = field(repr=False, compare=False)
    """SHA-256 of `body`, 32 bytes, computed once."""

    def __init__(self, role: str, body: bytes, owner: Owner = "subject") -> None:
        self.role = role
        self.body = body
        self.owner = owner
        self.digest = sha256(body).digest()


@dataclass(slots=True)
class Interaction:
    """One span, taken apart into what may be read and what must be sealed."""

    trace_id: bytes
    """16 bytes, not all zero."""
    span_id: bytes
    """8 bytes, not all zero."""
    parent_span_id: bytes | None
    """8 bytes, or None for a root."""
    started_at_ns: int
    """Nanoseconds since 1970 UTC, within the years 2000 to 2100.

    0 when the sender's time is unknown or absurd.
    """
    ended_at_ns: int
    """As `started_at_ns`; may lie before it, then the header's `clock` says so."""
    header: dict[str, JsonValue] = field(repr=False)
    """Allow-listed fields of header version 1, canonicalisable; ids are added by who stores it."""
    contents: list[Content]
    """At most one per role. The same object may stand in several interactions of one request."""
    identifiers: list[tuple[str, str]] = field(repr=False)
    """(kind, value) as sent, in order of preference; kind `user`, `session`, `email`, `phone` or a tenant's own.

    Personal data: never in the header.
    """
    claims: list[tuple[str, str]] = field(repr=False)
    """(role, SHA-256 in lower-case hex).

    Hashes that the sender says it computed over `prompt`, `input` or `output`.
    """
