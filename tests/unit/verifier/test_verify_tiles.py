from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.copy_names import CopiedName
from auditvault.verifier.main import main
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import failures, outcomes
from tests.reference.tlog_follower import tile_index

SIZE = 600
LOG = receipts.entries(SIZE)
LEAVES = [receipts.leaf(data) for data in LOG]
HELD = ["checkpoint", "entries", "root", "tiles"]


class Copy:
    """A log's files in a directory, and what the command says of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = folder / "copy"
        self.trust = folder / "trust.json"
        self.state = folder / "state"
        self.trust.write_text(receipts.dumps(receipts.trust()))
        self._capsys = capsys
        self.write(300)

    def write(self, size: int, log: list[bytes] = LOG) -> None:
        """Put the log's first `size` entries there, as C2SP tlog-tiles lays them out."""
        leaves = [receipts.leaf(data) for data in log[:size]]
        self.put("checkpoint", receipts.note(oracle.tree_hash(leaves), size=size).encode())
        for (level, n, width), data in oracle.all_tiles(leaves).items():
            self.put(f"tile/{level}/{tile_index(n, width)}", data)
        for n in range((size + 255) // 256):
            entries = log[n * 256 : min(size, n * 256 + 256)]
            self.put(f"tile/entries/{tile_index(n, len(entries))}", bundles.framed(entries))

    def put(self, path: str, data: bytes) -> None:
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def visit(self, *options: str) -> tuple[int, dict[str, Any]]:
        command = ["tiles", str(self.directory), "--trust", str(self.trust), "--json", *options]
        code = main(command)
        return code, json.loads(self._capsys.readouterr().out)

    def follow(self) -> tuple[int, dict[str, Any]]:
        return self.visit("--state", str(self.state))


@pytest.fixture
def copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Copy:
    return Copy(tmp_path, capsys)


def forged(index: int) -> list[bytes]:
    """A log that is another from `index` on, and whose chain is right."""
    prev, made = LEAVES[index - 1], LOG[:index]
    for place in range(index, SIZE):
        made.append(receipts.entry(place, prev, header=b'{"model":"another"}'))
        prev = receipts.leaf(made[-1])
    return made


def test_a_whole_copy_holds(copy: Copy) -> None:
    code, report = copy.visit()

    assert (code, report["result"]) == (0, "holds")
    assert outcomes(report) == dict.fromkeys(HELD, "holds") | {"growth": "not_checked"}
    assert report["log"] == {
        "origin": receipts.ORIGIN,
        "size": 300,
        "root": oracle.tree_hash(LEAVES[:300]).hex(),
        "read": 300,
    }


@pytest.mark.parametrize("sizes", [(1, 2, 3), (255, 256, 257), (256, 512), (300, 300, 600)])
def test_a_copy_is_followed_as_it_grows(copy: Copy, sizes: tuple[int, ...]) -> None:
    before = 0
    for size in sizes:
        copy.write(size)
        code, report = copy.follow()
        assert (code, report["log"]["size"], report["log"]["read"]) == (0, size, size - before)
        before = size


def test_full_tiles_stand_for_partial_ones_that_are_gone(copy: Copy) -> None:
    note = (copy.directory / "checkpoint").read_bytes()
    for path in ("tile/0/001.p/44", "tile/entries/001.p/44"):
        (copy.directory / path).unlink()
    copy.write(SIZE)
    copy.put("checkpoint", note)

    assert copy.visit()[0] == 0


def test_a_rewritten_log_of_the_same_size_is_a_fork_whose_evidence_is_kept(copy: Copy) -> None:
    copy.follow()
    state = copy.state.read_bytes()
    copy.write(300, forged(10))

    code, report = copy.follow()

    assert (code, failures(report)) == (1, {"growth": "proof_root_mismatch"})
    assert copy.state.read_bytes() == state
    fork = json.loads(copy.state.with_name("state.fork").read_text())
    assert [fork[name].split("\n")[1] for name in ("kept", "refused")] == ["300", "300"]
    assert fork["kept"] != fork["refused"]


def test_a_rewritten_log_that_grew_is_found(copy: Copy) -> None:
    copy.follow()
    copy.write(SIZE, forged(10))

    code, report = copy.follow()

    assert (code, failures(report)) == (1, {"growth": "proof_root_mismatch"})


def test_a_log_that_shrank_is_found_and_stays_found(copy: Copy) -> None:
    copy.write(SIZE)
    copy.follow()
    copy.write(300)

    assert copy.follow()[0] == 1
    code, report = copy.follow()

    assert (code, failures(report)) == (1, {"growth": "log_shrank"})


def test_the_first_fork_is_kept_for_good(copy: Copy) -> None:
    copy.follow()
    copy.write(300, forged(10))
    copy.follow()
    first = copy.state.with_name("state.fork").read_bytes()
    copy.write(300, forged(20))

    copy.follow()

    assert copy.state.with_name("state.fork").read_bytes() == first


def test_an_entry_that_was_seen_and_changed_is_found(copy: Copy) -> None:
    copy.follow()
    copy.write(SIZE)
    entries = LOG[256:512]
    entries[3] = entries[3].replace(b"otlp:demo", b"otlp:evil")
    copy.put("tile/entries/001", bundles.framed(entries))

    code, report = copy.follow()

    assert (code, failures(report)) == (1, {"entries": "entry_misplaced"})


def test_other_entries_whose_chain_is_right_lead_to_another_root(copy: Copy) -> None:
    log = forged(10)
    copy.put("tile/entries/000", bundles.framed(log[:256]))
    copy.put("tile/entries/001.p/44", bundles.framed(log[256:300]))

    code, report = copy.visit()

    assert (code, failures(report)) == (
        1,
        {"root": "proof_root_mismatch", "tiles": "tile_malformed"},
    )


def test_a_hash_of_an_earlier_visit_that_changed_in_a_tile_is_found(copy: Copy) -> None:
    copy.write(256)
    copy.follow()
    copy.write(SIZE)
    tile = (copy.directory / "tile/1/000.p/2").read_bytes()
    copy.put("tile/1/000.p/2", bytes(32) + tile[32:])

    code, report = copy.follow()

    assert (code, failures(report)) == (1, {"tiles": "tile_malformed"})


CHANGES = {
    "tile/0/000": "tiles",
    "tile/0/001.p/44": "tiles",
    "tile/1/000.p/1": "tiles",
    "tile/entries/000": "entries",
    "tile/entries/001.p/44": "entries",
    "checkpoint": "checkpoint",
}


@pytest.mark.parametrize("path", CHANGES)
def test_a_flipped_bit_is_found(copy: Copy, path: str) -> None:
    data = (copy.directory / path).read_bytes()
    for place in range(0, len(data), max(1, len(data) // 40)):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        copy.put(path, bytes(broken))
        code, report = copy.visit()
        # A checkpoint of another origin is one that no key is trusted for.
        unknown = path == "checkpoint" and place < len(receipts.ORIGIN)
        assert code in ({1, 2} if unknown else {1}), place
        assert set(failures(report)) <= {CHANGES[path]}


@pytest.mark.parametrize("path", CHANGES)
def test_what_is_missing_is_not_checked(copy: Copy, path: str) -> None:
    (copy.directory / path).unlink()

    code, report = copy.visit()

    step = "beginning" if path == "tile/entries/000" else CHANGES[path]
    assert (code, report["result"]) == (2, "not_checked")
    assert outcomes(report)[step] == "not_checked"


@pytest.mark.parametrize("path", CHANGES)
def test_what_is_longer_than_it_can_be_does_not_hold(copy: Copy, path: str) -> None:
    copy.put(path, bytes(20_000_000))

    code, report = copy.visit()

    assert code == 1
    assert failures(report)[CHANGES[path]] == "source_malformed"


@pytest.mark.parametrize("path", CHANGES)
def test_what_is_cut_off_does_not_hold(copy: Copy, path: str) -> None:
    copy.put(path, (copy.directory / path).read_bytes()[:-1])

    assert copy.visit()[0] == 1


def test_a_tile_of_another_level_forged_with_its_parents_leads_to_another_root(copy: Copy) -> None:
    copy.put("tile/1/000.p/1", oracle.tree_hash([receipts.leaf(b"x")] * 256))

    _, report = copy.visit()

    assert failures(report) == {"tiles": "tile_malformed"}


def test_a_copy_of_another_log_is_not_taken_for_the_one_that_was_followed(copy: Copy) -> None:
    copy.follow()
    note = receipts.note(bytes(32), size=300, origin="log.example/eu/b", name="log.example/eu/b")
    copy.put("checkpoint", note.encode())

    code, report = copy.follow()

    assert (code, failures(report)) == (1, {"checkpoint": "log_exchanged"})


def test_a_log_without_a_trusted_key_is_not_checked(copy: Copy) -> None:
    copy.trust.write_text(receipts.dumps(receipts.trust()).replace("/eu/", "/us/"))

    code, report = copy.visit()

    assert (code, report["log"]) == (2, None)


def state_with(**changes: Any) -> Any:
    def change(state: dict[str, Any]) -> str:
        return json.dumps(state | changes)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "{}",
        lambda _: "\x1b[31m",
        state_with(v="auditvault/follow-state/2"),
        state_with(nodes=""),
        state_with(nodes="00" * 32 * 4),
        state_with(nodes="x"),
        state_with(leaf=""),
        state_with(leaf="00"),
        state_with(time=7),
        state_with(time=""),
        state_with(time="9"),
        state_with(time="2026-13-23T10:00:00.000299Z"),
        state_with(note="nonsense"),
        state_with(more=""),
    ],
)
def test_a_state_that_is_none_is_not_checked_and_not_replaced(copy: Copy, change: Any) -> None:
    copy.follow()
    copy.state.write_text(change(json.loads(copy.state.read_text())))
    before = copy.state.read_bytes()

    code, report = copy.follow()

    assert (code, report["checks"][0]["code"]) == (2, "follow_state_unusable")
    assert copy.state.read_bytes() == before


def test_a_state_that_no_trusted_key_has_signed_is_not_checked(copy: Copy) -> None:
    copy.follow()
    state = json.loads(copy.state.read_text())
    root = oracle.tree_hash(LEAVES[:300])
    state["note"] = receipts.note(root, size=300, key=receipts.OTHER_KEY)
    copy.state.write_text(json.dumps(state))

    code, report = copy.follow()

    assert (code, outcomes(report)["growth"]) == (2, "not_checked")


def test_a_state_in_a_place_that_cannot_be_written_is_not_checked(copy: Copy) -> None:
    code, _ = copy.visit("--state", str(copy.directory / "nowhere" / "state"))

    assert code == 2


def test_the_report_for_people_fits_one_screen(
    copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["tiles", str(copy.directory), "--trust", str(copy.trust)])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 120 for line in lines)
    assert lines[-1].startswith("HOLDS")


