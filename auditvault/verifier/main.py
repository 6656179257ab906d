"""The command `auditvault-verify`: arguments and files in, a report and an exit code out.

Rules kept: docs/spec/receipt.md section 4. It needs neither the service nor a database nor a
network, and imports `auditvault.core.tlog` and nothing else of this project. Trusted keys come
from the file that the user names, never from what is checked. Bundles are left to
`bundle_command`, whole logs to `follow_command`, which reads over a network, and running a
witness, which listens on one, to `witness_command`.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.proof import Receipt
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier import (
    bundle_command,
    certificate_command,
    erasures_command,
    follow_command,
    proof_command,
    report,
)
from auditvault.verifier.receipt_checks import Outcome, check_receipt

MAX_FILE_SIZE = 64 * 2**20
"""Bytes; a receipt with its header is some kilobytes."""

_OPENING = re.compile(r"[0-9a-f]{64}")
_DESCRIPTION = """\
Check auditvault evidence with your own keys: a receipt, a proof, a bundle, a certificate, a whole log.
No service and no database is needed; only `log` reads, and only `witness` listens, on a network.
Or be a witness of logs."""
_RECEIPT_DESCRIPTION = """\
Check that a receipt proves that its entry is in the log.

Checked, in this order:
  entry       the bytes are a ledger entry to the letter, for the receipt's log and index
  leaf hash   it is the entry's
  checkpoint  a key that you trust for this log has signed it
  inclusion   the proof leads from the entry to the checkpoint's root
  header      header and opening give the entry's commitment (only if you have them)"""
_RECEIPT_EPILOG = """\
trust file (keep it yourself; a key in a receipt is never trusted):
  {"logs": [{"public_key": "<base64, 32 bytes>", "origins": ["log.example/eu/*"]},
            {"vkey": "<name>+<hash>+<key>"}]}

exit codes:
  0  holds
  1  does not hold
  2  could not be checked: an unreadable file, no key for this log, a pending receipt

example:
  auditvault-verify receipt receipt.json --trust trust.json"""
_WITNESS_DESCRIPTION = """\
Cosign the checkpoints of the logs in your trust file, as long as they only grow.

A witness remembers the last checkpoint of each log and signs the next one only after a proof that
it extends it. It speaks c2sp.org/tlog-witness. Run it where the log's operator has no access."""
_WITNESS_EPILOG = """\
A key belongs to its state: if the state is lost, retire the key. Back up neither; a restored state
has forgotten what was cosigned since. Put a proxy with TLS in front.

exit codes:
  0  stopped, or the key was made
  2  could not start

example:
  auditvault-verify witness --make-key --name witness.example/w1 --key w1.key --state w1
  auditvault-verify witness --key w1.key --state w1 --trust trust.json --listen 127.0.0.1:7380"""


class InputError(AuditvaultError):
    """A file or an argument cannot be used."""

    code: ClassVar[str] = "input_unreadable"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's arguments) and return its exit code."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except AuditvaultError as error:
        if arguments.json:
            sys.stdout.write(
                report.unreadable_as_json(error.message, error.code, _subject(arguments))
            )
        else:
            sys.stderr.write(report.unreadable_as_text(error.message))
        return Outcome.NOT_CHECKED.exit_code


def _subject(arguments: argparse.Namespace) -> str:
    """The member of a report that says what was checked."""
    command: str = arguments.command
    if command == "erasure-ledger":
        return "erasure_ledger"
    return command if command in {"receipt", "bundle", "proof", "certificate"} else "log"


def _run_receipt(arguments: argparse.Namespace) -> int:
    receipt = _read_receipt(arguments)
    checklist = check_receipt(receipt, _read_trust(arguments.trust))
    write = report.as_json if arguments.json else report.as_text
    sys.stdout.write(write(receipt, checklist))
    return checklist.result().exit_code


def _run_witness(arguments: argparse.Namespace) -> int:
    # It needs a POSIX system; receipts can be checked anywhere.
    try:
        from auditvault.verifier import witness_command
    except ImportError as error:
        raise InputError("a witness needs a POSIX system") from error
    return witness_command.run(arguments, _read_trust)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="auditvault-verify", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    receipt = commands.add_parser(
        "receipt",
        help="check one receipt",
        description=_RECEIPT_DESCRIPTION,
        epilog=_RECEIPT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_receipt_arguments(receipt)
    witness = commands.add_parser(
        "witness",
        help="cosign the checkpoints of logs that only grow",
        description=_WITNESS_DESCRIPTION,
        epilog=_WITNESS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_witness_arguments(witness)
    bundle_command.add_parser(commands, _read, _read_trust)
    proof_command.add_parser(commands, _read, _read_trust)
    erasures_command.add_parser(commands, _read, _read_trust)
    certificate_command.add_parser(commands, _read, _read_trust)
    follow_command.add_parsers(commands, _read, _read_trust)
    return parser


def _add_receipt_arguments(receipt: argparse.ArgumentParser) -> None:
    receipt.add_argument("file", type=Path, metavar="FILE", help="the receipt, JSON")
    receipt.add_argument(
        "--trust", type=Path, required=True, metavar="TRUST.json", help="the keys that you trust"
    )
    receipt.add_argument(
        "--header",
        type=Path,
        metavar="FILE",
        help="the header's exact bytes, as you hold them; needs --opening",
    )
    receipt.add_argument("--opening", metavar="HEX", help="the header's opening, 64 hex digits")
    receipt.add_argument("--json", action="store_true", help="one JSON object on standard output")
    receipt.set_defaults(run=_run_receipt)


def _add_witness_arguments(witness: argparse.ArgumentParser) -> None:
    add = witness.add_argument
    add("--key", type=Path, required=True, metavar="FILE", help="the witness's key")
    add("--state", type=Path, required=True, metavar="DIR", help="what it remembers")
    add(
        "--trust", type=Path, metavar="TRUST.json", help="the logs that it cosigns, as for receipts"
    )
    add("--listen", metavar="HOST:PORT", help="where it takes submissions; port 0 is any")
    add("--make-key", action="store_true", help="make key and state, print the public key, end")
    add("--name", metavar="NAME", help="of the new key: a URL without a scheme")
    add("--json", action="store_true", help="JSON objects on standard output, one a line")
    witness.set_defaults(run=_run_witness)


def _read_receipt(arguments: argparse.Namespace) -> Receipt:
    data = _read(arguments.file, "the receipt")
    try:
        receipt = Receipt.from_json(data)
    except AuditvaultError as error:
        raise InputError(f"the receipt cannot be used: {error.message}") from error
    if (arguments.header is None) != (arguments.opening is None):
        raise InputError("--header and --opening are needed together")
    if arguments.header is None:
        return receipt
    if not _OPENING.fullmatch(arguments.opening):
        raise InputError("--opening is 64 lower-case hex digits")
    return dataclasses.replace(
        receipt,
        header=_read(arguments.header, "the header"),
        opening=bytes.fromhex(arguments.opening),
    )


def _read_trust(path: Path) -> TrustStore:
    data = _read(path, "the trust file")
    try:
        return TrustStore.from_json(data)
    except AuditvaultError as error:
        raise InputError(f"the trust file cannot be used: {error.message}") from error


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise InputError(f"{what} cannot be read: {reason}") from error
    if len(data) > MAX_FILE_SIZE:
        raise InputError(f"{what} is bigger than {MAX_FILE_SIZE} bytes")
    return data


if __name__ == "__main__":
    sys.exit(main())
