"""The record of processing says what was sent, for what and on what basis, and names nobody."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser


@pytest.fixture
def sent(client, tenant):
    """Three interactions of one person for two features, one of them with what it is for."""
    said = {
        "auditvault.feature": "check-out",
        "auditvault.processing_purpose": "answering customers",
        "auditvault.lawful_basis": "contract",
        "auditvault.consent": "not_asked",
    }
    record(
        client,
        tenant,
        chat("my address is 4 Privet Drive", user="harry@example.org", attributes=said),
        chat("another", user="harry@example.org", attributes=said),
        chat("a third", user="harry@example.org", attributes={"auditvault.feature": "a_b"}),
    )


def printed(tenant, *more):
    out = StringIO()
    call_command("processing", "--region", "eu", "--tenant", tenant.slug, *more, stdout=out)
    return out.getvalue()


def test_what_was_sent_is_counted_by_what_it_is_for(sent, tenant):
    found = json.loads(printed(tenant, "--json"))

    first, second = found["activities"]
    assert (first["feature"], first["interactions"]) == ("check-out", 2)
    assert first["processing_purpose"] == "answering customers"
    assert (first["lawful_basis"], first["consent"]) == ("contract", "not_asked")
    assert (second["feature"], second["lawful_basis"]) == ("a_b", None)
    assert found["data_subjects"]["person"] == 1
    assert sum(found["data_categories"].values()) >= 3
    assert found["time_limits"] is None


def test_it_names_nobody_and_shows_nothing(sent, tenant):
    assert "harry" not in printed(tenant) + printed(tenant, "--json")
    assert "Privet" not in printed(tenant) + printed(tenant, "--json")


def test_a_senders_text_makes_no_cell_of_its_own(sent, tenant):
    page = printed(tenant)

    assert "a\\_b" in page
    assert "No retention policy is in force" in page


def test_that_it_was_made_is_in_the_access_log(sent, tenant, cluster):
    found = json.loads(printed(tenant, "--json", "--days", "7"))

    with superuser(cluster, "region_eu") as connection:
        ((action, header),) = connection.execute(
            "SELECT action, header FROM access_event WHERE tenant_id = %s AND record_id = %s",
            (tenant.tenant_id, found["access_record"]),
        ).fetchall()
    assert action == "processing_record"
    assert json.loads(bytes(header))["details"] == {"days": 7, "rows": 2}


def test_what_was_sent_before_the_period_is_not_in_it(sent, tenant):
    from datetime import UTC, datetime, timedelta

    from auditvault.privacy.processing import Ask, processing_record

    ask = Ask(region="eu", tenant_id=tenant.tenant_id, days=1)
    later = datetime.now(UTC) + timedelta(days=2)

    assert processing_record(ask=ask, actor="operator:cli", now=later)["activities"] == []


def test_a_tenants_record_has_nothing_of_another(sent, other_tenant):
    assert json.loads(printed(other_tenant, "--json"))["activities"] == []


def test_days_that_are_none_are_refused(tenant):
    with pytest.raises(CommandError, match="between 1 and"):
        printed(tenant, "--days", "0")
