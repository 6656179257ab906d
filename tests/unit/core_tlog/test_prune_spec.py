"""The worked example of docs/spec/prune.md, made again without the code under test, and read with it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from auditvault.core.tlog.commitment import verify_header_commitment
from auditvault.core.tlog.entry import leaf_hash, read_fields
from auditvault.core.tlog.prune import PruneRecord
from tests.reference import prunes, receipts

PAGE = Path(__file__).resolve().parents[3] / "docs" / "spec" / "prune.md"
(BLOCK,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
EXAMPLE = json.loads(BLOCK)


def test_the_example_is_what_the_rules_give() -> None:
    entries, header = prunes.log()

    assert {
        "opening_hex": prunes.OPENING.hex(),
        "record": header.decode(),
        "record_sha256": hashlib.sha256(header).hexdigest(),
        "entry": entries[prunes.INDEX].decode(),
        "leaf_hash": receipts.leaf(entries[prunes.INDEX]).hex(),
    } == EXAMPLE


def test_the_example_is_read_as_a_record_that_its_entry_commits_to() -> None:
    data, entry = EXAMPLE["record"].encode(), EXAMPLE["entry"].encode()
    record, fields = PruneRecord.from_bytes(data), read_fields(entry)

    verify_header_commitment(
        fields.commitment,
        opening=bytes.fromhex(EXAMPLE["opening_hex"]),
        entry_type=fields.type,
        header_bytes=data,
    )
    record.check_place(fields)
    assert (record.start().tree.size, record.minimum) == (256, 256)
    assert leaf_hash(entry).hex() == EXAMPLE["leaf_hash"]
    assert record.to_bytes() == data
