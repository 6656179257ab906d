"""What is asked of a restored region in its scratch server, by the operator's own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from django.conf import settings
from django.db import DatabaseError

from auditvault.cli.backups.opening import Backup
from auditvault.cli.up.cluster import Cluster
from auditvault.cli.up.home import project_root
from auditvault.core.backup import Head
from auditvault.core.errors import AuditvaultError
from auditvault.evidence.payloads import holds_keys
from auditvault.evidence.restores import extends_checkpoint
from auditvault.ledger.signer_state import SignerState

# Databases, brokers, stores and signing keys of the live region: no process of the drill is told of any.
_LIVE = re.compile(
    r"AUDITVAULT_[A-Z0-9_]*_URL|DATABASE_URL|AUDITVAULT_BACKUP_[A-Z0-9_]+|AUDITVAULT_ERASURE_KEY_FILE"
    r"|AUDITVAULT_SIGNER_(MORE_)?KEY_FILES?"
)
_SCRATCH = re.compile(r"AUDITVAULT_[A-Z0-9_]*_URL|AUDITVAULT_HOME|AUDITVAULT_REGIONS")
_NO_MEMORY = "the signer's memory was not at hand: a backup that is older than it says is not told from a new one"


class DrillCommandError(AuditvaultError):
    """A command of the drill could not be run to its end."""

    code: ClassVar[str] = "drill_command_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A scratch server with a restored region in it."""

    cluster: Cluster
    home: Path
    region: str
    sample: int

    def run(self, *words: str, purpose: str = "operator") -> tuple[int, str]:
        """Run a command against the scratch databases; its exit code and output."""
        environment = {
            name: value for name, value in os.environ.items() if not _LIVE.fullmatch(name)
        }
        environment |= {
            name: value
            for name, value in self.cluster.environment(purpose).items()  # type: ignore[arg-type]
            if _SCRATCH.fullmatch(name)
        }
        environment |= self._outside()
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "django", *words],
            env=environment, cwd=project_root(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _outside(self) -> dict[str, str]:
        """What does not come from a backup: public keys, and copies of what the signer and erasures know."""
        upper = self.region.upper()
        return {
            "PYTHONPATH": str(project_root()),
            "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
            "AUDITVAULT_LOG_VKEYS_FILE": settings.LOG_VKEYS_FILE,
            "AUDITVAULT_SIGNER_STATE_FILE": str(self.memory) if self.memory.exists() else "",
            f"AUDITVAULT_ERASURE_LEDGER_{upper}_DIR": str(self.erasures),
            "AUDITVAULT_ERASURE_VKEYS_FILE": settings.ERASURE_VKEYS_FILE,
        }

    @property
    def memory(self) -> Path:
        """A copy of the signer's state."""
        return self.home / "memory" / "state.json"

    @property
    def erasures(self) -> Path:
        """A copy of the erasure ledger."""
        return self.home / "erasures"


def check_restored(
    scratch: Scratch,
    backup: Backup,
    checks: dict[str, dict[str, Any]],
    not_checked: list[str],
    steps: dict[str, float],
) -> None:
    """Bring the schema up to date, replay erasures, verify; adds to the last three."""
    heads = backup["ledger"].manifest.heads
    checks["heads"] = _compare_heads(scratch, heads, not_checked)
    with _timed(steps, "schema brought up to date"):
        _migrate(scratch)
    with _timed(steps, "erasures replayed"):
        _replay(scratch, checks, not_checked)
    with _timed(steps, "logs verified"):
        _verify_logs(scratch, backup, checks, not_checked)
    with _timed(steps, "vault verified"):
        _verify_vault(scratch, backup, checks, not_checked)


@contextmanager
def _timed(steps: dict[str, float], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    steps[what] = time.monotonic() - began


def _compare_heads(
    scratch: Scratch, heads: Sequence[Head], not_checked: list[str]
) -> dict[str, Any]:
    """The restored heads are the manifest's, which `restore` has compared; here, with what is known outside.

    A log that the signer remembers as it is in the backup stays in the copied memory, and verification compares it. One
    of which more was signed since is compared with the live log, which must have grown from it.
    """
    memory = _copy_memory(scratch, {head.log: head.size for head in heads})
    if memory is None:
        not_checked.append(_NO_MEMORY)
        memory = set()
    grown, differing = 0, []
    for head in heads:
        if head.log in memory or not head.signed_size:
            continue
        try:
            root = bytes.fromhex(head.signed_root)
            extends = extends_checkpoint(scratch.region, head.log, head.signed_size, root)
        except (AuditvaultError, DatabaseError, psycopg.Error, LookupError):
            not_checked.append(f"whether the live log has grown from the backup's: {head.log}")
            continue
        grown += extends
        if not extends:
            differing.append(head.log)
    return {
        "holds": not differing,
        "logs": len(heads),
        "in_memory": len(memory),
        "grown_since": grown,
        "differing": differing,
    }


def _copy_memory(scratch: Scratch, sizes: dict[str, int]) -> set[str] | None:
    """Copy what the signer remembers of the region's logs up to these sizes; None where there is no memory."""
    scratch.memory.parent.mkdir(mode=0o700)
    if not settings.SIGNER_STATE_FILE or not Path(settings.SIGNER_STATE_FILE).exists():
        return None
    live = Path(settings.SIGNER_STATE_FILE)
    state = SignerState(live)
    kept = {
        origin: signed
        for origin, signed in state.signed.items()
        if signed.size <= sizes.get(origin, -1)
    }
    SignerState(scratch.memory).save(signed=kept, keys=state.keys)
    restores = live.with_name(f"{live.name}.restores")
    if restores.exists():
        shutil.copy(restores, scratch.memory.with_name(f"{scratch.memory.name}.restores"))
    return set(kept)


def _migrate(scratch: Scratch) -> None:
    code, _ = scratch.run("migrate_all", "--verbosity", "0", purpose="owner")
    if code:
        raise DrillCommandError("The restored schema could not be brought up to date.")


def _replay(scratch: Scratch, checks: dict[str, dict[str, Any]], not_checked: list[str]) -> None:
    """With a copy of the ledger: what a replay adds to it is nobody's."""
    directory = settings.ERASURE_LEDGER_DIRS.get(scratch.region, "")
    if directory:
        shutil.copytree(directory, scratch.erasures)
    else:
        scratch.erasures.mkdir(mode=0o700)
        not_checked.append(
            "erasures since the backup: this process was not told of an erasure ledger"
        )
    code, said = scratch.run("replay_erasures", "--region", scratch.region, "--json")
    answer = _parsed(said)
    if code not in (0, 1):
        raise DrillCommandError(f"Erasures could not be replayed: {answer.get('message', '')}")
    counts = {
        f"{what}_that_came_back": count for what, count in answer.get("came_back", {}).items()
    }
    checks["erasures"] = {"holds": code == 0, "records": answer.get("records"), **counts}


def _verify_logs(
    scratch: Scratch, backup: Backup, checks: dict[str, dict[str, Any]], not_checked: list[str]
) -> None:
    opens = _opens(scratch, backup, checks)
    words = ["verify", "--region", scratch.region, "--json"]
    words.append("--payloads" if opens else "--no-payloads")
    remembered = SignerState(scratch.memory).signed
    for number, head in enumerate(backup["ledger"].manifest.heads):
        if head.note and head.log not in remembered:
            path = scratch.memory.with_name(f"checkpoint.{number}")
            path.write_text(head.note)
            words += ["--checkpoint", str(path)]
    if not opens:
        not_checked.append(
            "contents: vault, keyring and root key are not all at hand, or the region stayed pending"
        )
    code, said = scratch.run(*words)
    answer = _parsed(said)
    if code not in (0, 1):
        raise DrillCommandError(
            f"The restored logs could not be verified: {answer.get('error', '')}"
        )
    logs = answer["logs"]
    checks["logs"] = {
        "holds": code == 0,
        "logs": len(logs),
        "entries": sum(log["entries"] for log in logs),
        "checkpoints": sum(log["checkpoints"] for log in logs),
        "headers": sum(log["headers"] for log in logs),
        "contents_opened": sum(log["payloads"] or 0 for log in logs) if opens else None,
        "contents_gone": sum(log["payloads_gone"] for log in logs),
        "findings": [
            {"log": log["origin"], "finding": kind, "index": index}
            for log in logs
            for kind, index in sorted(log["first_bad"].items())
        ],
        "database_findings": answer["database"],
    }


def _verify_vault(
    scratch: Scratch, backup: Backup, checks: dict[str, dict[str, Any]], not_checked: list[str]
) -> None:
    """Contents at random places, opened where they lie: those, too, that no header leads to."""
    if not _opens(scratch, backup, checks):
        return
    code, said = scratch.run(
        "verify", "--vault", "--sample", str(scratch.sample), "--region", scratch.region, "--json"
    )
    answer = _parsed(said)
    if code not in (0, 1):
        raise DrillCommandError(
            f"The restored vault could not be verified: {answer.get('error', '')}"
        )
    vaults = answer["vaults"]
    checks["vault"] = {
        "holds": code == 0,
        "tenants": len(vaults),
        "opened": sum(vault["opened"] for vault in vaults),
        "identifiers": sum(vault["identifiers"] for vault in vaults),
        "damaged": _total(vaults, "damaged"),
        "belonging_to_nothing": _total(vaults, "orphans"),
    }
    not_checked.append(
        f"contents that no header names, beyond a sample of {scratch.sample} a tenant"
    )


def _opens(scratch: Scratch, backup: Backup, checks: dict[str, dict[str, Any]]) -> bool:
    """Nothing opens without a keyring, nor where what was erased may be there again."""
    return (
        {"vault", "keyring"} <= backup.keys()
        and holds_keys(scratch.region)
        and bool(checks["erasures"]["holds"])
    )


def _total(vaults: Sequence[dict[str, Any]], what: str) -> int:
    return sum(found["count"] for vault in vaults for found in vault[what].values())


def _parsed(said: str) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
