"""A subject's key gets a new version and everything goes with it; an object is sealed anew under a new CEK."""

from __future__ import annotations

import threading

import pytest

from tests.integration.evidence.verdict import reports_of
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.vault_epochs.waiting import until

REGION = "turning_region"


@pytest.fixture
def anna(keys, tenant, client):
    """Three spans of Anna's, one of Bert's; returns Anna's subject."""
    headers = tenant.headers("ingest", regions=("us",))
    spans = [chat(f"anna {n}", user="anna", session="one") for n in range(3)]
    body = protobuf_of(*spans, chat("bert", user="bert"))
    assert send(client, tenant, body, headers=headers).status_code == 200
    rows = keys.rows(
        "SELECT subject_id FROM vault_object WHERE tenant_id = %s GROUP BY 1 ORDER BY count(*) DESC",
        tenant.tenant_id,
        database=REGION,
    )
    return rows[0][0]


def objects(keys, tenant):
    """Object -> key, version, wrapped CEK and envelope."""
    rows = keys.rows(
        "SELECT object_id, key_id, version, wrapped_cek, envelope, subject_id FROM vault_object"
        " WHERE tenant_id = %s",
        tenant.tenant_id,
        database=REGION,
    )
    return {row[0]: row[1:] for row in rows}


def identifiers(keys, subject):
    return keys.rows(
        "SELECT kind, key_id, wrapped_cek, envelope FROM vault_identifier WHERE subject_id = %s"
        " AND key_id IS NOT NULL ORDER BY kind",
        subject,
        database=REGION,
    )


def versions(keys, subject):
    """Version -> whether it is retired."""
    return dict(
        keys.rows(
            "SELECT version, retired_at IS NOT NULL FROM keyring_subject_key WHERE subject_id = %s"
            " ORDER BY version",
            subject,
        )
    )


def rotate(tenant, subject):
    from auditvault.vault.rotation import rotate_subject

    return rotate_subject(region="us", tenant_id=tenant.tenant_id, subject_id=subject)


def wait_ten_minutes(keys):
    with keys.owner() as owner:
        owner.execute(
            "UPDATE keyring_subject_key SET retired_at = retired_at - interval '10 minutes'"
        )


def reads_everything(keys, tenant, client):
    keys.forget()
    return [
        keys.contents(client, tenant, words) for words in ("anna 0", "anna 1", "anna 2", "bert")
    ]


ALL = [["anna 0"], ["anna 1"], ["anna 2"], ["bert"]]


def test_every_object_and_identifier_goes_to_the_new_version(keys, tenant, client, anna):
    before, named = objects(keys, tenant), identifiers(keys, anna)
    done = rotate(tenant, anna)
    after = objects(keys, tenant)
    assert done.rewrapped == 3 + 2
    assert versions(keys, anna) == {1: True, 2: False}
    for object_id, (key_id, version, wrapped, envelope, subject) in after.items():
        old = before[object_id]
        assert (version, envelope, subject) == (old[1], old[3], old[4])
        is_annas = subject == anna
        assert (key_id != old[0], wrapped != old[2]) == (is_annas, is_annas)
    moved = identifiers(keys, anna)
    assert [row[3] for row in moved] == [row[3] for row in named]
    assert not {row[1] for row in moved} & {row[1] for row in named}
    assert reads_everything(keys, tenant, client) == ALL


def test_the_old_version_is_destroyed_ten_minutes_later_and_not_before(keys, tenant, client, anna):
    first = rotate(tenant, anna)
    assert first.due_at is not None
    assert rotate(tenant, anna).rotation_id == first.rotation_id
    assert versions(keys, anna) == {1: True, 2: False}
    wait_ten_minutes(keys)
    assert rotate(tenant, anna).due_at is None
    assert versions(keys, anna) == {2: False}
    assert reads_everything(keys, tenant, client) == ALL


def test_a_rotation_is_recorded_without_a_word_of_whose(keys, tenant, anna):
    done = rotate(tenant, anna)
    wait_ten_minutes(keys)
    rotate(tenant, anna)
    details = {"rotation": str(done.rotation_id), "objects": 5, "keys_destroyed": 1}
    assert keys.entries("key.rotated") == [("key.rotated", details)]


