"""Who calls a service: a token or a signed-in person, and the human behind either.

Duties are separate by human, not by account: what somebody could do through another account or token of theirs counts
when they act. A machine's token has no human behind it; it can do nothing that takes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import role_for
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.roles import AccessDeniedError, Act, AnyRole, Role
from auditvault.core.policy.second_factor import NEED_SECOND_FACTOR

REAUTHENTICATION_LASTS = timedelta(minutes=5)


class HumanRequiredError(AuditvaultError):
    """Only a human may do this, and the token belongs to a machine."""

    code = "human_required"


class SecondFactorRequiredError(AuditvaultError):
    """The human has not proved themselves by a second factor, or too long ago."""

    code = "second_factor_required"


class ReauthenticationRequiredError(AuditvaultError):
    """What is asked for takes somebody who has just said again who they are."""

    code = "reauthentication_required"


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
    """Until when the human counts as proved by a second factor; None where they are not, or are not any more."""
    reauthenticated_at: datetime | None = None
    """When the human last said in this session who they are, by signing in or again; None for a token."""
    strong_roles: frozenset[Role] = field(default_factory=frozenset)
    """Roles with which the site lets a human do nothing at all without a second factor."""

    @property
    def is_session(self) -> bool:
        """Whether a person calls by their session, and not by a token."""
        return self.actor.startswith("user:")

    def role_for(self, act: Act) -> AnyRole:
        """The role that allows `act`.

        Raises:
            AccessDeniedError, SeparationError: no role does, or duties are not separate (`core.policy.access`).
            SecondFactorRequiredError: a human's role does, and takes a second factor that they have not proved.
        """
        if self.human is None or self.strong_until is not None:
            return role_for(act, self.roles, held=self.held)
        weak = self.roles - self.strong_roles
        try:
            role = role_for(act, weak, held=self.held)
        except AccessDeniedError:
            role_for(act, self.roles, held=self.held)
            raise _second_factor() from None
        if act in NEED_SECOND_FACTOR:
            raise _second_factor()
        return role

    def require_human(self) -> HumanId:
        """The human behind it; raises HumanRequiredError."""
        if self.human is None:
            raise HumanRequiredError("This is for people: use a person's session or token.")
        return self.human

    def require_strong(self, now: datetime) -> HumanId:
        """The human behind it, proved by a second factor; raises HumanRequiredError or SecondFactorRequiredError."""
        human = self.require_human()
        if self.strong_until is None or self.strong_until <= now:
            raise _second_factor()
        return human

    def require_recent(self, now: datetime) -> HumanId:
        """The human behind it, who said in the last five minutes who they are: for what is dangerous.

        Raises:
            HumanRequiredError: it is a machine's token.
            ReauthenticationRequiredError: it was longer ago, or the caller is a token, which cannot say it again.
        """
        human = self.require_human()
        at = self.reauthenticated_at
        if at is None or not timedelta() <= now - at <= REAUTHENTICATION_LASTS:
            raise ReauthenticationRequiredError(
                "Say again in your session who you are, then repeat this."
            )
        return human


def _second_factor() -> SecondFactorRequiredError:
    return SecondFactorRequiredError("Sign in with your second factor, then try again.")
