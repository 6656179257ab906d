"""What each wrap in the keyring is bound to (docs/spec/envelope.md section 3). Every wrap and unwrap asks here."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from auditvault.core.crypto.envelope import ObjectContext
from auditvault.core.crypto.keywrap import WrapKey, wrap_context


class SubjectKeyName(NamedTuple):
    """Which subject's key a row holds, apart from what wraps it."""

    subject_id: UUID
    data_class: str
    version: int
    key_id: UUID


def region_kek_context(region: str, key_id: UUID, epoch: int) -> bytes:
    """Of a region KEK under the provider's root key."""
    return wrap_context(purpose="region-kek", region=region, key_or_object_id=key_id, version=epoch)


def tenant_kek_context(
    region: str, region_key: WrapKey, tenant_id: UUID, key_id: UUID, epoch: int
) -> bytes:
    """Of a tenant KEK under the region KEK of its epoch."""
    return wrap_context(
        purpose="tenant-kek",
        region=region,
        tenant_id=tenant_id,
        key_or_object_id=key_id,
        version=epoch,
        wrapping_key_id=region_key.key_id,
    )


def tag_secret_context(
    region: str, region_key: WrapKey, tenant_id: UUID, key_id: UUID, version: int
) -> bytes:
    """Of a tag secret under a region KEK."""
    return wrap_context(
        purpose="tag-secret",
        region=region,
        tenant_id=tenant_id,
        key_or_object_id=key_id,
        version=version,
        wrapping_key_id=region_key.key_id,
    )


def subject_dek_context(
    region: str, tenant_key: WrapKey, tenant_id: UUID, name: SubjectKeyName
) -> bytes:
    """Of a subject's DEK under its tenant's KEK."""
    return wrap_context(
        purpose="subject-dek",
        region=region,
        tenant_id=tenant_id,
        subject_id=name.subject_id,
        key_or_object_id=name.key_id,
        version=name.version,
        data_class=name.data_class,
        wrapping_key_id=tenant_key.key_id,
    )


def object_cek_context(of: ObjectContext, subject_key: WrapKey) -> bytes:
    """Of an object's CEK under its subject's DEK."""
    return wrap_context(
        purpose="object-cek",
        region=of.region,
        tenant_id=of.tenant_id,
        subject_id=of.subject_id,
        key_or_object_id=of.object_id,
        version=of.version,
        data_class=of.data_class,
        wrapping_key_id=subject_key.key_id,
    )