def test_what_was_sealed_under_a_cached_old_version_is_moved_by_the_last_look(
    keys, tenant, client, anna
):
    rotate(tenant, anna)
    # As if a process that had not heard wrote under the old version: one object goes back to it.
    old_key = keys.rows("SELECT old_key_ids[1] FROM keyring_rotation")[0][0]
    (object_id, row) = next(item for item in objects(keys, tenant).items() if item[1][4] == anna)
    _wrap_under(keys, tenant, anna, object_id, row, old_key)
    wait_ten_minutes(keys)
    done = rotate(tenant, anna)
    assert (done.rewrapped, done.due_at) == (1, None)
    assert reads_everything(keys, tenant, client) == ALL


def _wrap_under(keys, tenant, subject, object_id, row, key_id):
    from auditvault.core.crypto.envelope import ContextPrefix, rewrap_cek
    from auditvault.vault.keyring.services import keyring

    ring = keyring("us")
    wrapped = rewrap_cek(
        old_dek=ring.key_to_open(tenant.tenant_id, row[0]),
        new_dek=ring.key_to_open(tenant.tenant_id, key_id),
        prefix=ContextPrefix(region="us", tenant_id=tenant.tenant_id, data_class="content"),
        subject_id=subject,
        object_id=object_id,
        wrapped_cek=bytes(row[2]),
    )
    with keys.owner(REGION) as owner:
        owner.execute(
            "UPDATE vault_object SET key_id = %s, wrapped_cek = %s WHERE object_id = %s",
            (key_id, wrapped, object_id),
        )


def test_new_words_are_sealed_under_the_new_version(keys, tenant, client, anna):
    rotate(tenant, anna)
    keys.forget()
    headers = tenant.headers("ingest", regions=("us",))
    assert (
        send(client, tenant, protobuf_of(chat("new", user="anna")), headers=headers).status_code
        == 200
    )
    live = keys.rows(
        "SELECT key_id FROM keyring_subject_key WHERE subject_id = %s AND version = 2", anna
    )
    assert {row[0] for row in objects(keys, tenant).values() if row[4] == anna} == {live[0][0]}


@pytest.mark.parametrize("state", ["erasing", "erased"])
def test_a_subject_who_is_erased_is_not_rotated(keys, tenant, anna, state):
    from auditvault.vault.rotation import NoSuchKeyError

    with keys.owner(REGION) as owner:
        owner.execute("UPDATE vault_subject SET state = %s WHERE subject_id = %s", (state, anna))
    with pytest.raises(NoSuchKeyError):
        rotate(tenant, anna)
    assert versions(keys, anna) == {1: False}


@pytest.mark.parametrize("state", ["erasing", "erased"])
def test_an_erasure_that_begins_in_the_middle_stops_the_moving(
    keys, tenant, anna, state, monkeypatch
):
    from auditvault.vault import rotation

    real = rotation._rewrapped

    def erasing(*words):
        found = real(*words)
        with keys.owner(REGION) as owner:
            owner.execute(
                "UPDATE vault_subject SET state = %s WHERE subject_id = %s", (state, anna)
            )
        return found

    before = objects(keys, tenant)
    monkeypatch.setattr(rotation, "_rewrapped", erasing)
    with pytest.raises(rotation.RotationStuckError):
        rotate(tenant, anna)
    assert objects(keys, tenant) == before


def test_an_object_that_changes_while_it_is_moved_keeps_its_key(
    keys, tenant, client, anna, monkeypatch
):
    """As when it is sealed anew at that moment. The old key must not be destroyed under it."""
    from auditvault.vault import rotation

    object_id = next(key for key, row in objects(keys, tenant).items() if row[4] == anna)
    real = rotation._rewrapped

    def anew():
        from django.db import connections

        reseal(tenant, object_id)
        connections.close_all()

    def meanwhile(*words):
        found = real(*words)
        thread = threading.Thread(target=anew)
        thread.start()
        thread.join()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(rotation, "_rewrapped", meanwhile)
        with pytest.raises(rotation.RotationStuckError):
            rotate(tenant, anna)
    wait_ten_minutes(keys)
    assert rotate(tenant, anna).rewrapped == 1
    assert versions(keys, anna) == {2: False}
    assert reads_everything(keys, tenant, client) == ALL


