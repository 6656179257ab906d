from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.tlog.checkpoint import Checkpoint, CheckpointError
from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.core.tlog.note import (
    NoteError,
    NoteSignatureError,
    NoteSigner,
    NoteUntrustedError,
)
from auditvault.core.tlog.witness_policy import (
    MAX_POLICY_SIZE,
    CosignatureEarlyError,
    CosignatureStaleError,
    QuorumMissingError,
    WitnessedError,
    WitnessPolicy,
    WitnessPolicyError,
    check,
)
from tests.reference import receipts, witnesses

VECTORS = Path(__file__).parents[2] / "vectors"
PUBLIC = json.loads((VECTORS / "witnessed_checkpoint.json").read_text("utf-8"))
C2SP = json.loads((VECTORS / "c2sp_witness_examples.json").read_text("utf-8"))
NOW = witnesses.NOW
AGE = 3600
NOTE = witnesses.note(witnesses.leaves(5))
CHECKPOINT = Checkpoint.parse(NOTE.rpartition("\n\n")[0] + "\n")
LOG = NoteSigner(witnesses.ORIGIN, receipts.PRIVATE_KEY)
SIGNERS = {
    name: CosignatureSigner(
        f"{name.lower()}.example", Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))
    )
    for number, name in enumerate(["X1", "X2", "X3", "Y1", "Y2", "Y3"])
}
VKEYS = {name: signer.vkey() for name, signer in SIGNERS.items()}
X1 = f"witness X1 {VKEYS['X1']}\n"
X2 = f"witness X2 {VKEYS['X2']}\n"


def parse(text: str | bytes) -> WitnessPolicy:
    data = text if isinstance(text, bytes) else text.encode()
    return WitnessPolicy.parse(data, max_age_seconds=AGE)


def published(*, log: str | None = None) -> str:
    """The example of the specification, with keys."""
    lines = []
    for line in C2SP["policy"].splitlines():
        word, _, rest = line.partition(" ")
        if word == "witness":
            lines.append(line.replace("<vkey>", VKEYS[rest.split(" ")[0]]))
        elif word != "log":
            lines.append(line)
        elif log:
            lines.append(line.replace("<vkey>", log))
    return "\n".join(lines) + "\n"


def witnessed(times: dict[str, int]) -> str:
    """The note, cosigned by these witnesses at these times."""
    return NOTE + "".join(
        SIGNERS[name].signature_line(CHECKPOINT, timestamp=time) for name, time in times.items()
    )


POLICY = parse(published())


# --- the file -------------------------------------------------------------------------------------


