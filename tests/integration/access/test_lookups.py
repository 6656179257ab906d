"""Lookups are limited for all processes together, and what is not found is not found in one way."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, post, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import PURPOSE, resolve, resolve_hash, revealed

SECRET = "a secret that somebody guesses"


@pytest.fixture
def limits(service, monkeypatch):
    """`limits(caller, tenant)` holds for this test, in windows that do not end during it."""
    from django.conf import settings

    def choose(per_caller, per_tenant=1000, seconds=86_400 * 365):
        monkeypatch.setattr(settings, "LOOKUPS_PER_CALLER", per_caller)
        monkeypatch.setattr(settings, "LOOKUPS_PER_TENANT", per_tenant)
        monkeypatch.setattr(settings, "LOOKUP_WINDOW_SECONDS", seconds)

    return choose


@pytest.fixture
def connect(cluster):
    """`connect()` is a connection as the application's role; each statement commits unless one says BEGIN."""
    opened = []

    def as_the_application():
        url = cluster.environment("web")["AUDITVAULT_REGION_EU_URL"]
        opened.append(psycopg.connect(url, autocommit=True))
        return opened[-1]

    yield as_the_application
    for connection in opened:
        connection.close()


def refusals(cluster, tenant):
    """`details` of the denials in the tenant's access log."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND outcome = 'denied'"
            " ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [json.loads(bytes(row[0]))["details"] for row in rows]


def test_as_many_lookups_as_are_allowed_are_answered_and_no_more(client, tenant, limits):
    limits(3)
    answers = [resolve(client, tenant, "never sent").status_code for _ in range(5)]
    assert answers == [404, 404, 404, 429, 429]


def test_a_refusal_says_when_to_come_back(client, tenant, limits):
    limits(1)
    resolve(client, tenant, "never sent")
    answer = resolve(client, tenant, "never sent")
    assert (answer["Content-Type"], answer.json()["code"]) == (
        "application/problem+json",
        "lookups_limited",
    )
    assert 0 < int(answer["Retry-After"]) <= 86_400 * 365


def test_only_the_first_refusal_of_a_window_is_recorded(client, tenant, limits, cluster):
    limits(1)
    for _ in range(5):
        resolve(client, tenant, "never sent")
    assert [details["code"] for details in refusals(cluster, tenant)] == ["lookups_limited"]
    assert findings(tenant, region="eu") == {}


def test_a_limit_holds_for_what_is_there_as_well(client, tenant, limits):
    record(client, tenant, chat(SECRET))
    limits(1)
    assert revealed(resolve(client, tenant, SECRET)) == [SECRET]
    assert resolve(client, tenant, SECRET).status_code == 429


def test_refused_roles_and_purposes_count_too(client, tenant, limits, cluster):
    limits(1)
    body = {"content_hash": "sha256:" + "0" * 64, "purpose": PURPOSE | {"reason": "no"}}
    answers = [
        post(client, "/api/v1/resolve", body, tenant.cleared()).status_code for _ in range(3)
    ]
    assert answers == [422, 429, 429]
    assert len(refusals(cluster, tenant)) == 2


def test_what_is_no_hash_does_not_count(client, tenant, limits):
    limits(1)
    assert resolve_hash(client, tenant, "md5:1").status_code == 400
    assert resolve(client, tenant, "never sent").status_code == 404


def test_one_tokens_lookups_are_not_anothers(client, tenant, limits):
    limits(1)
    resolve(client, tenant, "never sent")
    body = {"content_hash": "sha256:" + "0" * 64, "purpose": PURPOSE}
    other = tenant.headers("engineer")
    assert post(client, "/api/v1/resolve", body, other).status_code == 403


def test_a_tenants_tokens_together_have_a_limit(client, tenant, limits):
    limits(100, 2)
    body = {"content_hash": "sha256:" + "0" * 64, "purpose": PURPOSE}
    callers = [tenant.cleared(), tenant.headers("engineer"), tenant.headers("investigator")]
    answers = [post(client, "/api/v1/resolve", body, each).status_code for each in callers]
    assert answers == [404, 403, 429]


def test_one_tenants_lookups_are_not_anothers(client, tenant, other_tenant, limits):
    limits(100, 1)
    resolve(client, tenant, "never sent")
    assert resolve(client, tenant, "never sent").status_code == 429
    assert resolve(client, other_tenant, "never sent").status_code == 404


def test_a_new_window_begins_with_nothing_used(client, tenant, limits, cluster):
    limits(1)
    resolve(client, tenant, "never sent")
    assert resolve(client, tenant, "never sent").status_code == 429
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE lookup_use SET window_at = window_at - interval '1 second' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    assert resolve(client, tenant, "never sent").status_code == 404
    resolve(client, tenant, "never sent")
    assert len(refusals(cluster, tenant)) == 2


def test_a_refusal_that_cannot_be_recorded_is_503_and_is_recorded_when_it_can(
    client, tenant, limits, cluster
):
    from tests.integration.access.test_disclosure import access_log_closed

    limits(1)
    resolve(client, tenant, "never sent")
    with access_log_closed(cluster):
        answer = resolve(client, tenant, "never sent")
    assert (answer.status_code, answer.json()["code"]) == (503, "access_not_recorded")
    assert resolve(client, tenant, "never sent").status_code == 429
    assert len(refusals(cluster, tenant)) == 1


TAKE = "SELECT is_granted FROM auditvault_take_lookup('token:x', 1, 10, 31536000)"


def begin(connect, tenant):
    connection = connect()
    connection.execute("BEGIN")
    connection.execute(f"SET LOCAL auditvault.tenant_id = '{tenant.tenant_id}'")
    return connection


def test_two_processes_at_once_cannot_exceed_the_limit(connect, tenant):
    first, second = begin(connect, tenant), begin(connect, tenant)
    assert first.execute(TAKE).fetchone() == (True,)
    late: list[object] = []
    waiting = threading.Thread(target=lambda: late.append(second.execute(TAKE).fetchone()))
    waiting.start()
    until_blocked(connect, second)
    first.execute("COMMIT")
    waiting.join()
    assert late == [(False,)]


def test_a_lookup_whose_transaction_fails_is_not_counted(connect, tenant):
    first, second = begin(connect, tenant), begin(connect, tenant)
    first.execute(TAKE)
    first.execute("ROLLBACK")
    assert second.execute(TAKE).fetchone() == (True,)


def until_blocked(connect, connection):
    """Return once the connection waits for another's lock."""
    watcher = connect()
    query = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
    while not watcher.execute(query, (connection.info.backend_pid,)).fetchone()[0]:
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO lookup_use VALUES (auditvault_tenant(), 'token:x', now(), 0, false)",
        "UPDATE lookup_use SET used = 0",
        "DELETE FROM lookup_use",
        "SELECT auditvault_open_window(auditvault_tenant(), 'token:x', now())",
    ],
)
def test_the_application_counts_through_the_function_alone(connect, tenant, statement):
    connection = begin(connect, tenant)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_without_a_tenant_nothing_is_counted(connect):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect().execute(TAKE)