def test_a_rotation_whose_new_key_is_gone_destroys_nothing(keys, tenant, client, anna):
    from auditvault.vault import rotation

    begun = rotation._begin(*_begun(tenant, anna))
    with keys.owner() as owner:
        owner.execute("DELETE FROM keyring_subject_key WHERE key_id = %s", (begun.new_key_id,))
    wait_ten_minutes(keys)
    with pytest.raises(rotation.NoSuchKeyError):
        rotation._go_on("us", _begun(tenant, anna)[1], begun, lambda _: None)
    assert list(versions(keys, anna)) == [1]
    assert reads_everything(keys, tenant, client) == ALL


def _begun(tenant, subject):
    from auditvault.ledger.scope import retention_connection

    return "us", retention_connection("us", keys=True), tenant.tenant_id, subject


def test_an_object_that_does_not_open_keeps_the_old_version_and_is_named(
    keys, tenant, client, anna
):
    from auditvault.vault.rotation import RotationStuckError

    damaged = next(key for key, row in objects(keys, tenant).items() if row[4] == anna)
    with keys.owner(REGION) as owner:
        owner.execute(
            "UPDATE vault_object SET wrapped_cek = set_byte(wrapped_cek, 60, 255 - get_byte(wrapped_cek, 60))"
            " WHERE object_id = %s",
            (damaged,),
        )
    with pytest.raises(RotationStuckError, match=str(damaged)):
        rotate(tenant, anna)
    wait_ten_minutes(keys)
    with pytest.raises(RotationStuckError):
        rotate(tenant, anna)
    assert versions(keys, anna) == {1: True, 2: False}


class MadeToFailError(Exception):
    """As if the process had ended here."""


ACTS = ["new_version", "begin_rotation", "rewrap_objects", "rewrap_identifiers", "count_rewrapped"]
LAST_ACTS = ["finish_rotation", "record", "close_rotation"]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rotation_that_fails_there_is_finished_by_the_next(
    keys, tenant, client, anna, monkeypatch, act, when
):
    from auditvault.vault import rotation
    from auditvault.vault.keyring.services import Keyring
    from tests.integration.vault_epochs.acts import stopping

    def fail():
        raise MadeToFailError

    with monkeypatch.context() as patched:
        around = stopping(act, when, fail)
        connect, make = rotation.retention_connection, Keyring.new_version
        patched.setattr(
            rotation, "retention_connection", lambda *w, **k: _Hooked(connect(*w, **k), around)
        )
        patched.setattr(Keyring, "new_version", lambda *w: around("new_version", lambda: make(*w)))
        with pytest.raises(MadeToFailError):
            rotate(tenant, anna)
    assert reads_everything(keys, tenant, client) == ALL
    rotate(tenant, anna)
    wait_ten_minutes(keys)
    assert rotate(tenant, anna).due_at is None
    assert list(versions(keys, anna).values()) == [False]
    assert reads_everything(keys, tenant, client) == ALL


