"""Filters that somebody typed, as a record may say them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from uuid import UUID

from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.vault.services import lookup_tag


def typed_filters(
    *, region: str, tenant_id: UUID, typed: Mapping[str, str], matched: bool
) -> dict[str, JsonValue]:
    """In clear where rows matched: then they are values that were checked when they were recorded.

    Otherwise they may be a person's name or address in the wrong field, and only their tags are kept (design rule 3).
    """
    if matched:
        return {**typed}
    details: dict[str, JsonValue] = {}
    for name, value in typed.items():
        # The field stands before the text, so that the tag is none of a content's.
        digest = sha256(canonical_bytes(["search_filter", name, value])).digest()
        tag = lookup_tag(region=region, tenant_id=tenant_id, content_sha256=digest)
        details[f"{name}_tag"] = tag.hex()
    return details
