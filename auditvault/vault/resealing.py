"""An object is sealed anew under a new CEK: for a CEK that somebody may know.

The content is opened and sealed as the next version of the object, with the same opening, so the header's commitment
holds as before. One statement puts the new version in the old one's place: a crash leaves the one or the other. What
was copied from the database before still opens under the old CEK; that nobody can take back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.crypto.envelope import ObjectContext, SealedContent, seal
from auditvault.core.crypto.keywrap import SECRET_SIZE
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import record_operation
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.keyring.contexts import object_cek_context
from auditvault.vault.keyring.services import keyring
from auditvault.vault.opening import (
    ContentGoneError,
    StoredObject,
    is_large,
    objects_by_id,
    open_stored,
)
from auditvault.vault.resealing_large import place_of, replace_large, seal_large_anew
from auditvault.vault.subjects import SubjectErasedError, refuse_unless_readable

ENTRY_TYPE_RESEALED = "key.resealed"


class ObjectMissingError(AuditvaultError):
    """There is no object of that id."""

    code = "object_missing"


@dataclass(slots=True, kw_only=True)
class Resealed:
    """What became of the objects that were named."""

    resealed: int = 0
    missing: int = 0
    """There is no such object."""
    unreadable: int = 0
    """Erased, restricted, damaged, or its key is gone."""
    changed: int = 0
    """Somebody changed the row meanwhile: ask again."""


def objects_of(*, region: str, tenant_id: UUID, subject_id: UUID) -> list[UUID]:
    """Every object of a subject."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        rows = connection.execute(
            "SELECT object_id FROM vault_object WHERE subject_id = %s ORDER BY object_id",
            (subject_id,),
        ).fetchall()
    return [row[0] for row in rows]


def reseal(*, region: str, tenant_id: UUID, object_ids: Iterable[UUID]) -> Resealed:
    """Seal these objects anew, one by one; raises RegionUnavailableError without the retention role's credentials."""
    vault = retention_connection(region)
    done = Resealed()
    for object_id in object_ids:
        try:
            replaced = _reseal(region, vault, tenant_id, object_id)
        except ObjectMissingError:
            done.missing += 1
        except (SubjectErasedError, ContentGoneError):
            done.unreadable += 1
        else:
            done.resealed += replaced
            done.changed += not replaced
    if done.resealed:
        details: dict[str, JsonValue] = {"objects": done.resealed}
        record_operation(region=region, action=ENTRY_TYPE_RESEALED, details=details)
    return done


def _reseal(region: str, vault: psycopg.Connection[Any], tenant_id: UUID, object_id: UUID) -> bool:
    """Whether the next version took the object's place."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        stored = objects_by_id(connection, [object_id]).get(object_id)
        if stored is None:
            raise ObjectMissingError("There is no such object.")
        permit = refuse_while_restore_pending(connection, region)
        refuse_unless_readable(connection, [stored.subject_id])
        if is_large(stored):
            large = seal_large_anew(permit, tenant_id, stored)
        else:
            opened = open_stored(permit=permit, tenant_id=tenant_id, stored=stored)
    # Outside the transaction: its role's own connection must not wait for us.
    if is_large(stored):
        return replace_large(vault, tenant_id, stored, large)
    plaintext = SealedContent(opened.opening, opened.content).pack()
    new = _next_version(region, tenant_id, stored, plaintext)
    row = vault.execute(
        "SELECT vault_reseal_object(%s, %s, %s, %s, %s, %s, %s, %s)",
        (*place_of(tenant_id, stored), *new),
    ).fetchone()
    return row is not None and bool(row[0])


def _next_version(
    region: str, tenant_id: UUID, stored: StoredObject, plaintext: bytes
) -> tuple[bytes, bytes]:
    dek = keyring(region).key_to_open(tenant_id, stored.key_id)
    cek, version = os.urandom(SECRET_SIZE), stored.version + 1
    context = ObjectContext(
        region=region,
        tenant_id=tenant_id,
        subject_id=stored.subject_id,
        object_id=stored.object_id,
        version=version,
        data_class=stored.data_class,
    )
    bound = object_cek_context(context, dek)
    return dek.wrap(cek, bound), seal(cek=cek, context=context, plaintext=plaintext)
