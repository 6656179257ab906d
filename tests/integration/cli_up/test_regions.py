"""A region is added by a setting and one command, and a process without a region's credentials says so."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from auditvault.cli.up.sockets import free_port
from tests.integration.ingest.sending import chat, headers_of, protobuf_of, record

ROOT = Path(__file__).resolve().parents[3]
REGION = "ch"


def moved(environment):
    """The environment of a process that serves the new region alone, by what it has for eu."""
    found = {name: value for name, value in environment.items() if "_EU_" not in name}
    for name, value in environment.items():
        if "_EU_" in name and name.endswith("_URL"):
            parts = urlsplit(value)
            found[name.replace("_EU_", "_CH_")] = urlunsplit(
                parts._replace(path=parts.path.replace("_eu", "_ch"))
            )
    return found | {"AUDITVAULT_REGIONS": REGION}


@pytest.fixture
def root_key(tmp_path):
    path = tmp_path / "ch.key"
    path.touch(mode=0o600)
    path.write_text(os.urandom(32).hex())
    return path


@pytest.fixture
def owner(cluster, root_key):
    """What the operator sets to add the region."""
    yield moved(cluster.environment("owner")) | {
        "AUDITVAULT_ROOT_KEY_CH_FILE": str(root_key),
        "DATABASE_URL": cluster.postgres.superuser_dsn,
    }
    with psycopg.connect(cluster.postgres.superuser_dsn, autocommit=True) as server:
        for name in ("region_ch", "keys_ch"):
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            server.execute(drop.format(sql.Identifier(name)))


def run(environment, *words):
    """Exit code and answer of `auditvault region`."""
    done = subprocess.run(
        [sys.executable, "-m", "django", "region", *words, "--json"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def missing(answer):
    return [
        (step["name"], step["detail"]) for step in answer["steps"] if step["state"] == "missing"
    ]


def test_one_command_makes_a_region_that_works(owner, cluster, root_key, tmp_path):
    code, answer = run(owner, "add", REGION)
    assert (code, answer["ready"], missing(answer)) == (0, True, [])
    ledger = tmp_path / "erasures"
    ledger.mkdir(mode=0o700)
    served = moved(cluster.environment("operator")) | {
        "AUDITVAULT_ROOT_KEY_CH_FILE": str(root_key),
        "AUDITVAULT_ERASURE_LEDGER_CH_DIR": str(ledger),
    }
    done = subprocess.run(
        [sys.executable, "-c", _USES_IT],
        env=served,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 recorded, found again\n", "")


_USES_IT = """
import django; django.setup()
from datetime import UTC, datetime
from uuid import uuid4
from auditvault.ingest.otlp.traces import decode_traces
from auditvault.ingest.services import ingest
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.opening import objects_by_tag
from auditvault.vault.services import lookup_tag
from hashlib import sha256
from tests.integration.ingest.sending import chat, protobuf_of
tenant = uuid4()
sent = decode_traces(protobuf_of(chat("hello")), "protobuf").interactions
made = ingest(region="ch", tenant_id=tenant, source="token:made", interactions=sent, received_at=datetime.now(UTC))
tag = lookup_tag(region="ch", tenant_id=tenant, content_sha256=sha256(b"hello").digest())
with tenant_scope(region_alias("ch"), tenant) as connection:
    assert len(objects_by_tag(connection, tag, 10)) == 1
