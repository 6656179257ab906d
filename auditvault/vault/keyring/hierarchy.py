"""The upper half of the hierarchy: region KEKs under the provider's root keys, tenant KEKs under region KEKs.

An epoch may end while somebody is about to use its keys. Then a row is gone, or its root key is, and an
`EpochOverError` or `RootKeyDestroyedError` says: read again, everything that lives has moved to the next epoch.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from auditvault.core.crypto.keywrap import SECRET_SIZE, KeyProvider, WrapError, WrapKey
from auditvault.core.errors import AuditvaultError
from auditvault.vault.keyring.cache import KeyCache
from auditvault.vault.keyring.contexts import region_kek_context, tenant_kek_context


class KeyDestroyedError(AuditvaultError):
    """The key that sealed an object is gone: erased, or never committed."""

    code = "key_destroyed"


class EpochOverError(KeyDestroyedError):
    """The keys of an epoch are gone: it ended after its number was read, or they were taken out of the keyring."""


class KeyDamagedError(AuditvaultError):
    """A key was changed in the keyring, or moved to where it does not belong."""

    code = "key_damaged"


class NewRegionKey(NamedTuple):
    """A region KEK that is not stored yet."""

    epoch: int
    key_id: UUID
    wrapped: bytes
    key_ref: str


class EpochKeys:
    """Region and tenant KEKs of one region, unwrapped for a minute at a time."""

    def __init__(self, region: str, provider: KeyProvider) -> None:
        self.region = region
        self.provider = provider
        self._region_keys: KeyCache[WrapKey] = KeyCache()
        self._tenant_keys: KeyCache[WrapKey] = KeyCache()

    def forget_all(self) -> None:
        """Drop every unwrapped key."""
        self._region_keys.forget_all()
        self._tenant_keys.forget_all()

    def current_epoch(self, connection: psycopg.Connection[Any]) -> int:
        """The newest epoch. The first one is made here; later ones by a turn alone."""
        query = "SELECT max(epoch) FROM keyring_region_key"
        row = connection.execute(query).fetchone()
        if row is not None and row[0] is not None:
            return int(row[0])
        made = self.new_region_key(1)
        connection.execute(
            "INSERT INTO keyring_region_key (epoch, key_id, wrapped, key_ref)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            made,
        )
        return 1

    def new_region_key(self, epoch: int) -> NewRegionKey:
        """A fresh region KEK under the epoch's root key, which is made where there is none."""
        key_id, key_ref = uuid4(), self.provider.make_key(epoch)
        context = region_kek_context(self.region, key_id, epoch)
        wrapped = self.provider.wrap(key_ref, os.urandom(SECRET_SIZE), context)
        return NewRegionKey(epoch, key_id, wrapped, key_ref)

    def region_key(self, connection: psycopg.Connection[Any], epoch: int) -> WrapKey:
        """The epoch's region KEK; raises EpochOverError or what the provider raises."""
        key = self._region_keys.get(epoch)
        if key is None:
            evictions = self._region_keys.evictions
            row = connection.execute(
                "SELECT key_id, wrapped, key_ref FROM keyring_region_key WHERE epoch = %s", (epoch,)
            ).fetchone()
            if row is None:
                raise EpochOverError("The region key of that epoch no longer exists.")
            key_id, wrapped, key_ref = row
            secret = self.provider.unwrap(
                key_ref or self.provider.make_key(1),
                bytes(wrapped),
                region_kek_context(self.region, key_id, epoch),
            )
            key = WrapKey(key_id.bytes, secret)
            self._region_keys.put(epoch, key, evictions=evictions)
        return key

    def tenant_key(
        self, connection: psycopg.Connection[Any], tenant_id: UUID, epoch: int
    ) -> WrapKey:
        """The tenant's KEK of the epoch, in the tenant's transaction; raises as `region_key`, or KeyDamagedError."""
        key = self._tenant_keys.get((tenant_id, epoch))
        if key is None:
            evictions = self._tenant_keys.evictions
            row = connection.execute(
                "SELECT key_id, wrapped FROM keyring_tenant_key WHERE tenant_id = %s AND epoch = %s",
                (tenant_id, epoch),
            ).fetchone()
            if row is None:
                raise EpochOverError("The tenant key of that epoch no longer exists.")
            region_key = self.region_key(connection, epoch)
            context = tenant_kek_context(self.region, region_key, tenant_id, row[0], epoch)
            key = unwrapped(region_key, row[0], bytes(row[1]), context)
            self._tenant_keys.put((tenant_id, epoch), key, evictions=evictions)
        return key

    def current_tenant_key(
        self, connection: psycopg.Connection[Any], tenant_id: UUID
    ) -> tuple[int, WrapKey]:
        """The newest epoch and the tenant's KEK of it, which is made, fresh, where there is none."""
        epoch = self.current_epoch(connection)
        found = connection.execute(
            "SELECT 1 FROM keyring_tenant_key WHERE tenant_id = %s AND epoch = %s",
            (tenant_id, epoch),
        ).fetchone()
        if found is None:
            key_id, wrapped = self._new_tenant_key(connection, tenant_id, epoch)
            connection.execute(
                "INSERT INTO keyring_tenant_key (tenant_id, epoch, key_id, wrapped)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (tenant_id, epoch, key_id, wrapped),
            )
        return epoch, self.tenant_key(connection, tenant_id, epoch)

    def _new_tenant_key(
        self, connection: psycopg.Connection[Any], tenant_id: UUID, epoch: int
    ) -> tuple[UUID, bytes]:
        """Random, never the secret of an earlier epoch: what an old backup holds must not be under a key that lives."""
        region_key = self.region_key(connection, epoch)
        key_id = uuid4()
        context = tenant_kek_context(self.region, region_key, tenant_id, key_id, epoch)
        return key_id, region_key.wrap(os.urandom(SECRET_SIZE), context)


def unwrapped(wrapping: WrapKey, key_id: UUID, wrapped: bytes, context: bytes) -> WrapKey:
    """The key in a row of the keyring; raises KeyDamagedError."""
    try:
        return WrapKey(key_id.bytes, wrapping.unwrap(wrapped, context))
    except WrapError as error:
        raise KeyDamagedError(f"Key {key_id} does not open where it stands.") from error
