"""A copy over HTTP: two people, the scheduled work with the real detector, and a stranger with openssl."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from urllib.parse import urlencode

import pytest

from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.test_erasing_api import ASKED, NAME, REQUESTS, api, staff_of_both

__all__ = ["api", "staff_of_both"]

FETCH = "/api/v1/privacy/packages/fetch"
OWN, OTHER = "anna.own@example.org", "someone.else@example.com"
COPY = ASKED | {
    "kind": "access",
    "regions": [],
    "identifiers": [{"kind": "user", "value": NAME}, {"kind": "email", "value": OWN}],
}


def work():
    from auditvault.privacy.tasks import carry_out_requests

    for _ in range(2):
        carry_out_requests("eu")


def ordered(api):
    """A request whose file is made; its path, and the passphrase."""
    status, body = api(REQUESTS, COPY)
    assert status == 201, body
    where = f"{REQUESTS}/{body['id']}"
    for step in ("ask-identity", "verify-identity", "freeze", "assess", "ask-approval"):
        status, body = api(f"{where}/{step}", {})
        assert status == 200, body
    assert api(f"{where}/packages", {}, by="officer")[0] == 409
    assert api(f"{where}/approve", {"manifest": body["manifest"]}, by="officer")[0] == 200
    status, body = api(f"{where}/packages", {}, by="officer")
    assert status == 201, body
    work()
    return where, body["passphrase"]


def opened(archive, passphrase, tmp_path):
    """With openssl, as OPEN.txt says."""
    with zipfile.ZipFile(io.BytesIO(archive)) as outer:
        outer.extractall(tmp_path)
        how = outer.read("OPEN.txt").decode()
    command = next(line for line in how.splitlines() if line.strip().startswith("openssl"))
    subprocess.run(
        [*command.split(), "-passin", f"pass:{passphrase}"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(tmp_path / "package.zip") as inner:
        return {name: inner.read(name).decode() for name in inner.namelist()}


@pytest.fixture
def said(client, tenant):
    text = f"I am {OWN}. Write to {OTHER}."
    body = protobuf_of(chat(text, user=NAME))
    headers = tenant.headers("ingest", regions=("eu",))
    assert send(client, tenant, body, headers=headers).status_code == 200


def test_a_person_fetches_their_data_once_and_opens_it(client, api, said, tmp_path):
    where, passphrase = ordered(api)
    assert api(where)[1]["state"] == "notifying"
    status, link = api(f"{where}/packages/link", {})
    assert status == 201, link

    page = client.get(FETCH)
    first = client.post(
        link["path"],
        urlencode({"code": link["code"]}),
        content_type="application/x-www-form-urlencoded",
    )
    second = client.post(FETCH, json.dumps({"code": link["code"]}), content_type="application/json")
    never = client.post(FETCH, json.dumps({"code": "x"}), content_type="application/json")
    work()

    assert "<form" in page.content.decode()
    assert first.status_code == 200
    files = opened(first.content, passphrase, tmp_path)
    assert OWN in files["data.json"]
    assert not any(OTHER in text for text in files.values())
    assert "EMAIL_ADDRESS_1" in files["index.html"]
    assert (second.status_code, second.content) == (never.status_code, never.content)
    assert second.status_code == 404
    status, shown = api(f"{where}/packages")
    assert (status, shown["packages"][0]["package_state"]) == (200, "delivered")
    assert api(where)[1]["state"] == "certified"


def test_the_officer_who_orders_makes_no_link(api, said):
    where, _ = ordered(api)

    status, body = api(f"{where}/packages/link", {}, by="officer")

    assert (status, body["code"]) == (403, "access_denied")


def test_what_is_recorded_of_a_copy_names_nobody(api, said, cluster, tenant):
    where, passphrase = ordered(api)
    api(f"{where}/packages/link", {})

    with superuser(cluster, "region_eu") as connection:
        headers = [
            bytes(row[0]).decode()
            for table in ("admin_event", "access_event")
            for row in connection.execute(
                f"SELECT header FROM {table} WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchall()
        ]

    assert any('"package.made"' in header for header in headers)
    assert not any(word in header for header in headers for word in (NAME, OWN, OTHER, passphrase))
