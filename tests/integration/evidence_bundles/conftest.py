"""A verifier of somebody else's, with keys of its own and nothing of the service."""

from __future__ import annotations

import io
import json
import os

import pytest

from tests.integration.api.growing import vkey_of
from tests.integration.evidence.verdict import logs_of
from tests.reference.bare_verifier import BareVerifier


@pytest.fixture(scope="session")
def verifier(tmp_path_factory):
    return BareVerifier(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def trust(tmp_path):
    """`trust(log)` is the path of a trust file with the signer's key for that log."""

    def write(log):
        path = tmp_path / "trust.json"
        path.write_text(json.dumps({"logs": [{"vkey": vkey_of(log)}]}))
        return str(path)

    return write


@pytest.fixture
def log(tenant):
    """The tenant's interactions log in the region eu; ask for it when there is one."""
    return lambda kind="interactions": logs_of(tenant, region="eu")[kind]


@pytest.fixture
def create(tenant, tmp_path, monkeypatch):
    """`create("--headers", token=…)` is what `auditvault bundle create` printed, and its file."""
    from django.core.management import call_command

    def run(*options, token=None):
        monkeypatch.delenv("AUDITVAULT_TOKEN", raising=False)
        if token:
            monkeypatch.setenv("AUDITVAULT_TOKEN", token)
        path = tmp_path / f"{os.urandom(4).hex()}.zip"
        out = io.StringIO()
        command = ["bundle", "create", "--tenant", tenant.slug, "--region", "eu", "--json"]
        call_command(*command, "-o", str(path), *options, stdout=out)
        return json.loads(out.getvalue()), path

    return run
