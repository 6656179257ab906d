"""Copies in a real S3 server with object lock: what it refuses, what it allows, and what becomes of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.evidence_copies.breaking import Faulty, Interrupted
from tests.integration.evidence_copies.conftest import REGION, Copying, verdict_on, write_trust
from tests.integration.evidence_copies.test_faults import WRITES
from tests.integration.ledger.superuser import superuser, tampering
from tests.reference.s3_server import ADMIN, SECONDS, WRITER, serving

DAYS = 30
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def bucket(server):
    name = f"worm-{uuid4().hex[:12]}"
    server.make_bucket(name)
    return name


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    """Where obstore finds them: in the environment, as an operator gives them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", WRITER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRITER[1])


def url_of(server, bucket):
    return f"s3://{bucket}/audit?region=us-east-1&endpoint={server.endpoint}"


def opened(server, bucket, *, days=DAYS):
    from auditvault.evidence.copies.object_store import open_object_store
    from auditvault.evidence.copies.place import Place

    until = datetime.now(UTC) + timedelta(days=days) if days else None
    place = Place.parse(url_of(server, bucket))
    return open_object_store(place, lock_mode="COMPLIANCE", lock_until=until)


@pytest.fixture
def copying(client, tenant, run_signer, server, bucket):
    found = Copying(client, tenant, run_signer, opened(server, bucket))
    found.record(300)
    return found


def downloaded(server, bucket, log, folder):
    """The copy as `aws s3 cp --recursive` would give it."""
    prefix = f"audit/logs/{log.origin}/"
    for key in {key for key, _ in server.versions(bucket, prefix)}:
        place = folder / key.removeprefix(prefix)
        place.parent.mkdir(parents=True, exist_ok=True)
        status, _, body = server.request("GET", f"/{bucket}/{key}")
        assert status == 200
        place.write_bytes(body)
    return folder


def test_a_downloaded_copy_holds_for_the_offline_verifier(
    copying, server, bucket, tmp_path, capsys
):
    copying.copy()
    copy = downloaded(server, bucket, copying.log, tmp_path / "copy")
    assert verdict_on(copy, write_trust(tmp_path / "trust", copying), capsys) == (0, 300)


def test_a_log_that_grew_is_copied_on_and_nothing_is_written_twice(copying, server, bucket):
    copying.copy()
    copying.record(50)
    copying.copy()
    assert copying.copy().objects == 0
    keys = [key for key, _ in server.versions(bucket, "audit/")]
    assert (copying.checkpoints(), len(keys)) == ([300, 350], len(set(keys)))


def test_every_object_is_locked_in_compliance_mode_until_the_day_that_was_asked_for(
    copying, server, bucket
):
    copying.copy()
    versions = server.versions(bucket, "audit/")
    assert len(versions) == 6
    for key, version in versions:
        _, headers, _ = server.request("HEAD", f"/{bucket}/{key}", {"versionId": version})
        until = datetime.fromisoformat(headers["x-amz-object-lock-retain-until-date"])
        assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
        assert timedelta(days=DAYS, minutes=-10) < until - datetime.now(UTC) <= timedelta(days=DAYS)


def test_a_locked_version_is_deleted_and_shortened_by_nobody(copying, server, bucket):
    """The server's administrator, with the right to pass over governance locks."""
    copying.copy()
    soon = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    shorter = (
        f"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{soon}</RetainUntilDate></Retention>"
    )
    bypass = {"x-amz-bypass-governance-retention": "true"}
    for key, version in server.versions(bucket, "audit/"):
        path, query = f"/{bucket}/{key}", {"versionId": version}
        assert server.request("DELETE", path, query, headers=bypass, key=ADMIN)[0] == 403
        changed = server.request("PUT", path, query | {"retention": ""}, shorter.encode(), bypass)
        assert changed[0] == 403
    assert copying.check() == []


def test_what_is_put_on_top_of_a_locked_version_leaves_it_and_is_found(copying, server, bucket):
    """Object lock does not forbid a newer version; a bucket policy can. The older one is the copy."""
    copying.copy()
    (checkpoint,) = [each for each in server.versions(bucket, "audit/") if "checkpoints" in each[0]]
    path = f"/{bucket}/{checkpoint[0]}"
    locked = server.request("GET", path)[2]
    assert server.request("PUT", path, body=b"forged", key=WRITER)[0] == 200
    assert copying.check() == [("copy_damaged", 299)]
    assert server.request("GET", path, {"versionId": checkpoint[1]})[2] == locked


def test_our_own_put_never_overwrites(copying, server, bucket):
    from auditvault.evidence.copies.store import CopyDiffersError, put_once

    store = copying.target.store
    assert [put_once(store, "ledger/us/x/1", b"one") for _ in range(2)] == [True, False]
    with pytest.raises(CopyDiffersError):
        put_once(store, "ledger/us/x/1", b"two")
    assert len(server.versions(bucket, "audit/ledger")) == 1


def test_without_days_of_our_own_the_buckets_rule_holds(client, tenant, run_signer, server):
    name = f"worm-{uuid4().hex[:12]}"
    server.make_bucket(name, default_days=7)
    copying = Copying(client, tenant, run_signer, opened(server, name, days=0))
    copying.record(3)
    copying.copy()
    for key, version in server.versions(name, "audit/"):
        _, headers, _ = server.request("HEAD", f"/{name}/{key}", {"versionId": version})
        assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
        assert server.request("DELETE", f"/{name}/{key}", {"versionId": version})[0] == 403


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("part", WRITES.values(), ids=WRITES)
def test_a_failed_put_is_made_good_by_the_next_run(copying, part, persisted):
    from auditvault.evidence.copies.store import StoreUnavailableError

    store = Faulty(copying.target.store, part, persisted=persisted)
    with pytest.raises(StoreUnavailableError):
        copying.copy(store)
    copying.copy(store)
    assert (copying.checkpoints(), copying.check()) == ([300], [])


@pytest.mark.parametrize("part", ["/tile/0/000", "/checkpoints/"])
def test_a_server_that_is_killed_on_the_way_is_gone_on_with(
    client, tenant, run_signer, tmp_path, capsys, part
):
    from auditvault.evidence.copies.store import StoreUnavailableError

    (tmp_path / "s3").mkdir()
    with serving(tmp_path / "s3") as server:
        server.make_bucket("worm")
        copying = Copying(client, tenant, run_signer, opened(server, "worm"))
        copying.record(300)
        with pytest.raises(StoreUnavailableError):
            copying.copy(Interrupted(copying.target.store, part, server.kill))
        server.start()
        wait_until_read(server, "worm")
        copying.copy()
        assert (copying.checkpoints(), copying.check()) == ([300], [])
        copy = downloaded(server, "worm", copying.log, tmp_path / "copy")
        trust = write_trust(tmp_path / "trust", copying)
        assert verdict_on(copy, trust, capsys) == (0, 300)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("AWS_SECRET_ACCESS_KEY", "canary-of-a-secret"), ("AWS_ACCESS_KEY_ID", "CANARYOFAKEY")],
)
def test_wrong_credentials_are_named_and_not_shown(
    copying, server, bucket, cluster, monkeypatch, caplog, variable, value
):
    """By the job, as an operator sees it: its row, its line in the log, and the whole chain of the error."""
    monkeypatch.setenv(variable, value)
    with caplog.at_level(logging.DEBUG):
        run = run_job(cluster, url_of(server, bucket))
    assert (run.outcome, run.detail) == ("failed", {"error": "copy_store_denied"})
    said = caplog.text + json.dumps(run.detail)
    assert "copy_store_denied" in said
    assert not [word for word in (*WRITER, value) if word in said]


@pytest.mark.parametrize("call", ["create", "read", "names", "folders"])
def test_every_call_says_denied_where_the_store_refuses(server, bucket, monkeypatch, call):
    from auditvault.evidence.copies.store import StoreDeniedError

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = opened(server, bucket)
    calls = {
        "create": lambda: store.create("a", b"x"),
        "read": lambda: store.read("a", 1),
        "names": lambda: list(store.names("a")),
        "folders": lambda: store.folders("a"),
    }
    with pytest.raises(StoreDeniedError) as found:
        calls[call]()
    assert found.value.__cause__ is None
    assert found.value.__suppress_context__


def test_names_come_in_order_from_the_known_one_on_over_pages(server, bucket, monkeypatch):
    from auditvault.evidence.copies.object_store import ObjectStore

    monkeypatch.setattr(ObjectStore, "PAGE", 2)
    store = opened(server, bucket, days=0)
    for n in (3, 1, 4, 0, 2):
        store.create(f"logs/a:1/us/x/checkpoints/{n}", b"x")
    folder = "logs/a:1/us/x/checkpoints"
    assert list(store.names(folder)) == ["0", "1", "2", "3", "4"]
    assert list(store.names(folder, "2")) == ["3", "4"]
    assert (store.folders("logs"), store.folders("logs/a:1/us")) == (["a:1"], ["x"])
    assert list(store.names("logs/none")) == store.folders("none") == []


