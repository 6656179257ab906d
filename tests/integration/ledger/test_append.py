"""Appending: tiles, partition borders, time, proofs over the API, two appenders at once."""

from __future__ import annotations

import itertools
import os
import threading
from uuid import uuid4

import pytest

from auditvault.core.tlog.entry import Entry, leaf_hash
from auditvault.core.tlog.merkle import (
    EMPTY_ROOT,
    CompactRange,
    verify_consistency,
    verify_inclusion,
)
from tests.integration.ledger.superuser import superuser, tampering

MANY = 70_000


@pytest.fixture
def new_log(tenant, cluster):
    """`new_log(partition_entries)` opens a log of kind `admin`, which goes after the test: no record is behind it."""
    from auditvault.ledger.logs import open_log

    opened = []

    def make(partition_entries=262_144):
        log = open_log(
            region="eu",
            tenant_id=tenant.tenant_id,
            kind="admin",
            log_host="localhost",
            partition_entries=partition_entries,
        )
        opened.append(log)
        return log

    yield make
    for log in opened:
        remove(cluster, log)


def remove(cluster, log):
    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")
        partitions = connection.execute(
            "SELECT relname FROM pg_class WHERE relname ~ %s AND relkind = 'r'",
            (f"^ledger_entry_{log.log_id}_[0-9]+$",),
        ).fetchall()
        for (partition,) in partitions:
            connection.execute(f"DROP TABLE {partition}")
        for table in ("ledger_tile", "ledger_checkpoint", "ledger_head", "ledger_log"):
            connection.execute(f"DELETE FROM {table} WHERE log_id = %s", (log.log_id,))


def grow(log, count, *, batch=1000):
    """Append `count` entries with random commitments; returns the leaf hashes that the table then holds."""
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.ledger.services import Pending, append

    done = 0
    while done < count:
        size = min(batch, count - done)
        pending = [
            Pending(os.urandom(16), "test.made", "test", os.urandom(32)) for _ in range(size)
        ]
        with tenant_scope(region_alias("eu"), log.tenant_id) as connection:
            append(connection, log=log, pending=pending)
        done += size


def stored(log):
    """Index and entry bytes of everything in the log, in order."""
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("eu"), log.tenant_id) as connection:
        rows = connection.execute(
            "SELECT idx, entry FROM ledger_entry WHERE log_id = %s ORDER BY idx", (log.log_id,)
        ).fetchall()
    return [(idx, bytes(entry)) for idx, entry in rows]


def tiles(log):
    """(level, n) of every stored tile."""
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("eu"), log.tenant_id) as connection:
        return connection.execute(
            "SELECT level, n FROM ledger_tile WHERE log_id = %s ORDER BY level, n", (log.log_id,)
        ).fetchall()


class Api:
    """The log as an auditor sees it."""

    def __init__(self, client, tenant, log):
        self._client = client
        self._headers = tenant.headers("auditor")
        self._path = f"/api/v1/logs/{log.log_id}"
        self._id = log.log_id

    def get(self, path):
        return self._client.get(self._path + path, headers=self._headers)

    def head(self):
        logs = self._client.get("/api/v1/logs", headers=self._headers).json()["logs"]
        (found,) = [log for log in logs if log["id"] == self._id]
        return found["size"], bytes.fromhex(found["root"])

    def proof(self, kind, query):
        answer = self.get(f"/proof/{kind}?{query}")
        assert answer.status_code == 200
        return [bytes.fromhex(value) for value in answer.json()["hashes"]]


def roots(leaves, sizes):
    """The root at each of the sizes, rebuilt from the leaves."""
    tree, found = CompactRange(), {}
    for count, leaf in enumerate(leaves, start=1):
        tree.extend([leaf])
        if count in sizes:
            found[count] = tree.root()
    return found


def check_proofs(client, tenant, log, sizes, indices):
    """Every inclusion of `indices` in `sizes` and every consistency between `sizes`, over the API."""
    api = Api(client, tenant, log)
    leaves = [leaf_hash(entry) for _, entry in stored(log)]
    root = roots(leaves, set(sizes))
    assert api.head() == (len(leaves), root[len(leaves)])
    for size in sizes:
        for index in indices:
            if index < size:
                proof = api.proof("inclusion", f"index={index}&size={size}")
                verify_inclusion(
                    leaf_hash=leaves[index], index=index, size=size, proof=proof, root=root[size]
                )
    for old, new in itertools.pairwise(sizes):
        proof = api.proof("consistency", f"from={old}&to={new}")
        verify_consistency(
            old_size=old, new_size=new, old_root=root[old], new_root=root[new], proof=proof
        )


