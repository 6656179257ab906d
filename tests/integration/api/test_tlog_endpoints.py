"""The tile endpoints: bytes, headers, and what is not there."""

from __future__ import annotations

import gzip

import pytest

from auditvault.core.tlog.checkpoint import Checkpoint, open_note
from auditvault.core.tlog.entry import leaf_hash
from auditvault.core.tlog.note import NoteVerifier
from tests.integration.api.growing import grow, open_log, refusal, uuid_of, vkey_of
from tests.integration.ledger.superuser import counts, superuser, tampering
from tests.reference import merkle_oracle as oracle
from tests.reference.tlog_follower import parse_bundle

OCTETS = "application/octet-stream"
YEAR = "max-age=31536000, immutable"
NOT_FOUND = (404, "tile_not_found")


@pytest.fixture
def log(tenant, service):
    return open_log(tenant)


@pytest.fixture
def read(client, tenant, log):
    """`read("tile/0/000")` as an auditor of the log's tenant."""

    def get(path, **headers):
        given = tenant.headers("auditor") | headers
        return client.get(f"/tlog/{uuid_of(log)}/{path}", headers=given)

    return get


@pytest.fixture
def signed(log, run_signer):
    """`signed(100)` appends and signs."""

    def more(count):
        grow(log, count)
        run_signer()

    return more


def stored_leaves(cluster, log):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT entry FROM ledger_entry WHERE log_id = %s ORDER BY idx", (log.log_id,)
        ).fetchall()
    return [leaf_hash(row[0]) for row in rows]


def test_the_checkpoint_is_the_newest_signed_note(read, signed, log, cluster):
    signed(3)
    signed(2)
    answer = read("checkpoint")
    text = open_note(answer.content.decode(), [NoteVerifier.parse(vkey_of(log))])
    checkpoint = Checkpoint.parse(text)
    assert (checkpoint.origin, checkpoint.size) == (log.origin, 5)
    assert checkpoint.root == oracle.tree_hash(stored_leaves(cluster, log))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Cache-Control"] == "private, no-cache"


def test_every_tile_is_the_specifications_formula(read, signed, log, cluster):
    signed(600)
    leaves = stored_leaves(cluster, log)
    for path, place in {
        "tile/0/000": (0, 0, 256),
        "tile/0/001": (0, 1, 256),
        "tile/0/002.p/88": (0, 2, 88),
        "tile/1/000.p/2": (1, 0, 2),
    }.items():
        answer = read(path)
        assert answer.content == oracle.tile(leaves, *place)
        assert (answer["Content-Type"], answer["Cache-Control"]) == (OCTETS, f"private, {YEAR}")


def test_a_bundle_is_the_entries_of_its_tile(read, signed, log, cluster):
    signed(300)
    leaves = stored_leaves(cluster, log)
    full, rest = read("tile/entries/000"), read("tile/entries/001.p/44")
    assert [leaf_hash(entry) for entry in parse_bundle(full.content)] == leaves[:256]
    assert [leaf_hash(entry) for entry in parse_bundle(rest.content)] == leaves[256:]
    assert {answer["Cache-Control"] for answer in (full, rest)} == {f"private, {YEAR}"}
    assert {answer["Content-Type"] for answer in (full, rest)} == {OCTETS}


@pytest.mark.parametrize(
    ("asked", "encoding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip; q=0.000, br", None),
        ("", None),
    ],
)
def test_a_bundle_is_compressed_for_who_takes_it(read, signed, asked, encoding):
    signed(300)
    plain = read("tile/entries/000").content
    answer = read("tile/entries/000", **{"Accept-Encoding": asked})
    assert answer.get("Content-Encoding") == encoding
    assert answer["Vary"] == "Accept-Encoding"
    body = gzip.decompress(answer.content) if encoding else answer.content
    assert body == plain


def test_a_partial_tile_reads_the_same_after_it_was_filled(read, signed):
    signed(100)
    paths = ("tile/0/000.p/100", "tile/entries/000.p/100")
    before = [read(path).content for path in paths]
    signed(500)
    after = [read(path) for path in paths]
    assert [answer.status_code for answer in after] == [200, 200]
    assert [answer.content for answer in after] == before


def test_a_partial_tile_above_reads_the_same_after_more_was_appended(read, signed):
    signed(300)
    before = read("tile/1/000.p/1")
    signed(300)
    assert read("tile/1/000.p/1").content == before.content
    assert len(read("tile/1/000.p/2").content) == 64


def test_head_answers_as_get_without_a_body(client, tenant, signed, log):
    signed(256)
    answer = client.head(f"/tlog/{uuid_of(log)}/tile/0/000", headers=tenant.headers("auditor"))
    assert (answer.status_code, answer["Content-Length"], answer.content) == (200, "8192", b"")


