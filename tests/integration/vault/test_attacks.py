"""Ciphertext that whoever owns the databases has moved, exchanged or put back does not open, and the error says so.

Each attack is tried on both kinds of envelope, and changes no more than its defence is for: where two defences stand
behind each other, as the wrap's binding does behind the key's id, there is a test for each.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import forget_keys
from tests.integration.vault.sealed import LARGE, SMALL, edit, open_object, refusal, seal

PARTS = ("wrapped_cek", "envelope")
kinds = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["whole", "framed"])
MOVED = ("content_damaged", "wrap_not_authentic")
KEY_GONE = ("content_gone", "key_destroyed")
KEY_MOVED = ("content_damaged", "key_damaged")


def row_of(cluster, object_id, columns="*", database="region_eu"):
    with superuser(cluster, database) as connection:
        return connection.execute(
            f"SELECT {columns} FROM vault_object WHERE object_id = %s", (object_id,)
        ).fetchone()


def exchange(cluster, one, two, columns=PARTS, *, with_pieces=True):
    """Exchange parts of two objects' rows, and their pieces."""
    rows = {item: row_of(cluster, item, ", ".join(columns)) for item in (one, two)}
    sets = ", ".join(f"{column} = %s" for column in columns)
    statement = f"UPDATE vault_object SET {sets} WHERE object_id = %s"
    edit(cluster, (statement, (*rows[two], one)), (statement, (*rows[one], two)))
    if with_pieces:
        move = "UPDATE vault_piece SET object_id = %s WHERE object_id = %s"
        between = UUID(bytes=one.bytes[:8] + bytes(8))  # of the same month
        edit(cluster, (move, (between, one)), (move, (one, two)), (move, (two, between)))


def change(cluster, object_id, assignment, *values):
    edit(
        cluster,
        (f"UPDATE vault_object SET {assignment} WHERE object_id = %s", (*values, object_id)),
    )


# --- rows and subjects -----------------------------------------------------------------------------------


@kinds
def test_contents_of_one_person_that_changed_rows(tenant, cluster, content):
    """One key: the object's id is what binds."""
    anna = uuid4()
    one, two = (seal(tenant, content, subject=anna) for _ in range(2))
    exchange(cluster, one, two)
    assert [refusal(tenant, item) for item in (one, two)] == [MOVED, MOVED]


@kinds
def test_an_envelope_that_changed_rows_without_its_key(tenant, cluster, content):
    anna = uuid4()
    one, two = (seal(tenant, content, subject=anna) for _ in range(2))
    exchange(cluster, one, two, ["envelope"])
    expected = ("content_damaged", "envelope_key_mismatch")
    assert [refusal(tenant, item) for item in (one, two)] == [expected, expected]


def test_pieces_that_changed_rows_without_their_head(tenant, cluster):
    anna = uuid4()
    one, two = (seal(tenant, LARGE, subject=anna) for _ in range(2))
    exchange(cluster, one, two, ["role"])
    expected = ("content_damaged", "envelope_not_authentic")
    assert [refusal(tenant, item) for item in (one, two)] == [expected, expected]


@kinds
def test_contents_of_two_people_that_changed_rows(tenant, cluster, content):
    one, two = (seal(tenant, content) for _ in range(2))
    exchange(cluster, one, two)
    expected = ("content_damaged", "wrap_key_mismatch")
    assert [refusal(tenant, item) for item in (one, two)] == [expected, expected]


@kinds
def test_contents_of_two_people_that_changed_rows_with_their_keys(tenant, cluster, content):
    one, two = (seal(tenant, content) for _ in range(2))
    exchange(cluster, one, two, [*PARTS, "key_id"])
    assert [refusal(tenant, item) for item in (one, two)] == [MOVED, MOVED]


