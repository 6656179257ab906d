"""Recipients of a person's data are told that it was erased, and the certificate says what became of that."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from auditvault.core.tlog.request_certificate import read_certificate
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.copying import Copies
from tests.integration.privacy.erasing import Officers, say, turn_epochs

KIND = "erasure_notice"


@pytest.fixture
def officers(service, tenant):
    return Officers(tenant)


def recipient(tenant, url, *, kinds=(KIND,), regions=()):
    """A webhook of the tenant's; its id and secret."""
    from auditvault.access.receivers.services import add_webhook

    return add_webhook(
        actor="operator:cli", tenant_id=tenant.tenant_id, url=url, kinds=kinds, regions=regions
    )


def told(officers, request_id):
    return read_certificate(officers.certificate(request_id)).recipients


def last_attempt(cluster, tenant):
    """Let all attempts but one of what is on its way to a webhook go by."""
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE access_alert_delivery SET attempts = 11, due_at = now() WHERE tenant_id = %s"
            " AND state = 'due' AND receiver_id <> '00000000-0000-0000-0000-000000000000'",
            (tenant.tenant_id,),
        )


def to_the_notice(officers):
    """A request about nobody: it is verified, waits for no backup, and its recipients are to be told."""
    request_id = officers.approved(regions=())
    assert officers.work(request_id) == "notifying"
    return request_id


def test_a_recipient_is_told_by_a_signed_notice_of_references_and_the_certificate_says_so(
    client,
    tenant,
    officers,
    receiver,
    deliver,
):
    from auditvault.core.crypto.webhooks import check_message, secret_of

    receiver_id, secret = recipient(tenant, f"{receiver.url}/notices")
    for region in ("eu", "us"):
        say(client, tenant, "canary-of-a-notice", region=region)
    request_id = officers.approved()
    assert officers.work(request_id) == "backup_pending"
    deliver()
    (asked,) = receiver.asked
    headers = {name.lower(): value for name, value in asked.headers.items()}
    now = int(headers["webhook-timestamp"])
    check_message(asked.body, headers=headers, secret=secret_of(secret), now=now)
    stored, _, _ = officers.stored(request_id)
    assert json.loads(asked.body)["data"]["details"] == {
        "request": str(request_id),
        "kind": "erasure",
        "regime": "gdpr",
        "manifest": stored.request.approved_manifest.hex(),
    }
    assert b"anna" not in asked.body
    assert b"canary" not in asked.body
    turn_epochs()
    assert officers.work(request_id) == "certified"
    (found,) = told(officers, request_id)
    assert (found.recipient_id, found.attempts) == (str(receiver_id), 1)
    assert found.acknowledged_at is not None


def test_a_recipient_that_is_down_is_waited_for_and_told_again(
    tenant,
    officers,
    receiver,
    deliver,
    due_again,
):
    recipient(tenant, receiver.url)
    request_id = to_the_notice(officers)
    with receiver.answering(500):
        deliver()
    assert officers.work(request_id) == "notifying"
    due_again()
    deliver()
    assert officers.work(request_id) == "certified"
    assert [each.attempts for each in told(officers, request_id)] == [2]


def test_a_recipient_that_never_answers_is_given_up_and_stands_outstanding(
    tenant,
    cluster,
    officers,
    receiver,
    deliver,
):
    recipient(tenant, receiver.url)
    request_id = to_the_notice(officers)
    with receiver.answering(503):
        deliver()
        last_attempt(cluster, tenant)
        deliver()
    assert officers.work(request_id) == "certified"
    (found,) = told(officers, request_id)
    assert (found.attempts, found.acknowledged_at) == (12, None)


def test_a_recipient_inside_is_not_connected_to(
    tenant,
    cluster,
    officers,
    deliver,
    deliveries,
):
    recipient(tenant, "https://127.0.0.1:1/")
    request_id = to_the_notice(officers)
    deliver()
    assert deliveries() == [("due", "address_refused", 1)]
    last_attempt(cluster, tenant)
    deliver()
    assert officers.work(request_id) == "certified"
    assert [each.acknowledged_at for each in told(officers, request_id)] == [None]


def test_a_recipient_that_was_removed_is_not_told_and_stands_outstanding(
    tenant,
    officers,
    receiver,
    deliver,
    due_again,
):
    from auditvault.access.receivers.services import remove_receiver

    receiver_id, _ = recipient(tenant, receiver.url)
    request_id = to_the_notice(officers)
    remove_receiver(
        actor="operator:cli",
        tenant_id=tenant.tenant_id,
        receiver_id=receiver_id,
        now=datetime.now(UTC),
    )
    while deliver():
        pass
    assert receiver.asked == []
    assert officers.work(request_id) == "certified"
    (found,) = told(officers, request_id)
    assert (found.attempts, found.acknowledged_at) == (0, None)


def test_recipients_are_webhooks_made_for_notices_in_the_region(tenant, officers):
    from auditvault.privacy.erasing.noticing import recipients

    meant = recipient(tenant, "https://a.example.org/", regions=("eu",))[0]
    recipient(tenant, "https://b.example.org/", kinds=())
    recipient(tenant, "https://c.example.org/", regions=("us",))
    record, _, _ = officers.stored(officers.ask(regions=()))
    assert recipients(record, "eu") == (meant,)


def test_nobody_is_told_of_what_erases_nothing(tenant):
    from auditvault.privacy.erasing.noticing import recipients

    recipient(tenant, "https://a.example.org/")
    copies = Copies(tenant)
    record, _, _ = copies.stored(copies.approved())
    assert recipients(record, "eu") == ()


def test_a_confirmation_that_fails_tells_nobody_and_the_next_one_tells_once(
    tenant, cluster, officers, monkeypatch
):
    from auditvault.privacy.erasing import driving

    recipient(tenant, "https://a.example.org/")
    request_id = officers.approved(regions=())
    real = driving.tell_recipients

    def told_and_killed(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(driving, "tell_recipients", told_and_killed)
    with pytest.raises(KeyboardInterrupt):
        officers.work(request_id)
    assert (officers.state(request_id), notices(cluster, tenant)) == ("verifying", 0)
    monkeypatch.setattr(driving, "tell_recipients", real)
    officers.work(request_id)
    assert notices(cluster, tenant) == 1


def notices(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        (row,) = connection.execute(
            "SELECT count(*) FROM access_alert WHERE tenant_id = %s AND kind = %s",
            (tenant.tenant_id, KIND),
        ).fetchall()
    return row[0]