def test_the_published_policy_is_read() -> None:
    policy = parse(published(log=LOG.vkey()))

    assert [log.vkey() for log in policy.logs] == [LOG.vkey()]
    assert {each.name: each.verifier.vkey() for each in policy.witnesses} == VKEYS
    assert [(each.name, each.threshold, each.members) for each in policy.groups] == [
        ("X-witnesses", 2, ("X1", "X2", "X3")),
        ("Y-witnesses", 1, ("Y1", "Y2", "Y3")),
        ("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    ]
    assert policy.quorum == "X-and-Y"


def test_blanks_comments_and_urls_are_read() -> None:
    policy = parse(
        f"# who\n\n \t\n\t witness \t X1 {VKEYS['X1']}  https://x1.example/ \t\n"
        f"log {LOG.vkey()} https://log.example/\n  # how many\nquorum X1\n"
    )

    assert policy.witnesses[0].url == "https://x1.example/"
    assert policy.quorum == "X1"


def test_names_are_octets_and_no_unicode() -> None:
    name = b"K\xe2\x84\xaa\xff"

    policy = parse(b"witness " + name + b" " + VKEYS["X1"].encode() + b"\nquorum " + name + b"\n")

    assert policy.quorum == name.decode(errors="surrogateescape")


def test_a_policy_of_32_logs_witnesses_and_groups_is_read() -> None:
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([9, *[n] * 31])) for n in range(32)]
    text = "".join(f"log {NoteSigner(f'l{n}.example', key).vkey()}\n" for n, key in enumerate(keys))
    for n, key in enumerate(keys):
        text += (
            f"witness w{n} {CosignatureSigner(f'w{n}.example', key).vkey()}\ngroup g{n} all w{n}\n"
        )
    text += "group every all " + " ".join(f"g{n}" for n in range(32)) + "\nquorum every\n"

    policy = parse(text)

    assert (len(policy.logs), len(policy.witnesses), len(policy.groups)) == (32, 32, 33)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("# none\n", id="comments only"),
        pytest.param(X1, id="no quorum"),
        pytest.param(X1 + "quorum X1", id="no final newline"),
        pytest.param(X1 + "quorum X1\r\n", id="CRLF"),
        pytest.param(X1 + "quorum\u00a0X1\n", id="a blank of Unicode"),
        pytest.param(X1 + "quorum X1\nquorum X1\n", id="two quorums"),
        pytest.param("quorum none\nquorum none\n", id="two quorums of none"),
        pytest.param(X1 + "quorum X1 X1\n", id="a quorum of two"),
        pytest.param(X1 + "quorum\n", id="a quorum of nothing"),
        pytest.param(X1 + "quorum X2\n", id="an unknown quorum"),
        pytest.param("quorum X1\n" + X1, id="a quorum before its witness"),
        pytest.param(X1 + "Quorum X1\n", id="a capital"),
        pytest.param(X1 + "ages 5\nquorum X1\n", id="another word"),
        pytest.param(X1 + f"witness X1 {VKEYS['X2']}\nquorum X1\n", id="a name twice"),
        pytest.param(X1 + f"witness X2 {VKEYS['X1']}\nquorum X1\n", id="a key twice"),
        pytest.param("witness X1\nquorum X1\n", id="no key"),
        pytest.param(f"witness X1 {VKEYS['X1']} u v\nquorum X1\n", id="two URLs"),
        pytest.param(f"witness none {VKEYS['X1']}\nquorum none\n", id="the reserved name"),
        pytest.param(f"witness X1 {LOG.vkey()}\nquorum X1\n", id="a log's key for a witness"),
        pytest.param(f"log {VKEYS['X1']}\nquorum none\n", id="a witness's key for a log"),
        pytest.param(f"log {LOG.vkey()}\nlog {LOG.vkey()}\nquorum none\n", id="a log twice"),
        pytest.param("log\nquorum none\n", id="a log without a key"),
        pytest.param(f"log {LOG.vkey()} u v\nquorum none\n", id="a log with two URLs"),
        pytest.param("log a+00000000+AAAA\nquorum none\n", id="an unknown algorithm"),
        pytest.param("log nonsense\nquorum none\n", id="no key at all"),
        pytest.param("witness \udcff \udcff+00000000+BAAA\nquorum none\n", id="octets as a key"),
        pytest.param(X1 + "group g any\nquorum g\n", id="a group of nobody"),
        pytest.param(X1 + "group g any X2\nquorum g\n", id="a group of strangers"),
        pytest.param("group g any X1\n" + X1 + "quorum g\n", id="a group before its member"),
        pytest.param(X1 + "group g any g\nquorum g\n", id="a group of itself"),
        pytest.param(X1 + "group g any none\nquorum g\n", id="a group of none"),
        pytest.param(X1 + "group g any X1 X1\nquorum g\n", id="a member twice"),
        pytest.param(
            X1 + X2 + "group g any X1 X2\ngroup h any X1\nquorum g\n", id="a member of two groups"
        ),
        pytest.param(X1 + "group X1 any X1\nquorum X1\n", id="a group's name taken"),
        pytest.param(X1 + "group g 0 X1\nquorum g\n", id="a threshold of zero"),
        pytest.param(X1 + "group g 2 X1\nquorum g\n", id="a threshold beyond the members"),
        pytest.param(X1 + "group g 01 X1\nquorum g\n", id="a leading zero"),
        pytest.param(X1 + "group g -1 X1\nquorum g\n", id="a negative threshold"),
        pytest.param(X1 + "group g most X1\nquorum g\n", id="a word for a threshold"),
        pytest.param(X1 + "group g 9999999999 X1\nquorum g\n", id="a huge threshold"),
        pytest.param(X1 + "quorum X1\n" + "#" * MAX_POLICY_SIZE + "\n", id="too long"),
        pytest.param(X1 + "quorum X1\n\x00\n", id="a control character"),
    ],
)
def test_a_malformed_policy_is_refused(text: str) -> None:
    with pytest.raises(WitnessPolicyError) as caught:
        parse(text.encode(errors="surrogateescape"))

    assert caught.value.code == "witness_policy_malformed"


