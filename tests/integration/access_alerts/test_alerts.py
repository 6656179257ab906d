"""Raising alerts, finding who hears of them, and delivering them by e-mail."""

from __future__ import annotations

import json
from uuid import uuid4

import psycopg
import pytest

from tests.integration.ledger.superuser import superuser


def entries(cluster, tenant, action="alert.raised"):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT record_id, header FROM admin_event WHERE tenant_id = %s AND action = %s ORDER BY record_id",
            (tenant.tenant_id, action),
        ).fetchall()
    return {record_id: json.loads(bytes(header))["details"] for record_id, header in rows}


def test_an_alert_is_recorded_in_the_tenants_admin_log_under_its_own_id(
    cluster, tenant, raise_alert
):
    alert_id = raise_alert(actor="user:1", case="INC-1")
    assert entries(cluster, tenant) == {
        alert_id: {"alert": "test", "actor": "user:1", "case": "INC-1"}
    }


def test_an_alert_goes_with_the_transaction_that_fails(cluster, tenant):
    from auditvault.access.alerts.services import raise_within
    from auditvault.core.policy.alerts import AlertKind
    from auditvault.ledger.scope import tenant_scope

    def broken():
        with tenant_scope("region_eu", tenant.tenant_id) as connection:
            raise_within(
                connection,
                tenant_id=tenant.tenant_id,
                region="eu",
                kind=AlertKind.TEST,
                details={},
            )
            raise LookupError

    with pytest.raises(LookupError):
        broken()
    assert entries(cluster, tenant) == {}
    with superuser(cluster, "region_eu") as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM access_alert WHERE tenant_id = %s) +"
            " (SELECT count(*) FROM access_alert_delivery WHERE tenant_id = %s)",
            (tenant.tenant_id, tenant.tenant_id),
        ).fetchone()
    assert left == (0,)


def test_a_log_with_alerts_verifies(tenant, raise_alert, run_signer):
    from auditvault.ledger.logs import tenant_logs

    raise_alert()
    raise_alert()
    (log,) = tenant_logs(region="eu", tenant_id=tenant.tenant_id)
    assert log.kind == "admin"
    run_signer()
    from auditvault.ledger.scope import tenant_scope
    from auditvault.ledger.selectors import latest_checkpoint

    with tenant_scope("region_eu", tenant.tenant_id) as connection:
        assert latest_checkpoint(connection, log).size == 2


# --- who hears of it -------------------------------------------------------------------------------------


def mailed(sink):
    return sorted(address for recipients, _ in sink.messages for address in recipients)


def test_without_receivers_the_people_of_the_default_roles_are_written_to(
    tenant, raise_alert, deliver, deliveries, sink, person
):
    person("privacy_officer", email="officer@example.org")
    person("security_admin", email="admin@example.org")
    person("viewer", email="viewer@example.org")
    raise_alert(actor="user:1")
    deliver()
    assert mailed(sink) == ["admin@example.org", "officer@example.org"]
    assert deliveries() == [("delivered", "mailed", 1)] * 2


def test_a_receiver_of_the_tenants_own_takes_the_place_of_the_default(
    tenant, raise_alert, deliver, sink, person
):
    from auditvault.access.receivers.services import add_role

    person("privacy_officer", email="officer@example.org")
    person("legal", email="legal@example.org")
    add_role(actor="operator:cli", tenant_id=tenant.tenant_id, role="legal")
    raise_alert()
    deliver()
    assert mailed(sink) == ["legal@example.org"]


def test_a_receiver_for_other_kinds_or_regions_is_not_told(
    tenant, raise_alert, deliver, sink, person
):
    from auditvault.access.receivers.services import add_role

    person("privacy_officer", email="officer@example.org")
    person("legal", email="legal@example.org")
    add_role(actor="operator:cli", tenant_id=tenant.tenant_id, role="legal", kinds=["break_glass"])
    add_role(actor="operator:cli", tenant_id=tenant.tenant_id, role="legal", regions=["us"])
    raise_alert()
    deliver()
    assert mailed(sink) == ["officer@example.org"]