# --- a miss is a miss ------------------------------------------------------------------------------------


def erase(cluster, tenant):
    """Mark every person of the tenant as erased, as the erasure workflow begins."""
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE vault_subject SET state = 'erased' WHERE tenant_id = %s AND kind <> 'tenant'",
            (tenant.tenant_id,),
        )


@contextmanager
def messages():
    """What this process says to its databases, as libpq itself writes it down: kinds of message and statements."""
    from django.db import connections

    from auditvault.ledger.scope import driver_connection

    said: list[str] = []
    opened = [each for each in connections.all(initialized_only=True) if each.connection]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for each in opened:
            path = Path(folder) / each.alias
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
            link = driver_connection(each).pgconn
            link.trace(descriptor)
            files.append((path, descriptor, link))
        yield said
        for path, descriptor, link in files:
            link.untrace()
            os.close(descriptor)
            said += [f"{path.name} {line}" for line in _requests(path.read_bytes())]


def _requests(trace):
    """Of each message to the server its kind, and a statement's text or name; values are left out."""
    for line in trace.decode(errors="replace").split("\n"):
        fields = line.split("\t")
        if len(fields) < 4 or fields[1] != "F":
            continue
        kind, rest = fields[3], fields[-1].strip()
        if "keyring_erasure_state" in rest:
            continue  # asked once a second, whatever is looked for
        if kind in {"Query", "Parse"}:
            yield f"{kind} {rest}"
        elif kind == "Bind":
            yield f"{kind} {rest.split(' ')[1]}"  # after the portal's name, the statement's
        else:
            yield kind


@pytest.fixture
def misses(client, tenant, other_tenant, cluster):
    """Four contents that are not to be found, each for a reason of its own."""
    record(client, other_tenant, chat("another tenant's"))
    regional = tenant.headers("ingest", regions=("us",))
    from tests.integration.ingest.sending import protobuf_of, send

    send(client, tenant, protobuf_of(chat("another region's")), headers=regional)
    record(client, tenant, *[chat("erased", user=f"{n}") for n in range(3)])
    erase(cluster, tenant)
    record(client, tenant, chat("still there"))
    return ["never sent", "another tenant's", "another region's", "erased"]


