"""The keys of one region: made on first use, wrapped at rest, unwrapped for a minute at a time.

root key (provider) -> region KEK of an epoch -> tenant KEK of that epoch -> subject data keys. Each arrow is a wrap;
docs/spec/keys.md says what each wrap is bound to.

A key row is committed before anything is sealed under it. Crash between the two: a key without objects, which is
harmless and is swept. The other order could lose an acknowledged record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg.errors import ForeignKeyViolation

from auditvault.core.crypto.keywrap import (
    SECRET_SIZE,
    KeyProvider,
    RootKeyDestroyedError,
    WrapKey,
)
from auditvault.core.crypto.tags import TenantTagKeys
from auditvault.ledger.scope import keys_alias, tenant_scope
from auditvault.vault.keyring.cache import KeyCache, SingleFlight
from auditvault.vault.keyring.contexts import (
    SubjectKeyName,
    subject_dek_context,
    tag_secret_context,
)
from auditvault.vault.keyring.hierarchy import (
    EpochKeys,
    EpochOverError,
    KeyDestroyedError,
    unwrapped,
)
from auditvault.vault.keyring.listening import KeyListener
from auditvault.vault.providers.of_region import provider_of

_TAG_VERSION = 1
# An epoch that ends between two statements is read anew; it does not end twice within so short a time.
_READINGS = 3

Found = TypeVar("Found")
_SubjectRow = tuple[UUID, UUID, str, int, UUID, int, bytes]


class Keyring:
    """Keys of one region for this process."""

    def __init__(self, region: str, provider: KeyProvider) -> None:
        self.region = region
        self._alias = keys_alias(region)
        self.epochs = EpochKeys(region, provider)
        self._begin_process()

    def ensure_epoch(self) -> int:
        """The current epoch, its region KEK made and committed where there is none; raises where it does not open."""
        self._own_process()
        return self._read(UUID(int=0), self._opened_epoch)

    def tag_keys(self, tenant_id: UUID) -> TenantTagKeys:
        """The keys behind the tenant's lookup and identifier tags."""
        self._own_process()
        keys = self._tags.get((tenant_id,))
        if keys is not None:
            return keys
        with self._flights.of(("tags", tenant_id)):
            keys = self._tags.get((tenant_id,))
            if keys is None:
                evictions = self._tags.evictions
                secret = self._read(tenant_id, lambda at: self._tag_secret(at, tenant_id))
                keys = TenantTagKeys.derive(secret, self.region, tenant_id.bytes)
                self._tags.put((tenant_id,), keys, evictions=evictions)
        return keys

    def keys_to_seal(
        self, tenant_id: UUID, subjects: Collection[UUID], data_class: str
    ) -> dict[UUID, WrapKey]:
        """A live data key for each subject, made and committed where there is none."""
        self._own_process()
        keys, missing = self._cached_to_seal(tenant_id, subjects, data_class)
        if not missing:
            return keys
        with self._flights.of(("seal", tenant_id)):
            more, missing = self._cached_to_seal(tenant_id, missing, data_class)
            keys |= more
            if missing:
                evictions = self._to_seal.evictions
                loaded = self._read(
                    tenant_id, lambda at: self._load_or_make(at, tenant_id, missing, data_class)
                )
                for subject_id, key in loaded.items():
                    place = (tenant_id, subject_id, data_class)
                    self._to_seal.put(place, key, evictions=evictions)
                keys |= loaded
        return keys

    def key_to_open(self, tenant_id: UUID, key_id: UUID) -> WrapKey:
        """The one key of that id; raises KeyDestroyedError where it is gone. No other key is ever tried."""
        self._own_process()
        key = self._to_open.get((tenant_id, key_id))
        if key is not None:
            return key
        with self._flights.of(("open", tenant_id, key_id)):
            key = self._to_open.get((tenant_id, key_id))
            if key is None:
                evictions = self._to_open.evictions
                key = self._read(tenant_id, lambda at: self._key_by_id(at, tenant_id, key_id))
                self._to_open.put((tenant_id, key_id), key, evictions=evictions)
        return key

    def new_version(self, tenant_id: UUID, subject_id: UUID, data_class: str) -> UUID | None:
        """Make a further version of a subject's live key, and return its id; None where there is no live key.

        Sealers take it from the end of their minute on, and at once where they hear of it.
        """
        self._own_process()
        return self._read(
            tenant_id, lambda at: self._add_version(at, tenant_id, subject_id, data_class)
        )

    # --- what is remembered ----------------------------------------------------------------------------------

    def forget(self, tenant_id: UUID, subject_id: UUID, data_class: str, key_id: UUID) -> None:
        """Drop a key that was destroyed."""
        self._to_seal.forget((tenant_id, subject_id, data_class))
        self._to_open.forget((tenant_id, key_id))

    def forget_tenant(self, tenant_id: UUID) -> None:
        """Drop the tenant's data keys and tag keys: some of them were destroyed."""

        def is_tenants(key: Hashable) -> bool:
            return isinstance(key, tuple) and key[0] == tenant_id

        for cache in (self._to_seal, self._to_open, self._tags):
            cache.forget_all(matching=is_tenants)

    def forget_epochs(self) -> None:
        """Drop region and tenant KEKs: an epoch has ended. Data keys live on."""
        self.epochs.forget_all()

    def forget_all(self) -> None:
        """Drop everything: word of a destruction may have been missed."""
        self.forget_epochs()
        for cache in (self._to_seal, self._to_open, self._tags):
            cache.forget_all()

    def _begin_process(self) -> None:
        self._process = os.getpid()
        self._tags: KeyCache[TenantTagKeys] = KeyCache()
        self._to_seal: KeyCache[WrapKey] = KeyCache()
        self._to_open: KeyCache[WrapKey] = KeyCache()
        # A burst of requests for a key that has expired asks the database once.
        self._flights = SingleFlight()
        self._listener = KeyListener(self._alias, self)

    def _own_process(self) -> None:
        """A forked child has no listening thread, and locks that nobody will ever let go: it begins anew."""
        if os.getpid() != self._process:
            self.epochs = EpochKeys(self.region, self.epochs.provider)
            self._begin_process()
        self._listener.ensure()

    def _read(self, tenant_id: UUID, work: Callable[[psycopg.Connection[Any]], Found]) -> Found:
        """Work in a transaction of the tenant's; from the start again where the epoch that it read has ended since."""
        for reading in range(_READINGS):
            try:
                with tenant_scope(self._alias, tenant_id) as connection:
                    return work(connection)
            except (EpochOverError, RootKeyDestroyedError, ForeignKeyViolation):
                self.forget_epochs()
                if reading == _READINGS - 1:
                    raise
        raise AssertionError("the last reading returns or raises")

    def _opened_epoch(self, connection: psycopg.Connection[Any]) -> int:
        epoch = self.epochs.current_epoch(connection)
        self.epochs.region_key(connection, epoch)
        return epoch

    # --- subject keys ----------------------------------------------------------------------------------------

    def _cached_to_seal(
        self, tenant_id: UUID, subjects: Iterable[UUID], data_class: str
    ) -> tuple[dict[UUID, WrapKey], list[UUID]]:
        keys, missing = {}, []
        for subject_id in subjects:
            key = self._to_seal.get((tenant_id, subject_id, data_class))
            if key is None:
                missing.append(subject_id)
            else:
                keys[subject_id] = key
        return keys, missing

    def _key_by_id(
        self, connection: psycopg.Connection[Any], tenant_id: UUID, key_id: UUID
    ) -> WrapKey:
        row = connection.execute(
            "SELECT subject_id, data_class, version, epoch, wrapped FROM keyring_subject_key"
            " WHERE tenant_id = %s AND key_id = %s",
            (tenant_id, key_id),
        ).fetchone()
        if row is None:
            raise KeyDestroyedError("The key of this content no longer exists.")
        subject_id, data_class, version, epoch, wrapped = row
        name = SubjectKeyName(subject_id, data_class, version, key_id)
        return self._subject_key(connection, tenant_id, name, epoch, wrapped)

    def _subject_key(
        self,
        connection: psycopg.Connection[Any],
        tenant_id: UUID,
        name: SubjectKeyName,
        epoch: int,
        wrapped: bytes,
    ) -> WrapKey:
        tenant_key = self.epochs.tenant_key(connection, tenant_id, epoch)
        context = subject_dek_context(self.region, tenant_key, tenant_id, name)
        return unwrapped(tenant_key, name.key_id, bytes(wrapped), context)

    def _load_or_make(
        self,
        connection: psycopg.Connection[Any],
        tenant_id: UUID,
        subjects: list[UUID],
        data_class: str,
    ) -> dict[UUID, WrapKey]:
        live, last_version = self._subject_rows(connection, tenant_id, subjects, data_class)
        missing = [subject for subject in subjects if subject not in live]
        if missing:
            epoch, tenant_key = self.epochs.current_tenant_key(connection, tenant_id)
            names = [
                SubjectKeyName(subject, data_class, last_version.get(subject, 0) + 1, uuid4())
                for subject in sorted(missing)
            ]
            rows = [self._new_row(tenant_id, tenant_key, epoch, name) for name in names]
            _insert_subject_keys(connection, rows)
            # Another process may have been first: what stands in the table is what counts.
            made, _ = self._subject_rows(connection, tenant_id, missing, data_class)
            live |= made
        return live

    def _subject_rows(
        self,
        connection: psycopg.Connection[Any],
        tenant_id: UUID,
        subjects: Iterable[UUID],
        data_class: str,
    ) -> tuple[dict[UUID, WrapKey], dict[UUID, int]]:
        rows = connection.execute(
            "SELECT subject_id, version, key_id, epoch, wrapped, retired_at IS NULL"
            " FROM keyring_subject_key WHERE subject_id = ANY(%s) AND data_class = %s ORDER BY version",
            (list(subjects), data_class),
        ).fetchall()
        newest = {row[0]: row for row in rows}
        live = {
            subject_id: self._subject_key(
                connection,
                tenant_id,
                SubjectKeyName(subject_id, data_class, version, key_id),
                epoch,
                wrapped,
            )
            for subject_id, version, key_id, epoch, wrapped, is_live in newest.values()
            if is_live
        }
        return live, {subject_id: row[1] for subject_id, row in newest.items()}

    def _new_row(
        self, tenant_id: UUID, tenant_key: WrapKey, epoch: int, name: SubjectKeyName
    ) -> _SubjectRow:
        context = subject_dek_context(self.region, tenant_key, tenant_id, name)
        wrapped = tenant_key.wrap(os.urandom(SECRET_SIZE), context)
        subject_id, data_class, version, key_id = name
        return tenant_id, subject_id, data_class, version, key_id, epoch, wrapped

    def _add_version(
        self,
        connection: psycopg.Connection[Any],
        tenant_id: UUID,
        subject_id: UUID,
        data_class: str,
    ) -> UUID | None:
        live, last_version = self._subject_rows(connection, tenant_id, [subject_id], data_class)
        if subject_id not in live:
            return None
        epoch, tenant_key = self.epochs.current_tenant_key(connection, tenant_id)
        name = SubjectKeyName(subject_id, data_class, last_version[subject_id] + 1, uuid4())
        _insert_subject_keys(connection, [self._new_row(tenant_id, tenant_key, epoch, name)])
        # Another process may have been first: then its version is the newest.
        made, _ = self._subject_rows(connection, tenant_id, [subject_id], data_class)
        return UUID(bytes=made[subject_id].key_id)

    # --- tag secrets -----------------------------------------------------------------------------------------

    def _tag_secret(self, connection: psycopg.Connection[Any], tenant_id: UUID) -> bytes:
        query = "SELECT epoch, key_id, wrapped FROM keyring_tag_secret WHERE version = %s"
        row = connection.execute(query, (_TAG_VERSION,)).fetchone()
        if row is None:
            self._make_tag_secret(connection, tenant_id)
            row = connection.execute(query, (_TAG_VERSION,)).fetchone()
        if row is None:
            raise KeyDestroyedError("The tenant's tag secret no longer exists.")
        epoch, key_id, wrapped = row
        region_key = self.epochs.region_key(connection, epoch)
        context = tag_secret_context(self.region, region_key, tenant_id, key_id, _TAG_VERSION)
        return region_key.unwrap(bytes(wrapped), context)

    def _make_tag_secret(self, connection: psycopg.Connection[Any], tenant_id: UUID) -> None:
        epoch = self.epochs.current_epoch(connection)
        region_key = self.epochs.region_key(connection, epoch)
        key_id = uuid4()
        context = tag_secret_context(self.region, region_key, tenant_id, key_id, _TAG_VERSION)
        wrapped = region_key.wrap(os.urandom(SECRET_SIZE), context)
        connection.execute(
            "INSERT INTO keyring_tag_secret (tenant_id, version, epoch, key_id, wrapped)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (tenant_id, _TAG_VERSION, epoch, key_id, wrapped),
        )


def _insert_subject_keys(connection: psycopg.Connection[Any], rows: list[_SubjectRow]) -> None:
    """One statement in a fixed order, so that two processes making keys for the same people cannot deadlock."""
    connection.execute(
        "INSERT INTO keyring_subject_key"
        " (tenant_id, subject_id, data_class, version, key_id, epoch, wrapped)"
        " SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::uuid[], %s::int[],"
        " %s::bytea[]) ON CONFLICT DO NOTHING",
        [list(column) for column in zip(*rows, strict=True)],
    )


_keyrings: dict[str, Keyring] = {}


def opened_keyring(region: str) -> Keyring | None:
    """The region's keyring, where this process has used it."""
    return _keyrings.get(region)


def keyring(region: str) -> Keyring:
    """This process's keyring of a region it serves."""
    if region not in _keyrings:
        keys_alias(
            region
        )  # refuses a region that this process does not serve, before its key is touched
        _keyrings[region] = Keyring(region, provider_of(region))
    return _keyrings[region]
