from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.core.tlog.note import NoteVerifier
from auditvault.verifier.main import main
from tests.reference import bundles, receipts, witnesses
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import BareVerifier, failures, outcomes
from tests.reference.bundle_steps import LEAVES, LOG, MADE

HELD = ["manifest", "checkpoint", "entries", "range", "headers", "previous"]


class Files:
    """A bundle and a trust file on disk, and what the command says of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.bundle = folder / "evidence.zip"
        self.trust = folder / "trust.json"
        self.kept = folder / "kept"
        self.policy = folder / "policy"
        self.bundle.write_bytes(bundles.bundle(MADE))
        self.trust.write_text(receipts.dumps(receipts.trust()))
        self._capsys = capsys

    def run(self, *options: str) -> int:
        return main(["bundle", str(self.bundle), "--trust", str(self.trust), *options])

    def report(self, *options: str) -> tuple[int, dict[str, Any]]:
        code = self.run(*options, "--json")
        return code, json.loads(self._capsys.readouterr().out)

    def out(self) -> str:
        return self._capsys.readouterr().out

    def keep(self, size: int, leaves: list[bytes] = LEAVES) -> tuple[str, str]:
        self.kept.write_text(receipts.note(oracle.tree_hash(leaves[:size]), size=size))
        return "--previous", str(self.kept)


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


def test_a_good_bundle_holds(files: Files) -> None:
    code, report = files.report()

    assert (code, report["result"], report["v"]) == (0, "holds", "auditvault/verification/1")
    assert report["bundle"] == {"log": receipts.ORIGIN, "first": 200, "end": 601, "size": 700}
    assert outcomes(report) == dict.fromkeys(HELD, "holds") | dict.fromkeys(
        ["kept", "witnesses", "timestamps", "keys"], "not_checked"
    )


def test_the_report_for_people_fits_one_screen(files: Files) -> None:
    files.run()

    lines = files.out().splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 120 for line in lines)
    assert all(any(step in line and "holds" in line for line in lines) for step in HELD)
    assert lines[-1].startswith("HOLDS")


def test_a_kept_checkpoint_is_compared(files: Files) -> None:
    code, report = files.report(*files.keep(300))

    assert (code, outcomes(report)["kept"]) == (0, "holds")


def test_a_kept_checkpoint_of_another_history_does_not_hold(files: Files) -> None:
    other = [receipts.leaf(b"another"), *LEAVES[1:]]

    code, report = files.report(*files.keep(300, other))

    assert (code, failures(report)) == (1, {"kept": "proof_root_mismatch"})


def test_a_kept_checkpoint_that_cannot_be_compared_is_not_checked(files: Files) -> None:
    code, report = files.report(*files.keep(10))

    assert (code, outcomes(report)["kept"]) == (2, "not_checked")


@pytest.mark.parametrize("text", ["", "nonsense", "\x1b[31m"])
def test_a_kept_checkpoint_that_is_none_is_not_checked(files: Files, text: str) -> None:
    files.kept.write_text(text)

    code, report = files.report("--previous", str(files.kept))

    assert (code, report["result"]) == (2, "not_checked")
    assert failures(report) == {}


def policy_of(*keys: str, quorum: str) -> str:
    lines = [f"witness w{n} {key}" for n, key in enumerate(keys)]
    return "\n".join([*lines, f"quorum {quorum}", ""])


def witnessed(text: str, line: str) -> dict[str, bytes]:
    """The members, with a cosignature in the note."""
    return {**MADE, "bundle/checkpoint": (text + line).encode()}


def test_enough_witnesses_hold_and_too_few_do_not(files: Files) -> None:
    note = MADE["bundle/checkpoint"].decode()
    body = note.partition("\n\n")[0] + "\n"
    key = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY).vkey()
    files.policy.write_text(policy_of(key, quorum="w0"))

    few, without = files.report("--witnesses", str(files.policy))
    line = witnesses.cosignature(body, witnesses.NOW)
    files.bundle.write_bytes(bundles.bundle(witnessed(note, line)))
    enough, report = files.report("--witnesses", str(files.policy))

    assert (few, failures(without)) == (1, {"witnesses": "witness_quorum_missing"})
    assert (enough, outcomes(report)["witnesses"]) == (0, "holds")


def test_a_good_log_signature_with_a_bad_one_of_a_known_witness_does_not_hold(
    files: Files,
) -> None:
    note = MADE["bundle/checkpoint"].decode()
    key = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY).vkey()
    files.policy.write_text(policy_of(key, quorum="none"))
    line = witnesses.cosignature("another text\n", witnesses.NOW)
    files.bundle.write_bytes(bundles.bundle(witnessed(note, line)))

    code, report = files.report("--witnesses", str(files.policy))

    assert (code, failures(report)) == (1, {"witnesses": "note_signature_invalid"})


@pytest.mark.parametrize("policy", ["", "quorum w0\n", "witness w0 key\nquorum w0\n"])
def test_a_policy_that_is_none_is_not_checked(files: Files, policy: str) -> None:
    files.policy.write_text(policy)

    assert files.report("--witnesses", str(files.policy))[0] == 2


def test_a_log_without_a_trusted_key_is_not_checked(files: Files) -> None:
    files.trust.write_text(receipts.dumps(receipts.trust()).replace("/eu/", "/us/"))

    code, report = files.report(*files.keep(300))

    assert (code, report["result"]) == (2, "not_checked")
    assert outcomes(report)["entries"] == "holds"


def test_trust_roots_inside_the_bundle_are_not_used(files: Files) -> None:
    """A bundle of somebody else's, whole and signed, that brings its own keys along."""
    root = oracle.tree_hash(LEAVES)
    theirs = receipts.OTHER_KEY.public_key().public_bytes_raw()
    vkey = NoteVerifier(receipts.ORIGIN, theirs).vkey()
    made = receipts.without(MADE, "bundle/previous", "bundle/consistency") | {
        "bundle/checkpoint": receipts.note(root, size=700, key=receipts.OTHER_KEY).encode(),
        "bundle/keys": f"{vkey}\n".encode(),
        "bundle/extra/trust.json": receipts.dumps({"logs": [{"vkey": vkey}]}).encode(),
    }
    files.bundle.write_bytes(bundles.bundle(made))

    code, report = files.report()

    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})


