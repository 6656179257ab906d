"""Tests of where this service must not connect to: were the defence broken, nothing would leave this machine either.

A test of a defence that fails has gone through it. These tests name addresses of other machines, so connecting to
anything but this one is refused below whatever they test, and fails the test even where its code swallows the error.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest


def is_here(place: Any) -> bool:
    """Whether an address as `socket.connect` takes it is this machine's own; a file is."""
    if not isinstance(place, tuple):
        return True
    host = str(place[0]).partition("%")[0]
    try:
        found = ip_address(host)
    except ValueError:
        return host == "localhost"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Fails a test that connects to another machine, before a packet is sent; yields what was tried."""
    tried: list[Any] = []

    def guarded(name: str) -> None:
        real = getattr(socket.socket, name)

        def connect(self: socket.socket, place: Any) -> Any:
            if not is_here(place):
                tried.append(place)
                pytest.fail(f"This test would have connected to {place}.")
            return real(self, place)

        monkeypatch.setattr(socket.socket, name, connect)

    guarded("connect")
    guarded("connect_ex")
    yield tried
    assert tried == [], "This test would have connected to other machines."