@pytest.mark.parametrize("act", LAST_ACTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rotation_that_fails_at_its_end_is_recorded_once(
    keys, tenant, client, anna, monkeypatch, act, when
):
    from auditvault.vault import rotation
    from tests.integration.vault_epochs.acts import stopping

    def fail():
        raise MadeToFailError

    rotate(tenant, anna)
    wait_ten_minutes(keys)
    with monkeypatch.context() as patched:
        around = stopping(act, when, fail)
        connect, write = rotation.retention_connection, rotation.record_operation
        patched.setattr(
            rotation, "retention_connection", lambda *w, **k: _Hooked(connect(*w, **k), around)
        )
        patched.setattr(
            rotation, "record_operation", lambda **said: around("record", lambda: write(**said))
        )
        with pytest.raises(MadeToFailError):
            rotate(tenant, anna)
    rotation.finish_rotations(region="us")
    assert versions(keys, anna) == {2: False}
    assert len(keys.entries("key.rotated")) == 1
    assert keys.rows("SELECT state FROM keyring_rotation") == [("done",)]
    assert reads_everything(keys, tenant, client) == ALL


class _Hooked:
    def __init__(self, connection, around):
        self._connection, self._around = connection, around

    def execute(self, query, *values):
        text = query.decode() if isinstance(query, bytes) else query
        act = text.removeprefix("SELECT ").removeprefix("keyring_").removeprefix("vault_")
        return self._around(act.partition("(")[0], lambda: self._connection.execute(query, *values))


def test_the_job_finishes_what_was_begun(keys, tenant, anna):
    from auditvault.vault.rotation import finish_rotations

    rotate(tenant, anna)
    assert [done.due_at is None for done in finish_rotations(region="us")] == [False]
    wait_ten_minutes(keys)
    assert [done.due_at for done in finish_rotations(region="us")] == [None]
    assert finish_rotations(region="us") == []


def test_the_database_moves_only_what_is_still_what_was_read(keys, tenant, anna):
    import psycopg

    object_id, row = next(item for item in objects(keys, tenant).items() if item[1][4] == anna)
    key, wrapped = row[0], bytes(row[2])
    url = keys.environment()["AUDITVAULT_RETENTION_US_URL"]
    call = "SELECT vault_rewrap_objects(%s, %s, %s, gen_random_uuid(), %s, %s, ARRAY['x'::bytea])"
    with psycopg.connect(url, autocommit=True) as retention:
        for values in (
            (tenant.tenant_id, anna, key, [object_id], [b"another"]),
            (tenant.tenant_id, anna, object_id, [object_id], [wrapped]),
            (tenant.tenant_id, object_id, key, [object_id], [wrapped]),
            (object_id, anna, key, [object_id], [wrapped]),
        ):
            assert retention.execute(call, values).fetchone() == (0,)
        assert bytes(objects(keys, tenant)[object_id][2]) == wrapped
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            retention.execute("UPDATE vault_object SET wrapped_cek = 'x'")


def test_a_retired_key_is_taken_by_no_sealer_from_then_on(keys, tenant):
    from auditvault.vault.keyring.services import keyring

    ring = keyring("us")
    (subject,) = keys.make(tenant.tenant_id, 1)
    assert ring._listener.is_listening.wait(20)
    (old,) = keys.wraps()
    new = ring.new_version(tenant.tenant_id, subject, "content")
    with keys.owner() as owner:
        owner.execute(
            "SELECT keyring_begin_rotation(%s, gen_random_uuid(), %s)", (tenant.tenant_id, new)
        )
    assert until(lambda: len(ring._to_seal) == 0)
    sealing = ring.keys_to_seal(tenant.tenant_id, [subject], "content")
    assert (sealing[subject].key_id, new == old) == (new.bytes, False)


# --- sealing anew ------------------------------------------------------------------------------------------


def reseal(tenant, *object_ids):
    from auditvault.vault.resealing import reseal as work

    return work(region="us", tenant_id=tenant.tenant_id, object_ids=object_ids)


def test_an_object_sealed_anew_is_the_next_version_under_another_key(keys, tenant, client, anna):
    before = objects(keys, tenant)
    object_id = next(key for key, row in before.items() if row[4] == anna)
    done = reseal(tenant, object_id)
    after = objects(keys, tenant)
    assert done.resealed == 1
    assert (after[object_id][0], after[object_id][1]) == (before[object_id][0], 2)
    assert after[object_id][2:4] != before[object_id][2:4]
    assert {key: row for key, row in after.items() if key != object_id} == {
        key: row for key, row in before.items() if key != object_id
    }
    assert reads_everything(keys, tenant, client) == ALL
    assert keys.entries("key.resealed")[-1][1] == {"objects": 1}


def test_an_object_can_be_sealed_anew_again_and_its_key_rotated(keys, tenant, client, anna):
    mine = [key for key, row in objects(keys, tenant).items() if row[4] == anna]
    reseal(tenant, *mine)
    reseal(tenant, *mine)
    rotate(tenant, anna)
    assert {row[1] for key, row in objects(keys, tenant).items() if key in mine} == {3}
    assert reads_everything(keys, tenant, client) == ALL


def test_the_log_and_its_payloads_still_verify(keys, tenant, client, anna):
    reseal(tenant, *objects(keys, tenant))
    keys.forget()
    report = reports_of(tenant, region="us", with_payloads=True, with_memory=False)["interactions"]
    assert {kind for kind in report.first_bad if kind.startswith(("payload", "header"))} == set()
    assert (report.payloads, report.payloads_gone) == (len(objects(keys, tenant)), 0)


def test_the_old_version_of_an_object_opens_no_more_in_its_place(keys, tenant, client, anna):
    before = objects(keys, tenant)
    object_id = next(key for key, row in before.items() if row[4] == anna)
    reseal(tenant, object_id)
    with keys.owner(REGION) as owner:
        owner.execute(
            "UPDATE vault_object SET wrapped_cek = %s, envelope = %s WHERE object_id = %s",
            (before[object_id][2], before[object_id][3], object_id),
        )
    found = [item for words in reads_everything(keys, tenant, client) for item in words]
    assert len(found) == 3


@pytest.mark.parametrize("state", ["restricted", "erasing", "erased"])
def test_nothing_of_somebody_who_may_not_be_read_is_sealed_anew(keys, tenant, anna, state):
    before = objects(keys, tenant)
    with keys.owner(REGION) as owner:
        owner.execute("UPDATE vault_subject SET state = %s WHERE subject_id = %s", (state, anna))
    done = reseal(tenant, *[key for key, row in before.items() if row[4] == anna])
    assert (done.resealed, done.unreadable) == (0, 3)
    assert objects(keys, tenant) == before


def test_an_object_that_changed_meanwhile_is_left(keys, tenant, anna, monkeypatch):
    from auditvault.vault import resealing

    object_id = next(key for key, row in objects(keys, tenant).items() if row[4] == anna)
    real = resealing._next_version

    def meanwhile(*words):
        with keys.owner(REGION) as owner:
            owner.execute("UPDATE vault_object SET version = 7 WHERE object_id = %s", (object_id,))
        return real(*words)

    monkeypatch.setattr(resealing, "_next_version", meanwhile)
    done = reseal(tenant, object_id)
    assert (done.resealed, done.changed) == (0, 1)
    assert objects(keys, tenant)[object_id][1] == 7


def test_an_object_that_is_not_there_is_counted(keys, tenant, other_tenant, anna):
    object_id = next(iter(objects(keys, tenant)))
    assert reseal(other_tenant, object_id).missing == 1


def test_a_key_that_has_wrapped_too_much_is_rotated(keys, tenant, client, anna):
    from auditvault.vault.overused import rotate_overused

    assert rotate_overused(region="us") == []
    assert rotate_overused(region="us", limit=4) == []
    done = rotate_overused(region="us", limit=3)
    assert [item.rewrapped for item in done] == [5]
    assert versions(keys, anna) == {1: True, 2: False}
    assert reads_everything(keys, tenant, client) == ALL


def test_the_vault_is_not_counted_where_it_cannot_be_so_full(keys, anna, monkeypatch):
    from auditvault.vault import overused

    asked = []
    real = overused.retention_connection

    class Connection:
        def __init__(self, *words, **options):
            self._connection = real(*words, **options)

        def execute(self, query, *values):
            asked.append(query)
            return self._connection.execute(query, *values)

    monkeypatch.setattr(overused, "retention_connection", Connection)
    overused.rotate_overused(region="us")
    assert [query for query in asked if "FROM vault_object" in query] == []
    overused.rotate_overused(region="us", limit=1)
    assert len([query for query in asked if "FROM vault_object" in query]) == 1
