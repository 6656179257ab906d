"""A pruned log in a directory: what is left is verified, what is gone proved by its tiles and by the log's own word."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier.following import Follower
from auditvault.verifier.main import main
from auditvault.verifier.progress import Progress
from auditvault.verifier.sources import DirectorySource
from tests.reference import bundles, prunes, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import failures, outcomes
from tests.reference.tlog_follower import tile_index

LOG, RECORD = prunes.log()
LEAVES = [receipts.leaf(data) for data in LOG]
MINIMUM, SIZE = prunes.MINIMUM, prunes.SIZE
BUNDLE = bundles.bundle(bundles.members(log=LOG, previous=None) | prunes.member(LOG, RECORD))


class Place:
    """A log's files, and what the command says of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "trust.json").write_text(receipts.dumps(receipts.trust()))
        (folder / "bundle").write_bytes(BUNDLE)

    def write(self, size: int = SIZE, *, log: list[bytes] = LOG, minimum: int = MINIMUM) -> None:
        """The log's first `size` entries, without those below the minimum."""
        shutil.rmtree(self.folder / "log", ignore_errors=True)
        leaves = [receipts.leaf(data) for data in log[:size]]
        self.put("checkpoint", receipts.note(oracle.tree_hash(leaves), size=size).encode())
        for (level, n, width), data in oracle.all_tiles(leaves).items():
            self.put(f"tile/{level}/{tile_index(n, width)}", data)
        for n in range(minimum // 256, (size + 255) // 256):
            entries = log[n * 256 : min(size, n * 256 + 256)]
            self.put(f"tile/entries/{tile_index(n, len(entries))}", bundles.framed(entries))

    def put(self, path: str, data: bytes) -> None:
        place = self.folder / "log" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def visit(self, *options: str, prunes: bool = False) -> tuple[int, dict[str, Any]]:
        words = ["tiles", str(self.folder / "log"), "--trust", str(self.folder / "trust.json")]
        if prunes:
            words += ["--prunes", str(self.folder / "bundle")]
        code = main([*words, "--json", *options])
        return code, json.loads(self._capsys.readouterr().out)

    def follow(self, **options: Any) -> tuple[int, dict[str, Any]]:
        return self.visit("--state", str(self.folder / "state"), **options)


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    made = Place(tmp_path, capsys)
    made.write()
    return made


def detail(report: dict[str, Any], name: str) -> str:
    (found,) = [check["detail"] for check in report["checks"] if check["name"] == name]
    return str(found)


def test_without_a_record_what_is_left_is_verified_and_the_rest_is_said(place: Place) -> None:
    code, report = place.visit()

    assert code == 2
    assert outcomes(report) == {
        "checkpoint": "holds",
        "growth": "not_checked",
        "entries": "holds",
        "root": "holds",
        "tiles": "holds",
        "beginning": "not_checked",
    }
    assert (report["log"]["minimum"], report["log"]["read"]) == (MINIMUM, SIZE - MINIMUM)
    assert f"entry {prunes.INDEX} says: pruned" in detail(report, "beginning")


def test_with_a_record_from_a_bundle_it_holds(place: Place) -> None:
    code, report = place.visit(prunes=True)

    assert (code, outcomes(report)["beginning"]) == (0, "holds")
    assert f"gives up those below {MINIMUM}" in detail(report, "beginning")


def test_a_visit_that_held_is_gone_on_from(place: Place) -> None:
    place.write(690)
    (place.folder / "bundle").write_bytes(bundle_at(690))

    first, _ = place.follow(prunes=True)
    place.write()
    second, report = place.follow()

    assert (first, second) == (0, 0)
    assert (report["log"]["read"], outcomes(report)["growth"]) == (10, "holds")
    assert "beginning" not in outcomes(report)


def bundle_at(size: int) -> bytes:
    log = LOG[:size]
    made = bundles.members(first=600, end=size, size=size, log=log, previous=None)
    return bundles.bundle(made | prunes.member(log, RECORD), first=600, end=size, size=size)


@pytest.mark.parametrize("seen", [10, 255, 256, 300, 512, 651])
def test_a_log_that_was_seen_before_it_was_pruned_is_followed(place: Place, seen: int) -> None:
    place.write(seen, minimum=0)
    place.follow()
    place.write()

    code, report = place.follow(prunes=True)

    assert (code, outcomes(report)["growth"]) == (0, "holds")
    assert ("beginning" in outcomes(report)) == (seen < MINIMUM)
    assert report["log"]["read"] == SIZE - max(seen, MINIMUM)


def test_a_log_that_is_another_than_was_seen_before_it_was_pruned_is_found(place: Place) -> None:
    other = [receipts.entry(0, bytes(32), header=b"{}")]
    place.write(1, log=other, minimum=0)
    place.follow()
    place.write()

    code, report = place.follow(prunes=True)

    assert (code, failures(report)) == (1, {"growth": "proof_root_mismatch"})


def test_a_beginning_that_nobody_gave_up_is_said(place: Place) -> None:
    place.write(log=receipts.entries(SIZE))

    code, report = place.visit()

    assert (code, outcomes(report)["beginning"]) == (2, "not_checked")
    assert "no later one says why" in detail(report, "beginning")


def test_more_is_gone_than_the_log_gave_up(place: Place) -> None:
    place.write(minimum=512)

    code, report = place.visit(prunes=True)

    assert (code, outcomes(report)["beginning"]) == (2, "not_checked")
    assert "below 512" in detail(report, "beginning")


def test_a_record_that_was_changed_does_not_hold(place: Place) -> None:
    member = {
        name: bundles.dumps(json.loads(data) | {"consistency": []})
        for name, data in prunes.member(LOG, RECORD).items()
    }
    made = bundles.members(log=LOG, previous=None) | member
    (place.folder / "bundle").write_bytes(bundles.bundle(made))

    code, report = place.visit(prunes=True)

    assert (code, set(failures(report))) == (1, {"beginning"})


def test_a_bundle_of_another_history_does_not_hold(place: Place) -> None:
    """Its log gave something up as well, and is signed by the same key."""
    other, record = prunes.log(policy={"id": "retention-2020", "sha256": "00" * 32})
    made = bundles.members(log=other, previous=None) | prunes.member(other, record)
    (place.folder / "bundle").write_bytes(bundles.bundle(made))

    code, report = place.visit(prunes=True)

    assert (code, failures(report)) == (1, {"beginning": "proof_root_mismatch"})


def test_a_bundle_that_nobody_trusted_signed_does_not_hold(place: Place) -> None:
    made = bundles.members(log=LOG, previous=None) | prunes.member(LOG, RECORD)
    note = receipts.note(oracle.tree_hash(LEAVES), size=SIZE, key=receipts.OTHER_KEY)
    made["bundle/checkpoint"] = note.encode()
    (place.folder / "bundle").write_bytes(bundles.bundle(made))

    code, report = place.visit(prunes=True)

    assert (code, failures(report)) == (1, {"beginning": "note_untrusted"})


def test_a_bundle_of_a_log_that_grew_since_is_not_checked(place: Place) -> None:
    place.write(690)

    code, report = place.visit(prunes=True)

    assert (code, outcomes(report)["beginning"]) == (2, "not_checked")


@pytest.mark.parametrize("log", ["another", "none", "nowhere"])
def test_a_file_that_is_no_bundle_of_the_log_proves_nothing(place: Place, log: str) -> None:
    path = place.folder / "bundle"
    if log == "another":
        path.write_bytes(
            bundles.bundle(bundles.members(log=LOG, previous=None), log="log.example/eu/b")
        )
    elif log == "none":
        path.write_bytes(b"nonsense")
    else:
        path.unlink()

    code, report = place.visit(prunes=True)

    assert (code, outcomes(report)["beginning"]) == (2, "not_checked")


CHANGES = {
    "tile/0/000": "entries",  # its last hash is what the first entry names
    "tile/0/001": "tiles",
    "tile/1/000.p/2": "tiles",
    "tile/entries/001": "entries",
    "tile/entries/002.p/188": "entries",
}


@pytest.mark.parametrize("path", CHANGES)
def test_a_flipped_bit_is_found(place: Place, path: str) -> None:
    data = bytearray((place.folder / "log" / path).read_bytes())
    data[-1] ^= 1
    place.put(path, bytes(data))

    code, report = place.visit(prunes=True)

    assert code == 1
    assert CHANGES[path] in failures(report)


def test_a_changed_hash_of_what_is_gone_leads_to_another_root(place: Place) -> None:
    data = bytearray((place.folder / "log/tile/0/000").read_bytes())
    data[0] ^= 1
    place.put("tile/0/000", bytes(data))

    code, report = place.visit()

    assert (code, failures(report)) == (
        1,
        {"root": "proof_root_mismatch", "tiles": "tile_malformed"},
    )


def test_a_place_that_gives_two_answers_for_one_tile_is_found(place: Place) -> None:
    """The tiles over what is gone are compared with each other, and that they differ is not forgotten."""

    class Fickle(DirectorySource):
        asked = 0

        def read(self, path: str, limit: int) -> bytes:
            data = super().read(path, limit)
            self.asked += path == "tile/0/000"
            return bytes(32) + data[32:] if path == "tile/0/000" and self.asked == 2 else data

    trust = TrustStore.from_json(receipts.dumps(receipts.trust()))
    source = Fickle(place.folder / "log")
    checklist = Follower(source, trust, progress=Progress(io.StringIO())).visit().checklist

    assert {check.name for check in checklist.checks if check.code} == {"tiles"}


def test_a_missing_tile_of_what_is_gone_is_not_checked(place: Place) -> None:
    (place.folder / "log/tile/0/000").unlink()

    code, report = place.visit()

    assert (code, outcomes(report)["entries"]) == (2, "not_checked")


def test_no_entries_at_all_are_not_checked(place: Place) -> None:
    shutil.rmtree(place.folder / "log/tile/entries")

    code, report = place.visit(prunes=True)

    assert (code, outcomes(report)["entries"]) == (2, "not_checked")


@pytest.mark.parametrize("minimum", range(256, 2049, 256))
def test_the_first_entries_that_are_there_are_found(place: Place, minimum: int) -> None:
    place.write(2100, log=receipts.entries(2100), minimum=minimum)

    _, report = place.visit()

    assert (report["log"]["minimum"], outcomes(report)["root"]) == (minimum, "holds")


def test_the_report_for_people_fits_one_screen(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["tiles", str(place.folder / "log"), "--trust", str(place.folder / "trust.json")])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 120 for line in lines)
