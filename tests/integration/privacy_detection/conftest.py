"""One analyser for all tests: it takes a second to load."""

from __future__ import annotations

import pytest

from tests.integration.ledger.conftest import connect  # noqa: F401  # connections as each database role
from tests.integration.privacy_detection.scanning import CutOffError


@pytest.fixture(scope="session")
def analyser(cluster):
    from auditvault.privacy.detection.analyser import Analyser

    return Analyser()


@pytest.fixture
def cut_off(monkeypatch):
    """`cut_off(step, "before")`: the next scan ends there, once."""
    from auditvault.privacy.detection import scanning

    def at(step, when):
        real = getattr(scanning, step)

        def failing(*arguments, **named):
            monkeypatch.setattr(scanning, step, real)
            if when == "after":
                real(*arguments, **named)
            raise CutOffError

        monkeypatch.setattr(scanning, step, failing)

    return at
