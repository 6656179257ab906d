"""Whom the embedded servers run as, and where their files can lie.

PostgreSQL refuses to run as root. Started as root, the servers drop to `nobody`; their files then
have to be where that user can reach them. No parent directory's mode is ever changed for that:
where the home lies under a closed directory (root's own, say), the servers' files go to a directory
of their own, and a link in the home names it.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditvault.cli.up.files import make_directory, storage_error

_NOBODY_ID = 65534  # where a container's image has no passwd entry for it
_OUTSIDE_PREFIX = "auditvault-servers-"
_PROBE_SECONDS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The unprivileged user and group of the server processes."""

    uid: int
    gid: int

    @property
    def ids(self) -> tuple[int, int]:
        """(uid, gid)."""
        return self.uid, self.gid


def server_account() -> Account | None:
    """`nobody` where this process is root; None (as we are) otherwise."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(uid=_NOBODY_ID, gid=_NOBODY_ID)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def identity(account: Account | None) -> dict[str, Any]:
    """The arguments that make `subprocess` start a process as `account`."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def succeeds_as(account: Account | None, command: Sequence[str]) -> bool:
    """Whether `account` can run the command, with its access to every directory on the way."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed probe
            command, cwd="/", capture_output=True, timeout=_PROBE_SECONDS, check=False,
            stdin=subprocess.DEVNULL, **identity(account),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def server_directory(home: Path, account: Account | None) -> Path:
    """The directory of the servers' files: `servers` below `home`, or what that link points at.

    Raises StorageError.
    """
    link = home / "servers"
    if not link.is_symlink():
        if account is None or _can_enter(account, home):
            make_directory(link, mode=0o711)
            return link
        outside = _make_outside()
        try:
            link.symlink_to(outside)
        except OSError as error:
            raise storage_error(link, error) from error
    directory = link.resolve()
    make_directory(directory, mode=0o711)
    return directory


def _can_enter(account: Account, directory: Path) -> bool:
    return succeeds_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)])


def _make_outside() -> Path:
    # Data that must survive a restart of the machine: /tmp is the last resort.
    for parent in (Path("/var/lib"), Path("/opt"), Path(tempfile.gettempdir())):
        if parent.is_dir() and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=_OUTSIDE_PREFIX, dir=parent))
    raise storage_error(Path("/var/lib"), PermissionError(13, "Permission denied"))
