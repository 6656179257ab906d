"""A restore drill: a backup put into a scratch server of its own, verified there, and a report of it.

The scratch server has its own directory, roles and passwords, and listens on a Unix socket alone. The commands that
verify are the operator's own, in processes that know the scratch databases and no others. Whatever happens, the server
is stopped and its directory removed; a drill that is killed with SIGKILL leaves the directory, and no process.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings

from auditvault.cli.backups import configuration as configured
from auditvault.cli.backups.drill import Drill
from auditvault.cli.backups.drill_checks import Scratch, check_restored
from auditvault.cli.backups.drill_report import report_json, write_report
from auditvault.cli.backups.files import Progress
from auditvault.cli.backups.memory import behind_memory
from auditvault.cli.backups.opening import open_backup
from auditvault.cli.backups.programs import client_programs
from auditvault.cli.backups.restoring import Target, restore
from auditvault.cli.backups.servers import Database
from auditvault.cli.up.cluster import Cluster
from auditvault.cli.up.files import storage_error
from auditvault.cli.up.provision import keys_database, region_database
from auditvault.core.backup import BackupKey, Part
from auditvault.core.errors import AuditvaultError

_PREFIX = "auditvault-drill-"


class DrillStoppedError(AuditvaultError):
    """A signal asked for the end."""

    code: ClassVar[str] = "drill_stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOrder:
    """What is drilled, and with what."""

    region: str
    directories: Mapping[Part, Path]
    key: BackupKey
    trusted: Sequence[Ed25519PublicKey]
    scratch: Path | None
    """Where the scratch server's directory is made; the system's place for temporary files where None."""
    sample: int
    """How many contents of each tenant are opened where they lie."""


def drill_from_settings(
    *,
    region: str,
    directories: Mapping[Part, Path],
    report_to: Path | None,
    quiet: bool,
    scratch: Path | None = None,
    sample: int = 20,
) -> Drill:
    """Drill with the keys of the settings; the report is written to `report_to`, whatever the verdict.

    Raises an AuditvaultError where the keys or the place of the report cannot be had.
    """
    order = DrillOrder(
        region=region,
        directories=directories,
        key=configured.backup_key(),
        trusted=configured.trusted_keys(),
        scratch=scratch,
        sample=sample,
    )
    if report_to is not None:
        try:
            report_to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(report_to, error) from error
    drill = run_drill(order, configured.shown(quiet=quiet))
    if report_to is not None:
        write_report(report_json(drill), report_to)
    return drill


def run_drill(order: DrillOrder, progress: Progress) -> Drill:
    """Restore and verify; an AuditvaultError on the way is part of what was found."""
    drill = Drill(region=order.region, drilled_at=datetime.now(UTC))
    try:
        with _stopping_by_error():
            _run(order, drill, progress)
    except AuditvaultError as error:
        drill.error = error
    return drill


def _run(order: DrillOrder, drill: Drill, progress: Progress) -> None:
    with _timed(drill, "manifests read"):
        drill.backup = open_backup(
            directories=order.directories, region=order.region, key=order.key, trusted=order.trusted
        )
    if "ledger" not in drill.backup:
        raise configured.BackupSettingError(
            "A drill needs the ledger: it is what everything is checked by."
        )
    drill.behind = behind_memory(drill.backup)
    programs = client_programs()
    with _scratch_home(order.scratch) as home, _scratch_server(drill, home) as cluster:
        admin = Database(cluster.postgres.superuser_dsn)
        target = Target(
            region_database=admin.other(region_database(order.region)),
            keys_database=admin.other(keys_database(order.region)),
            programs=programs,
            at=drill.drilled_at,
        )
        with _timed(drill, "files checked and restored"):
            drill.restored = restore(drill.backup, target, progress, progress)
        scratch = Scratch(cluster=cluster, home=home, region=order.region, sample=order.sample)
        check_restored(scratch, drill.backup, drill.checks, drill.not_checked, drill.steps)


@contextmanager
def _scratch_server(drill: Drill, home: Path) -> Iterator[Cluster]:
    """Roles and empty databases, as a site has them before its first record."""
    with ExitStack() as stack:
        cluster = Cluster(
            home,
            regions=(drill.region,),
            settings_module=settings.SETTINGS_MODULE,
            with_broker=False,
            on_network=False,
        )
        with _timed(drill, "scratch server started"):
            stack.enter_context(cluster)
        yield cluster


@contextmanager
def _timed(drill: Drill, what: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        drill.steps[what] = time.monotonic() - began


@contextmanager
def _scratch_home(parent: Path | None) -> Iterator[Path]:
    try:
        home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        raise configured.BackupSettingError(
            f"No scratch directory can be made in {parent}: {error.strerror}."
        ) from error
    try:
        home.chmod(0o711)  # the server's user must pass through
        yield home
    finally:
        servers = home / "servers"
        if servers.is_symlink():  # they lie elsewhere, where their user can reach them
            shutil.rmtree(servers.resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _stopping_by_error() -> Iterator[None]:
    """SIGTERM ends the block by an error, so that the scratch server is removed."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise DrillStoppedError("The drill was stopped by a signal.")

    before: Any = None
    with suppress(ValueError):  # not in the main thread: nobody's signals come here
        before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
