"""Access records of many threads at once: one entry each, committed before anybody goes on, or nothing of any."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime

import pytest

from tests.integration.ledger.superuser import count, superuser

READERS = 12


@pytest.fixture
def record(tenant):
    """`record(number)` records a look."""
    from auditvault.access.events.services import Act, record_act
    from auditvault.core.policy.access import Purpose, PurposeCode

    purpose = Purpose(code=PurposeCode.INCIDENT, case="INC-1", reason="A customer complains")

    def one(number, **more):
        act = Act(
            actor=f"token:{number}", actor_role="investigator", action="resolve", outcome="granted",
            details={"number": number}, purpose=purpose,
        )  # fmt: skip
        now = datetime.now(UTC)
        return record_act(region="eu", tenant_id=tenant.tenant_id, act=act, now=now, **more)

    one("first")  # opens the log and makes the tenant's keys
    return one


def at_once(record, **more):
    """Every reader's record id, or what it was refused with."""
    from django.db import connections

    found, begin = {}, threading.Barrier(READERS)

    def read(number):
        begin.wait()
        try:
            found[number] = record(number, **more)
        except Exception as error:  # noqa: BLE001  # looked at by the test
            found[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.fixture
def batches(monkeypatch, tenant):
    """How many records were committed together, batch by batch."""
    from auditvault.access.events import services

    services._queue.cache_clear()
    sizes, real = [], services._commit

    def commit(region, tenant_id, batch):
        sizes.append(len(batch))
        real(region, tenant_id, batch)

    monkeypatch.setattr(services, "_commit", commit)
    yield sizes
    services._queue.cache_clear()


def stored(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return count(connection, "access_event", tenant.tenant_id), count(
            connection, "ledger_entry", tenant.tenant_id
        )


def holds(cluster, tenant):
    """Whether each entry of the access log names the leaf before it, in order, up to the head's."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT idx, entry, leaf_hash FROM ledger_entry WHERE tenant_id = %s ORDER BY idx",
            (tenant.tenant_id,),
        ).fetchall()
        (last,) = connection.execute(
            "SELECT last_leaf FROM ledger_head WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    before = bytes(32)
    for place, (index, entry, leaf) in enumerate(rows):
        said = json.loads(entry)
        assert (index, said["i"], said["prev"]) == (place, str(place), before.hex())
        assert leaf == hashlib.sha256(b"\0" + entry).digest()
        before = leaf
    return last == before


def test_each_has_an_entry_of_its_own_and_the_log_holds(batches, record, tenant, cluster):
    found = at_once(record)

    assert len(set(found.values())) == READERS
    assert not [error for error in found.values() if isinstance(error, Exception)]
    assert stored(cluster, tenant) == (READERS + 1, READERS + 1)
    assert sum(batches) == READERS + 1
    assert len(batches) < READERS + 1, "at least two were committed together"
    assert holds(cluster, tenant)


def test_a_batch_that_cannot_be_written_leaves_nothing_and_refuses_everybody(
    batches, record, tenant, cluster, monkeypatch
):
    from django.db import OperationalError

    from auditvault.access.events import services

    real = services.append

    def fails_after(*args, **kwargs):
        real(*args, **kwargs)
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(services, "append", fails_after)
        found = at_once(record)

    assert {type(error) for error in found.values()} == {services.AccessNotRecordedError}
    assert stored(cluster, tenant) == (1, 1)


def test_a_crash_after_the_commit_leaves_records_of_looks_that_did_not_happen(
    batches, record, tenant, cluster, monkeypatch
):
    from django.db import OperationalError

    from auditvault.access.events import services

    services._queue.cache_clear()
    real = services._commit

    def fails_after(*args):
        real(*args)
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(services, "_commit", fails_after)
        found = at_once(record)
    services._queue.cache_clear()

    assert {type(error) for error in found.values()} == {services.AccessNotRecordedError}
    assert stored(cluster, tenant) == (READERS + 1, READERS + 1)


def test_what_goes_with_one_record_refuses_that_one_only(batches, record, tenant, cluster):
    class OwnRefusalError(Exception):
        pass

    def refuse_one(number):
        def also(connection, record_id):
            if number == 3:
                raise OwnRefusalError

        return also

    found = at_once(lambda number: record(number, also=refuse_one(number)))

    refused = {number for number, each in found.items() if isinstance(each, OwnRefusalError)}
    assert refused == {3}
    assert stored(cluster, tenant) == (READERS, READERS)


def test_a_full_queue_is_an_answer_and_no_look(record, tenant, monkeypatch):
    from auditvault.access.events import services

    monkeypatch.setattr(services, "MOST_WAITING", 0)
    services._queue.cache_clear()
    with pytest.raises(services.AccessNotRecordedError):
        record(1)
    services._queue.cache_clear()
