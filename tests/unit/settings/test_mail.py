"""The mail server, as the environment says it."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings.mail import mail_server


def read(monkeypatch, url, password_file=""):
    monkeypatch.setenv("TEST_SMTP_URL", url)
    monkeypatch.setenv("TEST_SMTP_FILE", str(password_file))
    return mail_server("TEST_SMTP_URL", "TEST_SMTP_FILE")


def test_none_is_none(monkeypatch):
    assert read(monkeypatch, "").host == ""


def test_the_password_is_in_a_file(monkeypatch, tmp_path):
    (tmp_path / "p").write_text("secret\n")
    found = read(monkeypatch, "smtp+starttls://us%40x@mail.example", tmp_path / "p")
    assert (found.host, found.port, found.user, found.password, found.tls) == (
        "mail.example",
        587,
        "us@x",
        "secret",
        "starttls",
    )
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail.example",
        "http://localhost",
        "smtps://user:password@mail.example",
        "smtps://",
        "smtps://host:notaport",
        "smtps://host/path",
    ],
)
def test_what_would_send_in_clear_or_is_no_mail_server_stops_the_start(monkeypatch, url):
    with pytest.raises(ImproperlyConfigured):
        read(monkeypatch, url)
