"""Every step of a copy, failed and failed but persisted; workers that die; workers that meet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

from tests.integration.evidence_copies.breaking import Faulty, Interrupted
from tests.integration.evidence_copies.conftest import verdict_on

ROOT = Path(__file__).resolve().parents[3]
# Part of an object's name for each write of docs/spec/copies.md section 3.
WRITES = {
    "a full bundle": "/tile/entries/000",
    "a full tile": "/tile/0/000",
    "the partial bundle": "/tile/entries/001.p",
    "a partial tile": "/tile/1/000.p",
    "the checkpoint": "/checkpoints/",
}


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("part", WRITES.values(), ids=WRITES)
def test_a_failed_put_is_made_good_by_the_next_run(
    copying, directory, trust, capsys, part, persisted
):
    from auditvault.evidence.copies.store import StoreUnavailableError

    store = Faulty(copying.target.store, part, persisted=persisted)
    with pytest.raises(StoreUnavailableError):
        copying.copy(store)
    # Nobody sees a checkpoint before everything that it needs is there.
    assert copying.checkpoints() == ([300] if persisted and "checkpoints" in part else [])
    assert store.failed
    copying.copy(store)
    assert (copying.checkpoints(), copying.check()) == ([300], [])
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 300)


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("move", [0, 1])
def test_progress_that_failed_to_be_written_is_made_good_by_the_next_run(
    copying, directory, trust, capsys, monkeypatch, move, persisted
):
    """The first move follows the tiles, the second the checkpoint."""
    from auditvault.evidence.copies import services

    real, calls = services.move_progress, []

    def failing(**values):
        calls.append(values)
        fails = len(calls) == move + 1
        if fails and not persisted:
            raise psycopg.OperationalError("no answer")
        moved = real(**values)
        if fails:
            raise psycopg.OperationalError("no answer")
        return moved

    monkeypatch.setattr(services, "move_progress", failing)
    with pytest.raises(psycopg.OperationalError):
        copying.copy()
    copying.copy()
    assert (copying.checkpoints(), copying.progress().size) == ([300], 256)
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 300)


@pytest.mark.parametrize("part", WRITES.values(), ids=WRITES)
def test_a_worker_that_is_killed_is_followed_by_one_that_finishes(
    copying, directory, trust, capsys, part
):
    code = textwrap.dedent(
        f"""
        import os, signal, django
        django.setup()
        from pathlib import Path
        from django.conf import settings
        from auditvault.evidence.copies.services import Round, Target, copy_log
        from auditvault.evidence.copies.store import DirectoryStore
        from auditvault.evidence.verification import read_log_keys
        from auditvault.ledger.logs import region_logs
        from tests.integration.evidence_copies.breaking import Interrupted

        store = Interrupted(
            DirectoryStore(Path({str(directory)!r})), {part!r}, lambda: os.kill(os.getpid(), signal.SIGKILL)
        )
        (log,) = [log for log in region_logs("us") if log.origin == {copying.log.origin!r}]
        keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
        target = Target(region="us", store=store, digest={copying.target.digest!r}, keys=keys)
        copy_log(target, log, Round())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    copying.copy()
    assert (copying.checkpoints(), copying.check()) == ([300], [])
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 300)


def test_of_two_workers_on_one_log_the_slower_one_stops_and_nothing_is_wrong(
    copying, directory, trust, capsys
):
    """The second worker does everything while the first is at its first object."""
    from auditvault.evidence.copies.progress import CopyOvertakenError

    store = Interrupted(copying.target.store, "/tile/", lambda: in_a_thread(copying.copy))
    with pytest.raises(CopyOvertakenError):
        copying.copy(store)
    assert store.called
    assert (copying.copy().objects, copying.checkpoints(), copying.check()) == (0, [300], [])
    assert verdict_on(directory / "logs" / copying.log.origin, trust, capsys) == (0, 300)


def in_a_thread(act):
    """Another worker has connections of its own."""
    import threading

    from django.db import connections

    def run():
        try:
            act()
        finally:
            for connection in connections.all(initialized_only=True):
                connection.close()

    worker = threading.Thread(target=run)
    worker.start()
    worker.join()
