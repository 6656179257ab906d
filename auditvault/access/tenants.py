"""Tenants, their regions, and the people who work on them."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from auditvault.access.models import Tenant, TenantRegion, User
from auditvault.access.people import grant_role
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import Role


class TenantRequestError(AuditvaultError):
    """A tenant cannot be made as asked."""

    code = "tenant_request_invalid"


def create_tenant(
    *, slug: str, name: str, regions: Collection[str], served: Collection[str]
) -> Tenant:
    """Make a tenant in some of the regions that this site serves; existing ones are kept and extended.

    Raises:
        TenantRequestError: a region that this site does not serve, or none at all.
    """
    if not regions or not set(regions) <= set(served):
        raise TenantRequestError(f"This site serves the regions {', '.join(sorted(served))}.")
    with transaction.atomic():
        tenant, _ = Tenant.objects.get_or_create(slug=slug, defaults={"name": name})
        for region in sorted(set(regions)):
            TenantRegion.objects.get_or_create(tenant=tenant, region=region)
    return tenant


def tenant_in(*, slug: str, region: str) -> UUID:
    """The id of a tenant that has that region.

    Raises:
        TenantRequestError: there is no such tenant, or it has no such region.
    """
    place = TenantRegion.objects.filter(tenant__slug=slug, region=region).first()
    if place is None:
        raise TenantRequestError("There is no such tenant, or it is not in that region.")
    return place.tenant_id


def tenant_of(slug: str) -> UUID:
    """The id of a tenant; raises TenantRequestError."""
    found = Tenant.objects.filter(slug=slug).first()
    if found is None:
        raise TenantRequestError("There is no such tenant.")
    return found.tenant_id


def create_person(
    *, username: str, password: str, tenant_slug: str, roles: Collection[Role]
) -> None:
    """Make a member of staff with the same roles in every region of a tenant, or reset an existing one's password.

    Raises:
        SeparationError: the roles together are too much for one person; then nothing was made.
    """
    with transaction.atomic():
        user, _ = User.objects.get_or_create(username=username)
        user.set_password(password)
        user.save()
        for place in TenantRegion.objects.filter(tenant__slug=tenant_slug):
            for role in roles:
                grant_role(
                    username=username,
                    tenant_slug=tenant_slug,
                    region=place.region,
                    role=role.value,
                )