def test_a_policy_has_at_most_256_names() -> None:
    text = X1 + "group g0 any X1\n"
    text += "".join(f"group g{n} any g{n - 1}\n" for n in range(1, 255))
    parse(text + "quorum g254\n")

    with pytest.raises(WitnessPolicyError):
        parse(text + "group g255 any g254\nquorum g255\n")


@pytest.mark.parametrize(("age", "ahead"), [(0, 0), (-1, 0), (1, -1)])
def test_an_age_that_is_none_is_refused(age: int, ahead: int) -> None:
    with pytest.raises(WitnessPolicyError):
        WitnessPolicy.parse(b"quorum none\n", max_age_seconds=age, max_ahead_seconds=ahead)


WORDS = ["log", "witness", "group", "quorum", "none", "any", "all", "1", "2", "g", "h", "X1", "X2"]
LINES = st.lists(st.sampled_from([*WORDS, "#", VKEYS["X1"], VKEYS["X2"], LOG.vkey()]), max_size=6)


@given(st.lists(LINES.map(" ".join), max_size=6), st.binary(max_size=4))
def test_whatever_stands_in_a_file_is_read_or_refused(lines: list[str], octets: bytes) -> None:
    try:
        policy = parse("".join(f"{line}\n" for line in lines).encode() + octets + b"\n")
    except WitnessPolicyError:
        return
    assert policy.quorum is None or policy.quorum_time({"X1": 1, "X2": 2}) in {1, 2, None}


# --- the quorum -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(7))
def test_two_of_x_and_one_of_y_are_enough_and_nothing_less_is(count: int) -> None:
    for names in combinations(SIGNERS, count):
        enough = sum(name[0] == "X" for name in names) >= 2 and any(n[0] == "Y" for n in names)
        note = witnessed(dict.fromkeys(names, NOW))
        if enough:
            assert check(POLICY, note, now=NOW).checkpoint == CHECKPOINT
        else:
            with pytest.raises(QuorumMissingError) as caught:
                check(POLICY, note, now=NOW)
            assert caught.value.code == "witness_quorum_missing"


@given(
    st.dictionaries(
        st.sampled_from(sorted(SIGNERS)), st.integers(NOW - 2 * AGE, NOW + 120), max_size=6
    )
)
def test_time_and_number_are_judged_together(times: dict[str, int]) -> None:
    timely = {name: time for name, time in times.items() if time <= NOW + 60}
    newest_x = sorted((time for name, time in timely.items() if name[0] == "X"), reverse=True)
    newest_y = sorted((time for name, time in timely.items() if name[0] == "Y"), reverse=True)
    quorum_at = min(newest_x[1], newest_y[0]) if newest_x[1:] and newest_y else None

    try:
        result = check(POLICY, witnessed(times), now=NOW)
    except WitnessedError:
        assert quorum_at is None or quorum_at < NOW - AGE
    else:
        assert result.quorum_at == quorum_at
        assert result.cosigned_at == times
        assert quorum_at is not None
        assert quorum_at >= NOW - AGE


ONE = parse(X1 + X2 + "group any-x any X1 X2\nquorum any-x\n")


@pytest.mark.parametrize("age", [0, 1, AGE])
def test_a_cosignature_that_is_not_too_old_counts(age: int) -> None:
    assert check(ONE, witnessed({"X1": NOW - age}), now=NOW).quorum_at == NOW - age


def test_a_cosignature_that_is_too_old_does_not_count() -> None:
    with pytest.raises(CosignatureStaleError) as caught:
        check(ONE, witnessed({"X1": NOW - AGE - 1}), now=NOW)

    assert caught.value.code == "cosignature_stale"


def test_witnesses_that_fell_silent_stop_a_log_from_passing() -> None:
    note = witnessed({"X1": NOW, "X2": NOW + 5})
    check(ONE, note, now=NOW + 5 + AGE)

    with pytest.raises(CosignatureStaleError):
        check(ONE, note, now=NOW + 6 + AGE)


