from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.verifier.main import main
from tests.reference import bundles, receipts, witnesses
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import failures, outcomes
from tests.reference.bundle_steps import MADE

ENTRIES = receipts.entries()
LEAVES = [receipts.leaf(data) for data in ENTRIES]
NOTE = receipts.note(oracle.tree_hash(LEAVES))


def text(
    index: int = 6, *, entry: bytes | None = ENTRIES[6], note: str = NOTE, path: int = 6
) -> str:
    """A proof by the specification, made by hand."""
    extra = [] if entry is None else [f"extra {base64.b64encode(entry).decode()}"]
    hashes = [base64.b64encode(node).decode() for node in oracle.inclusion_path(path, LEAVES)]
    return "\n".join(["c2sp.org/tlog-proof@v1", *extra, f"index {index}", *hashes, "", note])


class Files:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.proof = folder / "entry.tlog-proof"
        self.trust = folder / "trust.json"
        self.proof.write_text(text())
        self.trust.write_text(receipts.dumps(receipts.trust()))
        self._capsys = capsys

    def report(self, *options: str) -> tuple[int, dict[str, Any]]:
        words = ["proof", str(self.proof), "--trust", str(self.trust), *options, "--json"]
        code = main(words)
        return code, json.loads(self._capsys.readouterr().out)

    def out(self) -> str:
        return self._capsys.readouterr().out


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


def test_a_good_proof_holds(files: Files) -> None:
    code, report = files.report()
    assert (code, report["result"]) == (0, "holds")
    assert report["proof"] == {"log": receipts.ORIGIN, "index": 6}
    assert outcomes(report) == {
        "entry": "holds",
        "checkpoint": "holds",
        "inclusion": "holds",
        "witnesses": "not_checked",
    }


def test_the_report_for_people_ends_with_the_verdict(files: Files) -> None:
    main(["proof", str(files.proof), "--trust", str(files.trust)])
    lines = files.out().splitlines()
    assert lines[-1].startswith("HOLDS")
    assert len(lines) <= 24


def test_the_entry_may_come_from_elsewhere(files: Files) -> None:
    files.proof.write_text(text(entry=None))
    (files.folder / "entry").write_bytes(ENTRIES[6])
    assert files.report("--entry", str(files.folder / "entry"))[0] == 0


def test_a_proof_without_an_entry_is_not_checked(files: Files) -> None:
    files.proof.write_text(text(entry=None))
    assert files.report()[0] == 2


def test_another_entry_does_not_hold(files: Files) -> None:
    files.proof.write_text(text(entry=ENTRIES[5]))
    code, report = files.report()
    assert (code, failures(report)) == (1, {"entry": "proof_mismatch"})


def test_an_entry_that_was_changed_does_not_hold(files: Files) -> None:
    files.proof.write_text(text(entry=ENTRIES[6].replace(b"otlp:demo", b"otlp:evil")))
    code, report = files.report()
    assert (code, failures(report)) == (1, {"inclusion": "proof_root_mismatch"})


def test_what_is_no_entry_does_not_hold(files: Files) -> None:
    files.proof.write_text(text(entry=b"{}"))
    code, report = files.report()
    assert (code, failures(report)) == (1, {"entry": "entry_malformed"})


def test_a_checkpoint_that_nobody_trusted_signed_does_not_hold(files: Files) -> None:
    files.proof.write_text(
        text(note=receipts.note(oracle.tree_hash(LEAVES), key=receipts.OTHER_KEY))
    )
    code, report = files.report()
    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})


def test_a_log_without_a_trusted_key_is_not_checked(files: Files) -> None:
    key = base64.b64encode(receipts.PUBLIC_KEY).decode()
    files.trust.write_text(
        json.dumps({"logs": [{"public_key": key, "origins": ["other.example/eu/*"]}]})
    )
    assert files.report()[0] == 2


def test_the_policys_witnesses_must_have_cosigned(files: Files) -> None:
    key = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY).vkey()
    policy = files.folder / "policy"
    policy.write_text(f"witness w {key}\nquorum w\n")
    without, _ = files.report("--witnesses", str(policy))
    body = NOTE.partition("\n\n")[0] + "\n"
    files.proof.write_text(text(note=NOTE + witnesses.cosignature(body, witnesses.NOW)))
    code, report = files.report("--witnesses", str(policy))
    assert (without, code, outcomes(report)["witnesses"]) == (1, 0, "holds")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\xff", text().replace("\n", "\r\n").encode()])
def test_a_file_that_is_no_proof_is_not_checked(files: Files, data: bytes) -> None:
    files.proof.write_bytes(data)
    code, report = files.report()
    assert (code, report["result"], report["proof"]) == (2, "not_checked", None)


def bundle(files: Files, *options: str, made: dict[str, bytes] = MADE) -> int:
    (files.folder / "evidence.zip").write_bytes(bundles.bundle(made))
    words = ["bundle", str(files.folder / "evidence.zip"), "--trust", str(files.trust), *options]
    code = main(words)
    files.out()
    return code


def test_a_bundle_that_holds_gives_an_entrys_proof_that_holds(files: Files) -> None:
    files.proof.unlink()
    assert bundle(files, "--write-proof", "300", "--output", str(files.proof)) == 0
    code, report = files.report()
    assert (code, report["proof"]) == (0, {"log": receipts.ORIGIN, "index": 300})


def test_a_bundle_that_does_not_hold_gives_none(files: Files) -> None:
    files.proof.unlink()
    made = {**MADE, "bundle/proof": bytes(len(MADE["bundle/proof"]))}
    assert bundle(files, "--write-proof", "300", "--output", str(files.proof), made=made) == 1
    assert not files.proof.exists()


def test_a_proof_is_not_written_over_a_file(files: Files) -> None:
    assert bundle(files, "--write-proof", "300", "--output", str(files.proof)) == 2
    assert files.proof.read_text() == text()


def test_a_proof_of_an_entry_that_the_bundle_lacks_is_not_written(files: Files) -> None:
    files.proof.unlink()
    assert bundle(files, "--write-proof", "10", "--output", str(files.proof)) == 2
    assert not files.proof.exists()


@pytest.mark.parametrize("options", [("--write-proof", "300"), ("--output", "x")])
def test_half_of_the_two_options_is_refused(files: Files, options: tuple[str, ...]) -> None:
    assert bundle(files, *options) == 2
