"""Recomputes every value of the worked example in docs/spec/witness.md."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.core.tlog import witness_policy
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.cosignature import CosignatureSigner, add_cosignatures
from auditvault.core.tlog.note import NoteVerifier
from auditvault.core.tlog.witnessing import NOTHING_SEEN, Submission, decide, open_submission

SPEC = Path(__file__).parents[3] / "docs" / "spec"


def _example(page: str) -> dict[str, Any]:
    text = (SPEC / page).read_text("utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    value: dict[str, Any] = json.loads(block)
    return value


CHECKPOINT = _example("checkpoint.md")
WITNESS = _example("witness.md")
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(WITNESS["private_seed_hex"]))
SIGNER = CosignatureSigner(WITNESS["witness_name"], KEY)


def test_the_request_is_the_other_pages_checkpoint_and_is_accepted() -> None:
    submission = Submission.parse(WITNESS["request"].encode())
    verifier = NoteVerifier.parse(CHECKPOINT["vkey"])

    signed = open_submission(submission, lambda _origin: [verifier])
    decide(NOTHING_SEEN, submission, signed.checkpoint)

    assert signed.note == CHECKPOINT["note"]
    assert submission.render() == WITNESS["request"].encode()


def test_the_cosignature_is_the_pages() -> None:
    checkpoint = Checkpoint.parse(CHECKPOINT["text"])

    line = SIGNER.signature_line(checkpoint, timestamp=WITNESS["timestamp"])

    assert line == WITNESS["answer"]
    assert SIGNER.vkey() == WITNESS["vkey"]
    message = f"cosignature/v1\ntime {WITNESS['timestamp']}\n{CHECKPOINT['text']}"
    assert message == WITNESS["signed_message"]


def test_the_cosigned_note_meets_the_pages_policy() -> None:
    policy = witness_policy.WitnessPolicy.parse(WITNESS["policy"].encode(), max_age_seconds=60)

    note = add_cosignatures(CHECKPOINT["note"], WITNESS["answer"].encode(), [SIGNER.verifier()])
    result = witness_policy.check(policy, note, now=WITNESS["timestamp"] + 60)

    assert note == WITNESS["note"]
    assert result.cosigned_at == {"w1": WITNESS["timestamp"]}


def test_the_origin_hash_is_the_pages() -> None:
    origin = Checkpoint.parse(CHECKPOINT["text"]).origin

    assert hashlib.sha256(origin.encode()).hexdigest() == WITNESS["origin_hash"]