@pytest.mark.parametrize("ahead", [1, 60])
def test_a_cosignature_a_little_ahead_counts(ahead: int) -> None:
    assert check(ONE, witnessed({"X1": NOW + ahead}), now=NOW).quorum_at == NOW + ahead


@pytest.mark.parametrize("times", [{"X1": NOW + 61}, {"X1": NOW + 61, "X2": 2**63 - 1}])
def test_a_needed_cosignature_from_the_future_does_not_count(times: dict[str, int]) -> None:
    with pytest.raises(CosignatureEarlyError) as caught:
        check(ONE, witnessed(times), now=NOW)

    assert caught.value.code == "cosignature_from_future"


def test_a_cosignature_from_the_future_does_not_spoil_enough_others() -> None:
    result = check(ONE, witnessed({"X1": NOW + 10**6, "X2": NOW}), now=NOW)

    assert result.quorum_at == NOW
    assert result.cosigned_at == {"X1": NOW + 10**6, "X2": NOW}


def test_an_old_cosignature_does_not_become_new_through_one_from_the_future() -> None:
    both = parse(X1 + X2 + "group both all X1 X2\nquorum both\n")

    with pytest.raises(CosignatureEarlyError):
        check(both, witnessed({"X1": NOW - 2 * AGE, "X2": NOW + 61}), now=NOW)


def test_no_quorum_asks_for_no_witness() -> None:
    result = check(parse("quorum none\n"), NOTE, now=NOW)

    assert (result.quorum_at, result.cosigned_at) == (None, {})


# --- the note -------------------------------------------------------------------------------------


def test_one_forged_line_of_a_known_witness_spoils_enough_others() -> None:
    forged = SIGNERS["X2"].signature_line(
        Checkpoint(origin=witnesses.ORIGIN, size=6, root=bytes(32)), timestamp=NOW
    )

    with pytest.raises(NoteSignatureError):
        check(ONE, witnessed({"X1": NOW}) + forged, now=NOW)


def test_a_witness_that_signs_twice_makes_the_note_malformed() -> None:
    note = witnessed({"X1": NOW}) + SIGNERS["X1"].signature_line(CHECKPOINT, timestamp=NOW - 1)

    with pytest.raises(NoteError):
        check(ONE, note, now=NOW)


def test_a_text_that_is_no_checkpoint_is_refused() -> None:
    text = "no checkpoint\n"
    line = witnesses.cosignature(text, NOW)
    witness = CosignatureSigner(witnesses.WITNESS, witnesses.WITNESS_KEY)
    policy = parse(f"witness w {witness.vkey()}\nquorum w\n")

    with pytest.raises(CheckpointError):
        check(policy, f"{text}\n{line}", now=NOW)


def test_a_listed_log_must_have_signed_too() -> None:
    policy = parse(f"log {LOG.vkey()}\n" + X1 + "quorum X1\n")
    good = witnessed({"X1": NOW})

    assert check(policy, good, now=NOW).checkpoint.origin == witnesses.ORIGIN
    with pytest.raises(NoteUntrustedError):
        check(policy, f"{CHECKPOINT.body()}\n" + good.removeprefix(NOTE), now=NOW)


def test_a_listed_log_counts_for_its_own_origin_only() -> None:
    other = NoteSigner(witnesses.OTHER_ORIGIN, receipts.PRIVATE_KEY)
    policy = parse(f"log {other.vkey()}\n" + X1 + "quorum X1\n")
    note = witnessed({"X1": NOW}) + other.signature_line(CHECKPOINT.body())

    with pytest.raises(NoteUntrustedError):
        check(policy, note, now=NOW)


def test_public_witnesses_meet_a_policy_of_three_of_four() -> None:
    names = [f"w{number}" for number in range(4)]
    text = f"log {PUBLIC['log_vkey']}\n"
    text += "".join(
        f"witness {name} {vkey}\n"
        for name, vkey in zip(names, PUBLIC["witness_vkeys"], strict=True)
    )
    policy = parse(text + f"group g 3 {' '.join(names)}\nquorum g\n")

    result = check(policy, PUBLIC["note"], now=PUBLIC["cosigned_at"] + 10)

    assert result.quorum_at == PUBLIC["cosigned_at"]
    assert set(result.cosigned_at) == set(names)