def as_copied(copy: Copy, *sizes: int) -> list[Path]:
    """The checkpoints of these sizes as a write-once copy keeps them, in place of the file `checkpoint`."""
    (copy.directory / "checkpoint").unlink()
    for size in sizes:
        note = receipts.note(oracle.tree_hash(LEAVES[:size]), size=size).encode()
        copy.put(f"checkpoints/{CopiedName.of(size, note)}", note)
    return sorted((copy.directory / "checkpoints").iterdir())


def test_of_a_write_once_copy_the_newest_checkpoint_is_taken(copy: Copy) -> None:
    as_copied(copy, 99, 300, 100)
    copy.put("checkpoints/no such name", b"")

    code, report = copy.visit()

    assert (code, report["log"]["size"], outcomes(report)["tiles"]) == (0, 300, "holds")


def test_a_copied_checkpoint_that_is_not_what_its_name_says_does_not_hold(copy: Copy) -> None:
    older, newest = as_copied(copy, 100, 300)
    newest.write_bytes(older.read_bytes())

    code, report = copy.visit()

    assert (code, failures(report)) == (1, {"checkpoint": "copy_damaged"})


def test_a_copy_without_any_checkpoint_is_not_checked(copy: Copy) -> None:
    as_copied(copy, 300)[0].unlink()

    assert copy.visit()[0] == 2


@pytest.mark.parametrize("command", ["log", "tiles"])
def test_the_help_tells_steps_and_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])

    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(word in out for word in [*HELD, "growth", "exit codes", "example", "--state"])
