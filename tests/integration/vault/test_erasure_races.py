"""An erasure meets ingest, readers, holds, the sweep and another erasure: one comes first, and neither is half."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.erasing import (
    NOTHING,
    erase,
    heads,
    left,
    records,
    state_of,
    subject_of,
)
from tests.integration.vault.looking import resolve, revealed

PATIENCE_SECONDS = 20


class Aside:
    """Something that a thread does with connections of its own; its outcome, once it has ended."""

    def __init__(self, work):
        self._work, self.result, self.error = work, None, None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        from django.db import connections

        try:
            self.result = self._work()
        except Exception as error:  # noqa: BLE001  # it is raised where the test asks
            self.error = error
        finally:
            connections.close_all()

    @property
    def is_done(self):
        return not self._thread.is_alive()

    def outcome(self):
        self._thread.join(PATIENCE_SECONDS)
        assert self.is_done
        if self.error is not None:
            raise self.error
        return self.result


def is_waiting(cluster):
    """Whether somebody waits for an advisory lock in the region."""
    with superuser(cluster, "region_eu") as connection:
        (waiting,) = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = 'region_eu')"
        ).fetchone()
    return waiting > 0


def until(condition):
    """Wait for a condition."""
    tick, late = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < late
        tick.wait(0.01)


def test_an_erasure_waits_for_who_seals_for_the_person_and_takes_what_they_wrote(
    client, tenant, cluster, anna, monkeypatch
):
    from auditvault.ingest import services

    real, begun = services._record, []

    def meanwhile(*arguments):
        begun.append(Aside(lambda: erase(tenant, anna)))
        until(lambda: is_waiting(cluster))
        return real(*arguments)

    monkeypatch.setattr(services, "_record", meanwhile)
    record(client, tenant, chat("late", user="anna"))
    begun[0].outcome()
    assert left(cluster, tenant, anna) == NOTHING
    assert revealed(resolve(client, tenant, "late")) == []


def test_who_looked_the_person_up_before_the_erasure_and_seals_after_it_seals_for_somebody_new(
    client, tenant, cluster, anna, monkeypatch
):
    """A request that names somebody else who is new looks up twice; the erasure comes in between."""
    from auditvault.vault.subjects import Naming

    real = Naming.make_missing

    def meanwhile(naming):
        real(naming)
        monkeypatch.setattr(Naming, "make_missing", real)
        Aside(lambda: erase(tenant, anna)).outcome()

    monkeypatch.setattr(Naming, "make_missing", meanwhile)
    record(client, tenant, chat("late", user="anna"), chat("other", user="bert"))
    assert left(cluster, tenant, anna) == NOTHING
    assert state_of(cluster, tenant, anna) == "erased"
    assert revealed(resolve(client, tenant, "late")) == ["late"]


def test_no_name_is_added_to_somebody_who_is_being_erased(client, tenant, cluster, monkeypatch):
    """A new user id beside a known address is one more name of that person, who is erased at that moment."""
    from auditvault.vault.subjects import Naming

    address = {"user.email": "anna@example.org"}
    record(client, tenant, chat("a", attributes=address))
    anna, real = subject_of(cluster, tenant, "email"), Naming._joined
    begun = []

    def meanwhile(naming, connection, missing):
        joined = real(naming, connection, missing)
        if not begun:
            assert set(joined.values()) == {anna}
            begun.append(Aside(lambda: erase(tenant, anna)))
            until(lambda: begun[0].is_done or is_waiting(cluster))
        return joined

    monkeypatch.setattr(Naming, "_joined", meanwhile)
    record(client, tenant, chat("late", user="anna", attributes=address))
    begun[0].outcome()
    assert left(cluster, tenant, anna) == NOTHING
    assert revealed(resolve(client, tenant, "late")) == ["late"]


def test_a_key_that_is_still_cached_seals_nothing_for_the_erased_person(
    client, tenant, cluster, anna
):
    erase(tenant, anna)
    from auditvault.vault.keyring.services import keyring

    ring = keyring("eu")
    assert ring._to_seal.get((tenant.tenant_id, anna, "content")) is None
    record(client, tenant, chat("late", user="anna", session="s"))
    assert left(cluster, tenant, anna) == NOTHING


def test_no_key_is_made_for_an_erased_person(tenant, cluster, anna):
    from psycopg.errors import InsufficientPrivilege

    from auditvault.vault.keyring.services import keyring

    erase(tenant, anna)
    with pytest.raises(InsufficientPrivilege):
        keyring("eu").keys_to_seal(tenant.tenant_id, [anna], "content")
    assert left(cluster, tenant, anna) == NOTHING


@pytest.mark.parametrize(("when", "shown"), [("before", []), ("after", ["a"])])
def test_a_reader_gets_it_or_is_refused(client, tenant, anna, monkeypatch, when, shown):
    """The reader has found the object and recorded the look; the person is erased before or after it is opened."""
    from auditvault.access import disclosure

    name = "refuse_unless_readable" if when == "before" else "open_stored"
    real = getattr(disclosure, name)

    def meanwhile(*arguments, **named):
        if when == "before":
            Aside(lambda: erase(tenant, anna)).outcome()
            return real(*arguments, **named)
        found = real(*arguments, **named)
        Aside(lambda: erase(tenant, anna)).outcome()
        return found

    monkeypatch.setattr(disclosure, name, meanwhile)
    assert revealed(resolve(client, tenant, "a")) == shown
    monkeypatch.undo()
    assert revealed(resolve(client, tenant, "a")) == []


def test_a_reader_whose_key_goes_between_check_and_opening_is_refused(
    client, tenant, anna, monkeypatch
):
    from auditvault.access import disclosure
    from tests.integration.vault.looking import forget_keys

    real = disclosure.open_stored

    def meanwhile(**arguments):
        Aside(lambda: erase(tenant, anna)).outcome()
        return real(**arguments)

    forget_keys(monkeypatch)
    monkeypatch.setattr(disclosure, "open_stored", meanwhile)
    assert revealed(resolve(client, tenant, "a")) == []


def test_a_reader_with_an_older_snapshot_does_not_take_an_erasure_for_a_restore(
    tenant, cluster, anna
):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending

    with tenant_scope(region_alias("eu"), tenant.tenant_id, snapshot=True) as connection:
        refuse_while_restore_pending(connection, "eu")
        Aside(lambda: erase(tenant, anna)).outcome()
        assert refuse_while_restore_pending(connection, "eu").region == "eu"


@pytest.mark.parametrize("same", ["request", "person", "nothing"])
def test_two_erasures_at_once_are_one_after_the_other(client, tenant, cluster, anna, same):
    record(client, tenant, chat("b", session="bert"))
    with superuser(cluster, "region_eu") as connection:
        (bert,) = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'session'",
            (tenant.tenant_id,),
        ).fetchone()
    size, reference = len(records()), uuid4()
    asked = [(anna, reference), (bert if same == "nothing" else anna, uuid4())]
    if same == "request":
        asked[1] = asked[0]
    both = [Aside(lambda who=who, why=why: erase(tenant, who, reference=why)) for who, why in asked]
    done = [each.outcome() for each in both]
    assert len({each.index for each in done}) == (1 if same == "request" else 2)
    assert len(records()) == size + (1 if same == "request" else 2)
    assert left(cluster, tenant, anna) == NOTHING
    assert len(heads(cluster)) == 1
    assert sum(each.counts.keys for each in done) == (2 if same == "nothing" else 1)


@pytest.mark.parametrize("number", range(10))
def test_a_hold_and_an_erasure_fired_together_come_in_one_order(tenant, cluster, anna, number):
    from auditvault.vault.shred import KeysHeldError

    hold_id, before = uuid4(), left(cluster, tenant, anna)

    def place():
        with superuser(cluster, "keys_eu") as connection:
            (placed,) = connection.execute(
                "SELECT keyring_place_hold(%s, %s, %s, NULL, %s)",
                (hold_id, tenant.tenant_id, anna, uuid4()),
            ).fetchone()
        return placed

    erasing, holding = Aside(lambda: erase(tenant, anna)), Aside(place)
    if holding.outcome():
        with pytest.raises(KeysHeldError):
            erasing.outcome()
        assert (left(cluster, tenant, anna), state_of(cluster, tenant, anna)) == (before, "active")
    else:
        erasing.outcome()
        assert left(cluster, tenant, anna) == NOTHING
    with superuser(cluster, "keys_eu") as connection:
        connection.execute("SELECT keyring_release_hold(%s, %s)", (hold_id, tenant.tenant_id))


@pytest.mark.parametrize("step", ["hide", "_write_record", "destroy_keys", "erase_rows", "finish"])
def test_the_sweep_in_the_middle_of_an_erasure_changes_nothing_of_it(
    tenant, cluster, anna, monkeypatch, step
):
    from auditvault.vault import shred
    from auditvault.vault.sweep import sweep_orphan_keys

    real = getattr(shred, step)

    def meanwhile(*arguments):
        Aside(lambda: sweep_orphan_keys(region="eu")).outcome()
        return real(*arguments)

    monkeypatch.setattr(shred, step, meanwhile)
    erase(tenant, anna)
    assert left(cluster, tenant, anna) == NOTHING
    assert len(heads(cluster)) == 1


def test_other_processes_are_told_to_drop_their_keys(tenant, cluster, anna):
    with superuser(cluster, "region_eu") as connection:
        connection.execute("LISTEN auditvault_subject_erased")
        erase(tenant, anna)
        told = [note.payload for note in connection.notifies(timeout=10, stop_after=1)]
    assert told == [f"{tenant.tenant_id}/{anna}"]


def test_subjects_of_another_process_are_found_by_who_is_new(client, tenant, cluster, anna):
    """The name is free at once: whoever writes next is not held up and makes one new subject."""
    erase(tenant, anna)
    both = [Aside(lambda n=n: record(client, tenant, chat(f"{n}", user="anna"))) for n in range(2)]
    for each in both:
        each.outcome()
    assert subject_of(cluster, tenant) != anna
