"""The mail server that alerts go out through, from one URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from settings import environment as env

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is handed in; without a host, nowhere."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Literal["", "starttls", "from_the_start"] = ""


def mail_server(variable: str, password_variable: str) -> MailServer:
    """`smtp+starttls://user@host`, `smtps://user@host:465`, or `smtp://localhost` in clear on this machine only."""
    url = env.text(variable, "")
    if not url:
        return MailServer()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or parts.password or parts.path.strip("/"):
        raise ImproperlyConfigured(
            f"{variable} must be smtp+starttls://user@host:port or smtps://user@host:port, without a password."
        )
    if parts.scheme == "smtp" and host not in _LOOPBACK:
        raise ImproperlyConfigured(
            f"{variable}: mail goes in clear to this machine only; use smtp+starttls:// or smtps://."
        )
    tls: dict[str, Literal["", "starttls", "from_the_start"]] = {
        "smtp": "",
        "smtp+starttls": "starttls",
        "smtps": "from_the_start",
    }
    return MailServer(
        host=host,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=env.secret_file(password_variable) if parts.username else "",
        tls=tls[parts.scheme],
    )
