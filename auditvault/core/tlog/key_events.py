"""What an entry of an operator's log says of a key that signs: that it comes, or that it goes.

Rules kept: docs/spec/checkpoint.md section 3.1, docs/reference/entry-types.md. Whether the entry is in the log and
opens to its header is left to the callers, who have proofs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import parse_canonical
from auditvault.core.tlog.log_key import LogKey, LogKeyError

ENTRY_TYPE_ANNOUNCED = "checkpoint_key.announced"
ENTRY_TYPE_RETIRED = "checkpoint_key.retired"
KEY_ENTRY_TYPES = (ENTRY_TYPE_ANNOUNCED, ENTRY_TYPE_RETIRED)


class KeyEventMalformedError(AuditvaultError):
    """A record of a key's coming or going is not of its form."""

    code: ClassVar[str] = "checkpoint_key_malformed"


def key_in(header: bytes) -> LogKey:
    """The key that an admin header names; raises KeyEventMalformedError, CanonicalFormError."""
    found = parse_canonical(header)
    details = found.get("details") if isinstance(found, Mapping) else None
    if not isinstance(details, Mapping):
        raise KeyEventMalformedError("An admin header without details.")
    try:
        return LogKey.from_base64(str(details.get("algorithm")), str(details.get("public_key")))
    except LogKeyError as error:
        raise KeyEventMalformedError(error.message) from error
