from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.core.tlog.note import NoteVerifier, open_note
from auditvault.core.tlog.witnessing import (
    SubmissionConflictError,
    SubmissionError,
    SubmissionForkError,
    SubmissionInconsistentError,
)
from auditvault.verifier.witness import Event, WitnessClockError
from auditvault.verifier.witness_state import WitnessState, WitnessStateError
from tests.reference import merkle_oracle as oracle
from tests.reference import receipts, witnesses
from tests.unit.verifier.witness_setup import SIGNER, CrashError, WitnessOnDisk, failing

ORIGIN = witnesses.ORIGIN


def tree(size: int, *, fork_at: int | None = None) -> tuple[int, bytes]:
    return size, oracle.tree_hash(witnesses.leaves(size, fork_at=fork_at))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[WitnessOnDisk]:
    witness = WitnessOnDisk(tmp_path / "state")
    yield witness
    witness.state.close()


# --- what it remembers ----------------------------------------------------------------------------


def test_a_log_that_grows_is_cosigned_and_remembered(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 3))
    disk.submit(witnesses.submission(3, 8))

    assert disk.remembered() == tree(8)
    assert disk.events[-1] == Event(name="cosigned", origin=ORIGIN, size=8)


def test_memory_survives_a_restart(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 8))

    disk.restart()

    assert disk.remembered() == tree(8)
    with pytest.raises(SubmissionConflictError):
        disk.submit(witnesses.submission(0, 3))


def test_one_log_does_not_move_another(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 8))
    disk.submit(witnesses.submission(0, 3, origin=witnesses.OTHER_ORIGIN))

    assert disk.remembered() == tree(8)
    assert disk.remembered(witnesses.OTHER_ORIGIN) == tree(3)


def test_what_is_refused_changes_nothing(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 8))
    before = disk.log_file().read_bytes()

    for body in (
        witnesses.submission(3, 9),
        witnesses.submission(8, 9, fork_at=2),
        witnesses.submission(8, 8, fork_at=7),
        witnesses.body(8, [], witnesses.note(witnesses.leaves(9))),
        witnesses.body(8, [], receipts.note(bytes(32), size=9, key=receipts.OTHER_KEY)),
        b"old 8\n",
    ):
        with pytest.raises(SubmissionError):
            disk.submit(body)

    assert disk.log_file().read_bytes() == before


def test_the_same_checkpoint_again_gets_a_fresh_time(disk: WitnessOnDisk) -> None:
    first = disk.submit(witnesses.submission(0, 8))
    disk.time += 60

    assert disk.submit(witnesses.submission(8, 8)) != first
    assert disk.state.recall(ORIGIN).cosigned_at == disk.time  # type: ignore[union-attr]


def test_the_note_that_is_shown_has_the_logs_signature_and_the_cosignature(
    disk: WitnessOnDisk,
) -> None:
    line = disk.submit(witnesses.submission(0, 8))

    note = disk.witness.checkpoint(witnesses.origin_hash(ORIGIN))

    assert note == witnesses.note(witnesses.leaves(8)) + line.decode()
    assert open_note(note, [NoteVerifier(ORIGIN, receipts.PUBLIC_KEY)])
    assert disk.witness.checkpoint(witnesses.origin_hash("log.example/eu/none")) is None


def test_an_empty_log_is_remembered_as_cosigned(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 0))
    disk.restart()
    disk.submit(witnesses.submission(0, 4))

    assert disk.remembered() == tree(4)


# --- lines that others wrote ----------------------------------------------------------------------


def forged_lines() -> list[str]:
    public_key = witnesses.WITNESS_KEY.public_key().public_bytes_raw()
    own = witnesses.key_id(witnesses.WITNESS, public_key) + bytes(72)
    return [
        f"\u2014 {witnesses.WITNESS} {base64.b64encode(own).decode()}\n",
        witnesses.cosignature("another text\n", witnesses.NOW),
        f"\u2014 {witnesses.WITNESS} {base64.b64encode(own[:4] + b'x').decode()}\n",
        f"\u2014 {ORIGIN} {base64.b64encode(bytes(68)).decode()}\n",
        f"\u2014 stranger.example {base64.b64encode(bytes(5000)).decode()}\n",
    ]


