"""No identifier stands in clear in any table, log line or record of what was done to subjects."""

from __future__ import annotations

import base64
import io
import logging

import pytest

from tests.integration.ingest.sending import chat, headers_of, post, record
from tests.integration.vault.people import named, set_state, subjects
from tests.integration.vault.test_sealing import DATABASES, dump

# In forms that normalising changes, and in those it makes.
USER, ADDRESS, PHONE, OWN = (
    "Canary-b81e",
    " Canary.B81E@B\u00fccher.example",
    "+49 (30) 8 1 5 4 7 1 1 9",
    "CA-NARY b81e",
)
CLEAR = [
    USER, ADDRESS.strip(), "canary.b81e@", "canary.b81e@xn--bcher-kva.example", PHONE, "+493081547119", "3081547119",
    OWN, "ca-nary b81e", "canaryb81e",
]  # fmt: skip


def everything(client, tenant, cluster):
    """Names through every way of this room: spans, searches, kinds, merges, splits, looks, and what is refused."""
    from django.core.management import call_command

    place = ["--tenant", tenant.slug, "--region", "eu", "--json"]

    def subject(*words, **options):
        call_command(
            "subject", *map(str, words), *place, stdout=io.StringIO(), stderr=io.StringIO()
        )

    subject("declare", "customer", "--as", "compact")
    record(client, tenant, named(user=USER, email=ADDRESS, phone=PHONE, customer=OWN))
    record(client, tenant, named(email="other@example.org"), named(email=ADDRESS, user="other"))
    record(client, tenant, chat("x", attributes={"auditvault.identifier.undeclared": OWN}))
    names = {"user": USER, "email": ADDRESS, "phone": PHONE}
    assert headers_of(client, tenant, **names, identifier={"kind": "customer", "value": OWN})
    refused = {"kind": "undeclared", "value": OWN}
    answer = post(
        client, "/api/v1/traces/search", {"identifier": refused}, tenant.headers("engineer")
    )
    assert (answer.status_code, b"nary" in answer.content.lower()) == (400, False)
    first, second, *_ = subjects(cluster, tenant)
    subject("merge", first, second, "--case", "INC-1")
    subject("split", second, "--case", "INC-1")
    set_state(cluster, second, "erased")
    with pytest.raises(SystemExit):
        subject("merge", first, second, "--case", "INC-1")
    subject("show", "--subject", first)


@pytest.fixture(scope="module")
def lines():
    """Every log line of this process, of any level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def test_no_identifier_is_in_clear_anywhere(client, tenant, cluster, lines):
    everything(client, tenant, cluster)
    texts = [text.lower() for text in CLEAR]
    wanted = {text.encode() for text in texts}
    # Bytes are dumped in hex, in which case counts: as sent, and as normalised.
    wanted |= {text.encode().hex().encode() for text in (*CLEAR, *texts)}
    wanted |= {base64.b64encode(text.encode())[:-4].lower() for text in (*CLEAR, *texts)}
    found = {
        (database, table)
        for database in DATABASES
        for table, rows in dump(cluster, database)
        if any(text in rows.lower() for text in wanted)
    }
    assert found == set()
    assert [text for text in texts if text in lines.getvalue().lower()] == []
    logs = [path.read_bytes().lower() for path in cluster.postgres.log.parent.rglob("*.log")]
    assert any(logs)
    assert [text for text in wanted for log in logs if text in log] == []
