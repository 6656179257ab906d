"""Contents with what is personal replaced: sealed under their objects' own CEKs, with numbers that stay.

Rules kept: docs/spec/renderings.md. A rendering opens as long as its content does and dies with it. The associated data
binds it to its object, the object's version and the detector, so that one detector's never opens as another's. Which
number a value has is remembered as a keyed tag, bound to the subject; no value is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import EnvelopeError, SealedContent, open_, seal
from auditvault.vault.erasures.pending import Permit
from auditvault.vault.keyring.services import keyring
from auditvault.vault.opening import ContentDamagedError, ContentGoneError, StoredObject
from auditvault.vault.scans import cek_of, context_of

Value = tuple[str, str]
"""A kind of personal data, and what is replaced, in one spelling."""

# Longer than any kind of identifier that a tenant declares: tags of neither are tags of the other.
_TAG_KIND = "value_that_a_placeholder_stands_for"
_BLOCK = 512
_SIZE = 8
_OPENING_SIZE = 32


class Rendering(NamedTuple):
    """A rendering in clear."""

    content: bytes
    detector: str
    """Version of the one that it was made by."""


def number_values(
    connection: psycopg.Connection[Any],
    *,
    region: str,
    tenant_id: UUID,
    claim: UUID,
    stored: StoredObject,
    values: Sequence[Value],
) -> dict[Value, int] | None:
    """The numbers of these values in this content; the same value has one number in everything of its subject.

    None where the claim does not hold any more, or the object is gone: then nothing is changed.
    """
    keys = keyring(region).tag_keys(tenant_id)
    tags = [
        keys.identifier_tag(_TAG_KIND, f"{stored.subject_id}:{entity}:{_unicode(value)}")
        for entity, value in values
    ]
    row = connection.execute(
        "SELECT vault_number_values(%s, %s, %s, %s::text[], %s::bytea[])",
        (claim, stored.object_id, stored.version, [entity for entity, _ in values], tags),
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return dict(zip(values, row[0], strict=True))


def seal_rendering(
    *, region: str, tenant_id: UUID, stored: StoredObject, cek: bytes, detector: str, content: bytes
) -> bytes:
    """The envelope of a rendering; its size says little of how much was replaced. `cek` is the object's."""
    body = len(content).to_bytes(_SIZE) + content
    return seal(
        cek=cek,
        context=context_of(region, tenant_id, stored, _data_class(detector)),
        plaintext=SealedContent(
            os.urandom(_OPENING_SIZE), body + bytes(-len(body) % _BLOCK)
        ).pack(),
    )


def rendered(connection: psycopg.Connection[Any], object_ids: Collection[UUID]) -> set[UUID]:
    """Those of the objects that have a rendering which may be shown: by the present detector. Nothing is opened."""
    rows = connection.execute(
        "SELECT object_id FROM vault_redacted WHERE object_id = ANY(%s)", (list(object_ids),)
    ).fetchall()
    return {row[0] for row in rows}


def open_rendering(*, permit: Permit, tenant_id: UUID, stored: StoredObject) -> Rendering:
    """Open an object's rendering. In the permit's transaction the caller checked the subject's state.

    Raises ContentGoneError where there is none that may be shown, or its key is gone; ContentDamagedError.
    """
    row = permit.connection.execute(
        "SELECT detector, envelope FROM vault_redacted WHERE object_id = %s AND version = %s",
        (stored.object_id, stored.version),
    ).fetchone()
    if row is None:
        raise ContentGoneError("There is no redacted text of this content any more.")
    context = context_of(permit.region, tenant_id, stored, _data_class(row[0]))
    try:
        plaintext = open_(
            cek=cek_of(permit.region, tenant_id, stored), context=context, envelope=bytes(row[1])
        )
        body = SealedContent.unpack(plaintext).content
    except (EnvelopeError, ValueError) as error:
        raise ContentDamagedError("The redacted text was changed or moved.") from error
    return Rendering(body[_SIZE : _SIZE + int.from_bytes(body[:_SIZE])], row[0])


def _data_class(detector: str) -> str:
    return f"redacted.{detector}"


def _unicode(value: str) -> str:
    """JSON can escape half a character, of which no tag can be made."""
    return value.encode("utf-8", "replace").decode()