print(len(made.recorded), "recorded, found again")
"""


def test_a_region_that_is_ready_is_left_as_it_is(owner):
    run(owner, "add", REGION)
    for action in ("check", "add"):
        code, answer = run(owner, action, REGION)
        assert (code, missing(answer)) == (0, [])
    assert {step["state"] for step in answer["steps"] if step["name"] != "databases"} == {"ok"}


def test_looking_changes_nothing_and_names_the_databases_that_are_missing(owner, cluster):
    code, answer = run(owner, "check", REGION)
    assert (code, [name for name, _ in missing(answer)]) == (1, ["databases"])
    assert "region_ch cannot be reached" in answer["steps"][0]["detail"]
    with psycopg.connect(cluster.postgres.superuser_dsn) as server:
        row = server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE '%_ch'")
        assert row.fetchone() == (0,)


def test_without_an_administrator_the_databases_are_asked_for(owner):
    del owner["DATABASE_URL"]
    code, answer = run(owner, "add", REGION)
    assert (code, len(missing(answer))) == (1, 1)
    assert "deploy/postgres/README.md" in answer["steps"][0]["detail"]


def test_without_a_root_key_the_key_is_what_is_missing(owner):
    del owner["AUDITVAULT_ROOT_KEY_CH_FILE"]
    code, answer = run(owner, "add", REGION)
    assert (code, [name for name, _ in missing(answer)]) == (1, ["key"])


def test_the_wrong_root_key_is_found(owner, root_key):
    run(owner, "add", REGION)
    root_key.write_text(os.urandom(32).hex())
    code, answer = run(owner, "add", REGION)
    assert (code, [name for name, _ in missing(answer)]) == (1, ["key"])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("GRANT UPDATE ON ledger_entry TO auditvault_app", "ledger_entry"),
        ("GRANT CONNECT ON DATABASE region_ch TO PUBLIC", "PUBLIC"),
        ("REVOKE CONNECT ON DATABASE region_ch FROM auditvault_signer", "auditvault_signer"),
    ],
)
def test_rights_that_are_wrong_are_named(owner, cluster, change, found):
    run(owner, "add", REGION)
    with psycopg.connect(owner["AUDITVAULT_REGION_CH_URL"], autocommit=True) as connection:
        connection.execute(change)
    del owner["DATABASE_URL"]
    code, answer = run(owner, "check", REGION)
    assert code == 1
    assert {name for name, _ in missing(answer)} == {"rights"}
    assert any(found in detail for _, detail in missing(answer))


def test_the_applications_role_is_told_who_can_look(owner, cluster):
    run(owner, "add", REGION)
    served = moved(cluster.environment("web"))
    code, answer = run(served, "check", REGION)
    assert code == 1
    assert "auditvault_owner" in missing(answer)[0][1]


def test_a_url_that_leads_to_another_database_is_found(owner, cluster):
    run(owner, "add", REGION)
    owner["AUDITVAULT_KEYS_CH_URL"] = owner["AUDITVAULT_REGION_CH_URL"]
    code, answer = run(owner, "check", REGION)
    assert (code, "leads to region_ch" in missing(answer)[0][1]) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("region", "check", "us"),
        ("verify", "--region", "us"),
        ("payload_policy", "show", "--region", "us"),
        ("bundle", "create", "--tenant", "SLUG", "--region", "us", "-o", "/nowhere/x"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_without_the_regions_credentials_says_so(cluster, tenant, words):
    done = subprocess.run(
        [sys.executable, "-m", "django", *[word.replace("SLUG", tenant.slug) for word in words]],
        env=cluster.environment("operator", regions=["eu"]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "us" in done.stderr
    assert "eu" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def eu_alone(cluster):
    """The address of a web process that has the credentials of eu and of no other region."""
    environment = cluster.environment("web", regions=["eu"])
    assert not any("_US_" in name for name in environment)
    port = free_port()
    server = subprocess.Popen(
        [
            sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
            "--port", str(port), "--log-level", "warning", "settings.wsgi:application",
        ],
        env=environment,
        cwd=ROOT,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


def ask(url, headers, body=None):
    """Status, headers and body of an answer."""
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_a_process_with_eus_credentials_alone_serves_eu_and_says_so_when_asked_for_us(
    eu_alone, tenant
):
    both = tenant.headers("ingest", regions=("eu", "us"))
    reader = tenant.headers("auditor", regions=("eu", "us"))
    body = protobuf_of(chat("hello"))
    protobuf = {"Content-Type": "application/x-protobuf"}
    asked = {region: {"Auditvault-Region": region} for region in ("eu", "us")}

    ours = ask(f"{eu_alone}/v1/traces", both | protobuf | asked["eu"], body)
    theirs = ask(f"{eu_alone}/v1/traces", both | protobuf | asked["us"], body)
    read = ask(f"{eu_alone}/api/v1/logs", reader | asked["us"])

    assert ours[0] == 200
    assert theirs[0] == 503
    assert b"does not serve the region 'us'" in theirs[2]
    assert theirs[1]["Retry-After"]
    assert read[0] == 503
    assert json.loads(read[2])["code"] == "region_unavailable"


CLAIMS = {
    "cloud.region": "us",
    "auditvault.region": "us",
    "region": "us",
    "deployment.environment": "us",
    "tenant.region": "us",
}


def test_a_records_region_is_its_credentials_and_never_its_contents(client, tenant):
    record(client, tenant, chat('{"region": "us", "v": "us"}', attributes=CLAIMS))
    assert len(headers_of(client, tenant)) == 1
    elsewhere = client.post(
        "/api/v1/traces/search",
        data="{}",
        content_type="application/json",
        headers=tenant.headers("engineer", regions=("us",)),
    )
    assert elsewhere.json()["interactions"] == []


def test_a_header_of_another_region_than_the_tokens_is_refused(client, tenant):
    answer = client.post(
        "/v1/traces",
        data=protobuf_of(chat("hello")),
        content_type="application/x-protobuf",
        headers=tenant.headers("ingest") | {"Auditvault-Region": "us"},
    )
    assert answer.status_code == 403
