"""Copying into a directory: once, whole, and believed by a stranger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tests.integration.evidence_copies.conftest import REGION, verdict_on
from tests.integration.ledger.superuser import superuser

RECORD = b'{"v":"1"}'


def files(directory):
    """Name -> content and the time it was last written, of everything that was copied."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in found
    }


def test_a_copy_holds_for_the_offline_verifier(copying, directory, trust, capsys):
    copying.copy()
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 300)


def test_a_copied_log_has_exactly_what_its_checkpoint_needs(copying, directory):
    found = copying.copy()
    folder = f"logs/{copying.log.origin}"
    (note,) = (directory / folder / "checkpoints").iterdir()
    assert (found.objects, set(files(directory))) == (
        6,
        {
            f"{folder}/tile/0/000",
            f"{folder}/tile/0/001.p/44",
            f"{folder}/tile/1/000.p/1",
            f"{folder}/tile/entries/000",
            f"{folder}/tile/entries/001.p/44",
            f"{folder}/checkpoints/{300:019d}-{sha256(note.read_bytes()).hexdigest()}",
        },
    )


def test_copying_again_writes_nothing(copying, directory):
    copying.copy()
    before = files(directory)
    assert (copying.copy().objects, files(directory)) == (0, before)


def test_a_log_that_grew_gets_another_checkpoint_and_keeps_the_first(
    copying, directory, trust, capsys
):
    copying.copy()
    before = files(directory)
    copying.record(250)
    copying.copy()
    after = files(directory)
    assert copying.checkpoints() == [300, 550]
    assert {name: after[name] for name in before} == before
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 550)


def test_lost_progress_catches_up_without_writing(copying, directory, cluster):
    copying.copy()
    before, known = files(directory), copying.progress()
    forget_progress(cluster, copying)
    assert (copying.copy().objects, files(directory)) == (0, before)
    assert copying.progress().checkpoint == known.checkpoint


def test_progress_that_claims_too_much_is_not_believed(copying, directory, cluster, trust, capsys):
    """A row that says all is there, and a store that has nothing."""
    from auditvault.evidence.copies.store import ObjectMissingError

    copying.copy()
    wipe(directory)
    with pytest.raises(ObjectMissingError):
        copying.copy()
    copying.copy()
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 300)
    assert copying.copy().objects == 0


def test_an_object_with_other_content_is_an_alarm_and_stays(copying, directory):
    from auditvault.evidence.copies.store import CopyDiffersError

    place = directory / "logs" / copying.log.origin / "tile" / "0" / "000"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"another history")
    with pytest.raises(CopyDiffersError):
        copying.copy()
    assert (place.read_bytes(), copying.checkpoints()) == (b"another history", [])


def test_a_run_that_is_late_is_gone_on_with_by_the_next(copying):
    late = copying.copy(is_late=lambda: True)
    assert (late.unfinished, copying.checkpoints()) == ([copying.log.origin], [])
    copying.copy()
    assert copying.checkpoints() == [300]


def test_a_log_of_many_rounds_is_copied_round_by_round(copying, directory, trust, capsys):
    copying.record(4400)
    rounds = iter([False, True])
    copying.copy(is_late=lambda: next(rounds))
    assert (copying.progress().size, copying.checkpoints()) == (4096, [])
    copying.copy()
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 4700)


def test_an_empty_log_is_not_copied(client, tenant, run_signer, directory):
    from auditvault.evidence.copies.services import Round, copy_log
    from auditvault.evidence.copies.store import DirectoryStore
    from auditvault.ledger.logs import open_log
    from tests.integration.evidence_copies.conftest import Copying

    log = open_log(region=REGION, tenant_id=tenant.tenant_id, kind="admin", log_host="localhost")
    run_signer()
    found = Round()
    copy_log(Copying(client, tenant, run_signer, DirectoryStore(directory)).target, log, found)
    assert (found.logs, files(directory)) == (0, {})


def test_a_directory_that_is_not_mounted_is_not_made(copying, directory):
    from auditvault.evidence.copies.store import StoreUnavailableError

    directory.rmdir()
    with pytest.raises(StoreUnavailableError):
        copying.copy()
    assert not directory.exists()


def test_a_ledgers_record_is_kept_under_its_hash_and_once(copying, directory):
    from auditvault.evidence.copies.services import put_ledger_record

    names = {put_ledger_record(copying.target, ledger="erasure", record=RECORD) for _ in range(2)}
    (name,) = names
    assert name == f"ledger/us/erasure/{sha256(RECORD).hexdigest()}"
    assert (directory / name).read_bytes() == RECORD


@pytest.mark.parametrize("ledger", ["", "../logs", "Erasure", "a/b", "-a"])
def test_a_ledger_has_a_plain_name(copying, ledger):
    from auditvault.evidence.copies.services import put_ledger_record

    with pytest.raises(ValueError, match="no such name"):
        put_ledger_record(copying.target, ledger=ledger, record=b"x")


def test_the_age_is_that_of_the_copied_checkpoint(copying, cluster):
    from auditvault.evidence.copies.progress import copy_age

    copying.copy()
    with superuser(cluster, "region_us") as connection:
        connection.execute(
            "UPDATE evidence_copy SET signed_at = now() - interval '3 hours' WHERE log_id = %s",
            (copying.log.log_id,),
        )
    age = copy_age(REGION, copying.target.digest)
    assert timedelta(hours=3) <= age < timedelta(hours=3, minutes=5)


def test_a_log_that_was_never_copied_counts_from_its_beginning(copying):
    from auditvault.evidence.copies.progress import copy_age

    age = copy_age(REGION, b"\7" * 32)
    assert age > datetime.now(UTC) - datetime.now(UTC)


def forget_progress(cluster, copying):
    with superuser(cluster, "region_us") as connection:
        connection.execute("DELETE FROM evidence_copy WHERE log_id = %s", (copying.log.log_id,))


def wipe(directory):
    import shutil

    for each in directory.iterdir():
        shutil.rmtree(each)


def test_the_metrics_say_how_old_a_copy_is_where_there_is_a_place_for_it(
    copying, client, directory
):
    from django.test import override_settings

    line = 'auditvault_copy_age_seconds{region="us"}'
    assert line not in client.get("/metrics").content.decode()
    with override_settings(COPIES_URLS={"us": f"file://{directory}"}):
        assert line in client.get("/metrics").content.decode()