def test_reading_waits_for_no_append_and_after_the_first_adds_no_row(
    read, signed, log, tenant, cluster
):
    signed(300)
    assert read("checkpoint").status_code == 200
    before = counts(cluster, tenant.tenant_id)
    with superuser(cluster, "region_eu") as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM ledger_head WHERE log_id = %s FOR UPDATE", (log.log_id,))
        for path in ("checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/entries/000"):
            assert read(path).status_code == 200
        other.execute("ROLLBACK")
    assert counts(cluster, tenant.tenant_id) == before


# --- what is not -----------------------------------------------------------------------------------------


def test_what_no_checkpoint_covers_is_not_served_until_one_does(read, signed, log, run_signer):
    signed(300)
    grow(log, 300)
    fresh = ["tile/0/001", "tile/entries/001", "tile/0/002.p/88", "tile/1/000.p/2"]
    assert [refusal(read(path)) for path in fresh] == [NOT_FOUND] * 4
    assert read("checkpoint").content.split(b"\n")[1] == b"300"
    run_signer()
    assert [read(path).status_code for path in fresh] == [200] * 4


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001.p/43",
        "tile/0/001.p/45",
        "tile/0/000.p/255",
        "tile/0/000.p/1",
        "tile/0/002",
        "tile/0/002.p/1",
        "tile/1/000",
        "tile/1/000.p/2",
        "tile/1/001.p/1",
        "tile/2/000.p/1",
        "tile/7/000",
        "tile/8/000",
        "tile/63/000.p/1",
        "tile/0/x036/x028/x797/x018/x963/967",
        "tile/0/x036/x028/x797/x018/x963/967.p/255",
        "tile/entries/001.p/43",
        "tile/entries/001",
        "tile/entries/002.p/1",
    ],
)
def test_a_width_that_no_checkpoint_has_is_not_there(read, signed, path):
    signed(300)
    assert refusal(read(path)) == NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+0/000",
        "tile/0/000/",
        "tile/0//000",
        "tile/0/x000/000",
        "tile/0/X001/000",
        "tile/0/000/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/001.p/044",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/../0/000",
        "tile/0/%2e%2e/0/000",
        "tile/0/..%2f0/000",
        "tile/0/000%00",
        "tile/0/%D9%A0%D9%A0%D9%A0",
        "tile/data/000",
        "tile/entries",
        "tile/entries/0",
        "tile/entries/000.p/0",
        "tile/entries/x000/000",
        "tile/entries/../0/000",
        "tile/entries/0/000",
    ],
)
def test_another_spelling_is_not_a_path(read, signed, path):
    signed(300)
    assert refusal(read(path)) == NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint/",
        "checkpoint%0a",
        "tile/0/000%0a",
        "tile",
        "tile/",
        "entries/000",
        "checkpoint.p/1",
    ],
)
def test_nothing_else_is_served(read, signed, path):
    signed(1)
    assert read(path).status_code == 404


def test_an_empty_log_has_a_checkpoint_and_no_tiles(read, log, run_signer):
    assert refusal(read("checkpoint")) == (404, "log_not_found")
    run_signer()
    assert read("checkpoint").content.split(b"\n")[1] == b"0"
    assert refusal(read("tile/0/000")) == NOT_FOUND
    assert refusal(read("tile/entries/000.p/1")) == NOT_FOUND


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_there_is_nothing_to_do_but_read(client, tenant, signed, log, method):
    signed(1)
    call = getattr(client, method)
    answer = call(f"/tlog/{uuid_of(log)}/checkpoint", headers=tenant.headers("auditor"))
    assert refusal(answer) == (405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("DELETE FROM ledger_entry WHERE idx = 3", "tile/entries/000"),
        ("DELETE FROM ledger_entry WHERE idx = 299", "tile/0/001.p/44"),
        ("DELETE FROM ledger_tile WHERE level = 0", "tile/0/000"),
        ("DELETE FROM ledger_tile WHERE level = 0", "tile/1/000.p/1"),
    ],
)
def test_rows_that_are_gone_are_an_outage_and_not_a_shorter_answer(
    read, signed, log, tenant, cluster, change, path
):
    signed(300)
    assert read(path).status_code == 200
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(f"{change} AND log_id = {log.log_id}")
        assert refusal(read(path)) == (503, "tile_missing")
    assert read(path).status_code == 200


def test_an_old_partial_tile_needs_the_full_one_and_no_entries(read, signed, log, tenant, cluster):
    """So that a pruned log keeps its proofs."""
    signed(100)
    before = read("tile/0/000.p/100").content
    signed(300)
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(
            "DELETE FROM ledger_entry WHERE log_id = %s AND idx < 256", (log.log_id,)
        )
        assert read("tile/0/000.p/100").content == before
