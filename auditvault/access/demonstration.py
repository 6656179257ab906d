"""What the demo does as two of its people: one asks for a grant, the other gives it, through the services that all use.

The two prove themselves by nothing: their tokens count as made with a second factor. So this is refused unless the
settings say that whoever runs them has nothing to protect, which those for development do.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from auditvault.access.grants import services as grants
from auditvault.access.models import User
from auditvault.access.tokens import authenticate, create_token
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.grants import GrantTerms, PeriodScope
from auditvault.core.policy.roles import Role

INVESTIGATOR, OFFICER = "investigator", "privacy_officer"
_TOKENS_LIVE = timedelta(hours=12)


class DemonstrationError(AuditvaultError):
    """These settings are not for demonstrations."""

    code = "demonstration_refused"


def demonstration_tokens(*, tenant_slug: str, region: str, now: datetime) -> dict[str, str]:
    """Username -> a token of theirs, for the two; raises DemonstrationError."""
    if not settings.DEMONSTRATION:
        raise DemonstrationError("These settings let nobody in without a second factor.")
    return {
        username: create_token(
            tenant_slug=tenant_slug,
            regions=[region],
            roles=[Role(username).value],
            lifetime=_TOKENS_LIVE,
            now=now,
            description="demo",
            human=HumanId(User.objects.get(username=username).human_id),
            strong_until=now + _TOKENS_LIVE,
        )
        for username in (INVESTIGATOR, OFFICER)
    }


def demonstrate_grant(*, tokens: dict[str, str], region: str, case: str, now: datetime) -> None:
    """Have the investigator ask for what was recorded today, and the privacy officer agree."""
    terms = GrantTerms(
        case=case,
        codes=frozenset({PurposeCode.INCIDENT}),
        scope=PeriodScope(
            recorded_from=now - timedelta(days=1), recorded_before=now + timedelta(hours=1)
        ),
    )
    asker = authenticate(tokens[INVESTIGATOR], now=now)
    asked = grants.ask(credential=asker, region=region, terms=terms, now=now)
    officer = authenticate(tokens[OFFICER], now=now)
    grants.approve(credential=officer, region=region, approval_id=asked.approval_id, now=now)
