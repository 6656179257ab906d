"""People of a tenant who may see content, and people who review that."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.integration.evidence_reports.conftest import actor_of, ask, report  # noqa: F401
from tests.integration.ingest.sending import post
from tests.integration.vault.people import admin_events
from tests.staff import make_person

PATH = "/api/v1/access/reviews"


@dataclass(frozen=True)
class Desk:
    """Asks for reviews as somebody."""

    client: object

    def open(self, person, *roles, **members):
        return post(self.client, PATH, members, person.headers(*roles))

    def sign(self, person, review, *roles, remove=(), **members):
        decisions = [
            {"line": line["line"], "decision": "remove", "case": "REV-1"}
            if line["actor"] in remove
            else {"line": line["line"], "decision": "keep"}
            for line in review["list"]
        ]
        body = {"list_sha256": review["list_sha256"], "decisions": decisions} | members
        return post(self.client, f"{PATH}/{review['id']}/sign-off", body, person.headers(*roles))

    def get(self, person, *roles, review=None):
        path = PATH if review is None else f"{PATH}/{review}"
        return self.client.get(path, headers=person.headers(*roles))


@pytest.fixture
def desk(client):
    return Desk(client)


@pytest.fixture
def anna(tenant):
    """An investigator."""
    return make_person(tenant, "investigator")


@pytest.fixture
def auditor(tenant):
    return make_person(tenant, "auditor")


@pytest.fixture
def admin(tenant):
    """Somebody who gives roles."""
    return make_person(tenant, "security_admin")


@pytest.fixture
def given_by(tenant):
    """`given_by(admin, anna, "investigator")`: the admin log says so, as it does when roles are given by people."""
    from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
    from auditvault.ledger.scope import tenant_scope

    def say(giver, person, role):
        log = admin_log("eu", tenant.tenant_id)
        details = {"actor": actor_of(giver.user), "account": actor_of(person.user), "role": role}
        with tenant_scope("region_eu", tenant.tenant_id) as connection:
            record_in(
                connection,
                log,
                record_id=new_record_id(connection),
                action="role.granted",
                details=details,
            )

    return say


@pytest.fixture
def entries(tenant, cluster):
    """`entries()` are the actions in the tenant's admin log, oldest first."""
    return lambda: [action for action, _ in admin_events(cluster, tenant)]
