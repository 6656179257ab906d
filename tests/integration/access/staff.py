"""People of a tenant: with roles, with a second factor, some with a second account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

STRONG_FOR = timedelta(hours=12)


@dataclass(frozen=True)
class Person:
    """An account of a tenant's, in some regions."""

    tenant: Any
    user: Any
    regions: tuple[str, ...]

    @property
    def human(self):
        return self.user.human_id

    def signed_in(self, *, region=None, strong=True):
        """The credential of their session, by default proved by a second factor."""
        from auditvault.access.people import credential_of, places_of

        wanted = (self.tenant.slug, region or self.regions[0])
        place = next(p for p in places_of(self.user) if (p.tenant_slug, p.region) == wanted)
        found = credential_of(self.user, place)
        until = datetime.now(UTC) + STRONG_FOR if strong else None
        return replace(found, strong_until=until)

    def token(self, *roles, strong=True, regions=None):
        """A token of theirs, made in a session that was proved."""
        from auditvault.access.tokens import create_token

        now = datetime.now(UTC)
        return create_token(
            tenant_slug=self.tenant.slug,
            regions=regions or self.regions,
            roles=roles,
            lifetime=timedelta(hours=12),
            now=now,
            human=self.user.human_id,
            strong_until=now + STRONG_FOR if strong else None,
        )

    def headers(self, *roles, **how):
        """Request headers with such a token."""
        return {"Authorization": f"Bearer {self.token(*roles, **how)}"}


def make_person(tenant, *roles, regions=("eu",), of=None):
    """A person with these roles; with `of`, another account of the same human."""
    from auditvault.access.models import User
    from auditvault.access.people import grant_role

    fields = {"human": of.user.human} if of else {}
    user = User.objects.create_user(f"person-{uuid4().hex[:12]}", **fields)
    for region in regions:
        for role in roles:
            grant_role(username=user.username, tenant_slug=tenant.slug, region=region, role=role)
    return Person(tenant, type(user).objects.get(pk=user.pk), tuple(regions))
