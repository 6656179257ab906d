"""`check --deploy` under the settings of production: clean where a site is whole, and what is not is found."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reference/system-checks.md"
CODE = (ROOT / "auditvault/cli/deployment_checks.py", ROOT / "auditvault/api/checks.py")


@pytest.fixture
def site(tmp_path):
    """The variables of a whole site of one region. Nothing is connected to."""
    secret = tmp_path / "secret"
    secret.write_text(secrets.token_urlsafe(60))
    for name in ("policy", "ca.pem"):
        (tmp_path / name).write_text("made up\n")
    database = "postgresql://u@db.example/{}?sslmode=verify-full"
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "settings.production",
        "AUDITVAULT_HOME": str(tmp_path),
        "AUDITVAULT_SECRET_KEY_FILE": str(secret),
        "AUDITVAULT_ALLOWED_HOSTS": "audit.example",
        "AUDITVAULT_REGIONS": "eu",
        "AUDITVAULT_CONTROL_URL": database.format("control"),
        "AUDITVAULT_REGION_EU_URL": database.format("region"),
        "AUDITVAULT_KEYS_EU_URL": database.format("keys"),
        "AUDITVAULT_RETENTION_EU_URL": database.format("region"),
        "AUDITVAULT_KEY_PROVIDER_EU": "aws-kms://eu-central-1/av-eu",
        "AUDITVAULT_ERASURE_LEDGER_EU_DIR": str(tmp_path),
        "AUDITVAULT_COPIES_EU_URL": "s3://copies/eu",
        "AUDITVAULT_WITNESS_POLICY_FILE": str(tmp_path / "policy"),
        "AUDITVAULT_TSA_URL": "https://tsa.example/",
        "AUDITVAULT_TSA_CA_FILE": str(tmp_path / "ca.pem"),
    }


def check(environment, *words):
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING", *words],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_whole_site_is_clean(site):
    done = check(site)

    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues (0 silenced)" in done.stdout


def test_a_site_that_lacks_what_it_can_do_without_is_told_so(site):
    lacking = "RETENTION KEY_PROVIDER ERASURE_LEDGER COPIES WITNESS TSA".split()  # noqa: SIM905
    bare = {
        k: v for k, v in site.items() if not k.startswith(tuple(f"AUDITVAULT_{w}" for w in lacking))
    }
    bare["AUDITVAULT_CONTROL_URL"] = "postgresql://u@db.example/control"

    done = check(bare)

    found = re.findall(r"\((auditvault\.[EW]\d+)\)", done.stderr)
    assert found == [f"auditvault.W01{digit}" for digit in range(7)]


def test_a_site_where_one_person_does_what_takes_two_is_told_so(site):
    done = check(site | {"AUDITVAULT_COMMANDS_WITHOUT_APPROVAL": "yes"})

    assert re.findall(r"\((auditvault\.[EW]\d+)\)", done.stderr) == ["auditvault.W017"]


def test_a_root_key_in_a_file_stops_a_production_site(site):
    done = check(site | {"AUDITVAULT_KEY_PROVIDER_EU": "file:///etc/root.key"})

    assert done.returncode != 0
    assert "Production keeps no root keys in files" in done.stderr


# What the settings of a test run do not have, and those of production do.
SOUND = {
    "KEY_PROVIDERS": {"eu": "aws-kms://eu-central-1/av-eu"},
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 365 * 24 * 3600,
}


def without(name):
    return lambda s: {
        "DATABASES": {alias: found for alias, found in s.DATABASES.items() if alias != name}
    }


def with_database(name, like=None):
    return lambda s: {
        "DATABASES": s.DATABASES | {name: s.DATABASES[like] if like else {"OPTIONS": {}}}
    }


def with_policy(**directives):
    return lambda _: {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": directives}}


def to(name, value):
    return lambda _: {name: value}


BROKEN = [
    ("auditvault.E010", to("DEBUG", value=True)),
    ("auditvault.E011", to("KEY_PROVIDERS", {"eu": "file:///etc/root.key"})),
    ("auditvault.E012", without("keys_eu")),
    ("auditvault.E013", with_database("keys_eu", like="region_eu")),
    ("auditvault.E014", with_database("other")),
    ("auditvault.E015", to("FILE_UPLOAD_HANDLERS", ["django.core.files.uploadhandler.TemporaryFileUploadHandler"])),
    ("auditvault.E016", to("DEFAULT_EXCEPTION_REPORTER_FILTER", "django.views.debug.SafeExceptionReporterFilter")),
    ("auditvault.E017", to("SESSION_COOKIE_SAMESITE", "None")),
    ("auditvault.E017", to("SESSION_COOKIE_SECURE", value=False)),
    ("auditvault.E017", to("CSRF_COOKIE_HTTPONLY", value=False)),
    ("auditvault.E018", to("SECURE_HSTS_SECONDS", 60)),
    ("auditvault.E018", to("SECURE_SSL_REDIRECT", value=False)),
    ("auditvault.E019", to("SECURE_REFERRER_POLICY", "unsafe-url")),
    ("auditvault.E020", with_policy(**{"default-src": ["'self'"], "script-src": ["'unsafe-inline'"]})),
    ("auditvault.E020", with_policy(**{"script-src": ["'self'"]})),
    ("auditvault.E021", to("MIDDLEWARE", [])),
]  # fmt: skip


@pytest.mark.parametrize(("found_id", "change"), BROKEN)
def test_what_breaks_a_rule_is_an_error(service, monkeypatch, found_id, change):
    from django.conf import UserSettingsHolder, settings

    from auditvault.cli import deployment_checks

    changed = UserSettingsHolder(settings._wrapped)
    for name, value in (SOUND | change(settings)).items():
        setattr(changed, name, value)
    monkeypatch.setattr(deployment_checks, "settings", changed)

    found = deployment_checks.deployment(None)

    assert [message.id for message in found if message.is_serious()] == [found_id]


def test_every_check_is_documented_and_no_other():
    known = re.compile(r"auditvault\.[EW]\d{3}")
    made = {found for path in CODE for found in known.findall(path.read_text(encoding="utf-8"))}

    assert set(known.findall(PAGE.read_text(encoding="utf-8"))) == made
