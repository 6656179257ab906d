"""How keys came and went, as a bundle proves it: whom a verifier with one key believes, and whom not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditvault.verifier.main import main
from tests.reference import bundles, key_histories, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bare_verifier import failures, outcomes
from tests.reference.key_histories import (
    FIRST,
    OPERATOR,
    OTHER_REGION,
    SECOND,
    STRANGER,
    TENANT,
    THIRD,
    OperatorsLog,
)

SIZE = 20
LOG = receipts.entries(SIZE)
LEAVES = [receipts.leaf(data) for data in LOG]
ROOT = oracle.tree_hash(LEAVES)
FOLLOW = key_histories.trust(OPERATOR)
PLAIN = key_histories.trust()

Verify = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """`judge(file, trust)` is exit code and report of a bundle."""

    def run(data: bytes, trust: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        (tmp_path / "bundle").write_bytes(data)
        (tmp_path / "trust.json").write_text(json.dumps(trust))
        words = ["bundle", str(tmp_path / "bundle"), "--trust", str(tmp_path / "trust.json")]
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def verify(judge: Verify) -> Verify:
    """`verify(history, signers, trust)` is the same of a bundle whose checkpoint these keys signed."""

    def run(
        history: dict[str, bytes],
        signers: list[Any],
        trust: dict[str, Any],
        previous: int | None = None,
    ) -> tuple[int, dict[str, Any]]:
        made = bundles.members(first=0, end=SIZE, size=SIZE, log=LOG, previous=previous)
        note = key_histories.sign(ROOT, SIZE, receipts.ORIGIN, signers)
        made |= {"bundle/checkpoint": note.encode(), **history}
        return judge(bundles.bundle(made, first=0, end=SIZE, size=SIZE), trust)

    return run


@pytest.fixture
def log() -> OperatorsLog:
    """Something happened, and then the second key was announced."""
    made = OperatorsLog()
    made.happen()
    made.announce(SECOND)
    return made


@pytest.fixture
def rotated(log: OperatorsLog) -> OperatorsLog:
    """And the first one was retired."""
    log.happen()
    log.retire(FIRST)
    return log


OVERLAP = (2, [FIRST])
END = (4, [FIRST, SECOND])


def keys(report: dict[str, Any]) -> dict[str, tuple[bool, int | None, int | None]]:
    """Public key -> whether it is accepted, and the entries that announced and retired it."""
    found = report["bundle"]["keys"]
    return {
        item["public_key"]: (item["accepted"], item["announced"], item["retired"]) for item in found
    }


def test_who_follows_the_operators_log_accepts_a_key_that_the_trusted_one_covers(
    verify: Verify, log: OperatorsLog
) -> None:
    code, report = verify(log.members(OVERLAP), [SECOND], FOLLOW)

    assert (code, report["result"]) == (0, "holds")
    assert keys(report)[key_histories.public(SECOND)] == (True, 1, None)
    said = {check["name"]: check["detail"] for check in report["checks"]}
    assert "operator's log announced" in said["checkpoint"]
    assert "announced by entry 1" in said["key"]


def test_without_being_told_to_follow_nobody_does(verify: Verify, log: OperatorsLog) -> None:
    code, report = verify(log.members(OVERLAP), [SECOND], PLAIN)

    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})
    assert keys(report)[key_histories.public(SECOND)] == (False, 1, None)
    assert outcomes(report)["history"] == "holds"


def test_in_the_overlap_the_trusted_key_is_enough(verify: Verify, log: OperatorsLog) -> None:
    code, _ = verify(log.members(OVERLAP), [FIRST, SECOND], PLAIN)

    assert code == 0


def test_keys_are_followed_from_one_to_the_next(verify: Verify, rotated: OperatorsLog) -> None:
    rotated.announce(THIRD)
    rotated.happen()
    history = rotated.members(OVERLAP, END, (6, [SECOND]))

    code, report = verify(history, [THIRD], FOLLOW)

    assert code == 0
    assert keys(report) == {
        key_histories.public(FIRST): (True, None, 3),
        key_histories.public(SECOND): (True, 1, None),
        key_histories.public(THIRD): (True, 4, None),
    }


def test_a_checkpoint_that_a_step_between_did_not_sign_counts_with_the_next(
    verify: Verify, rotated: OperatorsLog
) -> None:
    """Who trusts the second key only cannot judge the first step; the next one covers its entry too."""
    rotated.announce(THIRD)
    history = rotated.members((2, [STRANGER]), END, (5, [SECOND]))

    code, _ = verify(history, [THIRD], key_histories.trust(OPERATOR, keys=[SECOND]))

    assert code == 0


@pytest.mark.parametrize("trust", [PLAIN, FOLLOW], ids=["plain", "follow"])
def test_what_only_a_retired_key_signed_does_not_hold(
    verify: Verify, rotated: OperatorsLog, trust: dict[str, Any]
) -> None:
    code, report = verify(rotated.members(OVERLAP, END), [FIRST], trust)

    assert (code, failures(report)) == (1, {"checkpoint": "log_key_retired"})


def test_what_the_key_after_it_signed_too_holds(verify: Verify, rotated: OperatorsLog) -> None:
    code, _ = verify(rotated.members(OVERLAP, END), [FIRST, SECOND], FOLLOW)

    assert code == 0


def test_what_a_retired_key_signed_in_its_time_is_extended(
    verify: Verify, rotated: OperatorsLog
) -> None:
    code, report = verify(rotated.members(OVERLAP, END), [SECOND], FOLLOW, previous=10)

    assert (code, outcomes(report)["previous"]) == (0, "holds")


def test_a_retired_key_never_returns(verify: Verify, rotated: OperatorsLog) -> None:
    rotated.announce(FIRST)
    history = rotated.members(OVERLAP, END, (5, [SECOND]))

    code, report = verify(history, [FIRST], FOLLOW)

    assert (code, failures(report)) == (1, {"checkpoint": "log_key_retired"})


def test_a_key_that_was_said_to_be_retired_is_not_announced_after(verify: Verify) -> None:
    log = OperatorsLog()
    log.retire(THIRD)
    log.announce(THIRD)

    code, report = verify(log.members((2, [FIRST])), [THIRD], FOLLOW)

    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})


def test_what_is_said_of_a_key_that_nobody_follows_is_reported(
    verify: Verify, log: OperatorsLog
) -> None:
    log.retire(SECOND)
    log.announce(SECOND)

    code, report = verify(log.members(OVERLAP, (4, [FIRST, SECOND])), [FIRST], PLAIN)

    assert code == 0
    assert keys(report)[key_histories.public(SECOND)] == (False, 1, 2)


def test_the_end_of_a_last_key_counts_for_nothing(verify: Verify) -> None:
    """The signer refuses it and goes on, so an entry alone cannot make a log unverifiable."""
    log = OperatorsLog()
    log.announce(STRANGER)
    log.retire(FIRST)

    code, report = verify(log.members((2, [FIRST])), [FIRST], PLAIN)

    assert code == 0
    assert keys(report)[key_histories.public(FIRST)] == (True, None, None)


def test_the_report_for_people_fits_one_screen(
    verify: Verify, rotated: OperatorsLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify(rotated.members(OVERLAP, END), [SECOND], FOLLOW)
    main(["bundle", str(tmp_path / "bundle"), "--trust", str(tmp_path / "trust.json")])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 120 for line in lines)
    assert f"keys by      {OPERATOR}" in lines
    assert lines[-1].startswith("HOLDS")


# --- attacks ---------------------------------------------------------------------------------------------


def changed(log: OperatorsLog, index: int = 1, size: int = 2, **changes: Any) -> dict[str, bytes]:
    """One step in which the record of one entry was changed."""
    records = [log.record(index, size, **changes)]
    return {key_histories.name(size): log.step(size, FIRST, records=records)}


def test_an_announcement_with_another_key_does_not_hold(verify: Verify, log: OperatorsLog) -> None:
    other = OperatorsLog()
    other.happen()
    other.announce(STRANGER)
    header = other.record(1, 2)["header"]

    code, report = verify(changed(log, header=header), [STRANGER], FOLLOW)

    assert code == 1
    assert failures(report) == {"history": "bundle_mismatch", "checkpoint": "note_untrusted"}


def test_an_announcement_that_the_log_has_not_does_not_hold(
    verify: Verify, log: OperatorsLog
) -> None:
    other = OperatorsLog()
    other.happen()
    other.announce(STRANGER)
    forged = other.record(1, 2)

    code, report = verify(changed(log, **forged), [STRANGER], FOLLOW)

    assert code == 1
    assert failures(report) == {"history": "proof_root_mismatch", "checkpoint": "note_untrusted"}


def test_a_proof_of_another_entry_does_not_hold(verify: Verify, log: OperatorsLog) -> None:
    log.happen()
    proof = log.record(0, 3)["inclusion"]

    code, report = verify(changed(log, 1, 3, inclusion=proof), [SECOND], FOLLOW)

    assert (code, failures(report)["history"]) == (1, "proof_root_mismatch")


def test_an_entry_that_is_about_no_key_announces_none(verify: Verify) -> None:
    log = OperatorsLog()
    log.append("clock.skew", {"algorithm": "ed25519", "public_key": key_histories.public(STRANGER)})

    code, report = verify(changed(log, 0, 1), [STRANGER], FOLLOW)

    assert (code, failures(report)["history"]) == (1, "bundle_mismatch")


def everywhere(*follow: str) -> dict[str, Any]:
    """A trust file whose key signs in both regions."""
    (entry,) = key_histories.trust()["logs"]
    origins = ["log.example/eu/*", "log.example/us/*"]
    return {"logs": [entry | {"origins": origins, "follow": list(follow)}]}


@pytest.mark.parametrize(
    ("origin", "trust"),
    [
        (TENANT, FOLLOW),
        (OTHER_REGION, everywhere(OPERATOR, OTHER_REGION)),
        (OTHER_REGION, everywhere(OTHER_REGION)),
    ],
    ids=["a tenant", "another region", "another region that is followed"],
)
def test_an_announcement_in_a_log_that_is_not_followed_does_not_hold(
    verify: Verify, origin: str, trust: dict[str, Any]
) -> None:
    """The trusted key signed both: it signs the logs of every region and tenant."""
    log = OperatorsLog(origin)
    log.announce(STRANGER)

    code, report = verify(log.members((1, [FIRST])), [STRANGER], trust)

    assert code == 1
    assert failures(report) == {"history": "bundle_mismatch", "checkpoint": "note_untrusted"}


def test_an_entry_of_another_log_announces_nothing(verify: Verify) -> None:
    """It lies in the operator's log, and says that it is of another."""
    log = OperatorsLog(TENANT)
    log.announce(STRANGER)
    log.origin = OPERATOR

    code, report = verify(log.members((1, [FIRST])), [STRANGER], FOLLOW)

    assert (code, failures(report)["history"]) == (1, "bundle_mismatch")


