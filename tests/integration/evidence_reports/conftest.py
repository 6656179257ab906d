"""People with roles, acts on any day, and reports as an auditor gets them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.integration.ingest.sending import post
from tests.integration.ledger.superuser import superuser


@pytest.fixture
def ask(client, tenant):
    """`ask("looks", role="auditor", of=tenant, …)` is the service's answer; other words are members of the request."""

    def run(name, *, role="auditor", of=tenant, headers=None, **members):
        body = {"name": name, **members}
        return post(client, "/api/v1/access/reports", body, headers or of.headers(role))

    return run


@pytest.fixture
def report(ask):
    """`report("looks", …)` is the report's rows; its footer was checked against its bytes."""

    def run(name, **words):
        answer = ask(name, **words)
        assert answer.status_code == 200, answer.content
        lines = answer.content.split(b"\n")
        said = json.loads(answer.content)
        assert said["footer"]["sha256"] == hashlib.sha256(lines[1]).hexdigest()
        assert said["footer"]["rows"] == len(said["body"]["rows"])
        return said["body"]["rows"]

    return run


@pytest.fixture
def account(service, tenant):
    """`account("auditor", …)` makes a person with roles in `eu`; of the human of another account if given."""
    from auditvault.access.models import User
    from auditvault.access.people import grant_role

    def make(*roles, of=None, at=tenant, username=None):
        fields = {"human": of.human} if of else {}
        user = User.objects.create_user(username or f"person-{uuid4().hex[:12]}", **fields)
        for role in roles:
            grant_role(username=user.username, tenant_slug=at.slug, region="eu", role=role)
        return user

    return make


@pytest.fixture
def act(service, tenant):
    """`act("resolve", actor=…, days_ago=3, objects=[…])` records something that somebody did."""
    from auditvault.access.events.services import Act, record_act
    from auditvault.core.policy.access import Purpose, PurposeCode

    def make(
        action,
        *,
        actor,
        role="investigator",
        outcome="granted",
        days_ago=0,
        case=None,
        code="INCIDENT",
        at=tenant,
        **details,
    ):
        purpose = None
        if case:
            purpose = Purpose(
                code=PurposeCode(code), case=case, reason="Somebody complained about an answer"
            )
        return record_act(
            region="eu",
            tenant_id=at.tenant_id,
            act=Act(
                actor=actor,
                actor_role=role if outcome == "granted" else None,
                action=action,
                outcome=outcome,
                details=details,
                purpose=purpose,
            ),
            now=datetime.now(UTC) - timedelta(days=days_ago),
        )

    return make


@pytest.fixture
def recorded(cluster, tenant):
    """`recorded("report")` are the headers of the tenant's access records of that action, oldest first."""

    def read(action, of=tenant):
        with superuser(cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT header FROM access_event WHERE tenant_id = %s AND action = %s ORDER BY record_id",
                (of.tenant_id, action),
            ).fetchall()
        return [json.loads(bytes(header)) for (header,) in rows]

    return read


def actor_of(user):
    return f"user:{user.public_id.hex}"


def token_id(token):
    return f"token:{token.split('_')[1]}"
