"""Bundles of a pruned log: what is left, and the log's own word for what is not."""

from __future__ import annotations

import json
import zipfile
from io import StringIO

import pytest
from django.core.management import CommandError

from tests.integration.api.growing import vkey_of
from tests.integration.evidence_pruning.old_logs import OLD, REGION, YOUNG, run
from tests.reference.bare_verifier import BareVerifier, outcomes


@pytest.fixture
def pruned(expired, policy, run_signer):
    run(expired, policy)
    run_signer()
    assert run(expired, policy)[1]["state"] == "pruned"
    return expired


@pytest.fixture
def create(tenant, tmp_path):
    from django.core.management import call_command

    def make(*options):
        path = tmp_path / "bundle.zip"
        words = ["bundle", "create", "--tenant", tenant.slug, "--region", REGION, "--json"]
        call_command(*words, "-o", str(path), *options, stdout=StringIO())
        return path

    return make


def test_a_bundle_of_what_is_left_proves_what_is_not(pruned, create, tmp_path, tmp_path_factory):
    path = create("--from", "512")
    (tmp_path / "trust.json").write_text(json.dumps({"logs": [{"vkey": vkey_of(pruned)}]}))
    verifier = BareVerifier(tmp_path_factory.mktemp("bare"))
    code, report = verifier.run("bundle", str(path), "--trust", str(tmp_path / "trust.json"))
    assert code == 0
    assert outcomes(report)["prunes"] == "holds"
    assert f"bundle/prune/{OLD + YOUNG:019d}" in zipfile.ZipFile(path).namelist()


def test_a_bundle_of_entries_that_have_gone_is_refused_in_words(pruned, create, tmp_path):
    with pytest.raises(CommandError, match="Entries below 512 were pruned"):
        create("--from", "0")
    assert not (tmp_path / "bundle.zip").exists()
