"""One e-mail about an alert, to one person."""

from __future__ import annotations

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage

from auditvault.core.errors import AuditvaultError


class MailFailedError(AuditvaultError):
    """The mail server did not take it; `reason` is a word for the record."""

    code = "mail_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The mail server did not take the message: {reason}.")
        self.reason = reason


def send_mail(*, to: str, subject: str, text: str, message_id: str) -> None:
    """Hand a message to the mail server; a second one with the same `message_id` is recognised as such.

    Raises MailFailedError.
    """
    if not settings.EMAIL_HOST:
        raise MailFailedError("no_mail_server")
    message = EmailMessage(
        subject=subject,
        body=text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[to],
        headers={"Message-ID": f"<{message_id}>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except smtplib.SMTPResponseException as error:
        raise MailFailedError(f"smtp_{error.smtp_code}") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise MailFailedError("address_refused") from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailFailedError("unreachable") from error
    except ValueError as error:  # an address with a line break in it, say
        raise MailFailedError("address_invalid") from error
