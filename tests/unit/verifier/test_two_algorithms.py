"""A receipt whose checkpoint bears an Ed25519 and an ML-DSA-44 signature, under each kind of trust file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from auditvault.core.tlog import mldsa
from auditvault.core.tlog.log_key import ML_DSA_44, LogKey
from auditvault.core.tlog.mldsa import MlDsaSigner
from auditvault.core.tlog.note import parse_note
from auditvault.verifier.main import main
from tests.reference import receipts

KEY = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
PUBLIC = LogKey(algorithm=ML_DSA_44, public_key=KEY.public_key().public_bytes_raw())
SECOND = {
    "algorithm": ML_DSA_44,
    "public_key": PUBLIC.encoded(),
    "origins": ["log.example/eu/*"],
}
CLASSIC = receipts.trust()["logs"]
GOOD = receipts.receipt()
TEXT = parse_note(GOOD["checkpoint"])[0]
LINE = MlDsaSigner(receipts.ORIGIN, KEY, timestamp=1).signature_line(TEXT)
WRONG = MlDsaSigner(receipts.ORIGIN, KEY, timestamp=1).signature_line(
    TEXT.replace("\n11\n", "\n12\n")
)


@pytest.fixture
def without_mldsa(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where `cryptography` is too old."""
    monkeypatch.setattr(mldsa, "_OFFERED", False)
    mldsa.available.cache_clear()
    yield
    mldsa.available.cache_clear()


def verify(folder: Path, *, line: str, trusted: list[dict[str, object]]) -> int:
    receipt, trust = folder / "receipt.json", folder / "trust.json"
    receipt.write_text(receipts.dumps(GOOD | {"checkpoint": GOOD["checkpoint"] + line}))
    trust.write_text(receipts.dumps({"logs": trusted}))
    return main(["receipt", str(receipt), "--trust", str(trust)])


@pytest.mark.parametrize("trusted", [CLASSIC, [SECOND], [*CLASSIC, SECOND]])
def test_it_holds_for_who_trusts_either_key(
    tmp_path: Path, trusted: list[dict[str, object]]
) -> None:
    assert verify(tmp_path, line=LINE, trusted=trusted) == 0


def test_it_holds_without_the_second_line(tmp_path: Path) -> None:
    assert verify(tmp_path, line="", trusted=[*CLASSIC, SECOND]) == 0


def test_it_does_not_hold_without_the_only_line_that_is_trusted(tmp_path: Path) -> None:
    assert verify(tmp_path, line="", trusted=[SECOND]) == 1


@pytest.mark.parametrize(("trusted", "code"), [(CLASSIC, 0), ([*CLASSIC, SECOND], 1)])
def test_a_wrong_second_line_counts_for_who_trusts_its_key(
    tmp_path: Path, trusted: list[dict[str, object]], code: int
) -> None:
    assert verify(tmp_path, line=WRONG, trusted=trusted) == code


@pytest.mark.parametrize(("trusted", "code"), [([*CLASSIC, SECOND], 0), ([SECOND], 2)])
def test_a_second_line_is_ignored_where_its_algorithm_is_missing(
    tmp_path: Path, without_mldsa: None, trusted: list[dict[str, object]], code: int
) -> None:
    assert verify(tmp_path, line=LINE, trusted=trusted) == code