@pytest.mark.parametrize("line", forged_lines())
def test_forged_lines_do_not_poison_the_memory(disk: WitnessOnDisk, line: str) -> None:
    honest = witnesses.note(witnesses.leaves(3))

    cosigned = disk.submit(witnesses.body(0, [], honest + line))
    disk.restart()
    disk.submit(witnesses.submission(3, 5))

    assert cosigned.decode().count("\u2014") == 1
    assert line not in disk.stored()["note"]
    assert disk.remembered() == tree(5)


def test_a_replayed_cosignature_of_its_own_is_not_taken_for_a_new_one(disk: WitnessOnDisk) -> None:
    line = disk.submit(witnesses.submission(0, 3)).decode()
    disk.time += 5

    again = disk.submit(witnesses.body(3, [], witnesses.note(witnesses.leaves(3)) + line))

    assert again.decode() != line
    assert disk.stored()["note"].count(witnesses.WITNESS) == 1


@pytest.mark.parametrize(
    "line", ["", *forged_lines()[:2], "".join(f"\u2014 w{n} AAAAAAA=\n" for n in range(100))]
)
def test_what_could_not_be_read_back_is_not_remembered(disk: WitnessOnDisk, line: str) -> None:
    disk.submit(witnesses.submission(0, 3))
    before = disk.log_file().read_bytes()

    with pytest.raises(WitnessStateError):
        disk.state.remember(ORIGIN, witnesses.note(witnesses.leaves(5)) + line)

    assert disk.log_file().read_bytes() == before


# --- forks ----------------------------------------------------------------------------------------


def test_a_fork_is_refused_and_its_proof_is_kept(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 8))
    kept = disk.stored()["note"]

    with pytest.raises(SubmissionForkError):
        disk.submit(witnesses.submission(8, 8, fork_at=7))

    fork = json.loads((disk.directory / "forks" / disk.log_file().name).read_text())
    refused = witnesses.note(witnesses.leaves(8, fork_at=7))
    assert fork == {"v": "auditvault/witness-fork/1", "kept": kept, "refused": refused}
    assert disk.events[-1] == Event(name="fork", origin=ORIGIN, size=8)


def test_the_first_fork_is_the_one_that_is_kept(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 8))
    path = disk.directory / "forks" / disk.log_file().name
    with pytest.raises(SubmissionForkError):
        disk.submit(witnesses.submission(8, 8, fork_at=7))
    first = path.read_bytes()

    with pytest.raises(SubmissionForkError):
        disk.submit(witnesses.submission(8, 8, fork_at=6))

    assert path.read_bytes() == first
    assert [event.name for event in disk.events] == ["cosigned", "fork"]


def test_a_fork_is_refused_when_its_proof_cannot_be_kept(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 8))
    (disk.directory / "forks").rmdir()

    with pytest.raises(SubmissionForkError):
        disk.submit(witnesses.submission(8, 8, fork_at=7))

    assert disk.events[-1].name == "witness_state_unusable"


# --- the clock ------------------------------------------------------------------------------------


def test_cosigning_times_of_a_log_do_not_go_back(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 3))
    disk.time -= 1

    with pytest.raises(WitnessClockError) as caught:
        disk.submit(witnesses.submission(3, 5))

    assert caught.value.code == "witness_clock_behind"
    assert disk.remembered() == tree(3)


def test_a_clock_before_1970_cosigns_nothing(disk: WitnessOnDisk) -> None:
    disk.time = 0

    with pytest.raises(WitnessClockError):
        disk.submit(witnesses.submission(0, 3))


# --- two at a time --------------------------------------------------------------------------------


def at_once(disk: WitnessOnDisk, bodies: list[bytes]) -> list[str]:
    """What becomes of submissions that all start together: codes, in the order of the bodies."""
    start = threading.Barrier(len(bodies))
    outcomes = ["never ended"] * len(bodies)

    def submit(number: int) -> None:
        start.wait()
        try:
            disk.submit(bodies[number])
            outcomes[number] = "cosigned"
        except SubmissionError as error:
            outcomes[number] = error.code

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_two_forks_submitted_at_once_one_is_cosigned(disk: WitnessOnDisk) -> None:
    for number in range(20):
        origin = f"log.example/eu/{number}"
        forks = [witnesses.submission(0, 3, fork_at=at, origin=origin) for at in (None, 1)]

        outcomes = at_once(disk, forks)

        assert sorted(outcomes) == ["cosigned", "submission_conflict"]
        assert len(disk.released[origin, 3]) == 1


