"""For who lost every second factor: an operator forgets them, and the person starts again with a new password.

The password goes with the factors: a session is bound to it, so all of the person's sessions end, and whoever holds the
old password alone gets in no more. `auditvault person reset` then makes the link.
"""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import transaction

from auditvault.access.account_log import ENTRY_TYPE_FACTORS_FORGOTTEN, record_account
from auditvault.access.identity.entry_links import InvitationError
from auditvault.access.models import User
from auditvault.access.rights_log import OPERATOR_ACTOR


def forget_factors(*, username: str) -> None:
    """Forget a person's factors and password; raises InvitationError where there is nobody of that name."""
    with transaction.atomic():
        person = User.objects.select_for_update().filter(username=username).first()
        if person is None:
            raise InvitationError("There is no such person.")
        record_account(ENTRY_TYPE_FACTORS_FORGOTTEN, account=person, actor=OPERATOR_ACTOR)
        Authenticator.objects.filter(user=person).delete()
        person.set_unusable_password()
        person.save(update_fields=["password"])


def seed_app(*, username: str) -> str:
    """Give a person an authenticator app without their doing, and return its secret: for the demo alone."""
    person = User.objects.get(username=username)
    secret = str(generate_totp_secret())
    Authenticator.objects.filter(user=person).delete()
    TOTP.activate(person, secret)
    return secret