def test_every_miss_is_answered_with_the_same_bytes(client, tenant, misses):
    answers = [resolve(client, tenant, content) for content in misses]
    assert {(each.status_code, each.content) for each in answers} == {
        (404, answers[0].content),
    }
    headers = [dict(each.items()) for each in answers]
    assert headers == headers[:1] * len(misses)


def test_every_miss_takes_the_same_statements(client, tenant, misses):
    warm_up(client, tenant)
    seen = []
    for content in misses:
        with messages() as said:
            resolve(client, tenant, content)
        seen.append(said)
    assert sum("Bind" in line for line in seen[0]) > 4
    assert seen == seen[:1] * len(misses)


def test_a_hit_takes_more_statements_which_shows_that_they_are_seen(client, tenant, misses):
    warm_up(client, tenant)
    with messages() as missed:
        resolve(client, tenant, "never sent")
    with messages() as hit:
        assert revealed(resolve(client, tenant, "still there")) == ["still there"]
    assert len(hit) > len(missed)


def warm_up(client, tenant):
    """Keys are loaded, and psycopg has prepared what it has seen five times."""
    for _ in range(8):
        resolve(client, tenant, "never sent")
        resolve(client, tenant, "still there")


@contextmanager
def among_many(cluster, tenant_id):
    """The application's view as a tenant of 5,000 objects among two thousand of a few each; it is all taken back."""
    with superuser(cluster, "region_eu") as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "INSERT INTO vault_object"
            " SELECT (json_populate_record(one, json_build_object("
            "   'object_id', left(one.object_id::text, 24) || lpad(to_hex(n), 12, '0'),"
            "   'tag', '\\x' || lpad(to_hex(n), 64, '0')))).*"
            " FROM vault_object AS one, generate_series(1, 5000) AS n"
            " WHERE object_id = (SELECT min(object_id::text)::uuid FROM vault_object WHERE tenant_id = %s)",
            (tenant_id,),
        )
        (partition,) = connection.execute(
            "SELECT tableoid::regclass::text FROM vault_object WHERE tenant_id = %s LIMIT 1",
            (tenant_id,),
        ).fetchone()
        connection.execute(f"ALTER TABLE {partition} ALTER tenant_id SET (n_distinct = 2000)")
        connection.execute("ANALYZE vault_object")
        connection.execute("SET LOCAL ROLE auditvault_app")
        connection.execute(f"SET LOCAL auditvault.tenant_id = '{tenant_id}'")
        yield connection


def test_a_lookup_reads_its_own_objects_only_whatever_else_the_tenant_has(client, tenant, cluster):
    from auditvault.vault.opening import Among, is_anything_under, objects_by_tag

    record(client, tenant, chat("a content", user="somebody"))
    read, tag = [], bytes(31) + b"\x01"
    with among_many(cluster, tenant.tenant_id) as connection:

        class Explaining:
            def execute(self, query, values):
                rows = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", values)
                read.append(most_rows(rows.fetchone()[0][0]["Plan"]))
                return connection.execute(query, values)

        assert len(objects_by_tag(Explaining(), tag, 10)) == 1
        assert objects_by_tag(Explaining(), tag, 10, among=Among()) == []
        assert is_anything_under(Explaining(), tag)
    assert max(read) < 100


def most_rows(node):
    """Rows that the busiest node of a plan read, those counted that it threw away."""
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return max([own, *map(most_rows, node.get("Plans", ()))])


def test_every_miss_is_recorded_alike(client, tenant, misses, cluster):
    for content in misses:
        resolve(client, tenant, content)
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = 'resolve'",
            (tenant.tenant_id,),
        ).fetchall()
    found = [json.loads(bytes(row[0]))["details"] for row in rows]
    assert [details["objects"] for details in found] == [[]] * len(misses)
    assert len({len(bytes(row[0])) for row in rows}) == 1


def test_another_persons_equal_content_is_still_found(client, tenant, cluster):
    record(client, tenant, chat(SECRET, user="anna"))
    erase(cluster, tenant)
    record(client, tenant, chat(SECRET, user="berta"))
    assert revealed(resolve(client, tenant, SECRET)) == [SECRET]


@pytest.mark.parametrize(("there", "shown", "more"), [(100, 100, False), (101, 100, True)])
def test_more_than_a_hundred_are_said_to_be_more(client, tenant, monkeypatch, there, shown, more):
    from django.conf import settings

    monkeypatch.setattr(settings, "SUBJECTS_PER_DAY", 1000)
    record(client, tenant, *[chat(SECRET, user=f"person {n}") for n in range(there)])
    answer = resolve(client, tenant, SECRET).json()
    assert (len(answer["contents"]), answer["more"]) == (shown, more)