@pytest.mark.parametrize("count", [1, 255, 256, 257, 511, 512, 513])
def test_a_tile_is_written_when_its_last_hash_arrives(new_log, count):
    log = new_log()
    grow(log, count)
    assert tiles(log) == [(0, n) for n in range(count // 256)]


@pytest.mark.parametrize("batch", [7, 255, 256, 257, 600])
def test_the_size_of_batches_makes_no_difference_to_the_tree(client, tenant, new_log, batch):
    log = new_log()
    grow(log, 600, batch=batch)
    check_proofs(client, tenant, log, [1, 255, 256, 257, 512, 600], [0, 255, 256, 511, 599])


def test_tiles_of_the_second_level_are_completed_across_65536(client, tenant, new_log):
    log = new_log(65_536)
    grow(log, MANY, batch=4999)
    assert tiles(log) == [*((0, n) for n in range(MANY // 256)), (1, 0)]
    sizes = [1, 256, 40_000, 65_535, 65_536, 65_537, MANY]
    check_proofs(client, tenant, log, sizes, [0, 255, 256, 65_535, 65_536, MANY - 1])


@pytest.mark.parametrize("batch", [100, 256, 300, 1000])
def test_entries_go_on_over_the_border_of_a_partition(new_log, batch):
    log = new_log(256)
    grow(log, 1000, batch=batch)
    found = stored(log)
    assert [idx for idx, _ in found] == list(range(1000))
    entries = [Entry.from_bytes(data) for _, data in found]
    assert [entry.prev for entry in entries[1:]] == [leaf_hash(data) for _, data in found[:-1]]


def test_proofs_reach_over_the_borders_of_partitions(client, tenant, new_log):
    log = new_log(256)
    grow(log, 1000, batch=300)
    check_proofs(client, tenant, log, [100, 256, 257, 700, 1000], [0, 255, 256, 700, 999])


def test_the_partitions_are_as_wide_as_the_log_says(new_log, cluster):
    log = new_log(256)
    grow(log, 513)
    with superuser(cluster, "region_eu") as connection:
        found = connection.execute(
            "SELECT tableoid::regclass::text, count(*) FROM ledger_entry WHERE log_id = %s"
            " GROUP BY 1 ORDER BY 1",
            (log.log_id,),
        ).fetchall()
    assert found == [
        (f"ledger_entry_{log.log_id}_{n}", size) for n, size in enumerate((256, 256, 1))
    ]


def test_an_empty_log_has_the_empty_root(client, tenant, new_log):
    assert Api(client, tenant, new_log()).head() == (0, EMPTY_ROOT)


@pytest.mark.parametrize(
    "path",
    [
        "/proof/inclusion?index=5&size=5",
        "/proof/inclusion?index=0&size=6",
        "/proof/inclusion?index=-1&size=5",
        "/proof/inclusion?index=0&size=0",
        "/proof/inclusion?index=0",
        "/proof/inclusion?index=0&size=5&more=1",
        "/proof/inclusion?index=9007199254740993&size=9007199254740994",
        "/proof/consistency?from=0&to=5",
        "/proof/consistency?from=4&to=3",
        "/proof/consistency?from=1&to=6",
        "/proof/consistency?from=x&to=5",
        "/entries?start=3&end=2",
        "/entries?start=-1&end=2",
        "/entries?start=0",
    ],
)
def test_a_proof_of_what_is_not_there_is_400(client, tenant, new_log, path):
    log = new_log()
    grow(log, 5)
    answer = Api(client, tenant, log).get(path)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_entries_come_a_thousand_at_a_time(client, tenant, new_log):
    log = new_log()
    grow(log, 1001)
    answer = Api(client, tenant, log).get("/entries?start=0&end=5000")
    assert [entry["index"] for entry in answer.json()["entries"]] == list(range(1000))


def test_time_never_goes_back_where_the_clock_did(tenant, cluster, new_log):
    log = new_log()
    grow(log, 1)
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(
            "UPDATE ledger_head SET last_at = '2090-01-01' WHERE log_id = %s", (log.log_id,)
        )
        grow(log, 2, batch=1)
        times = [Entry.from_bytes(data).recorded_at for _, data in stored(log)]
    assert times[1:] == ["2090-01-01T00:00:00.000000Z"] * 2


def test_times_of_a_log_are_in_order(new_log):
    log = new_log()
    grow(log, 50, batch=3)
    times = [Entry.from_bytes(data).recorded_at for _, data in stored(log)]
    assert times == sorted(times)


def test_appenders_at_once_make_no_gap_and_no_fork(client, tenant, new_log):
    from django.db import connections

    log = new_log(256)
    start = threading.Barrier(4)

    def work():
        start.wait(60)
        grow(log, 200, batch=9)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    check_proofs(client, tenant, log, [1, 256, 500, 800], [0, 255, 400, 799])
    found = stored(log)
    entries = [Entry.from_bytes(data) for _, data in found]
    assert [entry.index for entry in entries] == list(range(800))
    assert [entry.prev for entry in entries[1:]] == [leaf_hash(data) for _, data in found[:-1]]


def test_a_log_of_another_tenant_takes_no_entry(new_log, other_tenant):
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.ledger.services import LogHeadError, Pending, append

    log = new_log()
    pending = [Pending(uuid4().bytes, "test.made", "test", os.urandom(32))]
    with (
        pytest.raises(LogHeadError),
        tenant_scope(region_alias("eu"), other_tenant.tenant_id) as connection,
    ):
        append(connection, log=log, pending=pending)


def test_tenants_that_open_a_log_at_once_get_one(tenant, service):
    from django.db import connections

    from auditvault.ledger.logs import open_log

    start = threading.Barrier(4)
    found = []

    def work():
        start.wait(60)
        found.append(
            open_log(region="eu", tenant_id=tenant.tenant_id, kind="access", log_host="localhost")
        )
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len(set(found)) == 1