def test_somebody_with_two_roles_is_written_to_once(tenant, raise_alert, deliver, sink, person):
    from auditvault.access.receivers.services import add_role

    person("legal", "viewer", email="legal@example.org")
    for role in ("legal", "viewer"):
        add_role(actor="operator:cli", tenant_id=tenant.tenant_id, role=role)
    raise_alert()
    deliver()
    assert mailed(sink) == ["legal@example.org"]


def test_who_left_in_the_meantime_is_not_written_to(
    tenant, raise_alert, deliver, deliveries, due_again, sink, person
):
    gone = person("privacy_officer", email="gone@example.org")
    sink.refusing = "451 later"
    raise_alert()
    deliver()
    gone.is_active = False
    gone.save()
    sink.refusing = ""
    due_again()
    deliver()
    assert mailed(sink) == []
    assert deliveries() == [("given_up", "no_address", 2)]


def test_a_message_holds_references_and_no_address_is_in_the_region(
    cluster, tenant, raise_alert, deliver, sink, person
):
    person("privacy_officer", email="officer@example.org")
    alert_id = raise_alert(actor="user:0a", case="INC-7", count=51)
    deliver()
    ((_, message),) = sink.messages
    text = message.get_payload()
    assert {str(alert_id), "actor: user:0a", "case: INC-7", "count: 51"} <= {
        part.strip().removeprefix("alert    ") for part in text.splitlines()
    }
    assert message["Subject"] == "[auditvault] test in eu"
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT access_alert_delivery::text FROM access_alert_delivery WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchall()
    assert not any("example.org" in row[0] for row in rows)


# --- until it has arrived --------------------------------------------------------------------------------


def test_a_mail_server_that_says_later_is_asked_later(
    raise_alert, deliver, deliveries, due_again, sink, person
):
    person("privacy_officer", email="officer@example.org")
    sink.refusing = "451 later"
    raise_alert()
    deliver()
    deliver()
    assert deliveries() == [("due", "address_refused", 1)]
    sink.refusing = ""
    due_again()
    deliver()
    assert deliveries() == [("delivered", "mailed", 2)]
    assert mailed(sink) == ["officer@example.org"]


def test_it_is_given_up_after_so_many_attempts_and_said(
    raise_alert, deliver, deliveries, due_again, person, caplog
):
    from auditvault.core.policy.alerts import MAX_ATTEMPTS

    person("privacy_officer", email="officer@example.org")
    raise_alert()
    deliver()
    for _ in range(MAX_ATTEMPTS):
        due_again()
        deliver()
    assert deliveries() == [("given_up", "no_mail_server", MAX_ATTEMPTS)]
    assert "did not reach" in caplog.text
    assert "officer@example.org" not in caplog.text


def test_an_alert_that_nobody_hears_of_is_said_in_the_services_own_log(
    raise_alert, deliver, deliveries, caplog
):
    raise_alert()
    deliver()
    assert deliveries() == []
    assert "nobody to tell" in caplog.text


def test_a_claim_is_one_workers_alone_until_its_lease_ends(raise_alert, cluster, tenant, due_again):
    from auditvault.access.alerts.delivery import claim, end

    alert_id = raise_alert()
    first = next_of(claim, alert_id)
    assert next_of(claim, alert_id) is None
    due_again()  # the lease is over
    second = next_of(claim, alert_id)
    assert (first.attempt, second.attempt) == (1, 2)
    assert not end("eu", first, delivered=True, outcome="late", again_after=None)
    assert end("eu", second, delivered=True, outcome="in_time", again_after=None)


def next_of(claim, alert_id):
    """The claim of that alert's delivery; others' that are due come first and stay claimed."""
    while found := claim("eu"):
        if found.message.alert_id == alert_id:
            return found
    return None


