"""A person with something in every table, and an erasure that is cut off."""

from __future__ import annotations

import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.conftest import connect  # noqa: F401  # connections as each database role
from tests.integration.vault.erasing import CLAIM, CutOffError, subject_of


@pytest.fixture
def anna(client, tenant, cluster):
    """The subject of a person with contents, aliases, a session, a record without content, and a system prompt."""
    record(
        client,
        tenant,
        chat("a", user="anna", session="s", system="Be brief.", attributes={"prompt.hash": CLAIM}),
        chat("b", user="anna"),
        chat(None, user="anna"),
    )
    return subject_of(cluster, tenant)


@pytest.fixture
def cut_off(monkeypatch):
    """`cut_off(step, "before")`: the next erasure ends there, once."""
    from auditvault.vault import shred

    def at(step, when):
        real = getattr(shred, step)

        def failing(*arguments):
            monkeypatch.setattr(shred, step, real)
            if when == "after":
                real(*arguments)
            raise CutOffError

        monkeypatch.setattr(shred, step, failing)

    return at
