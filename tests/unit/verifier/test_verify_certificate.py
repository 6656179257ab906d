"""`auditvault-verify certificate`: a signed one holds, with its ledgers; a changed one or another's does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
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
from auditvault.core.tlog.request_certificate import (
    LedgerRecord,
    Recipient,
    RegionPart,
    RequestCertificate,
    certificate_name,
)
from auditvault.verifier.main import main
from tests.reference.bare_verifier import outcomes

LOG = certificate_name("log.example", "eu")
LEDGER = ledger_name("log.example", "eu")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
REQUEST, OTHER, TENANT = (str(UUID(int=n)) for n in (1, 2, 3))
AT = "2026-11-24T22:00:00.000000Z"


def trust(*origins: str) -> str:
    public = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
    return json.dumps({"logs": [{"public_key": public, "origins": list(origins)}]})


def ledger(*references: str) -> list[bytes]:
    found: list[bytes] = []
    for index, reference in enumerate(references):
        record = ErasureRecord(
            log=LEDGER,
            index=index,
            previous=record_hash(found[-1]) if found else NO_HASH,
            recorded_at=AT,
            erasure_id=str(UUID(int=index)),
            reference=reference,
            tenant_id=TENANT,
            subject_ids=(str(UUID(int=9)),),
            keys=(),
        )
        found.append(record.sign(NoteSigner(LEDGER, KEY)))
    return found


class Files:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.certificate, self.trust = folder / "one.certificate", folder / "trust.json"
        self.ledger = folder / "eu"
        self.ledger.mkdir()
        self.records = ledger(OTHER, REQUEST, OTHER)
        for index, data in enumerate(self.records):
            (self.ledger / file_name(index)).write_bytes(data)
        self.trust.write_text(trust(LOG, LEDGER))
        self._capsys = capsys
        self.write()

    def made(self, index: int = 1) -> RequestCertificate:
        record = LedgerRecord(index=index, record_hash=record_hash(self.records[index]))
        return RequestCertificate(
            log=LOG,
            certificate_id=str(UUID(int=8)),
            request_id=REQUEST,
            kind="erasure",
            tenant_id=TENANT,
            regime="gdpr",
            regime_version="1",
            received_at=AT,
            completed_at=AT,
            issued_at=AT,
            outcome="done",
            manifest=bytes(32),
            found=4,
            done=4,
            exempt=0,
            held=0,
            grounds=(),
            regions=(RegionPart(region="eu", done=4, keys=1, records=(record,)),),
            checked=4,
            backups_past_recall_at=AT,
            recipients=(),
        )

    def write(self, certificate: RequestCertificate | None = None) -> None:
        made = certificate or self.made()
        self.certificate.write_bytes(made.sign(NoteSigner(LOG, KEY)))

    def report(self, *options: str) -> tuple[int, dict[str, Any]]:
        words = ["certificate", str(self.certificate), "--trust", str(self.trust)]
        code = main([*words, *options, "--json"])
        return code, json.loads(self._capsys.readouterr().out)

    def with_ledger(self) -> tuple[int, dict[str, Any]]:
        return self.report("--ledger", f"eu={self.ledger}")


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


def test_a_signed_certificate_holds(files: Files) -> None:
    code, report = files.report()
    assert (code, report["result"]) == (0, "holds")
    assert outcomes(report) == {
        "form": "holds",
        "signature": "holds",
        "ledgers": "not_checked",
    }
    assert report["certificate"]["request"] == REQUEST


def test_it_holds_with_the_ledger_that_it_names(files: Files) -> None:
    code, report = files.with_ledger()
    assert (code, outcomes(report)["ledgers"]) == (0, "holds")


def test_it_holds_where_recipients_were_told_and_where_one_is_outstanding(files: Files) -> None:
    told = Recipient(recipient_id=str(UUID(int=4)), attempts=2, acknowledged_at=AT)
    outstanding = Recipient(recipient_id=str(UUID(int=5)), attempts=12, acknowledged_at=None)
    files.write(replace(files.made(), recipients=(told, outstanding)))

    assert files.report()[0] == 0


def another_record(files: Files) -> None:
    files.write(files.made(0))


def another_tenant(files: Files) -> None:
    files.write(replace(files.made(), tenant_id=OTHER))


def another_hash(files: Files) -> None:
    part = files.made().regions[0]
    record = LedgerRecord(index=1, record_hash=bytes(32))
    files.write(replace(files.made(), regions=(replace(part, records=(record,)),)))


def a_changed_record_before_it(files: Files) -> None:
    (files.ledger / file_name(0)).write_bytes(ledger(REQUEST)[0])


@pytest.mark.parametrize(
    "damage", [another_record, another_tenant, another_hash, a_changed_record_before_it]
)
def test_it_does_not_hold_with_a_ledger_that_says_otherwise(
    files: Files, damage: Callable[[Files], None]
) -> None:
    damage(files)
    code, report = files.with_ledger()
    assert (code, outcomes(report)["ledgers"]) == (1, "does_not_hold")


def test_a_ledger_without_the_record_does_not_hold(files: Files) -> None:
    (files.ledger / file_name(1)).unlink()
    code, report = files.with_ledger()
    assert (code, outcomes(report)["ledgers"]) == (1, "does_not_hold")


def test_a_ledger_of_a_region_that_it_does_not_name_is_not_passed_over(files: Files) -> None:
    code, report = files.report("--ledger", f"us={files.ledger}")
    assert (code, outcomes(report)["ledgers"]) == (2, "not_checked")


def test_a_changed_certificate_does_not_hold(files: Files) -> None:
    data = files.certificate.read_bytes()
    files.certificate.write_bytes(data.replace(REQUEST.encode(), OTHER.encode()))
    code, report = files.report()
    assert (code, outcomes(report)["signature"]) == (1, "does_not_hold")


def test_without_a_key_it_is_not_checked(files: Files) -> None:
    # What is trusted for logs is not trusted for certificates.
    files.trust.write_text(trust("log.example/eu/*"))
    code, report = files.report()
    assert (code, outcomes(report)["signature"]) == (2, "not_checked")


def test_what_is_no_certificate_does_not_hold(files: Files) -> None:
    files.certificate.write_bytes(b"certificate of Erika Mustermann")
    code, report = files.report()
    assert (code, report["certificate"]) == (1, None)
    assert "Erika" not in json.dumps(report)


@pytest.mark.parametrize("words", [["eu"], ["=x"], ["eu="], ["eu=a", "eu=b"]])
def test_a_ledger_is_given_with_its_region(files: Files, words: list[str]) -> None:
    code, report = files.report(*(part for word in words for part in ("--ledger", word)))
    assert (code, report["checks"][0]["code"]) == (2, "input_unreadable")


def test_people_get_a_page(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["certificate", str(files.certificate), "--trust", str(files.trust)])
    page = capsys.readouterr().out
    assert code == 0
    assert "HOLDS: the service has signed that it did this." in page
    assert "cannot show: whose request it was" in page
