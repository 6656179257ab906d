"""What a process does not start with: a key file that others may read, a malformed URL, a missing library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROVIDER = "AUDITVAULT_KEY_PROVIDER_EU"
FILE = "AUDITVAULT_ROOT_KEY_EU_FILE"
NOT_IMPORTABLE = """
import sys
sys.modules["hvac"] = None
import django
django.setup()
"""


@pytest.fixture
def environment(cluster: Any) -> dict[str, str]:
    """Of a web process of the region eu, without a key provider."""
    found = cluster.environment("web") | {"AUDITVAULT_REGIONS": "eu"}
    return {name: value for name, value in found.items() if "ROOT_KEY" not in name}


def start(environment: dict[str, str], program: str = "import django; django.setup()") -> Any:
    """A process that gets its applications ready, as every one does."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "root.key"
    path.write_text("a1" * 32)
    path.chmod(0o600)
    return path


def test_a_process_without_a_provider_starts(environment: dict[str, str]) -> None:
    assert start(environment).returncode == 0


@pytest.mark.parametrize("name", [PROVIDER, FILE])
def test_a_good_key_file_is_taken(environment: dict[str, str], key_file: Path, name: str) -> None:
    value = key_file.as_uri() if name == PROVIDER else str(key_file)
    assert start(environment | {name: value}).returncode == 0


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o700])
def test_a_key_file_that_others_may_read_stops_the_start(
    environment: dict[str, str], key_file: Path, mode: int
) -> None:
    key_file.chmod(mode)
    done = start(environment | {PROVIDER: key_file.as_uri()})
    assert done.returncode != 0
    assert "root_key_exposed" in done.stderr
    assert str(key_file) in done.stderr
    assert "a1a1" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "vault://host/transit/av",
        "transit://user:secret-word@host/transit/av?token-file=/t",
        "transit://host/transit/av?token=secret-word",
        "pkcs11:token=t;object=av?module-path=/m&pin-value=secret-word",
    ],
    ids=["scheme", "password", "token", "pin"],
)
def test_a_url_that_is_not_of_its_form_stops_the_start_and_is_not_repeated(
    environment: dict[str, str], url: str
) -> None:
    done = start(environment | {PROVIDER: url})
    assert done.returncode != 0
    assert PROVIDER in done.stderr
    assert "secret-word" not in done.stderr


def test_two_variables_at_once_stop_the_start(environment: dict[str, str], key_file: Path) -> None:
    done = start(environment | {PROVIDER: key_file.as_uri(), FILE: str(key_file)})
    assert done.returncode != 0
    assert "Only one of" in done.stderr


def test_a_missing_library_stops_the_start_and_its_extra_is_named(
    environment: dict[str, str],
) -> None:
    url = "transit://host/transit/av?token-file=/t"
    done = start(environment | {PROVIDER: url}, NOT_IMPORTABLE)
    assert done.returncode != 0
    assert "auditvault[transit]" in done.stderr
    # Nobody else misses it.
    assert start(environment, NOT_IMPORTABLE).returncode == 0


def test_no_library_is_imported_that_no_provider_needs(
    environment: dict[str, str], key_file: Path
) -> None:
    program = (
        "import sys, django; django.setup()\n"
        "names = ('hvac', 'boto3', 'google.cloud.kms_v1', 'azure.keyvault.keys', 'pkcs11')\n"
        "sys.exit(str([name for name in names if name in sys.modules]))"
    )
    done = start(environment | {PROVIDER: key_file.as_uri()}, program)
    assert done.stderr.strip() == "[]"


PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "settings.production",
    "AUDITVAULT_ALLOWED_HOSTS": "audit.example",
}


@pytest.mark.parametrize("name", [PROVIDER, FILE])
@pytest.mark.parametrize("override", [{}, {"AUDITVAULT_ALLOW_FILE_KEYS": "true"}])
def test_production_refuses_root_keys_in_files(
    environment: dict[str, str], key_file: Path, name: str, override: dict[str, str]
) -> None:
    value = key_file.as_uri() if name == PROVIDER else str(key_file)
    done = start(environment | PRODUCTION | override | {name: value})
    assert done.returncode != 0
    assert PROVIDER in done.stderr


@pytest.mark.parametrize("url", ["", "aws-kms://eu-central-1/av-eu"], ids=["none", "kms"])
def test_production_starts_with_a_key_service_and_without_any(
    environment: dict[str, str], url: str
) -> None:
    more = {PROVIDER: url} if url else {}
    done = start(environment | PRODUCTION | more)
    assert done.returncode == 0, done.stderr
