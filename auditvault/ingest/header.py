"""A header's bytes, and one digest over all that an interaction says.

Header values keep to the restricted canonical form, where orjson with sorted keys gives the same
bytes as `auditvault.core.tlog.canonical`; a property test holds the two together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from auditvault.core.interaction import Interaction
from auditvault.core.tlog.canonical import JsonValue

_BODY_DOMAIN = b"auditvault/interaction-body/1"


def header_bytes(header: Mapping[str, JsonValue]) -> bytes:
    """Encode a header in canonical form.

    The header must keep to `docs/spec/header.md`, which is not checked again.
    """
    return orjson.dumps(header, option=orjson.OPT_SORT_KEYS)


def body_digest(interaction: Interaction) -> bytes:
    """SHA-256 over header, contents (role and digest), identifiers and claims: 32 bytes.

    The same for a span however it was encoded or batched, so it tells a repeated delivery from a
    revision. It is computed over plaintext and not blinded: it may be compared, and must not be
    stored where it outlives the payload.
    """
    header = header_bytes(interaction.header)
    contents = sorted([(content.role, content.digest) for content in interaction.contents])
    roles = [role for role, _ in contents]
    rest = orjson.dumps((roles, interaction.identifiers, interaction.claims))
    # Two lengths and digests of one size: no two interactions give the same bytes.
    return hashlib.sha256(
        b"".join(
            (
                _BODY_DOMAIN,
                len(header).to_bytes(8, "big"),
                header,
                len(rest).to_bytes(8, "big"),
                rest,
                *[digest for _, digest in contents],
            )
        )
    ).digest()
