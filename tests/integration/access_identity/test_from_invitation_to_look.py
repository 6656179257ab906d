"""What docs/howto/let-somebody-see-content.md says, step by step, from an invitation to a recorded look."""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from datetime import UTC, datetime, timedelta

from django.core.management import call_command

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser

from .conftest import PASSWORD, Visitor, code_at

SAID = "when does the shop open on Sunday"


def _invited(tenant, role: str) -> tuple[Visitor, str]:
    """Somebody who came by an invitation and added an authenticator app; and their token."""
    name = f"p-{uuid.uuid4().hex[:12]}"
    printed = io.StringIO()
    call_command(
        "person", "invite", name, "--email", f"{name}@example.org",
        "--role", f"{tenant.slug}.eu:{role}", stdout=printed,
    )  # fmt: skip
    visitor = Visitor()
    link = printed.getvalue().strip()
    visitor.client.get(link)
    visitor.send("/invitation", {"password": PASSWORD, "again": PASSWORD})
    page = visitor.client.get("/account/app/add").content.decode()
    secret = re.search(r'class="av-secret">(\w+)<', page)
    csrf = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert secret
    assert csrf
    # The page is asked for once: each time it shows another secret.
    visitor.client.post(
        "/account/app/add", {"code": code_at(secret[1]), "csrfmiddlewaretoken": csrf[1]}
    )
    made = visitor.send("/account/token", {"roles": role, "hours": "12"})
    token = re.search(r'<code id="token">(av_\w+_[\w-]+)</code>', made.content.decode())
    assert token, made.content.decode()
    return visitor, token[1]


def _lately() -> dict:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    return {"recorded_from": (now - hour).isoformat(), "recorded_before": (now + hour).isoformat()}


def _post(client, path: str, body: dict, token: str):
    return client.post(
        path,
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_a_new_person_comes_to_a_recorded_look_that_somebody_else_approved(client, tenant, cluster):
    record(client, tenant, chat(SAID))
    _, investigator = _invited(tenant, "investigator")
    _, officer = _invited(tenant, "privacy_officer")
    look = {
        "content_hash": f"sha256:{hashlib.sha256(SAID.encode()).hexdigest()}",
        "purpose": {
            "code": "COMPLAINT",
            "case": "INC-7",
            "reason": "The customer says that the answer was wrong",
        },
    }

    before = _post(client, "/api/v1/resolve", look, investigator)
    asked = _post(
        client,
        "/api/v1/access/grants",
        {"case": "INC-7", "codes": ["COMPLAINT"], "scope": _lately()},
        investigator,
    )
    path = f"/api/v1/access/approvals/{asked.json()['id']}/approve"
    own = _post(client, path, {}, investigator)
    agreed = _post(client, path, {}, officer)
    after = _post(client, "/api/v1/resolve", look, investigator)

    assert (before.status_code, before.json()["code"]) == (403, "grant_missing")
    assert asked.status_code == 201, asked.content
    assert own.status_code == 403
    assert agreed.status_code == 200, agreed.content
    assert after.status_code == 200, after.content
    assert SAID in after.json()["contents"][0]["content"]
    with superuser(cluster, "region_eu") as connection:
        row = connection.execute(
            "SELECT outcome, purpose_code, case_ref FROM access_event WHERE record_id = %s",
            (after.json()["access_record"],),
        ).fetchone()
    assert row == ("granted", "COMPLAINT", "INC-7")


def test_the_page_makes_no_token_with_a_role_that_the_person_has_not(client, tenant):
    visitor, _ = _invited(tenant, "viewer")

    answer = visitor.send("/account/token", {"roles": "investigator", "hours": "12"})

    assert answer.status_code == 400
    assert "av_" not in re.sub(r'class="[^"]*"', "", answer.content.decode())


def test_a_token_is_never_shown_to_who_is_not_signed_in(client, service):
    assert client.get("/account/token")["Location"].startswith("/sign-in")
