"""What becomes of accounts and of what proves them is in the operator's log before it is so."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime

import pytest

from tests.integration.ledger.superuser import superuser

from .conftest import PASSWORD, Visitor, code_at

NEW = "quite-a-long-password"


@pytest.fixture
def said(cluster):
    """`said(person)`: each entry about the account in a region, as its type and what else it says."""

    def read(person, region="eu"):
        with superuser(cluster, f"region_{region}") as connection:
            rows = connection.execute(
                "SELECT action, header FROM admin_event WHERE tenant_id = %s AND action LIKE 'account.%%'"
                " ORDER BY recorded_at, record_id",
                (uuid.UUID(int=0),),
            ).fetchall()
        found = [(action, json.loads(bytes(header))["details"]) for action, header in rows]
        account = f"user:{person.public_id.hex}"
        return [
            (action, {name: value for name, value in details.items() if name != "account"})
            for action, details in found
            if details.get("account") == account
        ]

    return read


@pytest.fixture
def invited(links, tenant):
    """Somebody with a role in `eu` who has not come yet, and the token that lets them in."""
    from auditvault.access.models import User

    name = f"p-{uuid.uuid4().hex[:20]}"
    token = links.invite(
        username=name,
        email=f"{name}@example.org",
        roles=[(tenant.slug, "eu", "viewer")],
        now=datetime.now(UTC),
    )
    return User.objects.get(username=name), token


def test_an_invitation_a_password_and_a_reset_are_entries_where_the_roles_are(links, invited, said):
    person, token = invited
    links.use(token, password=NEW, now=datetime.now(UTC))
    links.make_reset(username=person.username, now=datetime.now(UTC))

    operator, own = {"actor": "operator:cli"}, {"actor": f"user:{person.public_id.hex}"}
    assert said(person) == [
        ("account.invited", operator),
        ("account.password_set", own | {"by": "invitation"}),
        ("account.reset_made", operator),
    ]
    assert said(person, "us") == []


def test_who_has_no_role_is_in_the_log_of_every_region(links, said):
    from auditvault.access.models import User

    name = f"p-{uuid.uuid4().hex[:20]}"
    links.invite(username=name, email=f"{name}@example.org", now=datetime.now(UTC))

    person = User.objects.get(username=name)
    assert (
        said(person, "eu") == said(person, "us") == [("account.invited", {"actor": "operator:cli"})]
    )


def test_factors_that_come_and_go_are_entries(visitor, make_person, tenant, said):
    person = make_person({f"{tenant.slug}.eu": "viewer"}, password=PASSWORD)
    visitor.password(person.username)
    visitor.send("/sign-in/again", {"password": PASSWORD, "next": "/account/app/add"})
    page = visitor.client.get("/account/app/add").content.decode()
    secret = re.search(r'class="av-secret">(\w+)<', page)[1]
    csrf = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"code": code_at(secret), "csrfmiddlewaretoken": csrf}
    assert visitor.client.post("/account/app/add", form).status_code == 302
    assert visitor.send("/account/app/remove", {}).status_code == 302

    own = {"actor": f"user:{person.public_id.hex}", "factor": "app"}
    assert said(person) == [("account.factor_added", own), ("account.factor_removed", own)]


def test_an_operator_who_forgets_factors_is_in_the_log(make_strong, tenant, said):
    from auditvault.access.identity.recovery import forget_factors

    person, _ = make_strong({f"{tenant.slug}.eu": "viewer"})
    forget_factors(username=person.username)

    assert said(person) == [("account.factors_forgotten", {"actor": "operator:cli"})]


def test_what_cannot_be_recorded_is_not_done(links, invited, make_strong, tenant, monkeypatch):
    from allauth.mfa.models import Authenticator

    from auditvault.access import account_log

    def away(**_named):
        raise OSError("the log is away")

    person, token = invited
    strong, _ = make_strong({f"{tenant.slug}.eu": "viewer"})
    visitor = Visitor()
    monkeypatch.setattr(account_log, "record_operation", away)
    with pytest.raises(OSError, match="away"):
        links.use(token, password=NEW, now=datetime.now(UTC))
    from auditvault.access.identity.recovery import forget_factors

    with pytest.raises(OSError, match="away"):
        forget_factors(username=strong.username)

    assert links.look_up(token, now=datetime.now(UTC)).person == person
    assert Authenticator.objects.filter(user=strong).exists()
    assert not visitor.password(person.username, NEW).has_header("Location")


def test_of_several_roles_that_one_cannot_hold_together_none_is_in_the_log(links, tenant, cluster):
    from auditvault.core.policy.separation import SeparationError

    with pytest.raises(SeparationError):
        links.invite(
            username=f"p-{uuid.uuid4().hex[:20]}",
            email="a@example.org",
            roles=[(tenant.slug, "eu", "auditor"), (tenant.slug, "eu", "investigator")],
            now=datetime.now(UTC),
        )

    with superuser(cluster, "region_eu") as connection:
        assert not connection.execute(
            "SELECT FROM admin_event WHERE tenant_id = %s AND action = 'role.granted'",
            (tenant.tenant_id,),
        ).fetchall()