@kinds
def test_a_content_that_was_given_to_another_person(tenant, cluster, content):
    """With its key, in its own row: only the subject is another."""
    stored = seal(tenant, content)
    change(cluster, stored, "subject_id = %s", uuid4())
    assert refusal(tenant, stored) == MOVED


@kinds
def test_a_content_under_the_id_of_another_key(tenant, cluster, content):
    one, two = (seal(tenant, content) for _ in range(2))
    change(cluster, one, "key_id = %s", *row_of(cluster, two, "key_id"))
    assert refusal(tenant, one) == ("content_damaged", "wrap_key_mismatch")


@kinds
def test_a_content_of_another_data_class(tenant, cluster, content):
    stored = seal(tenant, content)
    change(cluster, stored, "data_class = 'prompt'")
    assert refusal(tenant, stored) == MOVED


@kinds
def test_a_content_whose_kind_is_said_to_be_the_other(tenant, cluster, content):
    """The first bytes decide how it is read, and key and commitment whether it opens."""
    stored = seal(tenant, content)
    other = b"AV" if content is LARGE else b"AF"
    change(cluster, stored, "envelope = %s || substring(envelope FROM 3)", other)
    code, behind = refusal(tenant, stored)
    assert code == "content_damaged"
    assert behind in {"envelope_truncated", "envelope_malformed"}


# --- tenants ---------------------------------------------------------------------------------------------

KEY_COLUMNS = "subject_id, data_class, version, key_id, epoch, wrapped, created_at, retired_at"


def give_row_to(cluster, tenant, object_id):
    values = (tenant.tenant_id, object_id)
    edit(
        cluster,
        ("UPDATE vault_object SET tenant_id = %s WHERE object_id = %s", values),
        ("UPDATE vault_piece SET tenant_id = %s WHERE object_id = %s", values),
    )


@kinds
def test_a_content_that_was_given_to_another_tenant(tenant, other_tenant, cluster, content):
    seal(other_tenant, content)
    stored = seal(tenant, content)
    give_row_to(cluster, other_tenant, stored)
    assert refusal(other_tenant, stored) == KEY_GONE


@kinds
def test_a_content_that_was_given_to_another_tenant_with_its_key(
    tenant, other_tenant, cluster, monkeypatch, content
):
    seal(other_tenant, content)
    stored = seal(tenant, content)
    give_row_to(cluster, other_tenant, stored)
    move = "UPDATE keyring_subject_key SET tenant_id = %s WHERE key_id = %s"
    (key_id,) = row_of(cluster, stored, "key_id")
    edit(cluster, (move, (other_tenant.tenant_id, key_id)), database="keys_eu")
    forget_keys(monkeypatch)
    try:
        assert refusal(other_tenant, stored) == KEY_MOVED
    finally:
        # No epoch of the region ends with a key that does not open where it stands.
        edit(cluster, (move, (tenant.tenant_id, key_id)), database="keys_eu")


def hand_out(monkeypatch, region, tenant, key_id):
    """Let every look for a key find this one, as where somebody rules the keyring as well."""
    from auditvault.vault.keyring.services import Keyring, keyring

    key = keyring(region).key_to_open(tenant.tenant_id, key_id)
    monkeypatch.setattr(Keyring, "key_to_open", lambda *_: key)


@kinds
def test_a_content_that_was_given_to_another_tenant_who_has_the_key(
    tenant, other_tenant, cluster, monkeypatch, content
):
    """Nothing is left but what the ciphertext is bound to."""
    stored = seal(tenant, content)
    give_row_to(cluster, other_tenant, stored)
    hand_out(monkeypatch, "eu", tenant, *row_of(cluster, stored, "key_id"))
    assert refusal(other_tenant, stored) == MOVED


@kinds
def test_contents_of_two_tenants_that_changed_rows(tenant, other_tenant, cluster, content):
    one, two = seal(tenant, content), seal(other_tenant, content)
    exchange(cluster, one, two, with_pieces=False)
    expected = ("content_damaged", "wrap_key_mismatch")
    assert [refusal(tenant, one), refusal(other_tenant, two)] == [expected, expected]


# --- regions ---------------------------------------------------------------------------------------------


def carry(cluster, table, where, values, databases):
    """Copy rows between two databases as they are."""
    source, target = databases
    with superuser(cluster, source) as connection:
        cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}", values)
        rows, width = cursor.fetchall(), len(cursor.description or ())
    places = ", ".join(["%s"] * width)
    insert = f"INSERT INTO {table} VALUES ({places}) ON CONFLICT DO NOTHING"
    edit(cluster, *[(insert, row) for row in rows], database=target)


@pytest.fixture
def nothing_carried_stays(tenant, cluster):
    """No epoch of a region ends with keys that do not open where they stand."""
    yield
    for table in ("keyring_subject_key", "keyring_tag_secret", "keyring_tenant_key"):
        gone = f"DELETE FROM {table} WHERE tenant_id = %s"
        edit(cluster, (gone, (tenant.tenant_id,)), database="keys_eu")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), KEY_GONE),
        (("keyring_subject_key",), KEY_MOVED),
        (("keyring_subject_key", "keyring_tenant_key"), KEY_MOVED),
    ],
    ids=["the row", "with its key", "with its key and the tenant's"],
)
@kinds
def test_a_content_that_was_carried_into_another_region(
    tenant, cluster, monkeypatch, content, keys, expected, nothing_carried_stays
):
    if len(keys) < 2:
        seal(tenant, SMALL)  # the tenant has a key of its own there
    stored = seal(tenant, content, region="us")
    place = ("object_id = %s", (stored,), ("region_us", "region_eu"))
    carry(cluster, "vault_object", *place)
    carry(cluster, "vault_piece", *place)
    for table in keys:
        carry(cluster, table, "tenant_id = %s", (tenant.tenant_id,), ("keys_us", "keys_eu"))
    forget_keys(monkeypatch)
    assert refusal(tenant, stored) == expected


@kinds
def test_a_content_that_was_carried_into_a_region_that_has_the_key(
    tenant, cluster, monkeypatch, content
):
    stored = seal(tenant, content, region="us")
    place = ("object_id = %s", (stored,), ("region_us", "region_eu"))
    carry(cluster, "vault_object", *place)
    carry(cluster, "vault_piece", *place)
    hand_out(monkeypatch, "us", tenant, *row_of(cluster, stored, "key_id"))
    assert refusal(tenant, stored) == MOVED


# --- versions and old rows -------------------------------------------------------------------------------


@kinds
def test_a_content_of_another_version(tenant, cluster, content):
    stored = seal(tenant, content)
    edit(
        cluster,
        ("UPDATE vault_object SET version = 2 WHERE object_id = %s", (stored,)),
        ("UPDATE vault_piece SET version = 2 WHERE object_id = %s", (stored,)),
    )
    assert refusal(tenant, stored) == MOVED


def seal_next_version(cluster, tenant, object_id, content):
    """Seal the content anew as the object's second version, under the same DEK."""
    from auditvault.core.crypto.envelope import ContextPrefix, seal_object
    from auditvault.core.crypto.frames import seal_framed_object
    from auditvault.vault.keyring.services import keyring

    subject_id, key_id = row_of(cluster, object_id, "subject_id, key_id")
    place = {
        "dek": keyring("eu").key_to_open(tenant.tenant_id, key_id),
        "prefix": ContextPrefix(region="eu", tenant_id=tenant.tenant_id, data_class="content"),
        "subject_id": subject_id,
        "object_id": object_id,
        "version": 2,
    }
    if content is SMALL:
        box = seal_object(**place, content=content)
        wrapped_cek, envelope, frames = box.wrapped_cek, box.envelope, b""
    else:
        made = seal_framed_object(**place, content=[content])
        wrapped_cek, envelope, frames = made.wrapped_cek, made.head, b"".join(made.frames)
    steps = range(0, len(frames), 983_280)
    change(
        cluster, object_id, "version = 2, wrapped_cek = %s, envelope = %s", wrapped_cek, envelope
    )
    edit(
        cluster,
        *[
            (
                "INSERT INTO vault_piece VALUES (%s, %s, 2, %s, %s)",
                (tenant.tenant_id, object_id, number, frames[start : start + 983_280]),
            )
            for number, start in enumerate(steps)
        ],
    )


@kinds
def test_old_ciphertext_that_was_put_back_under_the_new_version(tenant, cluster, content):
    stored = seal(tenant, content)
    old = row_of(cluster, stored, ", ".join(PARTS))
    seal_next_version(cluster, tenant, stored, content)
    assert open_object(tenant, stored) == content
    change(cluster, stored, "wrapped_cek = %s, envelope = %s", *old)
    assert refusal(tenant, stored) == MOVED


def test_old_pieces_that_were_put_back_under_the_new_version(tenant, cluster):
    stored = seal(tenant, LARGE)
    seal_next_version(cluster, tenant, stored, LARGE)
    edit(
        cluster,
        ("DELETE FROM vault_piece WHERE object_id = %s AND version = 2", (stored,)),
        ("UPDATE vault_piece SET version = 2 WHERE object_id = %s", (stored,)),
    )
    assert refusal(tenant, stored) == ("content_damaged", "envelope_not_authentic")


def rotate(cluster, tenant, object_id, monkeypatch):
    """Wrap the object's CEK under a new version of its subject's DEK, and end the old one."""
    from auditvault.core.crypto.envelope import ContextPrefix, rewrap_cek
    from auditvault.vault.keyring.services import keyring

    subject_id, key_id, wrapped_cek = row_of(cluster, object_id, "subject_id, key_id, wrapped_cek")
    old_dek = keyring("eu").key_to_open(tenant.tenant_id, key_id)
    retire = "UPDATE keyring_subject_key SET retired_at = now() WHERE key_id = %s"
    edit(cluster, (retire, (key_id,)), database="keys_eu")
    forget_keys(monkeypatch)
    new_dek = keyring("eu").keys_to_seal(tenant.tenant_id, [subject_id], "content")[subject_id]
    moved = rewrap_cek(
        old_dek=old_dek,
        new_dek=new_dek,
        prefix=ContextPrefix(region="eu", tenant_id=tenant.tenant_id, data_class="content"),
        subject_id=subject_id,
        object_id=object_id,
        wrapped_cek=wrapped_cek,
    )
    change(cluster, object_id, "key_id = %s, wrapped_cek = %s", UUID(bytes=new_dek.key_id), moved)
    end = "DELETE FROM keyring_subject_key WHERE key_id = %s"
    edit(cluster, (end, (key_id,)), database="keys_eu")
    forget_keys(monkeypatch)


@kinds
def test_an_old_row_that_was_put_back_after_its_key_was_rotated(
    tenant, cluster, monkeypatch, content
):
    """The whole row is as it was. What has ended is the key that it names."""
    stored = seal(tenant, content)
    old = row_of(cluster, stored, "key_id, wrapped_cek")
    rotate(cluster, tenant, stored, monkeypatch)
    assert open_object(tenant, stored) == content
    change(cluster, stored, "key_id = %s, wrapped_cek = %s", *old)
    assert refusal(tenant, stored) == KEY_GONE


@kinds
def test_an_old_wrap_that_was_put_back_under_the_new_keys_id(tenant, cluster, monkeypatch, content):
    stored = seal(tenant, content)
    (old,) = row_of(cluster, stored, "wrapped_cek")
    rotate(cluster, tenant, stored, monkeypatch)
    change(cluster, stored, "wrapped_cek = %s", old)
    assert refusal(tenant, stored) == ("content_damaged", "wrap_key_mismatch")
