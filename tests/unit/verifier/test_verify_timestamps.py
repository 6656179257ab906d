"""Time stamps in a bundle: the log's part is always checked, the stamp under authorities that the verifier names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.bundle_manifest import BundleError
from auditvault.verifier.main import main
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import failures, outcomes
from tests.reference.bundle_steps import LEAVES, LOG, MADE, opened
from tests.reference.timestamp_authority import TimestampAuthority, openssl

Report = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority.make(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def stamp(tsa: TimestampAuthority) -> Callable[[bytes], bytes]:
    def of(data: bytes) -> bytes:
        (tsa.folder / "asked").write_bytes(data)
        words = ("-data", str(tsa.folder / "asked"), "-sha256", "-cert")
        return tsa.answer(openssl("ts", "-query", *words))

    return of


@pytest.fixture
def report(tmp_path: Path, tsa: TimestampAuthority, capsys: pytest.CaptureFixture[str]) -> Report:
    """`report(members)` is exit code and report on a bundle of these members, under the authority's root."""

    def run(more: dict[str, bytes], *options: str) -> tuple[int, dict[str, Any]]:
        (tmp_path / "evidence.zip").write_bytes(bundles.bundle({**MADE, **more}))
        (tmp_path / "trust.json").write_text(receipts.dumps(receipts.trust()))
        words = ["bundle", str(tmp_path / "evidence.zip"), "--trust", str(tmp_path / "trust.json")]
        roots = options or ("--tsa-roots", str(tsa.root_file))
        code = main([*words, *roots, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("size", [1, 150, 400, 601, 650, 700])
def test_a_stamp_over_any_size_that_the_log_had_holds(
    report: Report, stamp: Callable[[bytes], bytes], size: int
) -> None:
    code, said = report(bundles.stamped(LOG, size, stamp))
    assert (code, outcomes(said)["timestamps"]) == (0, "holds")
    (detail,) = [check["detail"] for check in said["checks"] if check["name"] == "timestamps"]
    assert f"the first {size} entries existed at 20" in detail


def test_without_an_authority_the_stamp_is_not_judged_and_that_is_said(
    report: Report, stamp: Callable[[bytes], bytes]
) -> None:
    code, said = report(bundles.stamped(LOG, 650, stamp), "--json")
    assert (code, outcomes(said)["timestamps"]) == (0, "not_checked")


def test_without_an_authority_the_logs_part_is_checked_all_the_same(
    report: Report, stamp: Callable[[bytes], bytes]
) -> None:
    other = receipts.note(oracle.tree_hash([receipts.leaf(b"other"), *LEAVES[1:650]]), size=650)
    code, said = report(bundles.stamped(LOG, 650, stamp, checkpoint=other), "--json")
    assert (code, failures(said)) == (1, {"timestamps": "proof_root_mismatch"})


def test_a_stamp_over_another_history_of_the_log_does_not_hold(
    report: Report, stamp: Callable[[bytes], bytes]
) -> None:
    other = receipts.note(oracle.tree_hash([receipts.leaf(b"other"), *LEAVES[1:]]), size=700)
    code, said = report(bundles.stamped(LOG, 700, stamp, checkpoint=other))
    assert (code, failures(said)) == (1, {"timestamps": "proof_root_mismatch"})


def test_a_stamped_checkpoint_that_nobody_trusted_signed_does_not_hold(
    report: Report, stamp: Callable[[bytes], bytes]
) -> None:
    root = oracle.tree_hash(LEAVES[:650])
    theirs = receipts.note(root, size=650, key=receipts.OTHER_KEY)
    code, said = report(bundles.stamped(LOG, 650, stamp, checkpoint=theirs))
    assert (code, failures(said)) == (1, {"timestamps": "note_untrusted"})


def test_a_stamp_over_something_else_does_not_hold(
    report: Report, stamp: Callable[[bytes], bytes]
) -> None:
    code, said = report(bundles.stamped(LOG, 650, lambda _text: stamp(b"something else")))
    assert (code, failures(said)) == (1, {"timestamps": "timestamp_of_other_data"})


def test_a_stamp_by_an_authority_that_the_verifier_does_not_know_does_not_hold(
    report: Report, stamp: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    other = TimestampAuthority.make(tmp_path)
    code, said = report(bundles.stamped(LOG, 650, stamp), "--tsa-roots", str(other.root_file))
    assert (code, failures(said)) == (1, {"timestamps": "certificate_not_trusted"})


def test_several_stamps_are_each_judged(report: Report, stamp: Callable[[bytes], bytes]) -> None:
    more = bundles.stamped(LOG, 300, stamp) | bundles.stamped(LOG, 700, stamp)
    code, said = report(more)
    judged = [check["outcome"] for check in said["checks"] if check["name"] == "timestamps"]
    assert (code, judged) == (0, ["holds", "holds"])


def test_a_stamp_under_the_name_of_another_size_does_not_hold(
    report: Report, stamp: Callable[[bytes], bytes]
) -> None:
    made = bundles.stamped(LOG, 650, stamp)
    moved = {name.replace("650", "651"): data for name, data in made.items()}
    code, said = report(moved)
    assert (code, failures(said)) == (1, {"timestamps": "bundle_mismatch"})


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_of_authorities_that_is_none_is_not_checked(
    report: Report, stamp: Callable[[bytes], bytes], tmp_path: Path, text: str
) -> None:
    (tmp_path / "roots.pem").write_text(text)
    made = bundles.stamped(LOG, 650, stamp)
    code, said = report(made, "--tsa-roots", str(tmp_path / "roots.pem"))
    assert (code, said["result"]) == (2, "not_checked")


def name(size: int, part: str = "proof") -> str:
    return f"bundle/timestamps/{size:019d}/{part}"


@pytest.mark.parametrize(
    "members",
    [
        {name(0): b"{}", name(0, "consistency"): b""},
        {name(701): b"{}", name(701, "consistency"): b""},
        {name(650): b"{}"},
        {name(650, "consistency"): b""},
        {name(700): b"{}", name(700, "consistency"): b""},
        {name(650): b"{}", name(650, "consistency"): b"", name(650, "more"): b""},
        {"bundle/timestamps/650/proof": b"{}"},
        {
            f"bundle/timestamps/{size:019d}/{part}": b"{}"
            for size in range(1, 18)
            for part in ("proof", "consistency")
        },
    ],
    ids=[
        "of nothing",
        "beyond the log",
        "unled",
        "unproved",
        "led nowhere",
        "more",
        "short",
        "many",
    ],
)
def test_time_stamps_in_another_shape_make_it_no_bundle(members: dict[str, bytes]) -> None:
    with pytest.raises(BundleError):
        opened(bundles.bundle({**MADE, **members}))


def test_a_proof_that_is_too_long_does_not_hold(report: Report) -> None:
    code, said = report({name(700): b" " * 200_000})
    assert (code, failures(said)) == (1, {"timestamps": "bundle_malformed"})
