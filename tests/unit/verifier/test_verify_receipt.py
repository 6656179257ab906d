from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from auditvault.verifier import main as command
from auditvault.verifier.main import main
from tests.reference import merkle_oracle as oracle
from tests.reference import receipts

GOOD = receipts.receipt()
BARE = receipts.without(GOOD, "header", "opening")
LEAVES = [receipts.leaf(data) for data in receipts.entries()]
STEPS = ["entry", "leaf hash", "checkpoint", "inclusion", "header"]


class Files:
    """A receipt and a trust file on disk."""

    def __init__(self, folder: Path) -> None:
        self.receipt = folder / "receipt.json"
        self.trust = folder / "trust.json"
        self.header = folder / "header.json"
        self.receipt.write_text(receipts.dumps(GOOD))
        self.trust.write_text(receipts.dumps(receipts.trust()))
        self.header.write_bytes(receipts.HEADER)

    def run(self, *options: str) -> int:
        return main(["receipt", str(self.receipt), "--trust", str(self.trust), *options])


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def _report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def _outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in report["checks"]}


def test_a_good_receipt_holds(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    code = files.run("--json")

    report = _report(capsys)
    assert (code, report["result"]) == (0, "holds")
    assert report["v"] == "auditvault/verification/1"
    assert _outcomes(report) == dict.fromkeys(STEPS, "holds")
    assert report["receipt"] == {
        "interaction_id": GOOD["interaction_id"],
        "log": receipts.ORIGIN,
        "index": receipts.INDEX,
    }


def test_the_specifications_example_holds(files: Files) -> None:
    page = Path(__file__).parents[3] / "docs" / "spec" / "receipt.md"
    example = json.loads(page.read_text("utf-8").split("```json\n")[1].split("```")[0])
    files.receipt.write_text(json.dumps(example["receipt"]))
    files.trust.write_text(json.dumps(example["trust"]))

    assert files.run() == 0


def test_the_report_for_people_fits_one_screen(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.run()

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 120 for line in lines)
    assert all(any(step in line and "holds" in line for line in lines) for step in STEPS)
    assert lines[-1].startswith("HOLDS")


def test_a_receipt_without_a_header_holds_and_says_what_was_not_checked(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.receipt.write_text(receipts.dumps(BARE))

    code = files.run()

    out = capsys.readouterr().out
    assert code == 0
    assert "not checked    header      no header and no opening were given" in out


def test_the_callers_own_header_is_checked(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.receipt.write_text(receipts.dumps(BARE))

    code = files.run("--header", str(files.header), "--opening", GOOD["opening"], "--json")

    assert code == 0
    assert _outcomes(_report(capsys))["header"] == "holds"


def test_the_callers_own_header_wins_over_the_receipts(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.header.write_text('{"model":"another"}')

    code = files.run("--header", str(files.header), "--opening", GOOD["opening"], "--json")

    report = _report(capsys)
    assert code == 1
    assert _outcomes(report) == dict.fromkeys(STEPS, "holds") | {"header": "does_not_hold"}
    assert report["checks"][-1]["code"] == "commitment_mismatch"


def test_a_header_with_an_id_is_the_named_records(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    name = GOOD["interaction_id"]
    made = receipts.receipt(header=f'{{"id":"{name}","model":"example-1"}}'.encode())
    outcomes = []
    for interaction_id in (name, name.replace("7", "8")):
        files.receipt.write_text(receipts.dumps(made | {"interaction_id": interaction_id}))
        outcomes.append((files.run("--json"), _report(capsys)["checks"][-1]["code"]))

    assert outcomes == [(0, None), (1, "receipt_mismatch")]


@pytest.mark.parametrize(
    ("changes", "failing", "code"),
    [
        ({"index": 5}, "entry", "receipt_mismatch"),
        ({"entry": base64.b64encode(b"{}").decode()}, "entry", "entry_malformed"),
        ({"leaf_hash": "00" * 32}, "leaf hash", "receipt_mismatch"),
        (
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES), key=receipts.OTHER_KEY)},
            "checkpoint",
            "note_untrusted",
        ),
        (
            {"checkpoint": GOOD["checkpoint"].replace("\n11\n", "\n12\n")},
            "checkpoint",
            "note_signature_invalid",
        ),
        ({"checkpoint": "nonsense"}, "checkpoint", "note_malformed"),
        (
            {"checkpoint": receipts.note(oracle.tree_hash(LEAVES[:10]))},
            "inclusion",
            "proof_root_mismatch",
        ),
        ({"inclusion_proof": {"size": 11, "hashes": []}}, "inclusion", "proof_length_wrong"),
        ({"inclusion_proof": {"size": 12, "hashes": []}}, "inclusion", "receipt_mismatch"),
        ({"opening": "00" * 32}, "header", "commitment_mismatch"),
    ],
)
def test_a_broken_receipt_does_not_hold_and_names_the_step(
    files: Files,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    failing: str,
    code: str,
) -> None:
    files.receipt.write_text(receipts.dumps(GOOD | changes))

    exit_code = files.run("--json")

    report = _report(capsys)
    failed = {
        check["name"]: check["code"]
        for check in report["checks"]
        if check["outcome"] == "does_not_hold"
    }
    assert (exit_code, report["result"]) == (1, "does_not_hold")
    assert failed[failing] == code


def test_a_failed_checkpoint_leaves_the_inclusion_not_checked(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.receipt.write_text(receipts.dumps(GOOD | {"checkpoint": "nonsense"}))

    files.run("--json")

    assert _outcomes(_report(capsys)) == {
        "entry": "holds",
        "leaf hash": "holds",
        "checkpoint": "does_not_hold",
        "inclusion": "not_checked",
        "header": "holds",
    }


def test_a_log_without_a_trusted_key_is_not_checked(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.trust.write_text(receipts.dumps(receipts.trust()).replace("/eu/", "/us/"))

    code = files.run("--json")

    report = _report(capsys)
    assert (code, report["result"]) == (2, "not_checked")
    assert _outcomes(report)["checkpoint"] == "not_checked"


def test_a_pending_receipt_is_not_checked(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    pending = BARE | {"inclusion_proof": None, "checkpoint": None}
    files.receipt.write_text(receipts.dumps(pending))

    code = files.run()

    out = capsys.readouterr().out
    assert code == 2
    assert "pending" in out
    assert out.splitlines()[-1].startswith("NOT CHECKED")


def test_a_pending_receipt_with_a_wrong_entry_does_not_hold(files: Files) -> None:
    pending = BARE | {"inclusion_proof": None, "checkpoint": None, "index": 1}
    files.receipt.write_text(receipts.dumps(pending))

    assert files.run() == 1


@pytest.mark.parametrize("half", ["header", "opening"])
def test_a_receipt_with_half_of_header_and_opening_is_not_checked(
    files: Files, capsys: pytest.CaptureFixture[str], half: str
) -> None:
    files.receipt.write_text(receipts.dumps(receipts.without(GOOD, half)))

    code = files.run("--json")

    assert code == 2
    assert _outcomes(_report(capsys))["header"] == "not_checked"


def test_a_key_inside_the_receipt_is_never_trusted(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.receipt.write_text(receipts.dumps(GOOD | receipts.trust()))

    code = files.run("--json")

    report = _report(capsys)
    assert (code, report["receipt"]) == (2, None)
    assert report["checks"][0]["code"] == "input_unreadable"


@pytest.mark.parametrize("content", ["", "not json", "{}", "[]", "\x1b[31m"])
@pytest.mark.parametrize("which", ["receipt", "trust"])
def test_a_file_that_is_not_of_its_format_is_not_checked(
    files: Files, capsys: pytest.CaptureFixture[str], which: str, content: str
) -> None:
    getattr(files, which).write_text(content)

    code = files.run()

    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith(f"NOT CHECKED: the {which}")
    assert captured.out == ""


@pytest.mark.parametrize("which", ["receipt", "trust"])
def test_a_missing_file_is_not_checked(
    files: Files, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    getattr(files, which).unlink()

    code = files.run()

    assert code == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_a_missing_file_is_reported_to_machines_too(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.trust.unlink()

    code = files.run("--json")

    assert (code, _report(capsys)["result"]) == (2, "not_checked")


def test_a_huge_file_is_not_read(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAX_FILE_SIZE", 10)

    code = files.run()

    assert code == 2
    assert "bigger than 10 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--header", "HEADER"],
        ["--opening", "00" * 32],
        ["--header", "HEADER", "--opening", "00" * 31],
        ["--header", "HEADER", "--opening", "AB" * 32],
        ["--header", "missing", "--opening", "00" * 32],
    ],
)
def test_options_that_cannot_be_used_are_not_checked(files: Files, options: list[str]) -> None:
    code = files.run(*[str(files.header) if word == "HEADER" else word for word in options])

    assert code == 2


@pytest.mark.parametrize("arguments", [[], ["receipt"], ["receipt", "x.json"], ["other"]])
def test_arguments_that_are_missing_or_unknown_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2


def test_the_help_tells_steps_trust_file_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["receipt", "--help"])

    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(word in out for word in [*STEPS, "trust file", "exit codes", "--trust", "example"])


def test_nothing_unread_of_a_receipt_reaches_the_terminal(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = base64.b64encode(b'{"c":"\x1b[31mcanary"}').decode()
    files.receipt.write_text(
        receipts.dumps(GOOD | {"entry": entry, "checkpoint": "\x1b[31mcanary"})
    )

    files.run()

    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "canary" not in captured.out + captured.err
