"""Letters about an account. They are written beside the answer, so that its time says nothing about who there is."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from django.conf import settings
from django.core.mail import send_mail
from django.db import connections
from django.template.loader import render_to_string
from django.urls import reverse

from auditvault.access.identity import entry_links

log = logging.getLogger("auditvault.console")
# One writer: what waits is lost with the process, and whoever waits asks again.
_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


def send_reset_later(*, email: str, base: str) -> None:
    """Write to the person of that address, if there is exactly one, with a link that begins with `base`."""
    _writer.submit(_send_reset, email, base)


def _send_reset(email: str, base: str) -> None:
    if not settings.EMAIL_HOST:
        return
    try:
        found = entry_links.reset_for_address(email=email, now=datetime.now(UTC))
        if found is not None:
            person, token = found
            link = base.rstrip("/") + reverse("entry_link", kwargs={"token": token})
            text = render_to_string("console/account/reset.txt", {"link": link})
            send_mail("A new password for auditvault", text, None, [person.email])
    except Exception:  # the edge of a thread: nobody waits for it
        log.exception("a letter could not be sent")
    finally:
        connections.close_all()
