"""The keys of one region: made on first use, wrapped at rest, unwrapped for a minute at a time.

root key (provider) -> region KEK of an epoch -> tenant KEK of that epoch -> subject data keys. Each arrow is a wrap;
docs/spec/keys.md says what each wrap is bound to.

A key row is committed before anything is sealed under it. Crash between the two: a key without objects, which is
harmless and is swept. The other order could lose an acknowledged record.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID, uuid4

import psycopg

from auditvault.core.crypto.keywrap import (
    SECRET_SIZE,
    KeyProvider,
    Purpose,
    WrapError,
    WrapKey,
    wrap_context,
)
from auditvault.core.crypto.tags import TenantTagKeys
from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import keys_alias, tenant_scope
from auditvault.vault.keyring.cache import KeyCache
from auditvault.vault.providers.of_region import provider_of

_TAG_VERSION = 1


class KeyDestroyedError(AuditvaultError):
    """The key that sealed an object is gone: erased, or never committed."""

    code = "key_destroyed"


class KeyDamagedError(AuditvaultError):
    """A key was changed in the keyring, or moved to where it does not belong."""

    code = "key_damaged"


class Keyring:
    """Keys of one region for this process."""

    def __init__(self, region: str, provider: KeyProvider) -> None:
        self.region = region
        self._provider = provider
        self._alias = keys_alias(region)
        self._region_keys: KeyCache[WrapKey] = KeyCache()
        self._tenant_keys: KeyCache[WrapKey] = KeyCache()
        self._tags: KeyCache[TenantTagKeys] = KeyCache()
        self._to_seal: KeyCache[WrapKey] = KeyCache()
        self._to_open: KeyCache[WrapKey] = KeyCache()
        # One loader at a time: a burst of requests for an expired key asks the database once.
        self._loading = threading.Lock()

    def tag_keys(self, tenant_id: UUID) -> TenantTagKeys:
        """The keys behind the tenant's lookup and identifier tags."""
        keys = self._tags.get(tenant_id)
        if keys is None:
            with self._loading, tenant_scope(self._alias, tenant_id) as connection:
                secret = self._tag_secret(connection, tenant_id)
            keys = TenantTagKeys.derive(secret, self.region, tenant_id.bytes)
            self._tags.put(tenant_id, keys)
        return keys

    def keys_to_seal(
        self, tenant_id: UUID, subjects: Collection[UUID], data_class: str
    ) -> dict[UUID, WrapKey]:
        """A live data key for each subject, made and committed where there is none."""
        keys = {}
        missing = []
        for subject_id in subjects:
            key = self._to_seal.get((tenant_id, subject_id, data_class))
            if key is None:
                missing.append(subject_id)
            else:
                keys[subject_id] = key
        if missing:
            with self._loading:
                loaded = self._load_or_make(tenant_id, missing, data_class)
            for subject_id, key in loaded.items():
                self._to_seal.put((tenant_id, subject_id, data_class), key)
            keys |= loaded
        return keys

    def key_to_open(self, tenant_id: UUID, key_id: UUID) -> WrapKey:
        """The one key of that id; raises KeyDestroyedError where it is gone. No other key is ever tried."""
        key = self._to_open.get((tenant_id, key_id))
        if key is not None:
            return key
        with self._loading, tenant_scope(self._alias, tenant_id) as connection:
            row = connection.execute(
                "SELECT subject_id, data_class, version, epoch, wrapped FROM keyring_subject_key"
                " WHERE key_id = %s",
                (key_id,),
            ).fetchone()
            if row is None:
                raise KeyDestroyedError("The key of this content no longer exists.")
            subject_id, data_class, version, epoch, wrapped = row
            tenant_key = self._tenant_key(connection, tenant_id, epoch)
            context = self._subject_context(
                tenant_key, tenant_id, subject_id, key_id, version, data_class
            )
            key = _unwrapped(tenant_key, key_id, bytes(wrapped), context)
        self._to_open.put((tenant_id, key_id), key)
        return key

    def forget(self, tenant_id: UUID, subject_id: UUID, data_class: str, key_id: UUID) -> None:
        """Drop a key that was destroyed."""
        self._to_seal.forget((tenant_id, subject_id, data_class))
        self._to_open.forget((tenant_id, key_id))

    # --- subject keys --------------------------------------------------------------------------------------

    def _load_or_make(
        self, tenant_id: UUID, subjects: list[UUID], data_class: str
    ) -> dict[UUID, WrapKey]:
        with tenant_scope(self._alias, tenant_id) as connection:
            live, last_version = self._subject_rows(connection, tenant_id, subjects, data_class)
            missing = [subject for subject in subjects if subject not in live]
            if missing:
                epoch, tenant_key = self._current_tenant_key(connection, tenant_id)
                rows = [
                    self._new_subject_row(
                        tenant_key,
                        tenant_id,
                        subject,
                        data_class,
                        last_version.get(subject, 0) + 1,
                        epoch,
                    )
                    for subject in sorted(missing)
                ]
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
        live: dict[UUID, WrapKey] = {}
        last_version: dict[UUID, int] = {}
        for subject_id, version, key_id, epoch, wrapped, is_live in rows:
            last_version[subject_id] = version
            live.pop(subject_id, None)
            if is_live:
                tenant_key = self._tenant_key(connection, tenant_id, epoch)
                context = self._subject_context(
                    tenant_key, tenant_id, subject_id, key_id, version, data_class
                )
                live[subject_id] = _unwrapped(tenant_key, key_id, bytes(wrapped), context)
        return live, last_version

    def _new_subject_row(
        self,
        tenant_key: WrapKey,
        tenant_id: UUID,
        subject_id: UUID,
        data_class: str,
        version: int,
        epoch: int,
    ) -> tuple[UUID, UUID, str, int, UUID, int, bytes]:
        key_id = uuid4()
        context = self._subject_context(
            tenant_key, tenant_id, subject_id, key_id, version, data_class
        )
        wrapped = tenant_key.wrap(os.urandom(SECRET_SIZE), context)
        return tenant_id, subject_id, data_class, version, key_id, epoch, wrapped

    def _subject_context(
        self,
        tenant_key: WrapKey,
        tenant_id: UUID,
        subject_id: UUID,
        key_id: UUID,
        version: int,
        data_class: str,
    ) -> bytes:
        return wrap_context(
            purpose="subject-dek",
            region=self.region,
            tenant_id=tenant_id,
            subject_id=subject_id,
            key_or_object_id=key_id,
            version=version,
            data_class=data_class,
            wrapping_key_id=tenant_key.key_id,
        )

    # --- tenant and region keys ------------------------------------------------------------------------------

    def _current_tenant_key(
        self, connection: psycopg.Connection[Any], tenant_id: UUID
    ) -> tuple[int, WrapKey]:
        epoch = self._current_epoch(connection)
        if (
            connection.execute(
                "SELECT 1 FROM keyring_tenant_key WHERE epoch = %s", (epoch,)
            ).fetchone()
            is None
        ):
            region_key = self._region_key(connection, epoch)
            key_id = uuid4()
            context = self._key_context("tenant-kek", region_key, tenant_id, key_id, epoch)
            connection.execute(
                "INSERT INTO keyring_tenant_key (tenant_id, epoch, key_id, wrapped)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (tenant_id, epoch, key_id, region_key.wrap(os.urandom(SECRET_SIZE), context)),
            )
        return epoch, self._tenant_key(connection, tenant_id, epoch)

    def _tenant_key(
        self, connection: psycopg.Connection[Any], tenant_id: UUID, epoch: int
    ) -> WrapKey:
        key = self._tenant_keys.get((tenant_id, epoch))
        if key is None:
            row = connection.execute(
                "SELECT key_id, wrapped FROM keyring_tenant_key WHERE epoch = %s", (epoch,)
            ).fetchone()
            if row is None:
                raise KeyDestroyedError("The tenant key of that epoch no longer exists.")
            region_key = self._region_key(connection, epoch)
            context = self._key_context("tenant-kek", region_key, tenant_id, row[0], epoch)
            key = _unwrapped(region_key, row[0], bytes(row[1]), context)
            self._tenant_keys.put((tenant_id, epoch), key)
        return key

    def _tag_secret(self, connection: psycopg.Connection[Any], tenant_id: UUID) -> bytes:
        query = "SELECT epoch, key_id, wrapped FROM keyring_tag_secret WHERE version = %s"
        row = connection.execute(query, (_TAG_VERSION,)).fetchone()
        if row is None:
            epoch = self._current_epoch(connection)
            region_key = self._region_key(connection, epoch)
            key_id = uuid4()
            context = self._key_context("tag-secret", region_key, tenant_id, key_id, _TAG_VERSION)
            connection.execute(
                "INSERT INTO keyring_tag_secret (tenant_id, version, epoch, key_id, wrapped)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (
                    tenant_id,
                    _TAG_VERSION,
                    epoch,
                    key_id,
                    region_key.wrap(os.urandom(SECRET_SIZE), context),
                ),
            )
            row = connection.execute(query, (_TAG_VERSION,)).fetchone()
        if row is None:
            raise KeyDestroyedError("The tenant's tag secret no longer exists.")
        region_key = self._region_key(connection, row[0])
        context = self._key_context("tag-secret", region_key, tenant_id, row[1], _TAG_VERSION)
        return region_key.unwrap(bytes(row[2]), context)

    def _current_epoch(self, connection: psycopg.Connection[Any]) -> int:
        query = "SELECT max(epoch) FROM keyring_region_key"
        row = connection.execute(query).fetchone()
        if row is not None and row[0] is not None:
            return int(row[0])
        key_id, key_ref = uuid4(), self._provider.make_key(1)
        wrapped = self._provider.wrap(
            key_ref, os.urandom(SECRET_SIZE), self._region_context(key_id, 1)
        )
        connection.execute(
            "INSERT INTO keyring_region_key (epoch, key_id, wrapped, key_ref)"
            " VALUES (1, %s, %s, %s) ON CONFLICT DO NOTHING",
            (key_id, wrapped, key_ref),
        )
        return 1

    def _region_key(self, connection: psycopg.Connection[Any], epoch: int) -> WrapKey:
        key = self._region_keys.get(epoch)
        if key is None:
            row = connection.execute(
                "SELECT key_id, wrapped, key_ref FROM keyring_region_key WHERE epoch = %s", (epoch,)
            ).fetchone()
            if row is None:
                raise KeyDestroyedError("The region key of that epoch no longer exists.")
            key_id, wrapped, key_ref = row
            context = self._region_context(key_id, epoch)
            secret = self._provider.unwrap(
                key_ref or self._provider.make_key(1), bytes(wrapped), context
            )
            key = WrapKey(key_id.bytes, secret)
            self._region_keys.put(epoch, key)
        return key

    def _region_context(self, key_id: UUID, epoch: int) -> bytes:
        return wrap_context(
            purpose="region-kek",
            region=self.region,
            key_or_object_id=key_id,
            version=epoch,
        )

    def _key_context(
        self, purpose: Purpose, region_key: WrapKey, tenant_id: UUID, key_id: UUID, version: int
    ) -> bytes:
        return wrap_context(
            purpose=purpose,
            region=self.region,
            tenant_id=tenant_id,
            key_or_object_id=key_id,
            version=version,
            wrapping_key_id=region_key.key_id,
        )


def _unwrapped(wrapping: WrapKey, key_id: UUID, wrapped: bytes, context: bytes) -> WrapKey:
    """The key in a row of the keyring; raises KeyDamagedError."""
    try:
        return WrapKey(key_id.bytes, wrapping.unwrap(wrapped, context))
    except WrapError as error:
        raise KeyDamagedError(f"Key {key_id} does not open where it stands.") from error


def _insert_subject_keys(
    connection: psycopg.Connection[Any],
    rows: list[tuple[UUID, UUID, str, int, UUID, int, bytes]],
) -> None:
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
