"""A tenant's log in the region `us`, a directory to copy it to, and the verifier's verdict on what is there."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.evidence.verdict import logs_of
from tests.integration.ingest.sending import chat, protobuf_of, send

REGION = "us"


class Copying:
    """One log, and where it is copied to."""

    def __init__(self, client, tenant, run_signer, store):
        from django.conf import settings

        from auditvault.evidence.copies.services import Target
        from auditvault.evidence.verification import read_log_keys

        self._client, self._tenant, self._run_signer = client, tenant, run_signer
        keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        self.target = Target(region=REGION, store=store, digest=os.urandom(32), keys=keys)

    def record(self, count):
        """So many entries more, signed; a whole request is one append."""
        spans = [chat(f"{n}") for n in range(count)]
        headers = self._tenant.headers("ingest", regions=(REGION,))
        assert (
            send(self._client, self._tenant, protobuf_of(*spans), headers=headers).status_code
            == 200
        )
        self._run_signer()

    @property
    def log(self):
        return logs_of(self._tenant)["interactions"]

    def copy(self, store=None, **options):
        """One run over this log, into another store where one is given."""
        from auditvault.evidence.copies.services import Round, copy_log

        found = Round()
        target = self.target if store is None else replace(self.target, store=store)
        copy_log(target, self.log, found, **options)
        return found

    def check(self):
        """What the copy says of the log: (finding, index)."""
        from auditvault.evidence.copies.checking import check_copies

        return [(each.finding, each.index) for each in check_copies(self.target)]

    def checkpoints(self):
        """Sizes that were copied."""
        from auditvault.evidence.copies.reading import copied_names

        return [name.size for name in copied_names(self.target.store, self.log.origin)]

    def progress(self):
        from auditvault.evidence.copies.progress import read_progress
        from auditvault.ledger.scope import region_alias, tenant_scope

        log = self.log
        with tenant_scope(region_alias(REGION), log.tenant_id) as connection:
            return read_progress(connection, log, self.target.digest)


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "copies"
    made.mkdir()
    return made


@pytest.fixture
def copying(client, tenant, run_signer, directory):
    """An empty directory and a log of 300 entries: one full tile and an edge."""
    from auditvault.evidence.copies.store import DirectoryStore

    found = Copying(client, tenant, run_signer, DirectoryStore(directory))
    found.record(300)
    return found


@pytest.fixture
def trust(tmp_path, copying):
    """The verifier's own trust file."""
    return write_trust(tmp_path / "trust.json", copying)


def write_trust(path, copying):
    keys = [key.encoded() for key in copying.target.keys]
    logs = [{"public_key": key, "origins": [copying.log.origin]} for key in keys]
    path.write_text(json.dumps({"logs": logs}))
    return path


def verdict_on(directory, trust, capsys):
    """Exit code of `auditvault-verify tiles`, and the size that it found."""
    from auditvault.verifier.main import main

    capsys.readouterr()
    code = main(["tiles", str(directory), "--trust", str(trust), "--json"])
    return code, (json.loads(capsys.readouterr().out)["log"] or {}).get("size")
