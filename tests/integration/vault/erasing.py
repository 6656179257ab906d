"""Erases people, and says what of them is left."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from tests.integration.ledger.superuser import superuser

CLAIM = hashlib.sha256(b"as the sender hashed it").hexdigest()
AT = datetime(2026, 11, 24, 22, tzinfo=UTC)
VAULT_TABLES = ("vault_identifier", "vault_object", "vault_record")


class CutOffError(Exception):
    """Where a test ends an erasure."""


def finish_all() -> int:
    """Go on with what was left unfinished, as the job does."""
    from auditvault.vault.shred import finish_unfinished

    return finish_unfinished(region="eu", at=AT)


def subject_of(cluster: Any, tenant: Any, kind: str = "user", *, region: str = "eu") -> UUID:
    """The one subject that an identifier of this kind leads to."""
    with superuser(cluster, f"region_{region}") as connection:
        rows = connection.execute(
            "SELECT subject_id FROM vault_identifier WHERE tenant_id = %s AND kind = %s",
            (tenant.tenant_id, kind),
        ).fetchall()
    ((found,),) = rows
    return UUID(str(found))


def erase(tenant: Any, *subjects: UUID, reference: UUID | None = None, region: str = "eu") -> Any:
    """Destroy what belongs to the subjects."""
    from auditvault.vault.shred import destroy

    return destroy(
        region=region,
        tenant_id=tenant.tenant_id,
        subjects=subjects,
        reference=reference or uuid4(),
        at=AT,
    )


def left(cluster: Any, tenant: Any, subject: UUID, *, region: str = "eu") -> dict[str, int]:
    """Rows that belong to the subject, by table, and its keys."""
    found = {}
    with superuser(cluster, f"region_{region}") as connection:
        for table in VAULT_TABLES:
            found[table] = _count(connection, table, tenant, subject)
    with superuser(cluster, f"keys_{region}") as connection:
        found["keys"] = _count(connection, "keyring_subject_key", tenant, subject)
    return found


NOTHING = {**dict.fromkeys(VAULT_TABLES, 0), "keys": 0}


def state_of(cluster: Any, tenant: Any, subject: UUID, *, region: str = "eu") -> str:
    with superuser(cluster, f"region_{region}") as connection:
        (state,) = connection.execute(
            "SELECT state FROM vault_subject WHERE tenant_id = %s AND subject_id = %s",
            (tenant.tenant_id, subject),
        ).fetchone()
    return str(state)


def records(region: str = "eu") -> list[Any]:
    """Every record of the region's erasure ledger, verified."""
    from auditvault.core.tlog.erasure_ledger import ErasureChain
    from auditvault.vault.erasures.keys import trusted_keys
    from auditvault.vault.erasures.store import ledger_files

    files, chain = ledger_files(region), ErasureChain(region, trusted_keys())
    return [chain.add(files.read(index)) for index in range(files.size())]


def heads(cluster: Any, region: str = "eu") -> set[tuple[int, str]]:
    """Where the ledger, the region and its keyring stand; one element if they agree."""
    from auditvault.core.tlog.erasure_ledger import NO_HASH, record_hash
    from auditvault.vault.erasures.store import ledger_files

    files = ledger_files(region)
    last = files.size() - 1
    found = {(last, (record_hash(files.read(last)) if last >= 0 else NO_HASH).hex())}
    for database, table in (
        (f"region_{region}", "erasure_state"),
        (f"keys_{region}", "keyring_erasure_state"),
    ):
        with superuser(cluster, database) as connection:
            found.add(
                connection.execute(f"SELECT idx, encode(hash, 'hex') FROM {table}").fetchone()
            )
    return found


@contextmanager
def hold(cluster: Any, tenant: Any, subject: UUID | None = None, key: UUID | None = None) -> Any:
    """Inside the block a hold is on the keys; yields its reference."""
    hold_id, reference = uuid4(), uuid4()
    with superuser(cluster, "keys_eu") as connection:
        placed = connection.execute(
            "SELECT keyring_place_hold(%s, %s, %s, %s, %s)",
            (hold_id, tenant.tenant_id, subject, key, reference),
        ).fetchone()
        assert placed == (True,)
        try:
            yield reference
        finally:
            connection.execute("SELECT keyring_release_hold(%s, %s)", (hold_id, tenant.tenant_id))


def _count(connection: Any, table: str, tenant: Any, subject: UUID) -> int:
    (found,) = connection.execute(
        f"SELECT count(*) FROM {table} WHERE tenant_id = %s AND subject_id = %s",
        (tenant.tenant_id, subject),
    ).fetchone()
    return int(found)
