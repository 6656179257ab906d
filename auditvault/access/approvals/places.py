"""Whose approvals a caller has to do with: their tenant's, and where they speak for the operator, the region's own.

A plan that means no tenant more than another stands under the nil UUID, in the operator's log. The roles that count for
it are those on one tenant: the one that AUDITVAULT_OPERATOR_TENANT names, or the only one there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from auditvault.access.approvals.store import ApprovalNotFoundError, ApprovalRecord, read
from auditvault.access.credentials import Credential
from auditvault.access.models import Tenant
from auditvault.core.policy.access import AccessDeniedError
from auditvault.core.policy.approvals import APPROVED_BY, Operation, Plan
from auditvault.core.policy.roles import Act, acts_of_roles
from auditvault.ledger.admin.services import OPERATOR
from auditvault.ledger.scope import region_alias, tenant_scope


class OperationDeniedError(AccessDeniedError):
    """The caller may ask for other things, and not for this one."""

    code = "operation_denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The tenants whose approvals a caller may have to do with in a region: theirs, and perhaps the nil UUID."""

    region: str
    tenant_ids: tuple[UUID, ...]

    def find(self, approval_id: UUID) -> ApprovalRecord:
        """The approval; raises ApprovalNotFoundError, for another tenant's as for none."""
        for tenant_id in self.tenant_ids:
            with tenant_scope(region_alias(self.region), tenant_id) as connection:
                try:
                    return read(connection, approval_id)
                except ApprovalNotFoundError:
                    continue
        raise ApprovalNotFoundError("There is no such approval.")

    def tenant_of(self, approval_id: UUID) -> UUID:
        """Under which of the tenants it stands; raises ApprovalNotFoundError."""
        return self.find(approval_id).plan.tenant_id


def places_of(credential: Credential, region: str) -> Places:
    """The caller's places in the region; raises AccessDeniedError where the credential is not for it."""
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")
    own = (credential.tenant_id,)
    return Places(
        region=region, tenant_ids=(*own, OPERATOR) if speaks_for_operator(own[0]) else own
    )


def place_of(credential: Credential, plan: Plan) -> None:
    """Refuse a plan for a tenant or region of others; raises AccessDeniedError or OperationDeniedError."""
    if plan.tenant_id not in places_of(credential, plan.region).tenant_ids:
        raise OperationDeniedError("You cannot ask for that for another tenant.")


def speaks_for_operator(tenant_id: UUID) -> bool:
    """Whether roles on this tenant count for what concerns the region as a whole."""
    named = settings.OPERATOR_TENANT
    if named:
        return Tenant.objects.filter(tenant_id=tenant_id, slug=named).exists()
    return list(Tenant.objects.values_list("tenant_id", flat=True)[:2]) == [tenant_id]


def check_visible(credential: Credential, record: ApprovalRecord) -> None:
    """Raise ApprovalNotFoundError unless the caller asked for it, could decide about it, or is an auditor."""
    if record.plan.operation in visible_operations(credential):
        return
    if credential.human is None or record.approval.requested_by != credential.human:
        raise ApprovalNotFoundError("There is no such approval.")


def visible_operations(credential: Credential) -> frozenset[Operation]:
    """Operations of which the caller sees every approval."""
    acts = acts_of_roles(credential.roles)
    if Act.READ_ACCESS_LOG in acts:
        return frozenset(Operation)
    return frozenset(operation for operation, needed in APPROVED_BY.items() if needed in acts)
