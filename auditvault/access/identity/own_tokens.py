"""A person's own tokens: for scripts that work as them, never with more than they may do.

Only a session makes one: a token that makes tokens would outlive its own revocation.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from auditvault.access.credentials import Credential, HumanRequiredError
from auditvault.access.models import Tenant
from auditvault.access.tokens import create_token

STRONG_LASTS = timedelta(hours=12)


def create_own_token(
    *,
    credential: Credential,
    roles: Collection[str],
    lifetime: timedelta,
    now: datetime,
    description: str = "",
) -> str:
    """Make a token of the person who calls, in the place where they are, and return it; it is never shown again.

    It counts as proved by a second factor for 12 hours, where the session does, and for no longer than the session.

    Raises:
        HumanRequiredError: a token calls.
        SecondFactorRequiredError: the site lets nobody use one of the roles without a second factor.
        TokenRequestError, SeparationError: as `create_token`.
    """
    human = credential.require_human()
    if not credential.is_session:
        raise HumanRequiredError("A token makes no tokens: sign in.")
    if credential.strong_roles & set(roles):
        credential.require_strong(now)
    until = credential.strong_until
    return create_token(
        tenant_slug=Tenant.objects.get(tenant_id=credential.tenant_id).slug,
        regions=credential.regions,
        roles=roles,
        lifetime=lifetime,
        now=now,
        description=description,
        human=human,
        strong_until=min(until, now + STRONG_LASTS) if until else None,
    )
