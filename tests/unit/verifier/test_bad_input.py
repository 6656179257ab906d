"""Bad input to every reader: a clear error, the exit code of the specification, and nothing is changed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.verifier.main import main
from tests.reference import bundles, receipts, witnesses
from tests.reference import merkle_oracle as oracle
from tests.reference.bundle_steps import LEAVES, LOG, MADE
from tests.reference.tlog_follower import tile_index

SIZE = 300
ROOT = oracle.tree_hash(LEAVES[:SIZE])
GOOD = receipts.note(ROOT, size=SIZE)
HOLDS, DOES_NOT_HOLD, NOT_CHECKED = 0, 1, 2


def of_unknown_algorithm(size: int, root: bytes) -> str:
    """A note that the log's key has signed, whose line says that it is of another algorithm."""
    note = receipts.note(root, size=size)
    text, _, line = note.partition("\n\n")
    signature = base64.b64decode(line.split(" ")[2])[4:]
    key = receipts.ORIGIN.encode() + b"\n\x7f" + receipts.PUBLIC_KEY
    data = hashlib.sha256(key).digest()[:4] + signature
    return f"{text}\n\n\u2014 {receipts.ORIGIN} {base64.b64encode(data).decode()}\n"


NOTES: dict[str, Callable[[int, bytes], str]] = {
    "no final newline": lambda size, root: receipts.note(root, size=size)[:-1],
    "CRLF": lambda size, root: receipts.note(root, size=size).replace("\n", "\r\n"),
    "a leading zero": lambda size, root: receipts.note(root, size=f"0{size}"),
    "unknown algorithm": of_unknown_algorithm,
    "the same line twice": lambda size, root: (
        (note := receipts.note(root, size=size)) + note.partition("\n\n")[2]
    ),
}
each_note = pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)


class Files:
    """Input that holds, in a folder; `run` gives an exit code and looks for what changed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.put("trust.json", json.dumps(receipts.trust()))
        self.put("evidence.zip", bundles.bundle(MADE))
        self.put("receipt.json", json.dumps(receipts.receipt()))
        self.put("kept", GOOD)
        self.copy(SIZE)
        assert self.run("tiles", "copy", "--state", "state") == HOLDS

    def put(self, name: str, data: str | bytes) -> None:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())

    def copy(self, size: int, note: str | None = None) -> None:
        """The log's first entries as tiles."""
        root = oracle.tree_hash(LEAVES[:size])
        self.put("copy/checkpoint", note or receipts.note(root, size=size))
        for (level, n, width), data in oracle.all_tiles(LEAVES[:size]).items():
            self.put(f"copy/tile/{level}/{tile_index(n, width)}", data)
        for n in range((size + 255) // 256):
            entries = LOG[n * 256 : min(size, n * 256 + 256)]
            place = f"copy/tile/entries/{tile_index(n, len(entries))}"
            self.put(place, bundles.framed(entries))

    def run(self, command: str, *words: str) -> int:
        named = [word if word.startswith("--") else str(self.folder / word) for word in words]
        return main([command, *named, "--trust", str(self.folder / "trust.json")])

    def refused(self, command: str, *words: str) -> int:
        """The exit code of input that must leave every file as it was, and say why in words."""
        self._capsys.readouterr()
        before = self._all()
        code = self.run(command, *words)
        said = "".join(self._capsys.readouterr())
        assert self._all() == before
        assert "DOES NOT HOLD" in said or "NOT CHECKED" in said
        return code

    def _all(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path / "files", capsys)


def test_what_the_changes_below_begin_with_holds(files: Files) -> None:
    codes = [
        files.run("bundle", "evidence.zip", "--previous", "kept"),
        files.run("receipt", "receipt.json"),
        files.run("tiles", "copy"),
    ]
    assert codes == [HOLDS, HOLDS, HOLDS]


@each_note
def test_a_malformed_checkpoint_of_a_log_does_not_hold(
    files: Files, note: Callable[[int, bytes], str]
) -> None:
    root = oracle.tree_hash(LEAVES[:400])
    files.copy(400, note(400, root))
    assert files.refused("tiles", "copy", "--state", "state") == DOES_NOT_HOLD


@each_note
def test_a_malformed_checkpoint_in_a_bundle_does_not_hold(
    files: Files, note: Callable[[int, bytes], str]
) -> None:
    checkpoint = note(bundles.SIZE, oracle.tree_hash(LEAVES)).encode()
    files.put("evidence.zip", bundles.bundle({**MADE, "bundle/checkpoint": checkpoint}))
    assert files.refused("bundle", "evidence.zip") == DOES_NOT_HOLD


@each_note
def test_a_malformed_checkpoint_that_was_kept_is_not_checked(
    files: Files, note: Callable[[int, bytes], str]
) -> None:
    files.put("kept", note(SIZE, ROOT))
    assert files.refused("bundle", "evidence.zip", "--previous", "kept") == NOT_CHECKED


@each_note
def test_a_malformed_checkpoint_in_a_receipt_does_not_hold(
    files: Files, note: Callable[[int, bytes], str]
) -> None:
    made = receipts.receipt()
    root = oracle.tree_hash([receipts.leaf(entry) for entry in receipts.entries()])
    files.put("receipt.json", json.dumps(made | {"checkpoint": note(receipts.SIZE, root)}))
    assert files.refused("receipt", "receipt.json") == DOES_NOT_HOLD


def test_a_good_signature_of_the_log_does_not_save_a_bad_one_of_a_known_witness(
    files: Files,
) -> None:
    key = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY).vkey()
    line = witnesses.cosignature("another text\n", witnesses.NOW)
    files.put("policy", f"witness w1 {key}\nquorum none\n")
    checkpoint = MADE["bundle/checkpoint"] + line.encode()
    files.put("evidence.zip", bundles.bundle({**MADE, "bundle/checkpoint": checkpoint}))
    assert files.refused("bundle", "evidence.zip", "--witnesses", "policy") == DOES_NOT_HOLD


def zipped(name: str, data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """The good bundle with one more member, by any ZIP tool."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for member, content in {**MADE, "manifest.json": bundles.manifest(MADE)}.items():
            made.writestr(member, content)
        made.writestr(name, data)
    return file.getvalue()


ZIPS = {
    "cut off": bundles.bundle(MADE)[:-100],
    "a bomb": zipped("bundle/bomb", bytes(1 << 26), zipfile.ZIP_DEFLATED),
    "a path out of it": zipped("../outside", b"x"),
    "an absolute path": zipped("/tmp/outside", b"x"),
    "two bundles": bundles.bundle(MADE) * 2,
    "a bundle and another": bundles.bundle(MADE) + bundles.bundle(MADE, headers="included"),
}


@pytest.mark.parametrize("data", ZIPS.values(), ids=ZIPS)
def test_a_file_that_is_no_bundle_is_not_checked(files: Files, data: bytes) -> None:
    files.put("evidence.zip", data)
    assert files.refused("bundle", "evidence.zip") == NOT_CHECKED
    assert not (files.folder.parent / "outside").exists()


@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/000", "tile/0/001.p/144"])
def test_a_tile_that_is_longer_than_a_tile_can_be_does_not_hold(files: Files, path: str) -> None:
    files.copy(400)
    files.put(f"copy/{path}", bytes(1 << 26))
    (files.folder / "state").unlink()
    assert files.refused("tiles", "copy") == DOES_NOT_HOLD
