"""Seals contents of a test's own tenant, changes their rows as whoever owns the database can, and opens them."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.ledger.superuser import superuser

SMALL = b"What did the doctor say about Anna?"
LARGE = bytes(range(251)) * 13_000
"""3.2 MB: four pieces."""


def seal(tenant: Any, content: bytes, *, region: str = "eu", subject: UUID | None = None) -> UUID:
    """Seal a content as ingestion does, without an entry; returns its object's id."""
    from auditvault.core.ids import uuid7
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.services import make_sealer

    at, owner = datetime.now(UTC), subject or uuid4()
    sealer = make_sealer(region=region, tenant_id=tenant.tenant_id, subjects=[owner], at=at)
    said = sealer.seal(
        subject_id=owner.bytes,
        record_id=uuid7(at).bytes,
        role="input_messages",
        body=content,
        digest=hashlib.sha256(content).digest(),
    )
    with tenant_scope(region_alias(region), tenant.tenant_id) as connection:
        sealer.write(connection, at)
    return UUID(str(said["object"]))


def seal_stream(tenant: Any, stream: Any, *, at: datetime | None = None, **given: Any) -> Any:
    """Seal what a stream gives, in a transaction of its own; returns what a header would say."""
    from auditvault.core.ids import uuid7
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.large import seal_large

    at = at or datetime.now(UTC)
    found = {"subject_id": uuid4(), "record_id": uuid7(at), "role": "input", **given}
    stream = io.BytesIO(stream) if isinstance(stream, bytes) else stream
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        return seal_large(
            connection, region="eu", tenant_id=tenant.tenant_id, stream=stream, at=at, **found
        )


def open_object(tenant: Any, object_id: UUID) -> bytes:
    """The content of one object in the region eu, however its row looks by now."""
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id, open_stored

    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        stored = objects_by_id(connection, [object_id])[object_id]
        permit = refuse_while_restore_pending(connection, "eu")
        opened = open_stored(permit=permit, tenant_id=tenant.tenant_id, stored=stored)
    return opened.content


def refusal(tenant: Any, object_id: UUID) -> tuple[str, str]:
    """Code of the error that opening the object ends with, and of the one behind it."""
    from auditvault.vault.opening import ContentGoneError

    with pytest.raises(ContentGoneError) as caught:
        open_object(tenant, object_id)
    return caught.value.code, getattr(caught.value.__cause__, "code", "")


def edit(cluster: Any, *statements: tuple[str, Any], database: str = "region_eu") -> None:
    """Run statements as the superuser, triggers off, in one transaction."""
    with superuser(cluster, database) as connection, connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement, values in statements:
            connection.execute(statement, values)


def pieces(cluster: Any, object_id: UUID) -> list[tuple[int, int]]:
    """Number and size of the object's pieces."""
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT number, octet_length(sealed) FROM vault_piece WHERE object_id = %s"
            " ORDER BY number",
            (object_id,),
        ).fetchall()
