"""One analyser for all tests: it takes a second to load. Nothing here may ask the network."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from auditvault.privacy.detection.analyser import Analyser
from auditvault.privacy.detection.findings import Finding
from auditvault.privacy.detection.leaves import leaves
from tests.unit.privacy_detection.finding import Found


@pytest.fixture(scope="session")
def analyser() -> Analyser:
    return Analyser()


@pytest.fixture
def found(analyser: Analyser) -> Found:
    """Kinds and texts of what is found in a content, in order."""

    def look(content: str) -> list[tuple[str, str]]:
        [findings] = analyser.analyse([content.encode()])
        texts = {
            (leaf.path, leaf.is_key): leaf.text
            for leaf in leaves(content.encode())
            if not leaf.is_pair
        }
        return [(one.entity, _text(one, texts)) for one in findings]

    return look


def _text(one: Finding, texts: dict[tuple[str, bool], str]) -> str:
    return texts[one.path, one.is_key][one.start : one.end]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every name that is asked for and every address that is connected to; none is reached."""
    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried
