"""Alerts of a tenant, receivers that are really there, and a round of delivering."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.integration.access_alerts.smtp_sink import running_sink
from tests.integration.ledger.superuser import superuser
from tests.integration.loopback_only import loopback_only  # noqa: F401  # fixture
from tests.integration.vault_providers.serving import Answered, Server

LOOPBACK = ("127.0.0.0/8", "::1/128")


@pytest.fixture
def raise_alert(tenant):
    """`raise_alert(kind, …)` raises one for the test's tenant in eu, committed; returns its id."""
    from auditvault.access.alerts.services import raise_within
    from auditvault.core.policy.alerts import AlertKind
    from auditvault.ledger.scope import tenant_scope

    def raised(kind=AlertKind.TEST, **details):
        with tenant_scope("region_eu", tenant.tenant_id) as connection:
            return raise_within(
                connection, tenant_id=tenant.tenant_id, region="eu", kind=kind, details=details
            )

    return raised


@pytest.fixture
def deliver(service, cluster, tenant):
    """One round of the task in eu, in which nobody else's alerts are due: other tests raise some."""
    from auditvault.access.alerts.delivery import deliver_due

    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE access_alert_delivery SET due_at = now() + interval '1 day'"
            " WHERE tenant_id <> %s AND state = 'due'",
            (tenant.tenant_id,),
        )

    def once(post_seconds=5.0):
        return deliver_due("eu", clock=lambda: datetime.now(UTC), post_seconds=post_seconds)

    return once


@pytest.fixture
def deliveries(cluster, tenant):
    """(state, outcome, attempts) of each delivery of the tenant's alerts, finding the receivers left out."""

    def found():
        with superuser(cluster, "region_eu") as connection:
            return connection.execute(
                "SELECT state, outcome, attempts FROM access_alert_delivery WHERE tenant_id = %s"
                " AND receiver_id <> '00000000-0000-0000-0000-000000000000' ORDER BY receiver_id, recipient_id",
                (tenant.tenant_id,),
            ).fetchall()

    return found


@pytest.fixture
def due_again(cluster, tenant):
    """Let the time until the tenant's next attempts go by."""

    def at_once():
        with superuser(cluster, "region_eu") as connection:
            connection.execute(
                "UPDATE access_alert_delivery SET due_at = now() WHERE tenant_id = %s AND state = 'due'",
                (tenant.tenant_id,),
            )

    return at_once


@pytest.fixture
def loopback_allowed():
    """This machine may be connected to, as an operator with a receiver of their own would say."""
    from django.test import override_settings

    from auditvault.core.policy.addresses import networks_of

    with override_settings(OUTBOUND_ALLOWED_NETWORKS=networks_of(LOOPBACK)):
        yield


@pytest.fixture
def receiver(loopback_allowed):
    """A web server that takes webhooks; `.asked` is what it got."""
    server = Server(lambda _asked: Answered(204, b""))
    yield server
    server.stop()


@pytest.fixture
def hook(tenant, receiver):
    """The receiver as the tenant's webhook: its id and secret."""
    from auditvault.access.receivers.services import add_webhook

    return add_webhook(
        actor="operator:cli", tenant_id=tenant.tenant_id, url=f"{receiver.url}/hook?of=us"
    )


@pytest.fixture
def sink():
    """A mail server, which the settings name."""
    from django.test import override_settings

    with (
        running_sink() as found,
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=found.port,
        ),
    ):
        yield found


@pytest.fixture
def person(tenant):
    """`person(role, …)` makes somebody with the role in the tenant's regions; returns the account."""
    from uuid import uuid4

    from auditvault.access.models import User
    from auditvault.access.people import grant_role

    def made(*roles, email="", region="eu"):
        name = f"p-{uuid4().hex[:12]}"
        account = User.objects.create(username=name, email=email)
        for role in roles:
            grant_role(username=name, tenant_slug=tenant.slug, region=region, role=role)
        return account

    return made
