"""`auditvault signer`: the process that signs checkpoints. It alone holds the signing key."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from auditvault.core.errors import AuditvaultError
from auditvault.ledger.scope import driver_connection
from auditvault.ledger.signer import Signer
from auditvault.ledger.signer_keys import KeyFiles, load_signing_key
from auditvault.ledger.signer_state import SignerState, SignerStateUnwritableError

log = logging.getLogger("auditvault.signer")


class Command(BaseCommand):
    """Signs every log of the regions this process is given, until it is told to stop."""

    help = "Sign checkpoints of every log, after proving that each extends the one signed before."

    def add_arguments(self, parser: CommandParser) -> None:
        """How often to look."""
        parser.add_argument(
            "--interval", type=float, default=0.5, help="seconds between looks (default: 0.5)"
        )
        parser.add_argument("--once", action="store_true", help="look once, and stop")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sign in a loop; a database that is away is waited for."""
        if not (settings.SIGNER_KEY_FILE and settings.SIGNER_STATE_FILE):
            raise CommandError(
                "AUDITVAULT_SIGNER_KEY_FILE and AUDITVAULT_SIGNER_STATE_FILE must be set."
            )
        stop = threading.Event()
        if not options["once"]:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
        files = [settings.SIGNER_KEY_FILE, *settings.SIGNER_MORE_KEY_FILES]
        try:
            keys = KeyFiles(load_signing_key(Path(file)) for file in files)
            with SignerState.for_signing(Path(settings.SIGNER_STATE_FILE)) as state:
                _sign(Signer(keys=keys, state=state), stop, options)
        except AuditvaultError as error:
            raise CommandError(f"The signer cannot start: {error.message}") from error


def _sign(signer: Signer, stop: threading.Event, options: dict[str, Any]) -> None:
    while not stop.is_set():
        for region in settings.REGIONS:
            _look(signer, region)
        if options["once"]:
            return
        stop.wait(options["interval"])


def _look(signer: Signer, region: str) -> None:
    alias = f"signer_{region}"
    try:
        connections[alias].ensure_connection()
        signer.run_once(driver_connection(connections[alias]), datetime.now(UTC), region=region)
    except (DatabaseError, psycopg.Error) as error:
        log.warning(
            "database unavailable, will look again",
            extra={"facts": {"alias": alias}},
            exc_info=error,
        )
        connections[alias].close()
    except SignerStateUnwritableError as error:
        # A full disk, say. Nothing was released, and the next look tries again.
        log.critical("nothing is signed: %s (%s)", error.message, error.code)