def test_a_crash_after_the_list_was_made_makes_no_second_list(
    raise_alert, deliver, sink, person, cluster, tenant, due_again
):
    person("privacy_officer", email="officer@example.org")
    raise_alert()
    deliver()
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE access_alert_delivery SET state = 'due', ended_at = NULL WHERE tenant_id = %s AND"
            " receiver_id = '00000000-0000-0000-0000-000000000000'",
            (tenant.tenant_id,),
        )
    due_again()
    deliver()
    assert mailed(sink) == ["officer@example.org"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access_alert SET kind = 'test'",
        "DELETE FROM access_alert",
        "UPDATE access_alert_delivery SET state = 'delivered'",
        "DELETE FROM access_alert_delivery",
        "INSERT INTO access_alert_delivery SELECT auditvault_tenant(), id, id, id FROM gen_random_uuid() AS id",
    ],
)
def test_the_application_neither_changes_an_alert_nor_says_that_it_was_delivered(
    tenant, raise_alert, statement
):
    from auditvault.ledger.scope import tenant_scope

    raise_alert()
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        tenant_scope("region_eu", tenant.tenant_id) as connection,
    ):
        connection.execute(statement)


def test_another_tenant_sees_no_alert(tenant, other_tenant, raise_alert):
    from auditvault.ledger.scope import tenant_scope

    raise_alert()
    with tenant_scope("region_eu", other_tenant.tenant_id) as connection:
        for table in ("access_alert", "access_alert_delivery"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_receiver_of_another_tenant_is_not_found(tenant, other_tenant, hook):
    from datetime import UTC, datetime

    from auditvault.access.receivers.services import (
        ReceiverNotFoundError,
        receivers_of,
        remove_receiver,
        renew_secret,
    )

    now = datetime.now(UTC)
    for act in (remove_receiver, renew_secret):
        with pytest.raises(ReceiverNotFoundError):
            act(
                actor="operator:cli", tenant_id=other_tenant.tenant_id, receiver_id=hook[0], now=now
            )
        with pytest.raises(ReceiverNotFoundError):
            act(actor="operator:cli", tenant_id=tenant.tenant_id, receiver_id=uuid4(), now=now)
    assert receivers_of(other_tenant.tenant_id) == []
    (known,) = receivers_of(tenant.tenant_id)
    assert (known.receiver_id, known.host) == (hook[0], "127.0.0.1")


def test_a_change_of_receivers_is_recorded_first_in_every_region(cluster, tenant, hook):
    from datetime import UTC, datetime

    from auditvault.access.receivers.services import remove_receiver

    now = datetime.now(UTC)
    remove_receiver(actor="operator:cli", tenant_id=tenant.tenant_id, receiver_id=hook[0], now=now)
    for database in ("region_eu", "region_us"):
        with superuser(cluster, database) as connection:
            rows = connection.execute(
                "SELECT header FROM admin_event WHERE tenant_id = %s AND action = 'alert_receiver.changed'"
                " ORDER BY record_id",
                (tenant.tenant_id,),
            ).fetchall()
        found = [json.loads(bytes(row[0]))["details"] for row in rows]
        assert [details["change"] for details in found] == ["added", "removed"]
        assert {details["receiver"] for details in found} == {str(hook[0])}
        assert "127.0.0.1" not in str(found)


def test_a_receiver_whose_removal_cannot_be_recorded_stays(cluster, tenant, hook):
    from datetime import UTC, datetime

    import django.db

    from auditvault.access.receivers.services import receivers_of, remove_receiver
    from tests.integration.ledger.outage import unreachable

    with unreachable(cluster, "region_us"), pytest.raises(django.db.DatabaseError):
        remove_receiver(
            actor="operator:cli",
            tenant_id=tenant.tenant_id,
            receiver_id=hook[0],
            now=datetime.now(UTC),
        )
    assert [known.receiver_id for known in receivers_of(tenant.tenant_id)] == [hook[0]]
