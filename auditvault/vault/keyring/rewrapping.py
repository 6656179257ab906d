"""Moves what lives from the KEKs of an ended epoch to those of the newest, a batch at a time.

The application's role reads, one tenant in a transaction; the retention role's functions write, comparing each row with
what was read. So neither password alone can move a key. A batch is one statement: a crash leaves it done or not begun,
and a key that was destroyed in between is not brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.crypto.keywrap import WrapError, WrapKey
from auditvault.ledger.scope import keys_alias, tenant_scope
from auditvault.vault.keyring.contexts import (
    SubjectKeyName,
    subject_dek_context,
    tag_secret_context,
)
from auditvault.vault.keyring.hierarchy import EpochKeys, KeyDamagedError

BATCH = 1000
_BEFORE_ALL = (UUID(int=0), "", 0)

# Subject, data class, version, key, epoch, wrapped.
Row = tuple[UUID, str, int, UUID, int, bytes]


@dataclass(slots=True, kw_only=True)
class Rewrapped:
    """What one pass over an ended epoch did."""

    subject_keys: int = 0
    tag_secrets: int = 0
    # Keys that do not open where they stand: changed, moved, or of another keyring. They stay where they are.
    damaged: list[UUID] = field(default_factory=list)


class Rewrapper:
    """Moves keys to one epoch."""

    def __init__(
        self, *, epochs: EpochKeys, retention: psycopg.Connection[Any], epoch: int
    ) -> None:
        self._epochs = epochs
        self._alias = keys_alias(epochs.region)
        self._retention = retention
        self._epoch = epoch

    def run(self, progress: Callable[[int], None]) -> Rewrapped:
        """One pass over every tenant that has something in an older epoch; `progress` hears of each batch's keys."""
        done = Rewrapped()
        for tenant_id in self._tenants("keyring_subject_key"):
            for changed in self._move_subject_keys(tenant_id, done.damaged):
                done.subject_keys += changed
                progress(changed)
        for tenant_id in self._tenants("keyring_tag_secret"):
            done.tag_secrets += self._move_tag_secrets(tenant_id, done.damaged)
        return done

    def _tenants(self, table: str) -> Iterator[UUID]:
        rows = self._retention.execute(
            f"SELECT DISTINCT tenant_id FROM {table}"  # noqa: S608  # our own words only
            " WHERE epoch < %s ORDER BY tenant_id".encode(),
            (self._epoch,),
        ).fetchall()
        return (row[0] for row in rows)

    def _move_subject_keys(self, tenant_id: UUID, damaged: list[UUID]) -> Iterator[int]:
        after: tuple[UUID, str, int] = _BEFORE_ALL
        while True:
            with tenant_scope(self._alias, tenant_id) as connection:
                new_key = self._new_tenant_key(connection, tenant_id)
                rows = _batch(connection, self._epoch, after)
                old_keys, lost = self._old_keys(connection, tenant_id, rows)
            if not rows:
                return
            after = rows[-1][:3]
            region = self._epochs.region
            openable = [row for row in rows if row[4] not in lost]
            moved, unopened = rewrap_rows(region, tenant_id, openable, old_keys, new_key)
            damaged += [*unopened, *(row[3] for row in rows if row[4] in lost)]
            yield self._write(tenant_id, moved)

    def _new_tenant_key(self, connection: psycopg.Connection[Any], tenant_id: UUID) -> WrapKey:
        epoch, key = self._epochs.current_tenant_key(connection, tenant_id)
        if epoch != self._epoch:
            raise KeyDamagedError(f"Epoch {self._epoch} is not the newest one any more.")
        return key

    def _old_keys(
        self, connection: psycopg.Connection[Any], tenant_id: UUID, rows: Sequence[Row]
    ) -> tuple[dict[int, WrapKey], set[int]]:
        """The tenant's KEK of each epoch in the rows, and the epochs whose KEK does not open."""
        keys: dict[int, WrapKey] = {}
        lost = set()
        for epoch in {row[4] for row in rows}:
            try:
                keys[epoch] = self._epochs.tenant_key(connection, tenant_id, epoch)
            except KeyDamagedError:
                lost.add(epoch)
        return keys, lost

    def _write(self, tenant_id: UUID, moved: Sequence[tuple[UUID, bytes, bytes]]) -> int:
        if not moved:
            return 0
        row = self._retention.execute(
            "SELECT keyring_rewrap_subject_keys(%s, %s, %s, %s, %s)",
            (self._epoch, tenant_id, *(list(column) for column in zip(*moved, strict=True))),
        ).fetchone()
        return int(row[0]) if row else 0

    def _move_tag_secrets(self, tenant_id: UUID, damaged: list[UUID]) -> int:
        with tenant_scope(self._alias, tenant_id) as connection:
            new_key = self._epochs.region_key(connection, self._epoch)
            rows = connection.execute(
                "SELECT version, epoch, key_id, wrapped FROM keyring_tag_secret WHERE epoch < %s",
                (self._epoch,),
            ).fetchall()
            old_keys = {row[1]: self._epochs.region_key(connection, row[1]) for row in rows}
        changed = 0
        for version, epoch, key_id, wrapped in rows:
            place = (tenant_id, key_id, version)
            try:
                secret = old_keys[epoch].unwrap(
                    bytes(wrapped),
                    tag_secret_context(self._epochs.region, old_keys[epoch], *place),
                )
            except WrapError:
                damaged.append(key_id)
                continue
            new = new_key.wrap(secret, tag_secret_context(self._epochs.region, new_key, *place))
            row = self._retention.execute(
                "SELECT keyring_rewrap_tag_secret(%s, %s, %s, %s, %s)",
                (self._epoch, tenant_id, key_id, wrapped, new),
            ).fetchone()
            changed += int(row[0]) if row else 0
        return changed


def rewrap_rows(
    region: str,
    tenant_id: UUID,
    rows: Sequence[Row],
    old_keys: dict[int, WrapKey],
    new_key: WrapKey,
) -> tuple[list[tuple[UUID, bytes, bytes]], list[UUID]]:
    """Key, old wrap and new wrap of each DEK in the rows, and the keys that do not open."""
    moved, damaged = [], []
    for subject_id, data_class, version, key_id, epoch, wrapped in rows:
        name = SubjectKeyName(subject_id, data_class, version, key_id)
        old_key, old = old_keys[epoch], bytes(wrapped)
        try:
            dek = old_key.unwrap(old, subject_dek_context(region, old_key, tenant_id, name))
        except WrapError:
            damaged.append(key_id)
            continue
        new = new_key.wrap(dek, subject_dek_context(region, new_key, tenant_id, name))
        moved.append((key_id, old, new))
    return moved, damaged


def _batch(
    connection: psycopg.Connection[Any], epoch: int, after: tuple[UUID, str, int]
) -> list[Row]:
    return connection.execute(
        "SELECT subject_id, data_class, version, key_id, epoch, wrapped FROM keyring_subject_key"
        " WHERE epoch < %s AND (subject_id, data_class, version) > (%s, %s, %s)"
        " ORDER BY subject_id, data_class, version LIMIT %s",
        (epoch, *after, BATCH),
    ).fetchall()
