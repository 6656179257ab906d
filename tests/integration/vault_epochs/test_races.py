"""Keys are made and read while an epoch turns: nobody is refused, nothing is lost."""

from __future__ import annotations

import threading
from uuid import uuid4

import psycopg
import pytest

from tests.integration.ingest.sending import chat, protobuf_of, send

SECONDS = 30.0


@pytest.fixture
def app(keys, tenant):
    """A second connection of the application's, in a transaction of the tenant's."""
    url = keys.environment()["AUDITVAULT_KEYS_US_URL"]
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT set_config('auditvault.tenant_id', %s, true)", (str(tenant.tenant_id),)
        )
        yield connection


INSERT = (
    "INSERT INTO keyring_subject_key (tenant_id, subject_id, data_class, version, key_id, epoch, wrapped)"
    " SELECT %s, gen_random_uuid(), data_class, 1, %s, epoch, wrapped FROM keyring_subject_key LIMIT 1"
)


def waits_for_lock(keys):
    """Whether somebody waits for a row of the keyring; looked at until it is so."""
    done = threading.Event()
    for _ in range(600):
        if keys.rows(
            "SELECT 1 FROM pg_stat_activity WHERE datname = 'turning_keys' AND wait_event_type = 'Lock'"
        ):
            return True
        done.wait(0.05)
    return False


def test_a_key_inserted_before_the_old_epoch_ends_keeps_it_until_it_has_moved(keys, tenant, app):
    keys.make(tenant.tenant_id, 1)
    url = keys.environment()["AUDITVAULT_KEYS_RETENTION_US_URL"]
    app.execute(INSERT, (tenant.tenant_id, uuid4()))
    found = []

    def end():
        with psycopg.connect(url, autocommit=True) as retention:
            retention.execute("SELECT keyring_begin_turn(2, gen_random_uuid(), 'x', 'other', '')")
            found.append(retention.execute("SELECT keyring_end_epoch(2)").fetchone())

    with keys.owner() as owner:  # the first key has moved: only the new one is left
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE keyring_subject_key SET epoch = 2")
    thread = threading.Thread(target=end)
    thread.start()
    assert waits_for_lock(keys)
    app.commit()
    thread.join(SECONDS)
    assert found == [(1,)]
    assert keys.epochs() == [1, 2]


def test_a_key_inserted_after_the_old_epoch_ended_is_refused_by_the_foreign_key(keys, tenant, app):
    keys.make(tenant.tenant_id, 1)
    url = keys.environment()["AUDITVAULT_KEYS_RETENTION_US_URL"]
    with keys.owner() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM keyring_subject_key")
    values = "gen_random_uuid(), 'content', 1, gen_random_uuid(), 1, ''"
    with psycopg.connect(url) as retention:
        retention.execute("SELECT keyring_begin_turn(2, gen_random_uuid(), 'x', 'other', '')")
        assert retention.execute("SELECT keyring_end_epoch(2)").fetchone() == (0,)
        refused = []

        def insert():
            try:
                app.execute(
                    "INSERT INTO keyring_subject_key (tenant_id, subject_id, data_class, version, key_id,"
                    f" epoch, wrapped) VALUES (%s, {values})",
                    (tenant.tenant_id,),
                )
            except psycopg.errors.ForeignKeyViolation as error:
                refused.append(error)

        thread = threading.Thread(target=insert)
        thread.start()
        assert waits_for_lock(keys)
        retention.commit()
        thread.join(SECONDS)
    assert len(refused) == 1


def turning_in_between(keys, monkeypatch, name):
    """Turn the epoch once, in another thread, when the keyring reaches this method and has read the old epoch."""
    from django.db import connections

    from auditvault.vault import epochs
    from auditvault.vault.keyring import hierarchy

    real, turned = getattr(hierarchy.EpochKeys, name), []

    def in_thread():
        try:
            turned.append(epochs.turn("us"))
        finally:
            connections.close_all()

    def between(self, *words):
        if not turned and threading.current_thread() is threading.main_thread():
            if name == "current_epoch":
                found = real(self, *words)
            thread = threading.Thread(target=in_thread)
            thread.start()
            thread.join(SECONDS)
            self.forget_all()
            if name == "current_epoch":
                return found
        return real(self, *words)

    monkeypatch.setattr(hierarchy.EpochKeys, name, between)
    return turned


