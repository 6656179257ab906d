"""Looks for personal data: which objects nobody has looked at, and what was found, sealed under the object's own CEK.

Rules kept: docs/spec/findings.md. What stands where in somebody's content is theirs: it is sealed like the content, and
under another data class, so that neither opens in the other's place. It has no key of its own, so it opens as long as
the object does: a rotated key changes nothing, an object sealed anew is looked at anew, and an erasure takes both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import (
    EnvelopeError,
    ObjectContext,
    SealedContent,
    open_,
    seal,
)
from auditvault.core.crypto.keywrap import CryptoContextError, WrapError
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.vault.erasures.pending import Permit
from auditvault.vault.keyring.contexts import object_cek_context
from auditvault.vault.keyring.hierarchy import KeyDamagedError, KeyDestroyedError
from auditvault.vault.keyring.services import keyring
from auditvault.vault.opening import ContentDamagedError, ContentGoneError, StoredObject

FORM = "auditvault/findings/1"
LEASE = timedelta(minutes=10)
"""How long a look may take; after that somebody else may look."""

_DATA_CLASS = "findings"
_BLOCK = 512
_OPENING_SIZE = 32

State = Literal["not_scanned", "scanned", "failed"]


class ScanState(NamedTuple):
    """How far an object is."""

    state: State
    detector: str | None
    """Version of the detector that looked."""
    code: str | None
    """Why nothing is known though somebody looked."""


class Findings(NamedTuple):
    """What a detector said of an object."""

    detector: dict[str, JsonValue]
    """Which one, with its model."""
    findings: list[dict[str, JsonValue]]


NOT_SCANNED = ScanState("not_scanned", None, None)


def claim_scans(
    connection: psycopg.Connection[Any],
    *,
    detector: str,
    claim: UUID,
    since: datetime,
    most: int,
) -> list[UUID]:
    """Claim at most so many objects of the scope's tenant, recorded from `since` on, that the detector has not seen.

    The newest first, of subjects who can be read. To be committed before anything is opened.
    """
    rows = connection.execute(
        "SELECT vault_claim_scans(%s, %s, %s, %s, %s)", (detector, claim, since, most, LEASE)
    ).fetchall()
    return [row[0] for row in rows]


def settle_scan(
    connection: psycopg.Connection[Any],
    *,
    claim: UUID,
    object_id: UUID,
    version: int = 0,
    code: str | None = None,
    envelope: bytes | None = None,
    rendering: bytes | None = None,
) -> bool:
    """Put down what came of a claimed look: findings with the rendering by them, or a code; with neither it was none.

    Returns whether the claim still held; otherwise nothing is changed.
    """
    row = connection.execute(
        "SELECT vault_settle_scan(%s, %s, %s, %s, %s, %s)",
        (claim, object_id, version, code, envelope, rendering),
    ).fetchone()
    return row is not None and bool(row[0])


def seal_findings(
    *,
    region: str,
    tenant_id: UUID,
    stored: StoredObject,
    detector: dict[str, JsonValue],
    findings: Sequence[JsonValue],
) -> bytes:
    """The envelope of what was found in this object; its size says little of how much that is.

    Raises ContentGoneError, ContentDamagedError.
    """
    body = canonical_bytes({"v": FORM, "detector": detector, "findings": list(findings)})
    body += b" " * (-len(body) % _BLOCK)
    return seal(
        cek=cek_of(region, tenant_id, stored),
        context=context_of(region, tenant_id, stored),
        plaintext=SealedContent(os.urandom(_OPENING_SIZE), body).pack(),
    )


def findings_of(*, permit: Permit, tenant_id: UUID, stored: StoredObject) -> Findings | None:
    """What the last look at this object found; None where there is none at this version of it.

    In the permit's transaction the caller checked the subject's state, as for the content.
    Raises ContentGoneError, ContentDamagedError.
    """
    row = permit.connection.execute(
        "SELECT envelope FROM vault_scan WHERE object_id = %s AND version = %s AND state = 'scanned'",
        (stored.object_id, stored.version),
    ).fetchone()
    if row is None:
        return None
    cek = cek_of(permit.region, tenant_id, stored)
    context = context_of(permit.region, tenant_id, stored)
    try:
        plaintext = open_(cek=cek, context=context, envelope=bytes(row[0]))
        said = json.loads(SealedContent.unpack(plaintext).content)
    except (EnvelopeError, ValueError) as error:
        raise ContentDamagedError("The findings of this content were changed or moved.") from error
    return Findings(said["detector"], said["findings"])


def scan_states(
    connection: psycopg.Connection[Any], object_ids: Collection[UUID], *, detector: str
) -> dict[UUID, ScanState]:
    """How far each object is with this detector; one that another version looked at is not scanned."""
    rows = connection.execute(
        "SELECT s.object_id, s.state, s.detector, s.code FROM vault_scan AS s"
        " JOIN vault_object AS o USING (tenant_id, object_id)"
        " WHERE s.object_id = ANY(%s) AND s.version = o.version AND s.detector = %s"
        " AND s.state <> 'claimed'",
        (list(object_ids), detector),
    ).fetchall()
    found = {row[0]: ScanState(cast("State", row[1]), row[2], row[3]) for row in rows}
    return {object_id: found.get(object_id, NOT_SCANNED) for object_id in object_ids}


def context_of(
    region: str, tenant_id: UUID, stored: StoredObject, data_class: str = _DATA_CLASS
) -> ObjectContext:
    """What binds an envelope to its object, beside the content's own."""
    return ObjectContext(
        region=region,
        tenant_id=tenant_id,
        subject_id=stored.subject_id,
        object_id=stored.object_id,
        version=stored.version,
        data_class=data_class,
    )


def cek_of(region: str, tenant_id: UUID, stored: StoredObject) -> bytes:
    """The object's own key, for what goes with it. Raises ContentGoneError, ContentDamagedError."""
    try:
        dek = keyring(region).key_to_open(tenant_id, stored.key_id)
        of = context_of(region, tenant_id, stored, stored.data_class)
        bound = object_cek_context(of, dek)
        return dek.unwrap(stored.wrapped_cek, bound)
    except KeyDestroyedError as error:
        raise ContentGoneError("This content can no longer be opened.") from error
    except (KeyDamagedError, WrapError, CryptoContextError) as error:
        raise ContentDamagedError("The key of this content was changed or moved.") from error