def test_of_many_sizes_submitted_at_once_one_is_cosigned(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 4))
    sizes = list(range(5, 21))

    outcomes = at_once(disk, [witnesses.submission(4, size) for size in sizes])

    assert sorted(outcomes) == ["cosigned", *["submission_conflict"] * 15]
    assert disk.remembered() == tree(sizes[outcomes.index("cosigned")])


# --- faults ---------------------------------------------------------------------------------------

# Every call that the table of docs/spec/witness.md section 3 makes in steps 4 to 6, in order: the
# new file is opened, fsynced, renamed over the old; its directory is opened and fsynced.
STEPS = [("open", 1), ("fsync", 1), ("replace", 1), ("open", 2), ("fsync", 2)]


@pytest.mark.parametrize("lost", [False, True], ids=["persisted", "lost with the power"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", [CrashError, OSError])
@pytest.mark.parametrize(("call", "number"), STEPS)
@pytest.mark.parametrize("fork_first", [False, True])
def test_no_fault_makes_it_cosign_two_roots_for_one_size(
    disk: WitnessOnDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    kind: type[BaseException],
    *,
    after: bool,
    lost: bool,
    fork_first: bool,
) -> None:
    disk.submit(witnesses.submission(0, 5))
    shutil.copytree(disk.directory, tmp_path / "before")
    with (
        failing(monkeypatch.context, call, number, kind(), after=after) as reached,
        pytest.raises((CrashError, WitnessStateError)),
    ):
        disk.submit(witnesses.submission(5, 9))
    assert reached()

    if lost:  # what was not known to be on disk is not there after all
        shutil.rmtree(disk.directory)
        shutil.copytree(tmp_path / "before", disk.directory)
    if kind is CrashError or lost:
        disk.restart()
    attempts = [
        witnesses.submission(5, 9, fork_at=7),
        witnesses.submission(5, 9),
        witnesses.submission(9, 9, fork_at=7),
        witnesses.submission(9, 9),
    ]
    for body in attempts if fork_first else reversed(attempts):
        try:
            disk.submit(body)
        except (SubmissionConflictError, SubmissionInconsistentError):
            continue

    assert set(disk.released) == {(ORIGIN, 5), (ORIGIN, 9)}
    assert all(len(texts) == 1 for texts in disk.released.values())
    disk.restart()
    (text,) = disk.released[ORIGIN, 9]
    assert disk.remembered() == (9, base64.b64decode(text.split("\n")[2]))


def test_the_steps_of_the_table_are_all_that_is_done(
    disk: WitnessOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call, number in [("open", 3), ("fsync", 3), ("replace", 2)]:
        old = (disk.remembered() or (0,))[0]
        with failing(monkeypatch.context, call, number, CrashError(), after=False) as reached:
            disk.submit(witnesses.submission(old, old + 1))
        assert not reached(), f"{call} is called more often than the table says"


def test_a_note_is_not_shown_before_it_is_known_to_be_on_disk(
    disk: WitnessOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.submit(witnesses.submission(0, 5))
    hashed = witnesses.origin_hash(ORIGIN)
    shown = disk.witness.checkpoint(hashed)

    with (
        failing(monkeypatch.context, "fsync", 2, OSError(), after=False),
        pytest.raises(WitnessStateError),
    ):
        disk.submit(witnesses.submission(5, 9))

    assert disk.remembered() == tree(9)
    assert disk.witness.checkpoint(hashed) == shown


def test_the_leftover_of_a_crash_is_overwritten(disk: WitnessOnDisk) -> None:
    leftover = disk.log_file().with_name(f"{disk.log_file().name}.part")
    leftover.write_bytes(b"x" * 100_000)

    disk.restart()
    disk.submit(witnesses.submission(0, 5))

    assert disk.remembered() == tree(5)
    assert not leftover.exists()


def test_a_link_planted_for_the_new_file_is_not_followed(
    disk: WitnessOnDisk, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    disk.log_file().with_name(f"{disk.log_file().name}.part").symlink_to(target)

    with pytest.raises(WitnessStateError):
        disk.submit(witnesses.submission(0, 5))

    assert target.read_text() == "precious"


# --- memory that is not what it was ---------------------------------------------------------------


def damage(note: str) -> list[object]:
    """What a file may hold instead of a log's memory."""
    good = {"v": "auditvault/witness-log/1", "note": note}
    stranger = CosignatureSigner("other.example", witnesses.WITNESS_KEY)
    return [
        "",
        "{}",
        "[]",
        json.dumps(good)[:-5],
        json.dumps(good | {"v": "auditvault/witness-log/2"}),
        json.dumps(good | {"note": 5}),
        json.dumps(good | {"note": note.rpartition("\u2014")[0]}),  # without the cosignature
        json.dumps(good | {"note": note.replace("\n5\n", "\n4\n")}),
        json.dumps(good | {"note": note.replace(witnesses.WITNESS, stranger.verifier().name)}),
        json.dumps(good | {"more": 1}),
    ]


@pytest.mark.parametrize("number", range(10))
def test_damaged_memory_is_no_unknown_log(disk: WitnessOnDisk, number: int) -> None:
    disk.submit(witnesses.submission(0, 5))
    disk.log_file().write_text(str(damage(disk.stored()["note"])[number]))

    with pytest.raises(WitnessStateError):
        disk.submit(witnesses.submission(0, 3))
    with pytest.raises(WitnessStateError):
        disk.restart()
    disk.log_file().unlink()
    disk.start()


def test_memory_that_has_gone_is_no_unknown_log(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 5))
    disk.log_file().unlink()

    with pytest.raises(WitnessStateError):
        disk.submit(witnesses.submission(0, 3, fork_at=1))


def test_a_directory_that_has_gone_holds_no_unknown_log(disk: WitnessOnDisk) -> None:
    (disk.directory / "logs").rmdir()

    with pytest.raises(WitnessStateError):
        disk.submit(witnesses.submission(0, 3))
    with pytest.raises(WitnessStateError):
        disk.restart()
    (disk.directory / "logs").mkdir()
    disk.start()


def test_one_logs_memory_is_not_anothers(disk: WitnessOnDisk) -> None:
    disk.submit(witnesses.submission(0, 5))
    shutil.copy(disk.log_file(), disk.log_file(witnesses.OTHER_ORIGIN))

    with pytest.raises(WitnessStateError):
        disk.submit(witnesses.submission(0, 3, origin=witnesses.OTHER_ORIGIN))


def test_a_full_disk_refuses_and_a_freed_one_goes_on(
    disk: WitnessOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.submit(witnesses.submission(0, 5))
    full = OSError(28, os.strerror(28))
    with (
        failing(monkeypatch.context, "fsync", 1, full, after=False),
        pytest.raises(WitnessStateError, match="No space left"),
    ):
        disk.submit(witnesses.submission(5, 9))

    disk.submit(witnesses.submission(5, 9))

    assert disk.remembered() == tree(9)


# --- the directory --------------------------------------------------------------------------------


def test_a_state_is_not_shared_by_two_witnesses(disk: WitnessOnDisk) -> None:
    with pytest.raises(WitnessStateError, match="another witness is running"):
        WitnessState(disk.directory, SIGNER.verifier())


def test_a_state_belongs_to_one_key(disk: WitnessOnDisk) -> None:
    other = CosignatureSigner("other.example", witnesses.WITNESS_KEY)

    with pytest.raises(WitnessStateError, match="another witness key"):
        WitnessState(disk.directory, other.verifier())


@pytest.mark.parametrize("marker", [None, "", "{}", '{"v": "auditvault/witness-state/2"}'])
def test_a_key_without_its_state_does_not_start(
    disk: WitnessOnDisk, tmp_path: Path, marker: str | None
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if marker is not None:
        (empty / "witness.json").write_text(marker)

    with pytest.raises(WitnessStateError):
        WitnessState(empty, SIGNER.verifier())


def test_a_state_is_not_made_over_another(disk: WitnessOnDisk) -> None:
    before = (disk.directory / "witness.json").read_bytes()

    with pytest.raises(WitnessStateError, match="not empty"):
        WitnessState.create(disk.directory, SIGNER.verifier())

    assert (disk.directory / "witness.json").read_bytes() == before


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_state_that_was_half_made_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with (
        failing(monkeypatch.context, "fsync", number, CrashError(), after=False),
        pytest.raises(CrashError),
    ):
        WitnessState.create(tmp_path / "state", SIGNER.verifier())

    with pytest.raises(AuditvaultError):
        WitnessState(tmp_path / "state", SIGNER.verifier())
