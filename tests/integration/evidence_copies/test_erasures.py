"""The erasure ledger is copied record by record, and a ledger that lost one is found by the copy."""

from __future__ import annotations

import shutil
from hashlib import sha256

import pytest

from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.vault.erasing import erase, subject_of


@pytest.fixture
def erased(copying, client, tenant, cluster, monkeypatch, tmp_path):
    """A ledger of the region with at least one record, of which a copy is used that may be damaged."""
    from django.conf import settings

    headers = tenant.headers("ingest", regions=("us",))
    assert (
        send(client, tenant, protobuf_of(chat("a", user="anna")), headers=headers).status_code
        == 200
    )
    erase(tenant, subject_of(cluster, tenant, region="us"), region="us")
    directory = tmp_path / "erasures"
    shutil.copytree(settings.ERASURE_LEDGER_DIRS["us"], directory)
    monkeypatch.setattr(
        settings, "ERASURE_LEDGER_DIRS", {**settings.ERASURE_LEDGER_DIRS, "us": str(directory)}
    )
    return directory


def copy(copying):
    from auditvault.evidence.copies.erasures import copy_erasures

    return copy_erasures(copying.target)


def test_every_record_is_copied_under_its_hash_once(copying, directory, erased):
    records = [path.read_bytes() for path in erased.iterdir()]
    assert (copy(copying), copy(copying)) == (len(records), 0)
    folder = directory / "ledger" / "us" / "erasures"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        sha256(record).hexdigest(): record for record in records
    }


def test_a_ledger_that_was_cut_is_found_by_the_copy(copying, erased):
    from auditvault.evidence.copies.erasures import ErasureCopyContradictsError

    copy(copying)
    max(erased.iterdir()).unlink()
    with pytest.raises(ErasureCopyContradictsError):
        copy(copying)


def test_a_record_that_is_not_proved_is_not_copied(copying, directory, erased):
    from auditvault.core.errors import AuditvaultError

    path = max(erased.iterdir())
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data.replace(b'"version":1', b'"version":2'))
    with pytest.raises(AuditvaultError):
        copy(copying)
    assert not (directory / "ledger" / "us" / "erasures").exists()


def test_the_job_copies_it_and_names_what_is_wrong_with_it(copying, directory, erased, monkeypatch):
    from datetime import UTC, datetime

    from auditvault.evidence.copies import jobs
    from auditvault.evidence.copies.services import Round
    from auditvault.evidence.jobs import JobFailedError

    monkeypatch.setattr(jobs, "region_target", lambda _region, _now: copying.target)
    monkeypatch.setattr(jobs, "copy_region", lambda _target: Round())
    now = datetime.now(UTC)
    count = len(list(erased.iterdir()))
    assert jobs._copy("us", now)["erasures"] == count
    max(erased.iterdir()).unlink()
    with pytest.raises(JobFailedError) as failed:
        jobs._copy("us", now)
    assert failed.value.detail["bad"] == {"us/erasures": "erasure_copy_contradicts"}