def test_steps_of_two_logs_do_not_hold(verify: Verify, log: OperatorsLog) -> None:
    tenants = OperatorsLog(TENANT)
    for _ in range(3):
        tenants.announce(STRANGER)
    history = log.members(OVERLAP) | tenants.members((3, [FIRST]))

    code, report = verify(history, [STRANGER], FOLLOW)

    assert (code, failures(report)["history"]) == (1, "bundle_mismatch")


def test_a_key_that_a_retired_one_announces_is_not_accepted(
    verify: Verify, rotated: OperatorsLog
) -> None:
    rotated.announce(THIRD)

    code, report = verify(rotated.members(OVERLAP, END, (5, [FIRST])), [THIRD], FOLLOW)

    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})
    assert key_histories.public(THIRD) not in keys(report)


def test_a_key_announced_behind_the_end_of_who_signs_for_it_is_not_accepted(
    verify: Verify, rotated: OperatorsLog
) -> None:
    """Both under one checkpoint, from which the line of the key that stayed was taken off."""
    rotated.announce(THIRD)

    code, report = verify(rotated.members(OVERLAP, (5, [FIRST])), [THIRD], FOLLOW)

    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})
    assert keys(report)[key_histories.public(THIRD)][0] is False


def test_a_key_that_no_trusted_key_covers_is_not_accepted(
    verify: Verify, log: OperatorsLog
) -> None:
    history = log.members((2, [SECOND]))

    code, report = verify(history, [SECOND], FOLLOW)

    assert code == 1
    assert failures(report) == {"history": "note_untrusted", "checkpoint": "note_untrusted"}