def test_what_this_version_does_not_know_is_said(files: Files) -> None:
    files.bundle.write_bytes(bundles.bundle({**MADE, "bundle/extra/a": b"x"}))

    code, report = files.report()

    assert (code, outcomes(report)["extra"]) == (0, "not_checked")


@pytest.mark.parametrize("headers", ["not_requested", "not_authorised", "not_stored"])
def test_a_bundle_without_headers_holds_and_says_why(files: Files, headers: str) -> None:
    made = bundles.members(headers=False, log=LOG)
    files.bundle.write_bytes(bundles.bundle(made, headers=headers))

    code, report = files.report()

    assert (code, outcomes(report)["headers"]) == (0, "not_checked")


def test_one_failure_does_not_hide_what_does_not_depend_on_it(files: Files) -> None:
    note = receipts.note(oracle.tree_hash(LEAVES), size=700, key=receipts.OTHER_KEY)
    files.bundle.write_bytes(bundles.bundle({**MADE, "bundle/checkpoint": note.encode()}))

    code, report = files.report(*files.keep(300))

    assert code == 1
    assert outcomes(report) == {
        "manifest": "holds",
        "checkpoint": "does_not_hold",
        "entries": "holds",
        "range": "not_checked",
        "headers": "holds",
        "previous": "not_checked",
        "kept": "not_checked",
        "witnesses": "not_checked",
        "timestamps": "not_checked",
        "keys": "not_checked",
    }


def test_the_first_bad_entry_is_named(files: Files) -> None:
    name = "bundle/records/0000000000000000256/entries"
    entries = LOG[256:512]
    entries[44] = entries[44].replace(b"otlp:demo", b"otlp:evil")
    files.bundle.write_bytes(bundles.bundle({**MADE, name: bundles.framed(entries)}))

    _, report = files.report()

    (entry,) = [check for check in report["checks"] if check["name"] == "entries"]
    assert entry["detail"] == "entry 301 does not name the entry before it"


GOOD = bundles.bundle(MADE)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", GOOD[:-1], GOOD[: len(GOOD) // 2], GOOD + GOOD, b"\x00" + GOOD, GOOD + b"\x00"],
)
def test_a_file_that_is_no_bundle_is_not_checked(files: Files, data: bytes) -> None:
    files.bundle.write_bytes(data)

    code, report = files.report()

    assert (code, report["result"], report["bundle"]) == (2, "not_checked", None)


@pytest.mark.parametrize("which", ["bundle", "trust"])
def test_a_missing_file_is_not_checked(files: Files, which: str) -> None:
    getattr(files, which).unlink()

    code, report = files.report()

    assert code == 2
    assert "No such file" in report["checks"][0]["detail"]


def test_a_directory_is_not_checked(files: Files, tmp_path: Path) -> None:
    files.bundle = tmp_path

    assert files.report()[0] == 2


def test_the_help_tells_steps_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bundle", "--help"])

    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(word in out for word in [*HELD, "kept", "witnesses", "exit codes", "example"])


def test_nothing_unread_of_a_bundle_reaches_the_terminal(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in MADE:
        files.bundle.write_bytes(bundles.bundle({**MADE, name: b"\x1b[31mcanary\n"}))
        files.run()
        captured = capsys.readouterr()
        assert "\x1b" not in captured.out + captured.err
        assert "canary" not in captured.out + captured.err


def test_it_runs_where_only_it_and_cryptography_are_installed(
    files: Files, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = BareVerifier(tmp_path_factory.mktemp("bare"))

    code, report = bare.run("bundle", str(files.bundle), "--trust", str(files.trust))

    assert bare.others() == []
    assert (code, report["result"]) == (0, "holds")
