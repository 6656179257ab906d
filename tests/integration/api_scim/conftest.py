"""A SCIM client of the test's tenant, against the whole service."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from tests.integration.access.conftest import (  # noqa: F401  # the same people and logs
    access,
    account,
    admin_log_closed,
    credential_of,
    recorded,
    strong_headers,
)

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@pytest.fixture
def scim_modules(service):
    from auditvault.access.scim import clients, groups, models, rights, users

    return SimpleNamespace(
        clients=clients, groups=groups, models=models, rights=rights, users=users
    )


def token_for(modules, tenant):
    from auditvault.access.tokens import tenant_of

    return modules.clients.create_client(
        tenant=tenant_of(tenant.slug), lifetime=timedelta(hours=1), now=datetime.now(UTC)
    )


class Provider:
    """An identity provider: its requests and what it makes."""

    def __init__(self, client, token):
        self.client, self.token = client, token

    def ask(self, method, path, body=None, **query):
        how = {}
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body)
            how = {"data": data, "content_type": "application/scim+json"}
        if query:
            how["query_params"] = query
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return getattr(self.client, method)(f"/scim/v2/{path}", headers=headers, **how)

    def user(self, **more):
        body = {"schemas": [USER], "userName": f"u-{uuid4().hex[:8]}@example.org", **more}
        answer = self.ask("post", "Users", body)
        assert answer.status_code == 201, answer.content
        return answer.json()

    def group(self, *members, **more):
        body = {
            "schemas": [GROUP],
            "displayName": f"g-{uuid4().hex[:8]}",
            "members": [{"value": member["id"]} for member in members],
            **more,
        }
        answer = self.ask("post", "Groups", body)
        assert answer.status_code == 201, answer.content
        return answer.json()

    def patch(self, path, *operations):
        return self.ask("patch", path, {"schemas": [PATCH], "Operations": list(operations)})

    def active(self, user, value):
        return self.patch(
            f"Users/{user['id']}", {"op": "replace", "path": "active", "value": value}
        )

    def join(self, group, *users):
        value = [{"value": user["id"]} for user in users]
        return self.patch(f"Groups/{group['id']}", {"op": "add", "path": "members", "value": value})

    def leave(self, group, user):
        path = f'members[value eq "{user["id"]}"]'
        return self.patch(f"Groups/{group['id']}", {"op": "remove", "path": path})


@pytest.fixture
def provider(client, tenant, scim_modules):
    return Provider(client, token_for(scim_modules, tenant))


@pytest.fixture
def other_provider(client, tenant, scim_modules):
    """Another client of the same tenant."""
    return Provider(client, token_for(scim_modules, tenant))


@pytest.fixture
def gives(scim_modules, tenant):
    """`gives(group, "viewer")` lets a group give a role."""

    def mapped(group, role, *, region="eu"):
        from uuid import UUID

        return scim_modules.rights.map_group(
            tenant_id=tenant.tenant_id,
            group=UUID(group["id"]),
            region=region,
            role=role,
            case="INC-1",
        )

    return mapped


@pytest.fixture
def account_of(scim_modules):
    """The account of a provisioned user."""
    return lambda user: scim_modules.models.ScimUser.objects.get(scim_id=user["id"]).account


@pytest.fixture
def held(access, account_of):  # noqa: F811
    """The roles that a provisioned user has."""

    def roles(user):
        return {
            role.value
            for place in access.people.places_of(account_of(user))
            for role in place.roles
        }

    return roles
