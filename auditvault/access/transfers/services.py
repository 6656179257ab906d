"""Recording transfer bases, ending them.

Row and entry are one transaction: a crash leaves both or neither. Who may approve that content leaves a region records
why it may; `access.across` lets nobody approve a read on a basis that they recorded themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.granting import place_in
from auditvault.access.transfers import store
from auditvault.access.transfers.store import BasisRecord
from auditvault.core.ids import uuid7
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import AccessDeniedError, Act
from auditvault.core.policy.transfers import BasisKind, TransferBasis
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant

ENTRY_TYPE_RECORDED = "transfer_basis.recorded"
ENTRY_TYPE_ENDED = "transfer_basis.ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisTerms:
    """What somebody records as a basis."""

    kind: BasisKind
    reference: str
    to_region: str
    valid_from: datetime
    valid_until: datetime


def record(*, credential: Credential, region: str, terms: BasisTerms, now: datetime) -> BasisRecord:
    """Record why content of `region` may be read from another of the tenant's.

    Raises:
        HumanRequiredError, SecondFactorRequiredError, AccessDeniedError, SeparationError: the caller may not.
        TransferBasisInvalidError, PlaceUnknownError: it says nothing, or the tenant is not in the other region.
    """
    human = _officer(credential, region, now)
    basis = _basis(region, terms, human, uuid7(now))
    basis.check()
    place_in(credential.tenant_id, terms.to_region)
    made = BasisRecord(basis=basis, recorder=credential.actor, recorded_at=now)
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        store.insert(connection, credential.tenant_id, made)
        record_in(
            connection,
            log,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_RECORDED,
            details=_details(basis, credential),
        )
    return made


def end(*, credential: Credential, region: str, basis_id: UUID, now: datetime) -> BasisRecord:
    """End a basis at once; of one that was ended before, nothing is done or recorded.

    Raises as `record`, and TransferBasisNotFoundError.
    """
    _officer(credential, region, now)
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        store.read(connection, basis_id)
        if store.end(connection, credential.tenant_id, basis_id, ender=credential.actor, now=now):
            record_in(
                connection,
                log,
                record_id=new_record_id(connection),
                action=ENTRY_TYPE_ENDED,
                details={"basis": str(basis_id), "actor": credential.actor},
            )
        return store.read(connection, basis_id)


def bases(*, credential: Credential, region: str) -> list[BasisRecord]:
    """The newest of the tenant's in the region, newest first; whoever calls has recorded that somebody looks."""
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        return store.newest(connection)


def _officer(credential: Credential, region: str, now: datetime) -> HumanId:
    human = credential.require_strong(now)
    credential.role_for(Act.APPROVE_EXPORT)
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")
    return human


def _basis(region: str, terms: BasisTerms, human: HumanId, basis_id: UUID) -> TransferBasis:
    return TransferBasis(
        basis_id=basis_id,
        kind=terms.kind,
        reference=terms.reference,
        region=region,
        to_region=terms.to_region,
        valid_from=terms.valid_from.astimezone(UTC),
        valid_until=terms.valid_until.astimezone(UTC),
        recorded_by=human,
    )


def _details(basis: TransferBasis, credential: Credential) -> dict[str, JsonValue]:
    """Of the entry: accounts stand in it, as everywhere, and no human."""
    return {
        "basis": str(basis.basis_id),
        "digest": basis.digest().hex(),
        "kind": basis.kind.value,
        "reference": basis.reference,
        "to_region": basis.to_region,
        "valid_from": format_instant(basis.valid_from),
        "valid_until": format_instant(basis.valid_until),
        "actor": credential.actor,
    }