def test_a_read_is_bounded(server, bucket):
    store = opened(server, bucket, days=0)
    store.create("a", b"x" * 1000)
    assert (store.read("a", 1000), store.read("a", 10)) == (b"x" * 1000, b"x" * 11)


def test_the_job_copies_a_region_and_the_daily_one_compares_it(copying, server, bucket, cluster):
    run = run_job(cluster, url_of(server, bucket), locked_days=DAYS)
    compared = run_job(cluster, url_of(server, bucket), name="verify_copies")
    # Other tests' logs in the region are copied too, and may be damaged by their tests on purpose.
    assert copying.log.origin not in run.detail["bad"] | compared.detail["bad"]
    assert copying.checkpoints() == [300]


def test_the_job_fails_with_the_first_bad_index(copying, server, bucket, cluster):
    run_job(cluster, url_of(server, bucket))
    with tampering(cluster, copying.log.tenant_id, "region_us") as connection:
        connection.execute(
            "UPDATE ledger_entry SET leaf_hash = sha256(leaf_hash) WHERE log_id = %s AND idx = 290",
            (copying.log.log_id,),
        )
        compared = run_job(cluster, url_of(server, bucket), name="verify_copies")
    origin = copying.log.origin
    assert compared.outcome == "failed"
    assert (compared.detail["bad"][origin], compared.detail["indices"][origin]) == (
        "copy_contradicts",
        290,
    )


def wait_until_read(server, bucket):
    """A server that has just begun knows its objects' names before it finds their content."""
    deadline = time.monotonic() + SECONDS
    for key, _ in server.versions(bucket, "audit/"):
        while server.request("GET", f"/{bucket}/{key}")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def run_job(cluster, url, *, name="copy", locked_days=0):
    """One of the product's own jobs, due now; its row."""
    from django.test import override_settings

    from auditvault.evidence.copies.jobs import copy_jobs
    from auditvault.evidence.jobs import last_runs, run_due

    with superuser(cluster, "region_us") as connection:
        connection.execute("DELETE FROM scheduled_job WHERE name = %s", (name,))
    with override_settings(COPIES_URLS={REGION: url}, COPIES_LOCK_DAYS=locked_days):
        jobs = [job for job in copy_jobs() if job.name == name]
        run_due(REGION, jobs, datetime.now(UTC))
    return next(run for run in last_runs(REGION) if run.name == name)


def documented_policy(bucket):
    """The how-to's bucket policy, for this bucket."""
    page = (ROOT / "docs/howto/keep-write-once-copies.md").read_text()
    (found,) = [block for block in page.split("```") if block.lstrip().startswith('{"Version"')]
    return json.loads(found.replace("audit-eu", bucket))


def put_policy(server, bucket, statements):
    body = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
    assert server.request("PUT", f"/{bucket}", {"policy": ""}, body)[0] == 204


def test_the_documented_policy_lets_nobody_delete_and_the_copy_go_on(copying, server, bucket):
    """Without it, a delete puts a marker on top of what is locked."""
    policy = documented_policy(bucket)["Statement"]
    deletes = [each for each in policy if each["Action"] == "s3:DeleteObject"]
    put_policy(server, bucket, deletes)
    copying.copy()
    versions = server.versions(bucket, "audit/")
    assert len(versions) == 6
    for key, _ in versions:
        for name in (WRITER, ADMIN):
            assert server.request("DELETE", f"/{bucket}/{key}", key=name)[0] == 403
    assert copying.check() == []


def test_the_documented_policy_refuses_what_would_be_put_on_top(copying, server, bucket):
    """This server knows no `s3:if-none-match`, as the how-to says: it then refuses every put, the safe side."""
    copying.copy()
    put_policy(server, bucket, documented_policy(bucket)["Statement"])
    key, _ = server.versions(bucket, "audit/")[0]
    for name in (WRITER, ADMIN):
        assert server.request("PUT", f"/{bucket}/{key}", body=b"forged", key=name)[0] == 403
    assert copying.check() == []
    unseen = server.request(
        "PUT", f"/{bucket}/new", body=b"", headers={"if-none-match": "*"}, key=WRITER
    )
    assert unseen[0] == 403


def test_every_write_bears_the_condition_that_the_documented_policy_asks_for(bucket):
    """Seen on the wire: the policy's own condition cannot be tried on the server here."""
    puts = []

    class Recorder(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            puts.append(self.headers["If-None-Match"])
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing: the test does."""

    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.endpoint = f"http://127.0.0.1:{server.server_port}"
        opened(server, bucket).create("tile/0/000", b"x")
        opened(server, bucket, days=None).create("tile/0/001", b"x")
        server.shutdown()
        thread.join()
    assert puts == ["*", "*"]
