"""A tenant that has rows in every table of its region, and connections as each database role."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import psycopg
import pytest

from tests.integration.ingest.sending import chat, headers_of, record

_made = []


@pytest.fixture
def everywhere(client, tenant, run_signer):
    """Two hundred and sixty records of a tenant, with names, aliases, a full tile, a look and a checkpoint.

    Made once: whoever asks for it changes none of it.
    """
    if not _made:
        _made.append(_fill(client, tenant, run_signer))
    return _made[0]


def _fill(client, tenant, run_signer):
    claim = {"prompt.hash": hashlib.sha256(b"as the sender hashed it").hexdigest()}
    spans = [chat(f"{n}", user="anna", session="one", system="Be brief.") for n in range(259)]
    record(client, tenant, *spans, chat("claimed", attributes=claim), chat(None, user="anna"))
    headers_of(client, tenant)
    run_signer()
    return tenant


@pytest.fixture
def connect(cluster, service):
    """`connect("app")` is a connection as that role; each statement commits unless one says BEGIN."""
    purposes = {
        "app": ("web", "AUDITVAULT_REGION_EU_URL", "AUDITVAULT_KEYS_EU_URL"),
        "owner": ("owner", "AUDITVAULT_REGION_EU_URL", "AUDITVAULT_KEYS_EU_URL"),
        "retention": ("worker", "AUDITVAULT_RETENTION_EU_URL", "AUDITVAULT_KEYS_RETENTION_EU_URL"),
        "signer": ("signer", "AUDITVAULT_SIGNER_EU_URL", ""),
    }
    opened = []

    def open_as(role, *, keys=False):
        purpose, region_url, keys_url = purposes[role]
        url = cluster.environment(purpose)[keys_url if keys else region_url]
        connection = psycopg.connect(url, autocommit=True)
        assert connection.info.user == unquote(f"auditvault_{role}")
        opened.append(connection)
        return connection

    yield open_as
    for connection in opened:
        connection.close()
