"""Pieces that were changed, moved, repeated or taken away: the content does not open, and verification names it."""

from __future__ import annotations

import pytest

from tests.integration.evidence.verdict import findings, reports_of
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.sealed import LARGE, edit, pieces, refusal, seal


@pytest.fixture
def large(tenant):
    return seal(tenant, LARGE)


def delete(number):
    return f"DELETE FROM vault_piece WHERE object_id = %(id)s AND number = {number}"


TAMPERED = {
    "without its first piece": [delete(0)],
    "without a piece": [delete(1)],
    "without its last piece": [delete(3)],
    "without any piece": ["DELETE FROM vault_piece WHERE object_id = %(id)s"],
    "closed over a missing piece": [
        delete(1),
        "UPDATE vault_piece SET number = number - 1 WHERE object_id = %(id)s AND number = 2",
        "UPDATE vault_piece SET number = number - 1 WHERE object_id = %(id)s AND number = 3",
    ],
    "with a piece twice": [
        (
            "INSERT INTO vault_piece SELECT tenant_id, object_id, version, 4, sealed FROM vault_piece"
            " WHERE object_id = %(id)s AND number = 3"
        )
    ],
    "with a piece twice in the middle": [
        "UPDATE vault_piece SET number = 4 WHERE object_id = %(id)s AND number = 3",
        "UPDATE vault_piece SET number = 3 WHERE object_id = %(id)s AND number = 2",
        (
            "INSERT INTO vault_piece SELECT tenant_id, object_id, version, 2, sealed FROM vault_piece"
            " WHERE object_id = %(id)s AND number = 1"
        ),
    ],
    "with a gap in the numbers": [
        "UPDATE vault_piece SET number = 5 WHERE object_id = %(id)s AND number = 3"
    ],
    "with a piece behind a gap": [
        (
            "INSERT INTO vault_piece SELECT tenant_id, object_id, version, 9, 'x' FROM vault_piece"
            " WHERE object_id = %(id)s AND number = 3"
        )
    ],
    "with two pieces exchanged": [
        "UPDATE vault_piece SET number = number + 10 WHERE object_id = %(id)s AND number IN (1, 2)",
        "UPDATE vault_piece SET number = 13 - number WHERE object_id = %(id)s AND number > 10",
    ],
    "with a byte changed": [
        (
            "UPDATE vault_piece SET sealed = set_byte(sealed, 70000, get_byte(sealed, 70000) # 1)"
            " WHERE object_id = %(id)s AND number = 2"
        )
    ],
    "with its last piece cut at a frame": [
        (
            "UPDATE vault_piece SET sealed = substring(sealed FROM 1 FOR 65552)"
            " WHERE object_id = %(id)s AND number = 3"
        )
    ],
    "with a frame cut out": [
        (
            "UPDATE vault_piece SET sealed = substring(sealed FROM 65553)"
            " WHERE object_id = %(id)s AND number = 1"
        )
    ],
    "with another's piece": [
        (
            "UPDATE vault_piece AS p SET sealed = o.sealed FROM vault_piece AS o"
            " WHERE p.object_id = %(id)s AND o.object_id = %(other)s AND p.number = 1 AND o.number = 1"
        )
    ],
    "with another's pieces": [
        "DELETE FROM vault_piece WHERE object_id = %(id)s",
        (
            "INSERT INTO vault_piece SELECT tenant_id, %(id)s, version, number, sealed FROM vault_piece"
            " WHERE object_id = %(other)s"
        ),
    ],
    "with pieces of another version": [
        "UPDATE vault_piece SET version = 2 WHERE object_id = %(id)s AND number = 3"
    ],
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_content_whose_pieces_were_changed_is_damaged(tenant, cluster, large, name):
    values = {"id": large, "other": seal(tenant, LARGE)}
    edit(cluster, *[(statement, values) for statement in TAMPERED[name]])
    code, behind = refusal(tenant, large)
    assert code == "content_damaged"
    assert behind in {"envelope_not_authentic", "envelope_truncated"}


def test_a_damaged_large_content_is_named_in_the_service_log(tenant, cluster, large, caplog):
    edit(cluster, (delete(2), {"id": large}))
    refusal(tenant, large)
    assert f"object {large} does not open where it stands: envelope_not_authentic" in caplog.text


def test_a_content_that_goes_while_it_is_read_is_gone_and_not_damaged(tenant, cluster, large):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import ContentGoneError, objects_by_id, open_stored

    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        stored = objects_by_id(connection, [large])[large]
        with superuser(cluster, "region_eu") as eraser:
            eraser.execute("DELETE FROM vault_object WHERE object_id = %s", (large,))
        permit = refuse_while_restore_pending(connection, "eu")
        with pytest.raises(ContentGoneError) as caught:
            open_stored(permit=permit, tenant_id=tenant.tenant_id, stored=stored)
    assert caught.value.code == "content_gone"


def test_pieces_go_with_their_object(tenant, cluster, large):
    other = seal(tenant, LARGE)
    with superuser(cluster, "region_eu") as connection:
        connection.execute("DELETE FROM vault_object WHERE object_id = %s", (large,))
    assert pieces(cluster, large) == []
    assert len(pieces(cluster, other)) == 4


def test_the_database_refuses_a_piece_over_one_mebibyte(tenant, cluster, large):
    from psycopg.errors import CheckViolation

    with (
        superuser(cluster, "region_eu") as connection,
        pytest.raises(CheckViolation),
    ):
        connection.execute(
            "INSERT INTO vault_piece VALUES (%s, %s, 1, 9, %s)",
            (tenant.tenant_id, large, bytes(2**20 + 1)),
        )


def test_another_tenants_pieces_are_not_seen(tenant, other_tenant, large, service):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.pieces import read_pieces

    with tenant_scope(region_alias("eu"), other_tenant.tenant_id) as connection:
        assert list(read_pieces(connection, large, 1)) == []


# --- verification ----------------------------------------------------------------------------------------


PROMPT = "What did the doctor say? " * 60_000  # 1.5 MB: two pieces


@pytest.fixture
def recorded_large(client, tenant):
    body = protobuf_of(chat(PROMPT, user="anna"), chat("small", user="anna", system=PROMPT))
    headers = tenant.headers("ingest", regions=("us",))
    assert send(client, tenant, body, headers=headers).status_code == 200
    return tenant


def edit_pieces(cluster, tenant, statement):
    edit(cluster, (statement, {"tenant": tenant.tenant_id}), database="region_us")


def test_verification_opens_large_contents(recorded_large):
    report = reports_of(recorded_large, with_payloads=True)["interactions"]
    assert (report.first_bad, report.payloads, report.payloads_gone) == ({}, 3, 0)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM vault_piece WHERE tenant_id = %(tenant)s AND number = 1",
        "DELETE FROM vault_piece WHERE tenant_id = %(tenant)s",
        (
            "UPDATE vault_piece SET sealed = set_byte(sealed, 9, get_byte(sealed, 9) # 1)"
            " WHERE tenant_id = %(tenant)s AND number = 1"
        ),
    ],
    ids=["last piece", "all pieces", "a byte"],
)
def test_verification_names_a_large_content_that_was_changed(cluster, recorded_large, change):
    edit_pieces(cluster, recorded_large, change)
    assert findings(recorded_large, with_payloads=True) == {"interactions": {"payload_damaged": 0}}


@pytest.mark.parametrize(
    "change",
    [
        (
            "INSERT INTO vault_piece SELECT tenant_id, object_id, 2, 0, 'x' FROM vault_object"
            " WHERE tenant_id = %(tenant)s AND octet_length(envelope) = 68"
        ),
        (
            "INSERT INTO vault_piece SELECT tenant_id, object_id, 1, 0, 'x' FROM vault_object"
            " WHERE tenant_id = %(tenant)s AND octet_length(envelope) <> 68"
        ),
    ],
    ids=["another version", "beside a whole envelope"],
)
def test_verification_finds_pieces_of_no_content(cluster, recorded_large, change):
    edit_pieces(cluster, recorded_large, change)
    assert findings(recorded_large, with_payloads=True) == {
        "interactions": {"payload_unrecorded": 2}
    }
