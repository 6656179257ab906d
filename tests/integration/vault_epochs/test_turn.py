"""An epoch turns: fresh keys above, the same keys below, the old ones gone."""

from __future__ import annotations

import pytest

from tests.integration.ingest.sending import chat, protobuf_of, send


def test_an_epoch_begins_under_a_root_key_of_its_own(keys, tenant):
    keys.make(tenant.tenant_id, 1)
    turn = keys.turn()
    assert (turn.to_epoch, turn.state) == (2, "done")
    assert keys.epochs() == [2]
    assert sorted(path.name for path in keys.root_key.parent.iterdir()) == [
        "root_key.destroyed",
        "root_key.e2",
    ]


def test_every_key_is_still_the_same_and_wrapped_anew(keys, tenant):
    from auditvault.vault.keyring.services import keyring

    subjects = keys.make(tenant.tenant_id, 3)
    before = keys.wraps()
    wrapped = {key_id: _seal(keys, tenant, key_id) for key_id in before}
    keys.turn()
    after = keys.wraps()
    assert after.keys() == before.keys()
    assert {epoch for epoch, _ in after.values()} == {2}
    assert not {wrap for _, wrap in after.values()} & {wrap for _, wrap in before.values()}
    for key_id, box in wrapped.items():
        assert keyring("us").key_to_open(tenant.tenant_id, key_id).unwrap(box, b"x") == b"s" * 32
    assert len(subjects) == 3


def _seal(keys, tenant, key_id):
    from auditvault.vault.keyring.services import keyring

    return keyring("us").key_to_open(tenant.tenant_id, key_id).wrap(b"s" * 32, b"x")


def test_tags_are_the_same_after_a_turn(keys, tenant):
    from auditvault.vault.services import lookup_tag

    def tag():
        return lookup_tag(region="us", tenant_id=tenant.tenant_id, content_sha256=bytes(32))

    before = tag()
    turn = keys.turn()
    assert tag() == before
    assert turn.tag_secrets == 1


def test_more_keys_than_a_batch_are_moved(keys, tenant, other_tenant, monkeypatch):
    monkeypatch.setattr("auditvault.vault.keyring.rewrapping.BATCH", 7)
    keys.make(tenant.tenant_id, 30)
    keys.make(other_tenant.tenant_id, 5)
    heard = []
    from auditvault.vault import epochs

    keys.forget()
    turn = epochs.turn("us", heard.append)
    assert turn.subject_keys == 35
    assert [item.moved + item.remaining for item in heard] == [35] * 6
    assert heard[-1].remaining == 0


def test_each_tenant_gets_a_fresh_key(keys, tenant, other_tenant):
    keys.make(tenant.tenant_id, 1)
    keys.make(other_tenant.tenant_id, 1)
    before = keys.rows("SELECT key_id FROM keyring_tenant_key")
    turn = keys.turn()
    after = keys.rows("SELECT key_id, epoch FROM keyring_tenant_key")
    assert turn.tenant_keys == 2
    assert [epoch for _, epoch in after] == [2, 2]
    assert not {row[0] for row in after} & {row[0] for row in before}


def test_a_second_turn_follows_the_first(keys, tenant):
    keys.make(tenant.tenant_id, 2)
    keys.turn()
    turn = keys.turn()
    assert (turn.to_epoch, turn.subject_keys) == (3, 2)
    assert keys.epochs() == [3]


def test_a_region_without_keys_has_no_epoch_to_turn(keys):
    from auditvault.vault.keyring.turning import NoEpochError

    with pytest.raises(NoEpochError):
        keys.turn()
    assert keys.epochs() == []


def test_the_operators_log_says_what_happened(keys, tenant):
    keys.make(tenant.tenant_id, 2)
    ((region_key,),) = keys.rows("SELECT key_id FROM keyring_region_key")
    turn = keys.turn()
    started, turned, destroyed = keys.entries(
        "key.epoch_started", "key.epoch_turned", "key.destroyed"
    )
    assert started == ("key.epoch_started", {"epoch": 2})
    assert turned == (
        "key.epoch_turned",
        {
            "epoch": 2,
            "subject_keys": 2,
            "tag_secrets": 0,
            "tenant_keys_deleted": 1,
            "region_keys_deleted": [str(region_key)],
        },
    )
    assert destroyed[1]["epoch"] == 2
    assert destroyed[1]["region_keys"] == [str(region_key)]
    assert destroyed[1]["past_recall_at"] == f"{turn.past_recall_at:%Y-%m-%dT%H:%M:%S.%fZ}"


