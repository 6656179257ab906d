"""`auditvault-verify certificate`: checks the certificate of a request offline.

Rules kept: docs/spec/certificate.md section 3. The keys are those of the verifier's own trust file. Where somebody has
the erasure ledgers too, the records that the certificate names are found in them. What happened to the data itself is
not seen from here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.erasure_ledger import ErasureChain, file_name
from auditvault.core.tlog.note import LogVerifier
from auditvault.core.tlog.request_certificate import (
    RegionPart,
    RequestCertificate,
    VerifiersFor,
    open_certificate,
    read_certificate,
)
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier import report
from auditvault.verifier.receipt_checks import Checklist, Outcome

Read = Callable[[Path, str], bytes]
ReadTrust = Callable[[Path], TrustStore]

_VERDICTS = {
    Outcome.HOLDS: "HOLDS: the service has signed that it did this.",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD: do not rely on this certificate.",
    Outcome.NOT_CHECKED: "NOT CHECKED: nothing is wrong, but something could not be checked.",
}
_LIMITS = (
    "A certificate cannot show: whose request it was; that nothing is anywhere else; that whoever",
    "was told has done the same. It is the service's word, and the ledgers' where you gave them.",
)
_DESCRIPTION = """\
Check the certificate of a request about a person's data.

Checked, in this order:
  form        it is a certificate to the letter, and its counts and times do not contradict it
  signature   a key that you trust for this certificate's region has signed it
  ledgers     each record that it names is in the region's erasure ledger, whole up to there, and
              is of this request (only of regions that you gave a ledger of)"""
_EPILOG = """\
The trust file names the key for `<host>/<region>/ledger/certificates`, and the ledgers' keys for
`<host>/<region>/ledger/erasures`.

exit codes:
  0  holds
  1  does not hold
  2  could not be checked

example:
  auditvault-verify certificate request.certificate --trust trust.json --ledger eu=ledgers/eu"""


class CertificateInputError(AuditvaultError):
    """An argument cannot be used."""

    code: ClassVar[str] = "input_unreadable"


class LedgerMismatchError(AuditvaultError):
    """A ledger has not the record that a certificate names."""

    code: ClassVar[str] = "certificate_record_missing"


class _NoKeyError(Exception):
    """The trust file names no key: nothing is wrong with what was to be checked."""


def add_parser(commands: Any, read: Read, read_trust: ReadTrust) -> None:
    """Add the sub-command to argparse's `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "certificate",
        help="check the certificate of a request about a person's data",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the certificate")
    add("--trust", type=Path, required=True, metavar="TRUST.json", help="the keys that you trust")
    add(
        "--ledger",
        action="append",
        default=[],
        metavar="REGION=DIRECTORY",
        help="a region's erasure ledger, or a copy of it; may be repeated",
    )
    add("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=lambda arguments: _run(arguments, read, read_trust))


def _run(arguments: argparse.Namespace, read: Read, read_trust: ReadTrust) -> int:
    trust = read_trust(arguments.trust)
    ledgers = _ledgers(arguments.ledger)
    data = read(arguments.file, "the certificate")
    checklist = Checklist()
    certificate = checklist.run(
        "form", lambda: read_certificate(data), lambda found: f"{found.kind}: {found.outcome}"
    )
    if certificate is None:
        checklist.skip("signature", "needs a certificate of the right form")
        checklist.skip("ledgers", "needs a certificate of the right form", needed=bool(ledgers))
    else:
        _check_signature(checklist, data, _needing_a_key(trust))
        _check_ledgers(checklist, certificate, ledgers, _needing_a_key(trust), read)
    _write(arguments, checklist, certificate)
    return checklist.result().exit_code


def _check_signature(checklist: Checklist, data: bytes, verifiers_for: VerifiersFor) -> None:
    try:
        checklist.run(
            "signature",
            lambda: open_certificate(data, verifiers_for),
            lambda found: f"signed as {found.log}",
        )
    except _NoKeyError:
        checklist.skip("signature", "the trust file has no key for this certificate's region")


def _check_ledgers(
    checklist: Checklist,
    certificate: RequestCertificate,
    ledgers: Mapping[str, Path],
    verifiers_for: VerifiersFor,
    read: Read,
) -> None:
    named = [part for part in certificate.regions if part.records]
    given = [part for part in named if part.region in ledgers]
    if ledgers.keys() - {part.region for part in named}:
        checklist.skip("ledgers", "the certificate names no record of a ledger that you gave")
        return
    if not given:
        reason = "none was given (--ledger)" if named else "nothing was destroyed by ledger"
        checklist.skip("ledgers", reason, needed=False)
        return

    def found() -> Sequence[str]:
        for part in given:
            _find_records(certificate, part, ledgers[part.region], verifiers_for, read)
        return [part.region for part in given]

    try:
        checklist.run("ledgers", found, lambda names: f"every record is in: {', '.join(names)}")
    except _NoKeyError:
        checklist.skip("ledgers", "the trust file has no key for a ledger")


def _find_records(
    certificate: RequestCertificate,
    part: RegionPart,
    directory: Path,
    verifiers_for: VerifiersFor,
    read: Read,
) -> None:
    """Go through the ledger from its beginning to the last record that is named; raises what does not hold."""
    wanted = {record.index: record.record_hash for record in part.records}
    chain = ErasureChain(part.region, verifiers_for)
    for index in range(max(wanted) + 1):
        record = chain.add(read(directory / file_name(index), file_name(index)))
        if index not in wanted:
            continue
        if chain.head != wanted[index]:
            raise LedgerMismatchError(f"record {index} of {part.region} is another one")
        if (record.reference, record.tenant_id) != (certificate.request_id, certificate.tenant_id):
            raise LedgerMismatchError(f"record {index} of {part.region} is of another request")


def _write(
    arguments: argparse.Namespace, checklist: Checklist, certificate: RequestCertificate | None
) -> None:
    facts = _facts(certificate) if certificate else {}
    if arguments.json:
        sys.stdout.write(report.document("certificate", facts or None, checklist))
        return
    shown = {name.replace("_", " "): str(value) for name, value in facts.items()}
    verdict = _VERDICTS[checklist.result()]
    sys.stdout.write(report.page(shown, checklist, limits=_LIMITS, verdict=verdict))


def _facts(certificate: RequestCertificate) -> dict[str, Any]:
    return {
        "log": certificate.log,
        "request": certificate.request_id,
        "kind": certificate.kind,
        "outcome": certificate.outcome,
        "completed": certificate.completed_at,
        "found": certificate.found,
        "done": certificate.done,
        "exempt": certificate.exempt,
        "held": certificate.held,
    }


def _ledgers(words: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for word in words:
        region, separator, directory = word.partition("=")
        if not region or not separator or not directory or region in found:
            raise CertificateInputError("--ledger is REGION=DIRECTORY, each region once")
        found[region] = Path(directory)
    return found


def _needing_a_key(trust: TrustStore) -> VerifiersFor:
    def verifiers_for(name: str) -> list[LogVerifier]:
        found = trust.verifiers_for(name)
        if not found:
            raise _NoKeyError
        return found

    return verifiers_for
