"""A whole erasure over HTTP: two regions, a hold, two people, and a certificate that a stranger verifies."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from auditvault.verifier.main import main as verify
from tests.integration.privacy.erasing import BOTH, say, turn_epochs
from tests.integration.vault.looking import resolve, revealed
from tests.staff import make_person

REQUESTS = "/api/v1/privacy/requests"
HOLDS = "/api/v1/privacy/holds"
NAME = "anna-of-the-test"
ASKED = {
    "kind": "erasure",
    "regime": "gdpr",
    "calendar": {"country": "DE", "zone": "Europe/Berlin"},
    "identifiers": [{"kind": "user", "value": NAME}],
    "regions": ["us"],
}
ROLES = {
    "operator": "privacy_operator",
    "officer": "privacy_officer",
    "lawyer": "legal",
    "second": "legal",
}


@pytest.fixture
def staff_of_both(service, tenant):
    return {name: make_person(tenant, role, regions=BOTH) for name, role in ROLES.items()}


@pytest.fixture
def api(client, staff_of_both):
    """Says something to the API as one of them; returns the status and the body."""
    headers = {
        name: staff_of_both[name].headers(role) | {"Auditvault-Region": "eu"}
        for name, role in ROLES.items()
    }

    def call(path, body=None, *, by="operator"):
        if body is None:
            answer = client.get(path, headers=headers[by])
        else:
            answer = client.post(
                path, json.dumps(body), content_type="application/json", headers=headers[by]
            )
        assert NAME not in answer.content.decode()
        is_json = "json" in answer["Content-Type"]
        return answer.status_code, answer.json() if is_json else answer.content

    return call


def work():
    """What the workers of both regions do."""
    from auditvault.privacy.tasks import carry_out_requests

    for _ in range(2):
        for region in BOTH:
            carry_out_requests(region)


def state(api, where):
    status, body = api(where)
    assert status == 200, body
    return body["state"]


def frozen(api):
    """A request with what was found for it; its path and its manifest's digest."""
    status, body = api(REQUESTS, ASKED)
    assert status == 201, body
    where = f"{REQUESTS}/{body['id']}"
    for step in ("ask-identity", "verify-identity"):
        assert api(f"{where}/{step}", {})[0] == 200
    status, body = api(f"{where}/freeze", {})
    assert (status, body["state"]) == (200, "scoped")
    return where, body["manifest"]


def approved(api):
    where, digest = frozen(api)
    for step in ("assess", "ask-approval"):
        assert api(f"{where}/{step}", {})[0] == 200
    assert api(f"{where}/approve", {"manifest": digest}, by="officer")[0] == 200
    return where


def hold(api, staff_of_both, subject):
    status, body = api(
        HOLDS,
        {
            "scope": {"kind": "subject", "subjects": [subject]},
            "reference": "CASE-2026-7",
            "reason": "The matter of that person against us, second instance.",
            "custodian": str(staff_of_both["second"].human),
            "review_on": (datetime.now(UTC) + timedelta(days=90)).date().isoformat(),
        },
        by="lawyer",
    )
    assert status == 201, body
    return body["id"]


def release(api, hold_id):
    plan = api(f"{HOLDS}/{hold_id}", by="lawyer")[1]["release_plan"]
    asked = api("/api/v1/access/approvals", {"plan": plan, "case": "CASE-2026-7"}, by="lawyer")[1]
    assert api(f"/api/v1/access/approvals/{asked['id']}/approve", {}, by="second")[0] == 200
    given = {"approval_id": asked["id"]}
    assert api(f"{HOLDS}/{hold_id}/release", given, by="lawyer")[0] == 200


def test_an_erasure_goes_over_http_from_intake_to_a_certificate_that_a_stranger_verifies(
    client, tenant, cluster, api, staff_of_both, tmp_path, capsys
):
    from django.conf import settings

    say(client, tenant, "a secret", "another", user=NAME, region="eu")
    say(client, tenant, "a third", user=NAME, region="us")

    where, digest = frozen(api)
    status, found = api(f"{where}/manifest")
    assert (status, found["manifest"]) == (200, digest)
    assert [(each["region"], each["objects"]) for each in found["regions"]] == [
        ("eu", 2),
        ("us", 1),
    ]
    assert [each["part_state"] for each in found["parts"]] == ["waiting", "waiting"]
    hold_id = hold(api, staff_of_both, found["regions"][0]["subjects"][0])
    assert api(f"{where}/discovery")[1]["regions"][0]["holds"] == [hold_id]
    for step in ("assess", "ask-approval"):
        assert api(f"{where}/{step}", {})[0] == 200
    assert api(f"{where}/approve", {"manifest": digest})[0] == 403
    assert api(f"{where}/approve", {"manifest": "0" * 64}, by="officer")[0] == 409
    assert api(f"{where}/approve", {"manifest": digest}, by="officer")[0] == 200

    work()
    assert state(api, where) == "held"
    parts = api(f"{where}/manifest")[1]["parts"]
    assert [(each["part_state"], each["holds"]) for each in parts] == [
        ("held", [hold_id]),
        ("done", []),
    ]
    assert revealed(resolve(client, tenant, "a secret")) == ["a secret"]

    release(api, hold_id)
    work()
    assert state(api, where) == "backup_pending"
    assert revealed(resolve(client, tenant, "a secret")) == []
    assert api(f"{where}/certificate")[1]["code"] == "request_certificate_not_found"
    turn_epochs()
    work()
    assert state(api, where) == "certified"

    status, certificate = api(f"{where}/certificate")
    assert status == 200
    file, trust = tmp_path / "request.certificate", tmp_path / "trust.json"
    file.write_bytes(certificate)
    trust.write_text(trust_of(cluster))
    ledgers = [f"--ledger={region}={settings.ERASURE_LEDGER_DIRS[region]}" for region in BOTH]
    assert verify(["certificate", str(file), "--trust", str(trust), *ledgers]) == 0
    assert "does not hold" not in capsys.readouterr().out


def trust_of(cluster):
    """The trust file that `auditvault up` writes for this instance."""
    from auditvault.cli.up.home import Home
    from auditvault.cli.up.keys import SecretStore

    store = SecretStore(Home(path=cluster.site.home).secrets, may_create=False)
    return store.trust_file_content(regions=BOTH, log_host="localhost")
