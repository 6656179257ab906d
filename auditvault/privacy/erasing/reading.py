"""What was frozen for a request, how far it is in each region, and its certificate, as people look at them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.core.policy.manifest import Manifest
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.erasing.store import Part, certificate_of, manifest_of, part_of
from auditvault.privacy.failures import FAILURES
from auditvault.privacy.looking import record_look
from auditvault.privacy.requests.store import request_of

log = logging.getLogger("auditvault.privacy")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartShown:
    """How far a request is in a region."""

    region: str
    is_known: bool
    """False where the caller has no rights there, or the region does not answer."""
    part: Part | None
    """None where nothing was ordered yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestShown:
    """What was frozen, and what has become of it."""

    digest: bytes
    manifest: Manifest
    parts: list[PartShown]
    """One for each region of the manifest, in its order."""


def show_manifest(
    *, credential: Credential, region: str, request_id: UUID, now: datetime
) -> ManifestShown:
    """What stands frozen for a request; raises RequestNotFoundError, ManifestNotFoundError, AccessNotRecordedError."""
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        digest = request_of(connection, request_id).request.manifest
        manifest = manifest_of(connection, request_id, digest)
    return ManifestShown(
        digest=digest or b"",
        manifest=manifest,
        parts=[_part(credential, found.region, request_id) for found in manifest.regions],
    )


def show_certificate(
    *, credential: Credential, region: str, request_id: UUID, now: datetime
) -> bytes:
    """The signed certificate; raises RequestNotFoundError, CertificateNotFoundError, AccessNotRecordedError."""
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request_of(connection, request_id)
        return certificate_of(connection, request_id)


def _part(credential: Credential, region: str, request_id: UUID) -> PartShown:
    if region not in credential.regions:
        return PartShown(region=region, is_known=False, part=None)
    try:
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            return PartShown(region=region, is_known=True, part=part_of(connection, request_id))
    except FAILURES:
        log.warning("the part of request %s in %s is not to be had now", request_id, region)
        return PartShown(region=region, is_known=False, part=None)
