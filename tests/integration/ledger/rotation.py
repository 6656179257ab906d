"""A region and a signer of a test's own, so that keys can come and go without any other test's logs.

The region is a copy of `us` without its logs; Django's connections of `us` lead to it for as long as it is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from tests.integration.ledger.outage import cut_all, drop_connections
from tests.integration.ledger.superuser import superuser

DATABASE = "rotation"
_ALIASES = ("region_us", "signer_us")
_LOGS = (
    "ledger_log, ledger_head, ledger_entry, ledger_tile, ledger_checkpoint, ledger_cosignature,"
    " admin_event"
)


@contextmanager
def own_region(cluster: Any) -> Iterator[None]:
    """Inside the block `us` is an empty copy of itself."""
    from django.db import connections

    names = {alias: connections[alias].settings_dict["NAME"] for alias in _ALIASES}
    with superuser(cluster, "postgres") as owner:
        drop_connections()
        cut_all(owner, "region_us")
        owner.execute(f"CREATE DATABASE {DATABASE} TEMPLATE region_us")
        _forget_logs()
        try:
            for alias in _ALIASES:
                connections[alias].settings_dict["NAME"] = DATABASE
            yield
        finally:
            drop_connections()
            for alias, name in names.items():
                connections[alias].settings_dict["NAME"] = name
            owner.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            _forget_logs()


def _forget_logs() -> None:
    from auditvault.ledger.logs import log_ref

    log_ref.cache_clear()


class Rig:
    """An operator at the command line, and a signer that looks when it is told to."""

    def __init__(self, cluster: Any, folder: Path, monkeypatch: Any) -> None:
        from django.conf import settings

        self._cluster, self._settings, self._monkeypatch = cluster, settings, monkeypatch
        self.folder = folder
        self.state = folder / "state.json"
        self.vkeys = folder / "vkeys"
        self._names: dict[Any, str] = {}
        self._set(SIGNER_STATE_FILE=str(self.state), LOG_VKEYS_FILE=str(self.vkeys))
        self._set(REGIONS=["us"], SIGNER_MORE_KEY_FILES=[])
        # Two people are the matter of test_signer_approved.py.
        self._set(COMMANDS_WITHOUT_APPROVAL=True)
        with self.owner() as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute(f"TRUNCATE {_LOGS} CASCADE")
        _forget_logs()
        self.vkeys.write_text(self.make("old") + "\n")
        self.hold("old")
        self.happen()

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            self._monkeypatch.setattr(self._settings, name, value)

    def owner(self) -> Any:
        """A superuser's connection to the region."""
        return superuser(self._cluster, DATABASE)

    def command(self, *words: str, **options: Any) -> str:
        """What a command prints."""
        from django.core.management import call_command

        out = StringIO()
        call_command(*words, stdout=out, **options)
        return out.getvalue()

    def make(self, name: str, algorithm: str = "ed25519") -> str:
        """Make a private key of that name; returns its vkey."""
        from auditvault.core.tlog.log_key import LogKey

        path = str(self.folder / f"{name}.pem")
        vkey = self.command("checkpoint_key", "new", path, algorithm=algorithm).strip()
        self._names[LogKey.from_vkey(vkey)[1]] = name
        return vkey

    def hold(self, *names: str) -> None:
        """The signer, from its next start on, has the private keys of these names and no other."""
        first, *more = [str(self.folder / f"{name}.pem") for name in names]
        self._set(SIGNER_KEY_FILE=first, SIGNER_MORE_KEY_FILES=more)

    def private(self, name: str) -> Any:
        """The private key of that name."""
        from auditvault.ledger.signer_keys import load_signing_key

        return load_signing_key(self.folder / f"{name}.pem")

    def look(self) -> None:
        """A signer starts, looks once and ends."""
        self.command("signer", once=True)

    @contextmanager
    def running(self) -> Iterator[Any]:
        """A signer that goes on running; yields what makes it look."""
        from django.db import connections

        from auditvault.ledger.scope import driver_connection
        from auditvault.ledger.signer import Signer
        from auditvault.ledger.signer_keys import KeyFiles, load_signing_key
        from auditvault.ledger.signer_state import SignerState

        files = [self._settings.SIGNER_KEY_FILE, *self._settings.SIGNER_MORE_KEY_FILES]
        keys = KeyFiles(load_signing_key(Path(file)) for file in files)
        with SignerState.for_signing(self.state) as state:
            signer = Signer(keys=keys, state=state)

            def look() -> None:
                connections["signer_us"].ensure_connection()
                connection = driver_connection(connections["signer_us"])
                signer.run_once(connection, datetime.now(UTC), region="us")

            yield look

    def announce(self, vkey: str) -> str:
        """`auditvault checkpoint_key announce`."""
        return self.command("checkpoint_key", "announce", vkey)

    def retire(self, vkey: str) -> str:
        """`auditvault checkpoint_key retire`."""
        return self.command("checkpoint_key", "retire", vkey)

    def happen(self) -> None:
        """Something is recorded in the operator's log."""
        from auditvault.ledger.admin.services import record_operation

        record_operation(region="us", action="test.happened", details={})

    def open_log(self) -> None:
        """A log of some tenant's is opened, without an entry."""
        from auditvault.ledger.logs import open_log

        open_log(region="us", tenant_id=uuid4(), kind="interactions", log_host="localhost")

    def log(self) -> Any:
        """The operator's log."""
        from auditvault.ledger.logs import log_ref

        return log_ref("us", UUID(int=0), "admin", self._settings.LOG_HOST)

    def notes(self) -> list[tuple[int, str]]:
        """Size and note of every checkpoint of the operator's log, in the order of their signing."""
        with self.owner() as owner:
            return owner.execute(
                "SELECT size, note FROM ledger_checkpoint WHERE log_id = %s ORDER BY signed_at",
                (self.log().log_id,),
            ).fetchall()

    def signed_by(self, note: str) -> list[str]:
        """The names of the keys that have a line under a note, in order."""
        from auditvault.core.tlog.note import parse_note

        origin = self.log().origin
        names = {key.key_id(origin): name for key, name in self._names.items()}
        return [names[line.key_id] for line in parse_note(note)[1]]

    def signers(self) -> list[tuple[int, list[str]]]:
        """Size, and who signed it, of every checkpoint of the operator's log."""
        return [(size, self.signed_by(note)) for size, note in self.notes()]

    def newest(self) -> list[str]:
        """Who signed the last checkpoint."""
        return self.signers()[-1][1]

    def events(self) -> list[str]:
        """What the operator's log says of keys, oldest first."""
        from auditvault.ledger.admin.checkpoint_keys import key_history

        return [
            f"{self._names[record.key]} {record.action.rpartition('.')[2]}"
            for record in key_history("us")
        ]

    def announcements(self) -> int:
        """How many announcements are committed, seen from outside."""
        with self.owner() as owner:
            return owner.execute(
                "SELECT count(*) FROM admin_event WHERE action = 'checkpoint_key.announced'"
            ).fetchone()[0]

    def findings(self) -> dict[str, int]:
        """What a full verification of every log of the region finds."""
        from auditvault.evidence.verification import (
            read_log_keys,
            read_memory,
            read_retired,
            verify_region,
        )

        reports = verify_region(
            region="us",
            keys=read_log_keys(self.vkeys),
            remembered=read_memory(str(self.state)),
            retired=read_retired(str(self.state), "us"),
        )
        assert all(report.checkpoints for report in reports)
        return {kind: at for report in reports for kind, at in report.first_bad.items()}


def alarms(caplog: Any) -> list[str]:
    """What the signer said at level CRITICAL."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "auditvault.signer" and record.levelno == logging.CRITICAL
    ]
