"""A region on servers of its own, and what its operator and its users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from auditvault.cli.backups.servers import Database
from auditvault.cli.up.cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 120


@dataclass(frozen=True, slots=True)
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class BackupSite:
    """One region, `eu`."""

    cluster: Cluster
    home: Path

    @classmethod
    @contextmanager
    def started(cls, home: Path) -> Iterator[BackupSite]:
        with Cluster(home, regions=("eu",), with_broker=False) as cluster:
            site = cls(cluster, home)
            site.migrate()
            yield site

    @property
    def backups(self) -> Path:
        return self.home / "backups"

    @property
    def admin(self) -> Database:
        return Database(self.cluster.postgres.superuser_dsn)

    def migrate(self) -> None:
        done = self.run("owner", "-m", "django", "migrate_all", "--verbosity", "0")
        assert done.code == 0, done.err

    def record(self, slug: str, *texts: str) -> None:
        """Somebody sends an interaction for each text."""
        done = self.run("operator", "-m", f"{__package__}.acting", "record", slug, *texts)
        assert done.code == 0, done.err

    def resolve(self, slug: str, *texts: str) -> list[list[Any]]:
        """An investigator looks for each text: status and contents."""
        done = self.run("operator", "-m", f"{__package__}.acting", "resolve", slug, *texts)
        assert done.code == 0, done.err
        found: list[list[Any]] = done.json
        return found

    def erase(self, slug: str, *texts: str) -> None:
        """Whoever sent the texts is erased."""
        done = self.run("operator", "-m", f"{__package__}.acting", "erase", slug, *texts)
        assert done.code == 0, done.err

    def sign(self) -> None:
        done = self.run("signer", "-m", "django", "signer", "--once")
        assert done.code == 0, done.err

    def back_up(self, *options: str) -> Path:
        """Take a backup; the directory that it is in."""
        done = self.command(
            "backup", "--region", "eu", "--to", str(self.backups), "--json", *options
        )
        assert done.code == 0, done.out + done.err
        return Path(done.json["parts"][0]["directory"]).parent

    def command(self, *words: str, more: Mapping[str, str] | None = None) -> Done:
        """An `auditvault` command, as whoever keeps the backups."""
        return self.run("backup", "-m", "auditvault.cli.main", *words, more=more)

    def run(self, purpose: str, *words: str, more: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, *words],
            env=self.environment(purpose, more),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def environment(self, purpose: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return self.cluster.environment(purpose) | dict(more or {})  # type: ignore[arg-type]

    def databases(self) -> set[str]:
        with psycopg.connect(self.cluster.postgres.superuser_dsn) as connection:
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        return {row[0] for row in rows}


def programs_in(directory: Path, pg_dump: str) -> Mapping[str, str]:
    """An environment with a `pg_dump` of the test's; `REAL` in its text stands for the real one."""
    from auditvault.cli.backups.programs import client_programs

    real = client_programs({}).directory
    directory.mkdir()
    script = directory / "pg_dump"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real}/pg_dump --version\n'
        + pg_dump.replace("REAL", f"{real}/pg_dump")
        + "\n"
    )
    script.chmod(0o755)
    (directory / "pg_restore").symlink_to(real / "pg_restore")
    return {"AUDITVAULT_POSTGRES_BIN": str(directory)}


def new_name(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex[:12]}"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