def test_a_maker_of_keys_whose_epoch_ends_meanwhile_makes_them_in_the_next(
    keys, tenant, monkeypatch
):
    from auditvault.vault.keyring.services import keyring

    keys.make(tenant.tenant_id, 1)
    turned = turning_in_between(keys, monkeypatch, "current_epoch")
    keyring("us").keys_to_seal(tenant.tenant_id, [uuid4()], "content")
    assert [turn.state for turn in turned] == ["done"]
    assert [epoch for epoch, _ in keys.wraps().values()] == [2, 2]


@pytest.mark.parametrize("name", ["tenant_key", "region_key"])
def test_a_reader_whose_epoch_ends_meanwhile_reads_again(keys, tenant, monkeypatch, name):
    from auditvault.vault.keyring.services import keyring

    keys.make(tenant.tenant_id, 1)
    (key_id,) = keys.wraps()
    keys.forget()
    turned = turning_in_between(keys, monkeypatch, name)
    assert keyring("us").key_to_open(tenant.tenant_id, key_id).key_id == key_id.bytes
    assert [turn.state for turn in turned] == ["done"]


class Sender(threading.Thread):
    """Records one person after another and reads each one's words, with no key remembered, until told to stop."""

    def __init__(self, keys, tenant):
        super().__init__()
        self._keys, self._tenant = keys, tenant
        self.stop, self.said, self.wrong = threading.Event(), [], []
        self.counted = threading.Semaphore(0)

    def run(self):
        from django.db import connections
        from django.test import Client

        client = Client()
        try:
            while not self.stop.is_set():
                self._record_and_read(client, len(self.said))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test must say so
            self.wrong.append(error)
        finally:
            connections.close_all()

    def _record_and_read(self, client, number):
        from auditvault.vault.keyring.services import keyring

        words = f"{self.name} said {number}"
        span = chat(words, user=f"{self.name} {number}", system="Be brief.")
        headers = self._tenant.headers("ingest", regions=("us",))
        answer = send(client, self._tenant, protobuf_of(span), headers=headers)
        keyring("us").forget_all()
        found = self._keys.contents(client, self._tenant, words)
        if (answer.status_code, found) != (200, [words]):
            self.wrong.append((answer.status_code, words, found))
        self.said.append(words)
        self.counted.release()


def test_people_are_recorded_and_read_without_a_fault_while_epochs_turn(
    keys, tenant, client, monkeypatch
):
    from django.conf import settings

    from auditvault.vault import epochs

    # However fast this machine is, and however many get said in five turns.
    monkeypatch.setattr(settings, "LOOKUPS_PER_CALLER", 1_000_000)
    monkeypatch.setattr(settings, "LOOKUPS_PER_TENANT", 1_000_000)
    monkeypatch.setattr(settings, "SUBJECTS_PER_DAY", 1_000_000)
    tenant.headers("ingest", regions=("us",))
    tenant.cleared(regions=("us",))
    keys.make(tenant.tenant_id, 1500)
    senders = [Sender(keys, tenant) for _ in range(3)]
    for sender in senders:
        sender.start()
    try:
        for _ in range(5):
            assert all(sender.counted.acquire(timeout=SECONDS) for sender in senders)
            epochs.turn("us")
    finally:
        for sender in senders:
            sender.stop.set()
            sender.join(SECONDS)
    assert [sender.wrong for sender in senders] == [[], [], []]
    said = [words for sender in senders for words in sender.said]
    assert len(said) >= 15
    keys.forget()
    assert [keys.contents(client, tenant, words) for words in said] == [[words] for words in said]
    assert keys.epochs() == [6]