def test_an_erased_key_does_not_come_back(keys, tenant, monkeypatch):
    from auditvault.vault.keyring import rewrapping

    keys.make(tenant.tenant_id, 2)
    real = rewrapping.rewrap_rows
    lost = []

    def erased_meanwhile(region, tenant_id, rows, *rest):
        if not lost:
            lost.append(rows[0][3])
            with keys.owner() as owner:
                owner.execute("DELETE FROM keyring_subject_key WHERE key_id = %s", lost)
        return real(region, tenant_id, rows, *rest)

    monkeypatch.setattr(rewrapping, "rewrap_rows", erased_meanwhile)
    turn = keys.turn()
    assert lost[0] not in keys.wraps()
    assert turn.subject_keys == 1


def test_a_key_that_does_not_open_keeps_the_old_epoch_and_is_named(keys, tenant, other_tenant):
    from auditvault.vault.keyring.turning import EpochStuckError

    keys.make(tenant.tenant_id, 3)
    keys.make(other_tenant.tenant_id, 1)
    damaged = min(keys.wraps())
    with keys.owner() as owner:
        owner.execute(
            "UPDATE keyring_subject_key SET wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1)"
            " WHERE key_id = %s",
            (damaged,),
        )
    with pytest.raises(EpochStuckError) as stuck:
        keys.turn()
    assert stuck.value.damaged == [damaged]
    assert str(damaged) in stuck.value.message
    assert keys.epochs() == [1, 2]
    assert sorted(epoch for epoch, _ in keys.wraps().values()) == [1, 2, 2, 2]
    with keys.owner() as owner:
        owner.execute("DELETE FROM keyring_subject_key WHERE key_id = %s", (damaged,))
    turn = keys.turn()
    assert (turn.to_epoch, turn.state, turn.subject_keys) == (2, "done", 3)
    assert keys.epochs() == [2]


def test_content_and_names_are_found_and_read_after_a_turn(keys, tenant, client):
    headers = tenant.headers("ingest", regions=("us",))
    body = protobuf_of(chat("a secret", user="anna", system="Be brief."))
    assert send(client, tenant, body, headers=headers).status_code == 200
    keys.turn()
    assert keys.contents(client, tenant, "a secret") == ["a secret"]
    body = protobuf_of(chat("another", user="anna", system="Be brief."))
    assert send(client, tenant, body, headers=headers).status_code == 200
    assert keys.contents(client, tenant, "another") == ["another"]
    assert keys.rows(
        "SELECT count(*) FROM vault_subject WHERE tenant_id = %s AND kind = 'person'",
        tenant.tenant_id,
        database="turning_region",
    ) == [(1,)]


def test_the_application_makes_no_epoch_but_the_first(keys, tenant):
    import psycopg

    keys.make(tenant.tenant_id, 1)
    insert = "INSERT INTO keyring_region_key (epoch, key_id, wrapped, key_ref) VALUES (%s, gen_random_uuid(), '', 'x')"
    with psycopg.connect(keys.environment()["AUDITVAULT_KEYS_US_URL"], autocommit=True) as app:
        for epoch in (2, 3, 2**31 - 1):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(insert, (epoch,))
        keys.turn()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(insert, (1,))


def test_an_epoch_under_a_root_key_that_is_to_go_is_refused(keys, tenant):
    import psycopg

    keys.make(tenant.tenant_id, 1)
    ((ref,),) = keys.rows("SELECT key_ref FROM keyring_region_key")
    url = keys.environment()["AUDITVAULT_KEYS_RETENTION_US_URL"]
    with (
        psycopg.connect(url, autocommit=True) as retention,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        retention.execute("SELECT keyring_begin_turn(2, gen_random_uuid(), 'x', %s, '')", (ref,))
    assert keys.epochs() == [1]


def test_old_keys_are_not_deleted_while_something_is_under_them(keys, tenant):
    import psycopg

    keys.make(tenant.tenant_id, 2)
    url = keys.environment()["AUDITVAULT_KEYS_RETENTION_US_URL"]
    with psycopg.connect(url, autocommit=True) as retention:
        retention.execute("SELECT keyring_begin_turn(2, gen_random_uuid(), 'x', 'other', '')")
        assert retention.execute("SELECT keyring_end_epoch(2)").fetchone() == (2,)
    assert keys.epochs() == [1, 2]


def test_a_row_from_before_references_were_stored_is_moved_like_any_other(keys, tenant):
    keys.make(tenant.tenant_id, 1)
    with keys.owner() as owner:
        owner.execute("UPDATE keyring_region_key SET key_ref = ''")
    assert keys.turn().state == "done"
    assert keys.epochs() == [2]
    assert (keys.root_key.parent / "root_key.destroyed").exists()
    assert not keys.root_key.exists()
