"""`auditvault-verify erasure-ledger`: a whole ledger holds, and a damaged one does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.core.tlog.erasure_ledger import (
    NO_HASH,
    ErasureRecord,
    file_name,
    ledger_name,
    record_hash,
)
from auditvault.core.tlog.note import NoteSigner
from auditvault.verifier.main import main
from tests.reference.bare_verifier import outcomes

LOG = ledger_name("log.example", "eu")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")


def trust(origin: str = LOG) -> str:
    public = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
    return json.dumps({"logs": [{"public_key": public, "origins": [origin]}]})


def ledger(count: int = 3) -> list[bytes]:
    found: list[bytes] = []
    for index in range(count):
        record = ErasureRecord(
            log=LOG,
            index=index,
            previous=record_hash(found[-1]) if found else NO_HASH,
            recorded_at="2026-11-24T22:00:00.000000Z",
            erasure_id=str(UUID(int=index)),
            reference=str(UUID(int=1)),
            tenant_id=str(UUID(int=2)),
            subject_ids=(str(UUID(int=3)),),
            keys=(),
        )
        found.append(record.sign(NoteSigner(LOG, KEY)))
    return found


class Files:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self.trust = folder / "eu", folder / "trust.json"
        self.directory.mkdir()
        self.records = ledger()
        for index, data in enumerate(self.records):
            (self.directory / file_name(index)).write_bytes(data)
        self.trust.write_text(trust())
        self._capsys = capsys

    def report(self, *options: str, region: str = "eu") -> tuple[int, dict[str, Any]]:
        words = ["erasure-ledger", str(self.directory), "--trust", str(self.trust)]
        code = main([*words, "--region", region, *options, "--json"])
        return code, json.loads(self._capsys.readouterr().out)

    def head(self, index: int) -> str:
        return f"{index}:{record_hash(self.records[index]).hex()}"


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


def test_a_whole_ledger_holds(files: Files) -> None:
    code, report = files.report()
    assert (code, report["result"]) == (0, "holds")
    assert report["erasure_ledger"] == {
        "region": "eu",
        "records": 3,
        "head": record_hash(files.records[-1]).hex(),
    }
    assert outcomes(report) == {"files": "holds", "records": "holds", "head": "not_checked"}


@pytest.mark.parametrize("index", [0, 2])
def test_a_record_that_somebody_kept_is_found(files: Files, index: int) -> None:
    code, report = files.report("--head", files.head(index))
    assert (code, outcomes(report)["head"]) == (0, "holds")


def test_a_ledger_that_was_cut_at_its_end_is_found_by_who_kept_the_head(files: Files) -> None:
    (files.directory / file_name(2)).unlink()
    assert files.report()[0] == 0
    code, report = files.report("--head", files.head(2))
    assert (code, outcomes(report)["head"]) == (1, "does_not_hold")


def edit(files: Files) -> None:
    path = files.directory / file_name(1)
    path.write_bytes(path.read_bytes().replace(b'"i":1', b'"i":2'))


def remove(files: Files) -> None:
    (files.directory / file_name(1)).unlink()


def exchange(files: Files) -> None:
    (files.directory / file_name(1)).write_bytes(files.records[2])


def add(files: Files) -> None:
    (files.directory / "more").write_text("x")


@pytest.mark.parametrize("damage", [edit, remove, exchange, add])
def test_a_damaged_ledger_does_not_hold(files: Files, damage: Callable[[Files], None]) -> None:
    damage(files)
    code, report = files.report()
    assert (code, report["result"]) == (1, "does_not_hold")


def test_another_regions_ledger_does_not_hold(files: Files) -> None:
    assert files.report(region="us")[0] == 1


@pytest.mark.parametrize("origin", ["log.example/us/ledger/erasures", "log.example/eu/*"])
def test_without_a_key_for_the_ledger_it_is_not_checked(files: Files, origin: str) -> None:
    files.trust.write_text(trust(origin))
    code, report = files.report("--head", files.head(0))
    assert (code, report["result"]) == (2, "not_checked")


@pytest.mark.parametrize("head", ["", "0", "0:zz", "-1:" + "0" * 64])
def test_a_head_of_another_form_is_refused(files: Files, head: str) -> None:
    code, report = files.report(f"--head={head}")
    assert (code, report["checks"][0]["code"]) == (2, "input_unreadable")


def test_a_directory_that_is_not_there_is_said(files: Files) -> None:
    files.directory = files.directory / "nowhere"
    code, report = files.report()
    assert (code, report["checks"][0]["code"]) == (2, "input_unreadable")


def test_the_page_for_people_says_the_verdict(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["erasure-ledger", str(files.directory), "--trust", str(files.trust), "--region", "eu"]
    )
    assert (code, capsys.readouterr().out.splitlines()[-1]) == (
        0,
        "HOLDS: every record is signed and follows the one before.",
    )
