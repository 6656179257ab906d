"""Keys in memory: gone at once where the keyring says so, within a minute where nobody listens, and per process."""

from __future__ import annotations

import os
import threading
from uuid import uuid4

import pytest

from tests.integration.ledger.outage import cut_all
from tests.integration.vault_epochs.waiting import until

SECONDS = 20.0


@pytest.fixture
def ring(keys, tenant):
    """A keyring that listens, with a subject's key in its caches."""
    from auditvault.vault.keyring.services import keyring

    found = keyring("us")
    found.tag_keys(tenant.tenant_id)
    assert found._listener.is_listening.wait(SECONDS)
    return found


def test_a_destroyed_key_is_forgotten_at_once(keys, tenant, ring):
    from auditvault.vault.keyring.hierarchy import KeyDestroyedError

    keys.make(tenant.tenant_id, 1)
    (key_id,) = keys.wraps()
    ring.key_to_open(tenant.tenant_id, key_id)
    with keys.owner() as owner:
        owner.execute("DELETE FROM keyring_subject_key WHERE key_id = %s", (key_id,))
    assert until(lambda: len(ring._to_open) == 0 and len(ring._to_seal) == 0)
    with pytest.raises(KeyDestroyedError):
        ring.key_to_open(tenant.tenant_id, key_id)


def test_another_tenants_keys_are_kept(keys, tenant, other_tenant, ring):
    keys.make(tenant.tenant_id, 1)
    keys.make(other_tenant.tenant_id, 1)
    with keys.owner() as owner:
        owner.execute("DELETE FROM keyring_subject_key WHERE tenant_id = %s", (tenant.tenant_id,))
    assert until(lambda: len(ring._to_seal) == 1)
    assert [key[0] for key in ring._to_seal._held] == [other_tenant.tenant_id]


def test_an_ended_epochs_keys_are_forgotten_and_subjects_keys_are_kept(keys, tenant, ring):
    from auditvault.vault.keyring.hierarchy import EpochKeys
    from auditvault.vault.keyring.turning import turn_epoch
    from auditvault.vault.providers.file import FileKeyProvider

    keys.make(tenant.tenant_id, 1)
    assert len(ring.epochs._tenant_keys) == 1
    turn_epoch(EpochKeys("us", FileKeyProvider(keys.root_key)))  # as another process does
    assert until(lambda: len(ring.epochs._tenant_keys) + len(ring.epochs._region_keys) == 0)
    assert len(ring._to_seal) == 1


def test_after_a_lost_connection_everything_is_forgotten_and_it_listens_again(
    keys, tenant, cluster, ring
):
    from tests.integration.ledger.superuser import superuser

    keys.make(tenant.tenant_id, 1)
    with superuser(cluster, "postgres") as owner:
        cut_all(owner, "turning_keys")
    assert until(lambda: not ring._listener.is_listening.is_set() or len(ring._to_seal) == 0)
    assert ring._listener.is_listening.wait(SECONDS)
    assert len(ring._to_seal) == 0


def test_word_that_nobody_understands_forgets_everything(keys, tenant, ring):
    keys.make(tenant.tenant_id, 1)
    with keys.owner() as owner:
        owner.execute("SELECT pg_notify('auditvault_keys', 'tenant of another version')")
    assert until(lambda: len(ring._to_seal) == 0)


def test_a_key_that_was_destroyed_while_it_was_loaded_is_not_kept(keys, tenant, ring, monkeypatch):
    keys.make(tenant.tenant_id, 1)
    (key_id,) = keys.wraps()
    real = ring._key_by_id

    def destroyed_behind(*words):
        found = real(*words)
        ring.forget_tenant(tenant.tenant_id)  # what the listener does
        return found

    monkeypatch.setattr(ring, "_key_by_id", destroyed_behind)
    ring.key_to_open(tenant.tenant_id, key_id)
    assert len(ring._to_open) == 0


def test_a_burst_of_readers_asks_the_database_once(keys, tenant, ring, monkeypatch):
    from django.db import connections

    keys.make(tenant.tenant_id, 1)
    (key_id,) = keys.wraps()
    real, asked, start = ring._key_by_id, [], threading.Barrier(8)

    def counted(*words):
        asked.append(words)
        return real(*words)

    def read():
        start.wait(SECONDS)
        ring.key_to_open(tenant.tenant_id, key_id)
        connections.close_all()

    monkeypatch.setattr(ring, "_key_by_id", counted)
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(asked) == 1


def test_readers_of_different_keys_do_not_wait_for_each_other(keys, tenant, ring, monkeypatch):
    from django.db import connections

    keys.make(tenant.tenant_id, 2)
    real, inside = ring._key_by_id, threading.Barrier(2)
    read = []

    def both_inside(*words):
        inside.wait(SECONDS)  # breaks, and fails the test, unless both are here at once
        return real(*words)

    def reader(key_id):
        read.append(ring.key_to_open(tenant.tenant_id, key_id).key_id)
        connections.close_all()

    monkeypatch.setattr(ring, "_key_by_id", both_inside)
    threads = [threading.Thread(target=reader, args=(key_id,)) for key_id in keys.wraps()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(read) == 2


def test_a_forked_child_holds_no_key_of_its_parents_and_listens_itself(keys, tenant, ring):
    from django.db import connections

    keys.make(tenant.tenant_id, 1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for alias in connections:
                connections[
                    alias
                ].connection = None  # as a server's worker: the parent's sockets are its own
            ring._own_process()
            held = len(ring._to_seal)
            listens = ring._listener.is_listening.wait(SECONDS)
            made = len(ring.keys_to_seal(tenant.tenant_id, [uuid4()], "content"))
            os.write(writer, f"{held} {listens} {made}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        assert said.read() == "0 True 1"
    assert len(ring._to_seal) == 1
    assert ring._listener.is_listening.is_set()


def test_without_a_listener_a_key_lasts_its_minute_and_no_longer():
    from auditvault.vault.keyring.cache import KEY_LIFETIME_SECONDS, KeyCache

    now = [0.0]
    cache = KeyCache(monotonic=lambda: now[0])
    cache.put("key", "value")
    now[0] = KEY_LIFETIME_SECONDS - 0.001
    assert cache.get("key") == "value"  # and being used does not make it last
    now[0] = KEY_LIFETIME_SECONDS
    assert cache.get("key") is None
    assert KEY_LIFETIME_SECONDS == 60