def test_a_history_that_nobody_trusted_signed_is_said_and_counts_for_nothing(
    verify: Verify, log: OperatorsLog
) -> None:
    code, report = verify(log.members((2, [STRANGER])), [FIRST], PLAIN)

    assert (code, outcomes(report)["history"]) == (0, "not_checked")
    assert "keys" not in report["bundle"]


def test_a_wrong_line_of_a_trusted_key_does_not_hold(verify: Verify, log: OperatorsLog) -> None:
    note = (
        log.note(2, FIRST).partition("\n\n")[0] + "\n\n" + log.note(1, FIRST).partition("\n\n")[2]
    )
    history = {key_histories.name(2): log.step(2, FIRST, checkpoint=note)}

    code, report = verify(history, [FIRST], PLAIN)

    assert (code, failures(report)) == (1, {"history": "note_signature_invalid"})


def test_a_step_that_does_not_extend_the_one_before_does_not_hold(
    verify: Verify, rotated: OperatorsLog
) -> None:
    """Two histories of the operator's log, both signed by the trusted key."""
    other = OperatorsLog()
    for _ in range(3):
        other.announce(STRANGER)
    history = rotated.members(OVERLAP) | {key_histories.name(3): other.step(3, FIRST, since=2)}

    code, report = verify(history, [STRANGER], FOLLOW)

    assert (code, failures(report)["history"]) == (1, "proof_root_mismatch")


