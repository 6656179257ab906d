"""`auditvault-verify witness`: makes a witness's key, or runs the witness.

Rules kept: docs/spec/witness.md sections 3 and 4. Needs a POSIX system. Events go to standard
output, one line each. Whether the trust file is right is left to who runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier.witness import Event, Witness
from auditvault.verifier.witness_key import load_key, make_key
from auditvault.verifier.witness_server import WitnessServer
from auditvault.verifier.witness_state import WitnessState

_VERSION = "auditvault/witness/1"
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})")
_MAX_PORT = 65_535


class WitnessArgumentError(AuditvaultError):
    """An argument of the command is missing or malformed, or its address cannot be used."""

    code: ClassVar[str] = "witness_argument_invalid"


class Reporter:
    """Writes events for people or, as JSON, for programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._lock = threading.Lock()

    def say(self, text: str, members: dict[str, Any]) -> None:
        """Write one line; a reader that has gone does not stop a witness."""
        line = json.dumps({"v": _VERSION, **members}) if self._as_json else text
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def failed(self, error: AuditvaultError) -> None:
        """Write why it could not start."""
        if self._as_json:
            members = {"event": "failed", "code": error.code, "detail": error.message}
            self.say("", members)
        else:
            sys.stderr.write(f"witness: {error.message}\n")

    def event(self, event: Event) -> None:
        """Write what happened to a log."""
        members = {"event": event.name, "origin": event.origin, "size": event.size}
        known = {key: value for key, value in members.items() if value is not None}
        self.say("  ".join(str(value) for value in known.values()), known)


def run(arguments: argparse.Namespace, read_trust: Callable[[Path], TrustStore]) -> int:
    """Do what the arguments say and return the exit code: 0, or 2 if it could not start."""
    reporter = Reporter(as_json=arguments.json)
    try:
        if arguments.make_key:
            _make(arguments, reporter)
        else:
            _serve(arguments, reporter, read_trust)
    except AuditvaultError as error:
        reporter.failed(error)
        return 2
    return 0


def _make(arguments: argparse.Namespace, reporter: Reporter) -> None:
    if arguments.name is None:
        raise WitnessArgumentError("--make-key needs --name, a URL without a scheme")
    signer = make_key(arguments.key, arguments.name)
    try:
        WitnessState.create(arguments.state, signer.verifier())
    except AuditvaultError:
        arguments.key.unlink()  # nobody has seen this key
        raise
    reporter.say(signer.vkey(), {"event": "made", "vkey": signer.vkey()})


def _serve(
    arguments: argparse.Namespace, reporter: Reporter, read_trust: Callable[[Path], TrustStore]
) -> None:
    if arguments.listen is None or arguments.trust is None:
        raise WitnessArgumentError("a witness needs --trust and --listen")
    trust = read_trust(arguments.trust)
    address = _address(arguments.listen)
    signer = load_key(arguments.key)
    state = WitnessState(arguments.state, signer.verifier())
    try:
        witness = Witness(
            signer=signer,
            trust=trust,
            state=state,
            now=lambda: int(time.time()),
            report=reporter.event,
        )
        with _server(address, witness, reporter) as server:
            _announce(server, signer, reporter)
            _run(server)
    finally:
        state.close()


def _server(address: tuple[str, int], witness: Witness, reporter: Reporter) -> WitnessServer:
    try:
        return WitnessServer(address, witness, reporter.event)
    except OSError as error:
        reason = error.strerror or "unknown error"
        raise WitnessArgumentError(f"--listen cannot be used: {reason}") from error


def _announce(server: WitnessServer, signer: CosignatureSigner, reporter: Reporter) -> None:
    host, port = server.server_address[:2]
    shown = f"[{host!s}]" if ":" in str(host) else str(host)
    url = f"http://{shown}:{port}/"
    members = {"event": "listening", "url": url, "vkey": signer.vkey()}
    reporter.say(f"listening  {url}  {signer.vkey()}", members)


def _run(server: WitnessServer) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


def _address(text: str) -> tuple[str, int]:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[3]) > _MAX_PORT:
        raise WitnessArgumentError("--listen is HOST:PORT, or [ADDRESS]:PORT")
    return match[1] or match[2], int(match[3])
