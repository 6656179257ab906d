"""Makes the worked example of docs/spec/bundle.md again, from the pages that it is made of."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

from auditvault.core.tlog.bundle import Bundle
from auditvault.core.tlog.bundle_headers import Opened
from auditvault.core.tlog.bundle_manifest import Scope
from auditvault.core.tlog.bundle_writer import Part, Proofs, write_bundle
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.key_history import Signers
from auditvault.core.tlog.note import NoteVerifier
from auditvault.core.tlog.range_proof import make_range_proof
from auditvault.core.tlog.tiles import TileKey

SPEC = Path(__file__).parents[3] / "docs" / "spec"


def _example(page: str) -> dict[str, Any]:
    text = (SPEC / page).read_text("utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    value: dict[str, Any] = json.loads(block)
    return value


ENTRY, CHECKPOINT, PAGE = _example("entry.md"), _example("checkpoint.md"), _example("bundle.md")
ORIGIN = Checkpoint.parse(CHECKPOINT["text"]).origin
FILE = base64.b64decode(PAGE["file"])


def _hashes() -> list[bytes]:
    leaves = b"".join(bytes.fromhex(value) for value in ENTRY["leaf_hashes_hex"])
    fetch = lambda _: {TileKey(0, 0, 2): leaves}  # noqa: E731
    return make_range_proof(PAGE["first"], PAGE["end"], PAGE["size"], fetch)


def test_the_proof_is_the_pages() -> None:
    assert [value.hex() for value in _hashes()] == PAGE["proof_hex"]


def test_the_file_is_the_pages_to_the_byte() -> None:
    header = Opened(
        header=ENTRY["headers"][1].encode(), opening=bytes.fromhex(ENTRY["openings_hex"][1])
    )
    file = io.BytesIO()

    write_bundle(
        file,
        scope=Scope(log=ORIGIN, first=1, end=2, size=2, headers="included"),
        proofs=Proofs(checkpoint=CHECKPOINT["note"], hashes=_hashes(), keys=[CHECKPOINT["vkey"]]),
        parts=[Part(entries=[ENTRY["entries"][1].encode()], headers=[header])],
    )

    assert file.getvalue() == FILE
    assert hashlib.sha256(FILE).hexdigest() == PAGE["sha256"]
    assert len(FILE) == PAGE["size_bytes"]
    assert PAGE["manifest"].encode() in FILE
    assert PAGE["headers"].encode() in FILE


def test_the_file_holds() -> None:
    bundle = Bundle(io.BytesIO(FILE))

    bundle.check_members()
    checkpoint = bundle.check_checkpoint(Signers(current=[NoteVerifier.parse(CHECKPOINT["vkey"])]))
    bundle.check_range(bundle.check_entries(), checkpoint)

    assert bundle.check_headers().opened == 1
