"""How far the files of a request are, as people look at them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.failures import FAILURES
from auditvault.privacy.looking import record_look
from auditvault.privacy.packages.store import Package, package_of
from auditvault.privacy.requests.store import region_tags_of, request_of

log = logging.getLogger("auditvault.privacy")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageShown:
    """One region's file."""

    region: str
    is_known: bool
    """False where the caller has no rights there, or the region does not answer."""
    package: Package | None
    """None where none was ordered yet."""


def show_packages(
    *, credential: Credential, region: str, request_id: UUID, now: datetime
) -> list[PackageShown]:
    """The request's files, regions ascending; raises RequestNotFoundError, AccessNotRecordedError."""
    record_look(credential=credential, region=region, now=now)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request_of(connection, request_id)
        regions = {region, *region_tags_of(connection, request_id)}
    return [_shown(credential, each, request_id) for each in sorted(regions)]


def _shown(credential: Credential, region: str, request_id: UUID) -> PackageShown:
    if region not in credential.regions:
        return PackageShown(region=region, is_known=False, package=None)
    try:
        with tenant_scope(region_alias(region), credential.tenant_id) as connection:
            package = package_of(connection, request_id)
    except FAILURES:
        log.warning("the package of %s in %s is not to be had now", request_id, region)
        return PackageShown(region=region, is_known=False, package=None)
    return PackageShown(region=region, is_known=True, package=package)
