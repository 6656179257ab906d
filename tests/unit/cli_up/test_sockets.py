"""Ports and socket directories."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from auditvault.cli.up.sockets import (
    LOOPBACK,
    PortTakenError,
    free_port,
    is_usable,
    remove_socket_directory,
    require_port,
    socket_directory,
)


@pytest.fixture
def taken_port():
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_named_with_what_to_do(taken_port):
    with pytest.raises(PortTakenError, match=f"port {taken_port} is taken.*AUDITVAULT_PORT"):
        require_port(taken_port)


def test_port_zero_finds_one_that_can_be_listened_on():
    with socket.create_server((LOOPBACK, require_port(0))) as server:
        assert server.getsockname()[1] > 0


def test_a_server_finds_its_port_again_because_no_client_is_given_it():
    assert free_port() < 32_768


def test_the_usual_directory_is_taken_where_it_is_short(home):
    assert socket_directory(home / "run", None) == home / "run"


def test_a_long_path_gives_a_short_private_directory_elsewhere(home):
    preferred = home / ("long" * 30)

    directory = socket_directory(preferred, None)

    assert directory != preferred
    assert is_usable(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    remove_socket_directory(directory, preferred=preferred)
    assert not directory.exists()


def test_the_usual_directory_is_never_removed(home):
    directory = socket_directory(home / "run", None)

    remove_socket_directory(directory, preferred=home / "run")

    assert directory.is_dir()


def test_a_socket_can_be_made_in_the_longest_directory_that_is_accepted(home):
    name = "x" * (103 - len("/.s.PGSQL.65535.lock") - len(bytes(home)) - 1)
    directory = home / name
    directory.mkdir()
    assert is_usable(directory)
    assert not is_usable(Path(f"{directory}x"))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / ".s.PGSQL.65535"))
