"""Payload policies as they are stored: in versions, of a tenant or of the whole region.

Setting one, and what a crash leaves behind:

1. The operator's log records version and hash, in one transaction.  Crash after: it never comes into force.
2. The row is inserted; from its commit on, requests that begin read it.

Two people who set at the same time: the second insertion finds the version taken, and is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
from django.db import IntegrityError

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.payload import PayloadPolicy
from auditvault.ledger.admin.services import OPERATOR, record_operation
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.statements import Statement

ENTRY_TYPE_SET = "payload_policy.set"
_CURRENT = Statement("SELECT of_tenant, version, document FROM auditvault_payload_policy()")


class PolicyRaceError(AuditvaultError):
    """Somebody else set a policy at the same moment."""

    code = "payload_policy_race"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One stored version."""

    tenant_id: UUID
    version: int
    set_at: datetime
    record_id: UUID
    document: bytes

    @property
    def name(self) -> str:
        """As headers name it: `tenant/3`, or `region/2` for the region's own."""
        return _name(self.tenant_id, self.version)


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy that a request is under."""

    name: str
    policy: PayloadPolicy


def policy_in_force(connection: psycopg.Connection[Any]) -> InForce | None:
    """The policy of the transaction's tenant, as it is now; None where everything is kept."""
    rows = _CURRENT.run(connection)
    if not rows:
        return None
    tenant_id, version, document = (field or b"" for field in rows[0])
    return _read(UUID(bytes=tenant_id), int.from_bytes(version), document)


@lru_cache(maxsize=256)
def _read(tenant_id: UUID, version: int, document: bytes) -> InForce:
    return InForce(_name(tenant_id, version), PayloadPolicy.parse(document))


def set_policy(*, region: str, tenant_id: UUID, document: bytes) -> PolicyVersion:
    """Bring a policy into force for a tenant, or for the region under the nil UUID.

    Raises:
        PayloadPolicyError: it is none; nothing was recorded.
        PolicyRaceError: another one was set meanwhile.
    """
    PayloadPolicy.parse(document)
    known = policy_versions(region=region, tenant_id=tenant_id)
    version = known[-1].version + 1 if known else 1
    record_id = record_operation(
        region=region,
        action=ENTRY_TYPE_SET,
        details={
            "tenant": str(tenant_id),
            "version": version,
            "sha256": sha256(document).hexdigest(),
        },
    )
    try:
        with tenant_scope(region_alias(region), tenant_id) as connection:
            connection.execute(
                "INSERT INTO payload_policy (tenant_id, version, set_at, record_id, document)"
                " VALUES (%s, %s, clock_timestamp(), %s, %s)",
                (tenant_id, version, record_id, document),
            )
    except (IntegrityError, psycopg.errors.UniqueViolation) as error:
        raise PolicyRaceError(
            f"Version {version} was set by somebody else meanwhile. Look at it with `show`, and set again."
        ) from error
    return policy_versions(region=region, tenant_id=tenant_id)[version - 1]


def policy_versions(*, region: str, tenant_id: UUID) -> Sequence[PolicyVersion]:
    """Every version of a tenant's policy, or of the region's own, oldest first; the last is in force."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        rows = connection.execute(
            "SELECT version, set_at, record_id, document FROM payload_policy WHERE tenant_id = %s"
            " ORDER BY version",
            (tenant_id,),
        ).fetchall()
    return [
        PolicyVersion(
            tenant_id=tenant_id,
            version=version,
            set_at=set_at,
            record_id=record_id,
            document=bytes(document),
        )
        for version, set_at, record_id, document in rows
    ]


def _name(tenant_id: UUID, version: int) -> str:
    return f"{'region' if tenant_id == OPERATOR else 'tenant'}/{version}"
