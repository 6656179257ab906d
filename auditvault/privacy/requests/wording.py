"""The words that go with a request: the requester's own, reasons, notices. Sealed under the tenant's own subject."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import REASON_MAX_LENGTH, REASON_MIN_LENGTH
from auditvault.core.tlog.canonical import JsonValue
from auditvault.vault.sealing import Sealer
from auditvault.vault.services import make_sealer

WORDS_ROLE = "privacy_request"
MAX_WORDS = 20_000


class RequestInvalidError(AuditvaultError):
    """What should be taken in is no request, or the words that go with a step are missing; nothing was written."""

    code = "privacy_request_invalid"


def checked_words(words: str | None, *, is_needed: bool = False) -> bytes | None:
    """What is to be sealed: UTF-8; raises RequestInvalidError. Words that are needed are 15 to 2000 characters."""
    if words is None and not is_needed:
        return None
    text = (words or "").strip()
    if is_needed and not REASON_MIN_LENGTH <= len(text) <= REASON_MAX_LENGTH:
        raise RequestInvalidError(
            f"The reasons have {REASON_MIN_LENGTH} to {REASON_MAX_LENGTH} characters."
        )
    if not 1 <= len(text) <= MAX_WORDS:
        raise RequestInvalidError(f"Words are 1 to {MAX_WORDS:,} characters.")
    try:
        return text.encode()
    except UnicodeEncodeError:
        # The cause is dropped: it would carry the words.
        raise RequestInvalidError("Words are Unicode text.") from None


def words_sealer(region: str, tenant_id: UUID, words: bytes | None, now: datetime) -> Sealer | None:
    """What seals the words, made before the transaction in which they are written; None for none."""
    if words is None:
        return None
    return make_sealer(region=region, tenant_id=tenant_id, subjects=(), at=now)


def seal_words(
    connection: psycopg.Connection[Any],
    sealer: Sealer | None,
    words: bytes | None,
    admin_record: UUID,
    now: datetime,
) -> dict[str, JsonValue] | None:
    """Seal words under the tenant's own subject, and write them; what the entry says of them."""
    if sealer is None or words is None:
        return None
    sealed = sealer.seal(
        subject_id=sealer.tenant_subject,
        record_id=admin_record.bytes,
        role=WORDS_ROLE,
        body=words,
        digest=hashlib.sha256(words).digest(),
    )
    sealer.write(connection, now)
    return sealed
