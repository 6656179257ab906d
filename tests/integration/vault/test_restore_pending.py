"""A region that was marked, or whose erasure ledger cannot be asked, opens nothing and takes nothing in."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from tests.integration.ingest.sending import chat, post, protobuf_of, record, send
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import resolve, revealed


@contextmanager
def marked(cluster, region="eu"):
    from auditvault.vault.erasures.pending import mark_restore_pending

    mark_restore_pending(region)
    try:
        yield
    finally:
        with superuser(cluster, f"region_{region}") as connection:
            connection.execute(
                "UPDATE erasure_state SET pending_since = NULL, pending_reason = NULL"
            )


def by_user(client, tenant, user):
    return post(client, "/api/v1/traces/search", {"user": user}, tenant.headers("engineer"))


def outcomes(client, tenant):
    """Status and code of each way to content or a person, and of taking something in."""
    answers = {
        "resolve": resolve(client, tenant, "a"),
        "search": by_user(client, tenant, "anna"),
        "ingest": send(client, tenant, protobuf_of(chat("b", user="anna"))),
    }
    return {name: answer.status_code for name, answer in answers.items()}


def test_a_marked_region_opens_nothing_finds_nobody_and_takes_nothing_in(client, tenant, cluster):
    record(client, tenant, chat("a", user="anna"))
    before = outcomes(client, tenant)
    with marked(cluster):
        found = outcomes(client, tenant)
    assert before == dict.fromkeys(before, 200)
    assert found == dict.fromkeys(before, 503)


def test_the_answer_says_what_to_do_and_when_to_come_back(client, tenant, cluster):
    record(client, tenant, chat("a", user="anna"))
    with marked(cluster):
        answer = resolve(client, tenant, "a")
    assert answer.json()["code"] == "restore_pending"
    assert "replay_erasures" in answer.json()["detail"]
    assert int(answer["Retry-After"]) > 0


def test_nothing_of_a_refused_request_is_recorded(client, tenant, cluster):
    record(client, tenant, chat("a", user="anna"))
    with marked(cluster):
        send(client, tenant, protobuf_of(chat("b", user="bert")))
    assert revealed(resolve(client, tenant, "b")) == []
    assert by_user(client, tenant, "bert").json()["interactions"] == []


def test_headers_are_read_as_ever(client, tenant, cluster):
    record(client, tenant, chat("a", user="anna"))
    with marked(cluster):
        answer = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer"))
    assert (answer.status_code, len(answer.json()["interactions"])) == (200, 1)


def test_another_region_goes_on(client, tenant, cluster):
    record(client, tenant, chat("a", user="anna"))
    with marked(cluster, "us"):
        assert outcomes(client, tenant) == {"resolve": 200, "search": 200, "ingest": 200}


def test_readiness_and_metrics_say_so(client, tenant, cluster):
    with marked(cluster):
        ready, metrics = client.get("/readyz"), client.get("/metrics").content.decode()
    assert ready.status_code == 503
    assert ready.json()["checks"]["restore_eu"] == "restore_pending: restored"
    assert ready.json()["checks"]["restore_us"] == "ok"
    assert 'auditvault_restore_pending{region="eu"} 1.0' in metrics
    assert 'auditvault_restore_pending{region="us"} 0.0' in metrics


def test_contents_are_not_verified_and_logs_are(client, tenant, cluster):
    from auditvault.cli.management.commands.verify import _opens_payloads
    from auditvault.evidence.vault_check import check_vault
    from auditvault.vault.erasures.pending import RestorePendingError
    from tests.integration.evidence.verdict import findings

    record(client, tenant, chat("a", user="anna"))
    before = _opens_payloads("eu", None)
    with marked(cluster):
        with pytest.raises(RestorePendingError):
            check_vault(region="eu", tenants=[tenant.tenant_id])
        with pytest.raises(RestorePendingError):
            findings(tenant, region="eu", with_payloads=True)
        assert (before, _opens_payloads("eu", None)) == (True, False)
        assert findings(tenant, region="eu") == {}


def test_the_first_reason_stays(tenant, cluster):
    from auditvault.vault.erasures.pending import mark_restore_pending, restore_pending_reason

    with marked(cluster):
        mark_restore_pending("eu", reason="something_else")
        assert restore_pending_reason("eu") == "restored"


@pytest.mark.parametrize("name", ["", "/nowhere/at/all"], ids=["unset", "not_mounted"])
def test_without_its_erasure_ledger_nothing_is_opened(client, tenant, cluster, settings_of, name):
    record(client, tenant, chat("a", user="anna"))
    settings_of(ERASURE_LEDGER_DIRS={"eu": name, "us": name})
    assert outcomes(client, tenant) == {"resolve": 503, "search": 503, "ingest": 503}


@pytest.fixture
def settings_of(monkeypatch):
    """`settings_of(NAME=value)` for the rest of the test."""
    from django.conf import settings

    def change(**values):
        for name, value in values.items():
            monkeypatch.setattr(settings, name, value)

    return change
