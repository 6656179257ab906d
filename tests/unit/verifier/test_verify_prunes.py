"""What a bundle says that its log gave up: proved by the checkpoint, or it does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditvault.verifier.main import main
from tests.reference import bundles, prunes, receipts
from tests.reference.bare_verifier import failures, outcomes

LOG, RECORD = prunes.log()
MADE = bundles.members(log=LOG, previous=None)
MEMBER = prunes.member(LOG, RECORD)
(NAME,) = MEMBER


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`verify(members)` is exit code and report of a bundle of these members."""
    (tmp_path / "trust.json").write_text(json.dumps(receipts.trust()))

    def run(made: dict[str, bytes]) -> tuple[int, dict[str, Any]]:
        (tmp_path / "bundle").write_bytes(bundles.bundle(made))
        words = ["bundle", str(tmp_path / "bundle"), "--trust", str(tmp_path / "trust.json")]
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def changed(**changes: Any) -> dict[str, bytes]:
    return {**MADE, NAME: bundles.dumps(json.loads(MEMBER[NAME]) | changes)}


def test_a_prune_that_the_log_recorded_holds(verify: Any) -> None:
    code, report = verify(MADE | MEMBER)

    assert (code, outcomes(report)["prunes"]) == (0, "holds")
    (said,) = [check["detail"] for check in report["checks"] if check["name"] == "prunes"]
    assert "below 256" in said
    assert "retention-2026" in said


def test_a_bundle_of_a_log_that_was_never_pruned_says_nothing_of_it(verify: Any) -> None:
    code, report = verify(MADE)

    assert code == 0
    assert "prunes" not in outcomes(report)


FORGED = prunes.log(policy={"id": "retention-2020", "sha256": "00" * 32})


@pytest.mark.parametrize(
    "change",
    [
        {"header": prunes.member(*FORGED)[NAME]},
        {"opening": bytes(32).hex()},
        {"inclusion": []},
        {"inclusion": ["00" * 32] * 10},
        {"last_inclusion": []},
        {"consistency": []},
        {"consistency": ["00" * 32] * 3},
        {"entry": json.loads(prunes.member(*FORGED)[NAME])["entry"]},
        {"more": 1},
        {"opening": "00"},
        {"consistency": ["00" * 32] * 127},
        {"inclusion": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_prune_that_was_changed_does_not_hold(verify: Any, change: dict[str, Any]) -> None:
    if isinstance(change.get("header"), bytes):
        change = {"header": json.loads(change["header"])["header"]}
    code, report = verify(changed(**change))

    assert code == 1
    assert set(failures(report)) == {"prunes"}


def test_a_record_of_another_log_that_is_whole_in_itself_does_not_hold(verify: Any) -> None:
    code, report = verify(MADE | prunes.member(*FORGED))

    assert (code, set(failures(report))) == (1, {"prunes"})


@pytest.mark.parametrize(
    "change",
    [
        {"root": "00" * 32},
        {"range": ["00" * 32]},
        {"previous": 256},
        {"cutoff": "2026-11-23T10:00:00.000100Z"},
        {"cutoff": "2030-11-23T10:00:00.000100Z"},
        {"holds": {"sources": ["holds"], "blocking": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_log_that_recorded_a_prune_that_contradicts_it_does_not_hold(
    verify: Any, change: dict[str, Any]
) -> None:
    entries, header = prunes.log(**change)
    made = bundles.members(log=entries, previous=None)
    code, report = verify(made | prunes.member(entries, header))

    assert (code, set(failures(report))) == (1, {"prunes"})


def test_an_entry_of_another_place_does_not_hold(verify: Any) -> None:
    code, report = verify(MADE | {f"bundle/prune/{651:019d}": MEMBER[NAME]})

    assert (code, set(failures(report))) == (1, {"prunes"})


def test_a_prune_that_does_not_begin_where_the_one_before_ended_does_not_hold() -> None:
    from auditvault.core.tlog.bundle_manifest import BundleMismatchError
    from auditvault.core.tlog.bundle_prune import PruneEvidence, check_prunes
    from auditvault.core.tlog.checkpoint import Checkpoint
    from tests.reference import merkle_oracle as oracle

    evidence = PruneEvidence.from_bytes(MEMBER[NAME])
    root = oracle.tree_hash([receipts.leaf(data) for data in LOG])
    checkpoint = Checkpoint(origin=receipts.ORIGIN, size=prunes.SIZE, root=root)

    assert len(check_prunes([(prunes.INDEX, evidence)], checkpoint)) == 1
    with pytest.raises(BundleMismatchError):
        check_prunes([(prunes.INDEX, evidence)] * 2, checkpoint)
