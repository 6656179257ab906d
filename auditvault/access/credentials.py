"""Who calls a service: a token or a signed-in person, and the human behind either.

Duties are separate by human, not by account: what somebody could do through another account or token of theirs counts
when they act. A machine's token has no human behind it; it can do nothing that takes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import role_for
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import Act, AnyRole


class HumanRequiredError(AuditvaultError):
    """Only a human may do this, and the token belongs to a machine."""

    code = "human_required"


class SecondFactorRequiredError(AuditvaultError):
    """The human has not proved themselves by a second factor, or too long ago."""

    code = "second_factor_required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Who calls: the actor as it stands in records, and what they may do on one tenant."""

    actor: str
    tenant_id: UUID
    regions: tuple[str, ...]
    roles: frozenset[AnyRole]
    human: HumanId | None = None
    """The human behind an account or a person's token; None for a machine's."""
    held: frozenset[Act] = field(default_factory=frozenset)
    """What the human may do on the tenant by all their accounts and tokens, in any region; more than `roles` allow."""
    strong_until: datetime | None = None
    """Until when the human counts as proved by a second factor; None where they are not."""

    def role_for(self, act: Act) -> AnyRole:
        """The role that allows `act`; raises AccessDeniedError or SeparationError (`core.policy.access`)."""
        return role_for(act, self.roles, held=self.held)

    def require_human(self) -> HumanId:
        """The human behind it; raises HumanRequiredError."""
        if self.human is None:
            raise HumanRequiredError("This is for people: use a person's session or token.")
        return self.human

    def require_strong(self, now: datetime) -> HumanId:
        """The human behind it, proved by a second factor; raises HumanRequiredError or SecondFactorRequiredError."""
        human = self.require_human()
        if self.strong_until is None or self.strong_until <= now:
            raise SecondFactorRequiredError("Sign in with your second factor, then try again.")
        return human
