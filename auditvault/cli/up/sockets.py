"""Addresses of this machine: free ports and short socket directories."""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import ClassVar

from auditvault.cli.up.account import Account
from auditvault.cli.up.files import make_directory
from auditvault.core.errors import AuditvaultError

LOOPBACK = "127.0.0.1"
# sun_path holds 108 bytes with the final zero on Linux and 104 on macOS; the longest name put in is
# PostgreSQL's.
_LONGEST_PATH_BYTES = 103
_LONGEST_NAME_BYTES = len("/.s.PGSQL.65535.lock")
# Below the range that Linux and macOS give to outgoing connections, so that a restarted server
# finds its port.
_PORTS = range(20_000, 32_000)
# Not the seeded generator: two test processes with one seed would choose the same port at the same
# time.
_RANDOM = secrets.SystemRandom()


class PortTakenError(AuditvaultError):
    """The port is in use by another program."""

    code: ClassVar[str] = "port_taken"


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that nobody listens on; raises PortTakenError after a hundred tries."""
    for port in _RANDOM.sample(_PORTS, 100):
        if is_free(port):
            return port
    raise PortTakenError("no free port was found on the loopback address")


def require_port(port: int) -> int:
    """`port` itself, or a free one for 0; raises PortTakenError with what to do about it."""
    if port == 0:
        return free_port()
    if not is_free(port):
        raise PortTakenError(
            f"port {port} is taken by another program: stop it, or choose another port "
            "with --port or AUDITVAULT_PORT (0 finds a free one)"
        )
    return port


def is_usable(directory: Path) -> bool:
    """Whether every socket has an address in this directory; libpq reads a comma as two hosts."""
    if "," in str(directory):
        return False
    return len(bytes(directory)) + _LONGEST_NAME_BYTES <= _LONGEST_PATH_BYTES


def socket_directory(preferred: Path, account: Account | None) -> Path:
    """`preferred`, or a short private directory under /tmp where its path does not do.

    The caller removes the latter; it is recognised by not being `preferred`. Raises StorageError.
    """
    directory = preferred
    if not is_usable(preferred):
        directory = Path(tempfile.mkdtemp(prefix="auditvault-"))
        if not is_usable(directory):
            directory.rmdir()
            directory = Path(tempfile.mkdtemp(prefix="auditvault-", dir="/tmp"))
    make_directory(directory, owner=account.ids if account else None)
    return directory


def remove_socket_directory(directory: Path, *, preferred: Path) -> None:
    """Remove a directory made because `preferred` was too long."""
    if directory == preferred or not directory.is_dir():
        return
    shutil.rmtree(directory, ignore_errors=True)