def test_a_key_of_another_log_is_not_accepted_for_this_one(
    verify: Verify, log: OperatorsLog
) -> None:
    """The trust file has the first key for the operator's log only, and says nothing of this one."""
    trust = {
        "logs": [
            {
                "public_key": key_histories.public(FIRST),
                "origins": [OPERATOR],
                "follow": [OPERATOR],
            }
        ]
    }

    code, report = verify(log.members(OVERLAP), [SECOND], trust)

    assert (code, outcomes(report)["checkpoint"]) == (2, "not_checked")
    assert report["result"] == "not_checked"


def test_a_retirement_that_is_left_out_cannot_be_found(
    verify: Verify, rotated: OperatorsLog
) -> None:
    """The limit that the specification states: who has the retired key shows the operator's log as it was before."""
    code, _ = verify(rotated.members(OVERLAP), [FIRST], PLAIN)

    assert code == 0


# --- the operator's log itself ---------------------------------------------------------------------------


def operators(log: OperatorsLog, history: dict[str, bytes], *, first: int = 0, note: str) -> bytes:
    size = len(log.entries)
    made = {
        "bundle/checkpoint": note.encode(),
        "bundle/proof": b"".join(bundles.outside(log.leaves, first, size)),
        f"bundle/records/{first:019d}/entries": bundles.framed(log.entries[first:]),
        **history,
    }
    scope = {"log": log.origin, "first": first, "end": size, "size": size}
    return bundles.bundle(made, headers="not_requested", **scope)


@pytest.mark.parametrize("first", [0, 2])
def test_a_bundle_of_the_operators_log_says_the_same(
    judge: Verify, rotated: OperatorsLog, first: int
) -> None:
    data = operators(
        rotated, rotated.members(OVERLAP, END), first=first, note=rotated.note(4, SECOND)
    )

    code, report = judge(data, FOLLOW)

    assert code == 0
    assert keys(report)[key_histories.public(FIRST)] == (True, None, 3)


def test_a_retirement_that_is_left_out_is_found_among_the_entries(
    judge: Verify, rotated: OperatorsLog
) -> None:
    history = rotated.members(OVERLAP) | {
        key_histories.name(4): rotated.step(4, FIRST, since=2, records=[])
    }
    data = operators(rotated, history, note=rotated.note(4, FIRST))

    code, report = judge(data, PLAIN)

    assert (code, failures(report)) == (1, {"history": "bundle_mismatch"})


def test_a_history_that_ends_before_the_operators_log_does_not_hold(
    judge: Verify, rotated: OperatorsLog
) -> None:
    rotated.happen()
    data = operators(rotated, rotated.members(OVERLAP), first=4, note=rotated.note(5, FIRST))

    code, report = judge(data, PLAIN)

    assert (code, failures(report)) == (1, {"history": "bundle_mismatch"})


# --- bad input -------------------------------------------------------------------------------------------

GOOD = OperatorsLog()
GOOD.announce(SECOND)
STEP = json.loads(GOOD.step(1, FIRST))
RECORD = STEP["records"][0]


@pytest.mark.parametrize(
    "step",
    [
        [],
        {"checkpoint": STEP["checkpoint"]},
        STEP | {"more": 1},
        STEP | {"checkpoint": 1},
        STEP | {"consistency": ["00" * 32]},
        STEP | {"consistency": ["00"]},
        STEP | {"consistency": ["00" * 32] * 127},
        STEP | {"records": [RECORD] * 257},
        STEP | {"records": [RECORD, RECORD]},
        STEP | {"records": [[]]},
        STEP | {"records": [RECORD | {"more": 1}]},
        STEP | {"records": [RECORD | {"opening": "00"}]},
        STEP | {"records": [RECORD | {"entry": "!"}]},
        STEP | {"records": [RECORD | {"entry": ""}]},
        STEP | {"records": [RECORD | {"inclusion": [1]}]},
    ],
    ids=range(15),
)
def test_a_step_that_is_none_does_not_hold(verify: Verify, step: Any) -> None:
    code, report = verify({key_histories.name(1): bundles.dumps_text(step)}, [FIRST], PLAIN)

    assert (code, set(failures(report))) == (1, {"history"})


def test_a_step_of_another_size_than_its_name_does_not_hold(verify: Verify) -> None:
    code, report = verify({key_histories.name(2): GOOD.step(1, FIRST)}, [FIRST], PLAIN)

    assert (code, failures(report)) == (1, {"history": "bundle_mismatch"})


@pytest.mark.parametrize("name", ["bundle/history/1", "bundle/history/x", "bundle/history/1/a"])
def test_a_step_of_another_name_makes_the_file_no_bundle(verify: Verify, name: str) -> None:
    code, report = verify({name: GOOD.step(1, FIRST)}, [FIRST], PLAIN)

    assert (code, report["checks"][0]["code"]) == (2, "bundle_malformed")
