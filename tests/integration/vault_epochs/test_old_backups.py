"""A keyring backup from before an erasure, and every key that is alive: they open it until the epoch turns."""

from __future__ import annotations

import pytest

from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.vault_epochs.attacker import Attacker, copy_of_keyring

WORDS = "what anna said"


@pytest.fixture
def erased(keys, tenant, client):
    """Anna speaks, a backup is made, her keys are destroyed: the keyring of the backup, and the row of her words."""
    headers = tenant.headers("ingest", regions=("us",))
    spans = [chat(WORDS, user="anna"), chat("what bert said", user="bert")]
    assert send(client, tenant, protobuf_of(*spans), headers=headers).status_code == 200
    backup = copy_of_keyring(keys)
    stored = keys.rows(
        "SELECT object_id, subject_id, key_id, data_class, version, wrapped_cek, envelope, tenant_id"
        " FROM vault_object WHERE tenant_id = %s AND role = 'input_messages' ORDER BY object_id",
        tenant.tenant_id,
        database="turning_region",
    )
    (anna,) = [row for row in stored if keys.contents(client, tenant, WORDS) and _is(keys, row)]
    with keys.owner() as owner:
        owner.execute("DELETE FROM keyring_subject_key WHERE subject_id = %s", (anna[1],))
    return backup, anna


def _is(keys, row):
    """Whether the row holds Anna's words; asked while it can still be opened."""
    return WORDS.encode() in opened_with(Attacker(keys, copy_of_keyring(keys)).deks(), row)


def opened_with(deks, row):
    """What the row's content is under these keys; empty where there is no key for it."""
    from auditvault.core.crypto.envelope import ContextPrefix, open_object

    object_id, subject_id, key_id, data_class, version, wrapped_cek, envelope, tenant_id = row
    if key_id not in deks:
        return b""
    prefix = ContextPrefix(region="us", tenant_id=tenant_id, data_class=data_class)
    return open_object(
        dek=deks[key_id],
        prefix=prefix,
        subject_id=subject_id,
        object_id=object_id,
        version=version,
        wrapped_cek=bytes(wrapped_cek),
        envelope=bytes(envelope),
    ).content


def test_todays_keyring_alone_opens_nothing_of_an_erased_person(keys, erased):
    _, anna = erased
    assert opened_with(Attacker(keys, copy_of_keyring(keys)).deks(), anna) == b""


def test_before_the_epoch_turned_an_old_backup_opens_it(keys, erased):
    backup, anna = erased
    deks = Attacker(keys, backup, copy_of_keyring(keys)).deks()
    assert WORDS.encode() in opened_with(deks, anna)


def test_after_the_epoch_turned_an_old_backup_and_every_living_key_open_nothing(keys, erased):
    backup, anna = erased
    keys.turn()
    deks = Attacker(keys, backup, copy_of_keyring(keys)).deks()
    assert anna[2] not in deks
    assert opened_with(deks, anna) == b""
    # The attacker is no straw man: what lives is in its hands.
    assert deks.keys() == keys.wraps().keys()


def test_a_tenant_key_that_was_only_wrapped_again_would_let_an_old_backup_open_it(
    keys, erased, monkeypatch
):
    from auditvault.vault.keyring import hierarchy
    from auditvault.vault.keyring.contexts import tenant_kek_context

    def same_secret(self, connection, tenant_id, epoch):
        """What must never be done: the old tenant KEK goes on under the new region KEK."""
        key_id, wrapped = connection.execute(
            "SELECT key_id, wrapped FROM keyring_tenant_key WHERE epoch = %s", (epoch - 1,)
        ).fetchone()
        old, new = self.region_key(connection, epoch - 1), self.region_key(connection, epoch)
        bound = tenant_kek_context("us", old, tenant_id, key_id, epoch - 1)
        secret = old.unwrap(bytes(wrapped), bound)
        from uuid import uuid4

        fresh_id = uuid4()
        return fresh_id, new.wrap(secret, tenant_kek_context("us", new, tenant_id, fresh_id, epoch))

    monkeypatch.setattr(hierarchy.EpochKeys, "_new_tenant_key", same_secret)
    backup, anna = erased
    keys.turn()
    deks = Attacker(keys, backup, copy_of_keyring(keys)).deks()
    assert WORDS.encode() in opened_with(deks, anna)


def test_a_root_key_that_was_not_destroyed_would_let_an_old_backup_open_it(
    keys, erased, monkeypatch
):
    from auditvault.vault.providers.file import FileKeyProvider

    monkeypatch.setattr(FileKeyProvider, "destroy", lambda *_: None)
    backup, anna = erased
    keys.turn()
    deks = Attacker(keys, backup, copy_of_keyring(keys)).deks()
    assert WORDS.encode() in opened_with(deks, anna)


def test_a_keyring_restored_from_before_the_turn_opens_nothing(keys, erased, client, tenant):
    backup, _ = erased
    keys.turn()
    with keys.owner() as owner:
        owner.execute("SET session_replication_role = replica")
        for table, rows in backup.items():
            owner.execute(f"DELETE FROM {table}")
            for row in rows:
                names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
                owner.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))
    keys.forget()
    import hashlib

    from tests.integration.ingest.sending import post
    from tests.integration.vault.looking import PURPOSE

    digest = hashlib.sha256(WORDS.encode()).hexdigest()
    body = {"content_hash": f"sha256:{digest}", "purpose": PURPOSE}
    answer = post(client, "/api/v1/resolve", body, tenant.cleared(regions=("us",)))
    assert (answer.status_code, "contents" in answer.json()) == (503, False)
