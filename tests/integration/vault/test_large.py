"""Contents over 1 MiB are stored in pieces, come back whole or not at all, and need little memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from uuid import UUID

import pytest

from tests.integration.ingest.sending import chat, headers_of, protobuf_of, record, send
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import forget_keys, resolve, revealed
from tests.integration.vault.sealed import (
    LARGE,
    SMALL,
    edit,
    open_object,
    pieces,
    seal,
    seal_stream,
)

TEXT = "Was sagte die Ärztin? " * 60_000  # 1.4 MB


class Flow:
    """A stream of that many bytes which never exist at once."""

    def __init__(self, size, *, breaks_at=None):
        self.size, self.given, self.breaks_at = size, 0, breaks_at
        self.sha256 = hashlib.sha256()

    def read(self, size):
        if self.breaks_at is not None and self.given >= self.breaks_at:
            raise ConnectionResetError
        chunk = (self.given % 251).to_bytes(1) * min(size, self.size - self.given)
        self.given += len(chunk)
        self.sha256.update(chunk)
        return chunk


# --- from a request --------------------------------------------------------------------------------------


def objects(cluster, tenant, role):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT object_id, octet_length(envelope) FROM vault_object"
            " WHERE tenant_id = %s AND role = %s",
            (tenant.tenant_id, role),
        ).fetchall()


def test_a_large_prompt_is_recorded_in_pieces_and_resolved(client, tenant, cluster):
    record(client, tenant, chat(TEXT, user="anna"))
    ((object_id, head_size),) = objects(cluster, tenant, "input_messages")
    sizes = [size for _, size in pieces(cluster, object_id)]
    assert head_size == 68
    assert sizes[:-1] == [15 * (65_536 + 16)]
    assert sum(sizes) == 32 + len(TEXT.encode()) + 16 * -(-(32 + len(TEXT.encode())) // 65_536)
    assert revealed(resolve(client, tenant, TEXT)) == [TEXT]


@pytest.mark.parametrize(("size", "number"), [(2**20, 0), (2**20 + 1, 2)], ids=["at", "over"])
def test_contents_over_one_mebibyte_are_framed(tenant, cluster, size, number):
    object_id = seal(tenant, bytes(size))
    assert len(pieces(cluster, object_id)) == number
    assert open_object(tenant, object_id) == bytes(size)


def test_large_contents_and_small_ones_of_one_request_do_not_mix(client, tenant):
    texts = [TEXT, "small", TEXT[::-1], "another", TEXT + "!"]
    record(client, tenant, *[chat(text, user="anna") for text in texts])
    assert [revealed(resolve(client, tenant, text)) for text in texts] == [[text] for text in texts]


def test_an_equal_large_prompt_of_one_request_is_stored_once(client, tenant, cluster):
    record(client, tenant, chat(TEXT, user="anna"), chat(TEXT, user="anna"))
    assert len(objects(cluster, tenant, "input_messages")) == 1


def test_a_large_system_prompt_is_stored_once_over_processes(client, tenant, cluster, monkeypatch):
    record(client, tenant, chat("one", system=TEXT))
    forget_keys(monkeypatch)
    record(client, tenant, chat("two", system=TEXT))
    assert len(objects(cluster, tenant, "system_instructions")) == 1
    said = {
        (content["object"], content["commitment"])
        for header in headers_of(client, tenant)
        for content in header["contents"]
        if content["role"] == "system_instructions"
    }
    assert len(said) == 1


@pytest.mark.parametrize("number", [0, 1], ids=["first", "last"])
def test_a_large_system_prompt_without_a_piece_is_sealed_anew(
    client, tenant, cluster, monkeypatch, number
):
    """It opens up to the piece that is missing: that much is no reason to refer to it."""
    record(client, tenant, chat("one", system=TEXT))
    edit(
        cluster,
        (
            "DELETE FROM vault_piece WHERE tenant_id = %s AND number = %s",
            (tenant.tenant_id, number),
        ),
    )
    forget_keys(monkeypatch)
    record(client, tenant, chat("two", system=TEXT))
    assert len(objects(cluster, tenant, "system_instructions")) == 2
    assert revealed(resolve(client, tenant, TEXT)) == [TEXT]


def test_a_request_that_fails_between_pieces_leaves_nothing(client, tenant, cluster, monkeypatch):
    from auditvault.vault import sealing

    def fails(connection, at, rows):
        write_pieces(connection, at, [next(rows)])
        raise ConnectionResetError

    write_pieces = sealing.write_pieces
    monkeypatch.setattr(sealing, "write_pieces", fails)
    assert send(client, tenant, protobuf_of(chat(TEXT, user="anna"))).status_code == 503
    with superuser(cluster, "region_eu") as connection:
        (left,) = connection.execute(
            "SELECT (SELECT count(*) FROM vault_piece WHERE tenant_id = %(tenant)s)"
            " + (SELECT count(*) FROM vault_object WHERE tenant_id = %(tenant)s)",
            {"tenant": tenant.tenant_id},
        ).fetchone()
    assert left == 0


# --- from a stream ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 983_280, 3_000_000])
def test_a_stream_is_sealed_and_comes_back(tenant, size):
    flow = Flow(size)
    said = seal_stream(tenant, flow)
    content = open_object(tenant, UUID(said["object"]))
    assert hashlib.sha256(content).digest() == flow.sha256.digest()
    assert (said["role"], said["size_bytes"]) == ("input", size)


def test_what_is_said_of_a_stream_opens_its_commitment(tenant, service):
    from auditvault.core.tlog.commitment import verify_content_commitment
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id, stream_stored

    said = seal_stream(tenant, LARGE)
    object_id = UUID(said["object"])
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        stored = objects_by_id(connection, [object_id])[object_id]
        place = {
            "permit": refuse_while_restore_pending(connection, "eu"),
            "tenant_id": tenant.tenant_id,
        }
        streamed = stream_stored(**place, stored=stored)
        digest = hashlib.sha256(b"".join(streamed.chunks)).digest()
    verify_content_commitment(
        bytes.fromhex(said["commitment"]),
        opening=streamed.opening,
        role="input",
        content_sha256=digest,
    )


def test_two_contents_are_read_in_turn_on_one_connection(tenant, service):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id, stream_stored

    ids = [seal(tenant, LARGE), seal(tenant, LARGE[::-1])]
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        place = {
            "permit": refuse_while_restore_pending(connection, "eu"),
            "tenant_id": tenant.tenant_id,
        }
        found = objects_by_id(connection, ids)
        streams = [stream_stored(**place, stored=found[object_id]).chunks for object_id in ids]
        one, other = map(b"".join, zip(*zip(*streams, strict=True), strict=True))
    assert (one, other) == (LARGE, LARGE[::-1])


def test_a_stream_over_the_limit_is_refused_and_leaves_nothing(tenant, cluster, monkeypatch):
    from auditvault.vault import large

    monkeypatch.setattr(large, "MAX_LARGE_SIZE", 2_000_000)
    with pytest.raises(large.ContentTooLargeError):
        seal_stream(tenant, Flow(2_000_001))
    assert stored_rows(cluster, tenant) == (0, 0)
    assert seal_stream(tenant, Flow(2_000_000))["size_bytes"] == 2_000_000


def stored_rows(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM vault_object WHERE tenant_id = %(tenant)s),"
            " (SELECT count(*) FROM vault_piece WHERE tenant_id = %(tenant)s)",
            {"tenant": tenant.tenant_id},
        ).fetchone()


class HaltError(Exception):
    pass


@pytest.mark.parametrize("step", ["write_pieces", "copy_into_month"])
@pytest.mark.parametrize("persisted", [False, True], ids=["before", "after"])
def test_a_seal_that_fails_at_a_step_leaves_nothing(tenant, cluster, monkeypatch, step, persisted):
    from auditvault.vault import large

    done = getattr(large, step)

    def fails(*values):
        if persisted:
            done(*values)
        raise HaltError

    monkeypatch.setattr(large, step, fails)
    with pytest.raises(HaltError):
        seal_stream(tenant, LARGE)
    assert stored_rows(cluster, tenant) == (0, 0)


def test_a_stream_that_breaks_off_leaves_nothing(tenant, cluster):
    with pytest.raises(ConnectionResetError):
        seal_stream(tenant, Flow(5_000_000, breaks_at=2_500_000))
    assert stored_rows(cluster, tenant) == (0, 0)


def test_a_content_larger_than_an_answer_is_refused_by_name(client, tenant, cluster):
    record(client, tenant, chat("a", user="anna"))
    with superuser(cluster, "region_eu") as connection:
        ((anna,),) = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'person'",
            (tenant.tenant_id,),
        ).fetchall()
    text = "x" * (2**25 + 1)
    seal_stream(tenant, text.encode(), subject_id=anna)
    answer = resolve(client, tenant, text)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    assert "contents" not in answer.json()


def test_memory_does_not_grow_with_the_content(tenant, service):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id, stream_stored

    size = 24_000_000
    seal_stream(tenant, Flow(1))  # imports, keys and partitions
    tracemalloc.start()
    try:
        said = seal_stream(tenant, Flow(size))
        with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
            object_id = UUID(said["object"])
            stored = objects_by_id(connection, [object_id])[object_id]
            place = {
                "permit": refuse_while_restore_pending(connection, "eu"),
                "tenant_id": tenant.tenant_id,
            }
            read = sum(map(len, stream_stored(**place, stored=stored).chunks))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == size
    assert peak < 10_000_000


def test_a_small_content_has_no_pieces(tenant, cluster):
    assert pieces(cluster, seal(tenant, SMALL)) == []
