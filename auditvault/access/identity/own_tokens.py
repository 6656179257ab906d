"""A person's own tokens: for scripts that work as them, never with more than they may do.

Only a session makes one: a token that makes tokens would outlive its own revocation.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from auditvault.access.credentials import Credential, HumanRequiredError
from auditvault.access.granting import Giver
from auditvault.access.machine_tokens import Maker, create_machine_token
from auditvault.access.models import User
from auditvault.access.tokens import tenant_with_id

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
        TokenRequestError, SeparationError, or what a region's database raises: as `create_machine_token`.
    """
    human = credential.require_human()
    if not credential.is_session:
        raise HumanRequiredError("A token makes no tokens: sign in.")
    if credential.strong_roles & set(roles):
        credential.require_strong(now)
    until = credential.strong_until
    made = create_machine_token(
        tenant=tenant_with_id(credential.tenant_id),
        regions=credential.regions,
        roles=roles,
        lifetime=lifetime,
        now=now,
        description=description,
        person=User.objects.get(public_id=UUID(credential.actor.removeprefix("user:"))),
        strong_until=min(until, now + STRONG_LASTS) if until else None,
        maker=Maker(
            giver=Giver(actor=credential.actor, human=human),
            regions=frozenset(credential.regions),
            held=credential.held,
        ),
    )
    return made.token
