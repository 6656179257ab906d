"""Somebody who has an old backup of the keyring, today's keyring, every root key that is left, and the vault."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import UUID

TABLES = (
    "keyring_region_key",
    "keyring_tenant_key",
    "keyring_tag_secret",
    "keyring_subject_key",
)


def copy_of_keyring(keys: Any) -> dict[str, list[dict[str, Any]]]:
    """Every row, as a backup has it."""
    copy = {}
    with keys.owner() as owner:
        for table in TABLES:
            cursor = owner.execute(f"SELECT * FROM {table}")
            names = [column.name for column in cursor.description]
            copy[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return copy


class Attacker:
    """Tries every key that it can reach on everything that it holds; an id in a context may be any that it has seen."""

    def __init__(self, keys: Any, *copies: dict[str, list[dict[str, Any]]]) -> None:
        self._rows = {table: [row for copy in copies for row in copy[table]] for table in TABLES}
        self._root_keys = [
            bytes.fromhex(path.read_text().strip())
            for path in keys.root_key.parent.iterdir()
            if not path.name.endswith(".destroyed")
        ]

    def deks(self) -> dict[UUID, Any]:
        """Every subject's key that can be had, by its id."""
        tenant_keks = self._tenant_keks(self._region_keks())
        found: dict[UUID, Any] = {}
        for row, kek in product(self._rows["keyring_subject_key"], tenant_keks):
            secret = self._try(
                kek,
                row["wrapped"],
                purpose="subject-dek",
                tenant_id=row["tenant_id"],
                subject_id=row["subject_id"],
                key_or_object_id=row["key_id"],
                version=row["version"],
                data_class=row["data_class"],
            )
            if secret is not None:
                found[row["key_id"]] = self._key(row["key_id"], secret)
        return found

    def _region_keks(self) -> list[Any]:
        from auditvault.core.crypto.keywrap import WrapError, wrap_context
        from auditvault.vault.providers import file

        found = []
        for row, root_key in product(self._rows["keyring_region_key"], self._root_keys):
            context = wrap_context(
                purpose="region-kek",
                region="us",
                key_or_object_id=row["key_id"],
                version=row["epoch"],
            )
            key = self._key(UUID(bytes=file._key_id(root_key)), root_key)
            for ref in {row["key_ref"], file._key_ref(root_key)}:
                try:
                    secret = key.unwrap(bytes(row["wrapped"]), file._associated_data(ref, context))
                except WrapError:
                    continue
                found.append(self._key(row["key_id"], secret))
        return found

    def _tenant_keks(self, region_keks: list[Any]) -> list[Any]:
        found = []
        for row, kek in product(self._rows["keyring_tenant_key"], region_keks):
            secret = self._try(
                kek,
                row["wrapped"],
                purpose="tenant-kek",
                tenant_id=row["tenant_id"],
                key_or_object_id=row["key_id"],
                version=row["epoch"],
            )
            if secret is not None:
                # The same secret may go by any id: an old row's wrap was bound to the id of its time.
                ids = {other["key_id"] for other in self._rows["keyring_tenant_key"]}
                found += [self._key(key_id, secret) for key_id in ids]
        return found

    def _try(self, kek: Any, wrapped: bytes, **context: Any) -> bytes | None:
        from auditvault.core.crypto.keywrap import WrapError, wrap_context

        bound = wrap_context(region="us", wrapping_key_id=kek.key_id, **context)
        try:
            secret: bytes = kek.unwrap(bytes(wrapped), bound)
        except WrapError:
            return None
        return secret

    @staticmethod
    def _key(key_id: UUID, secret: bytes) -> Any:
        from auditvault.core.crypto.keywrap import WrapKey

        return WrapKey(key_id, secret)
