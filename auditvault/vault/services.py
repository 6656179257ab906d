"""What other rooms ask of the vault; the keyring stays behind this door."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from auditvault.vault.keyring.services import keyring
from auditvault.vault.sealing import Sealer
from auditvault.vault.subjects import DATA_CLASS, tenant_subject


def make_sealer(
    *, region: str, tenant_id: UUID, subjects: Collection[UUID], at: datetime
) -> Sealer:
    """A sealer for contents of these subjects and of the tenant itself, with their keys committed."""
    keys = keyring(region)
    own = tenant_subject(region=region, tenant_id=tenant_id, at=at)
    return Sealer(
        ring=keys,
        tenant_id=tenant_id,
        keys=keys.keys_to_seal(tenant_id, {*subjects, own}, DATA_CLASS),
        tenant_subject=own,
        at=at,
    )


def ensure_region_key(region: str) -> int:
    """Make the first key of a region where it has none, and see that it opens; returns the current epoch."""
    return keyring(region).ensure_epoch()


def lookup_tag(*, region: str, tenant_id: UUID, content_sha256: bytes) -> bytes:
    """The tag under which the tenant's contents with this SHA-256 are found."""
    return keyring(region).tag_keys(tenant_id).lookup_tag(content_sha256)
