"""People of a tenant, whoever gives them roles, and what its admin log says of that."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from tests.integration.ledger.superuser import superuser


@pytest.fixture
def access(service):
    """The modules under test: they hold models, which can be imported once Django is set up."""
    from auditvault.access import granting, humans, linking, machine_tokens, models, people, tokens
    from auditvault.access.custom_roles import services as custom_roles

    return SimpleNamespace(
        custom_roles=custom_roles,
        granting=granting,
        humans=humans,
        linking=linking,
        machine_tokens=machine_tokens,
        models=models,
        people=people,
        tokens=tokens,
    )


@pytest.fixture
def account(access, tenant):
    """Makes an account with roles in `eu`; of the human of another account where that is given."""

    def make(*roles, of=None, region="eu", place=tenant):
        fields = {"human": of.human} if of else {}
        user = access.models.User.objects.create_user(f"person-{uuid4().hex[:12]}", **fields)
        for role in roles:
            access.people.grant_role(
                username=user.username, tenant_slug=place.slug, region=region, role=role
            )
        return user

    return make


@pytest.fixture
def credential_of(access, tenant):
    """An account's credential on the test's tenant; as proved by a second factor unless said otherwise."""

    def make(user, *, region="eu", strong=True, place=tenant):
        from dataclasses import replace

        found = [p for p in access.people.places_of(user) if p.key == f"{place.slug}.{region}"]
        until = datetime.now(UTC) + timedelta(minutes=5) if strong else None
        return replace(access.people.credential_of(user, found[0]), strong_until=until)

    return make


@pytest.fixture
def strong_headers(access, tenant):
    """Request headers with a person's token that counts as proved by a second factor."""

    def make(user, *roles, regions=("eu",), place=tenant, strong=True):
        now = datetime.now(UTC)
        token = access.tokens.create_token(
            tenant_slug=place.slug,
            regions=regions,
            roles=roles,
            lifetime=timedelta(hours=1),
            now=now,
            human=user.human_id,
            strong_until=now + timedelta(hours=1) if strong else None,
        )
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture
def recorded(cluster, tenant):
    """`recorded("role.granted")` are the details of such records of the tenant's admin log, oldest first."""

    def read(action, *, region="eu", of=tenant.tenant_id):
        with superuser(cluster, f"region_{region}") as connection:
            rows = connection.execute(
                "SELECT header FROM admin_event WHERE tenant_id = %s AND action = %s ORDER BY record_id",
                (of, action),
            ).fetchall()
        return [json.loads(bytes(header))["details"] for (header,) in rows]

    return read


@pytest.fixture
def admin_log_closed(cluster):
    """A block in which the application may not insert admin records in `eu`."""

    @contextmanager
    def closed(region="eu"):
        with superuser(cluster, f"region_{region}") as connection:
            connection.execute("REVOKE INSERT ON admin_event FROM auditvault_app")
            try:
                yield
            finally:
                connection.execute("GRANT INSERT ON admin_event TO auditvault_app")

    return closed
