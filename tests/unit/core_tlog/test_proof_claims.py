"""Every claim of the corpus is accepted or refused with its own code, and both are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from auditvault.core.tlog.merkle import ProofError, verify_consistency, verify_inclusion
from tests.reference.proof_claims import Claim, consistency_claims, inclusion_claims

SIZES = range(1, 34)
Verify = Callable[..., None]


def outcome(verify: Verify, claim: Claim) -> str | None:
    """The code of the refusal; None where the claim was accepted."""
    try:
        verify(**claim.arguments)
    except ProofError as error:
        return error.code
    return None


def misjudged(verify: Verify, claims: Iterable[Claim]) -> list[tuple[Claim, str | None]]:
    judged = ((claim, outcome(verify, claim)) for claim in claims)
    return [(claim, code) for claim, code in judged if code != claim.code]


def count(claims: Iterable[Claim]) -> tuple[Counter[str], Counter[str]]:
    """Claims of each kind that must be accepted, and claims by the code they must be refused with."""
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for claim in claims:
        if claim.code is None:
            accepted[claim.kind] += 1
        else:
            refused[claim.code] += 1
    return accepted, refused


def all_inclusion_claims() -> list[Claim]:
    return [c for size in SIZES for index in range(size) for c in inclusion_claims(index, size)]


def all_consistency_claims() -> list[Claim]:
    return [c for new in SIZES for old in range(1, new + 1) for c in consistency_claims(old, new)]


def test_every_inclusion_claim_is_accepted_or_refused_with_its_own_code() -> None:
    claims = all_inclusion_claims()

    assert misjudged(verify_inclusion, claims) == []
    assert count(claims) == (
        {"right": 561, "the sibling's": 544, "neighbouring size, same root": 864},
        {
            "proof_size_invalid": 3_927,
            "proof_index_out_of_range": 6_864,
            "proof_hash_malformed": 22_002,
            "proof_length_wrong": 7_849,
            "proof_root_mismatch": 19_604,
        },
    )


def test_every_consistency_claim_is_accepted_or_refused_with_its_own_code() -> None:
    claims = all_consistency_claims()

    assert misjudged(verify_consistency, claims) == []
    assert count(claims) == (
        {
            "right": 561,
            "neighbouring new size, same root": 864,
            "neighbouring old size, its root": 1,
            "old size 0, its root": 33,
        },
        {
            "proof_size_invalid": 8_514,
            "proof_hash_malformed": 21_192,
            "proof_length_wrong": 10_153,
            "proof_root_mismatch": 18_492,
        },
    )
