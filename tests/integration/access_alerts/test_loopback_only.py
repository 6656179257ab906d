"""The fence around these tests: it holds where the service's own is broken."""

from __future__ import annotations

import socket

import pytest

from tests.integration.loopback_only import is_here


@pytest.mark.parametrize(
    "place",
    [
        ("127.0.0.1", 1),
        ("::1", 1, 0, 0),
        ("::ffff:127.0.0.1", 1, 0, 0),
        ("localhost", 1),
        "/a/file",
    ],
)
def test_this_machine_may_be_connected_to(place):
    assert is_here(place)


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%eth0", "0.0.0.0", "0", "example.org", ""],
)  # fmt: skip
def test_no_other_may(host):
    assert not is_here((host, 443))


def test_a_test_that_would_connect_elsewhere_fails_and_has_not_connected(loopback_only):
    elsewhere = ("169.254.169.254", 80)
    for way in ("connect", "connect_ex"):
        with socket.socket() as one:
            with pytest.raises(pytest.fail.Exception):
                getattr(one, way)(elsewhere)
            with pytest.raises(OSError, match="not connected"):
                one.getpeername()
    assert loopback_only == [elsewhere] * 2
    loopback_only.clear()
