"""Webhooks: signed, retried, and never sent to where they must not go."""

from __future__ import annotations

import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.ledger.superuser import superuser
from tests.integration.vault_providers.serving import Answered

NOW = datetime.now(UTC)


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def checked(asked, secret, now=None):
    from auditvault.core.crypto.webhooks import check_message, secret_of

    at = int(time.time()) if now is None else now
    return check_message(asked.body, headers=lower(asked.headers), secret=secret_of(secret), now=at)


def test_the_receiver_gets_a_signed_message_of_references(
    tenant, raise_alert, deliver, deliveries, receiver, hook
):
    alert_id = raise_alert(actor="user:1", case="INC-1")
    deliver()
    (asked,) = receiver.asked
    assert (asked.method, asked.path) == ("POST", "/hook?of=us")
    assert checked(asked, hook[1]) == str(alert_id)
    assert json.loads(asked.body)["data"] == {
        "alert": str(alert_id),
        "kind": "test",
        "tenant": str(tenant.tenant_id),
        "region": "eu",
        "details": {"actor": "user:1", "case": "INC-1"},
    }
    assert deliveries() == [("delivered", "status_204", 1)]


def test_a_message_that_is_replayed_later_or_changed_is_refused(
    raise_alert, deliver, receiver, hook
):
    from auditvault.core.crypto.webhooks import WebhookError

    raise_alert()
    deliver()
    (asked,) = receiver.asked
    with pytest.raises(WebhookError):
        checked(asked, hook[1], now=int(time.time()) + 301)
    headers = dict(asked.headers)
    fresh = next(name for name in headers if name.lower() == "webhook-timestamp")
    for changed in (
        asked._replace(body=asked.body + b" "),
        asked._replace(headers=headers | {fresh: str(int(time.time()) + 1)}),
    ):
        with pytest.raises(WebhookError):
            checked(changed, hook[1])


def test_a_second_attempt_bears_the_same_id_so_that_it_is_recognised(
    raise_alert, deliver, deliveries, due_again, receiver, hook
):
    raise_alert()
    with receiver.answering(500):
        deliver()
    assert deliveries() == [("due", "status_500", 1)]
    due_again()
    deliver()
    first, second = receiver.asked
    assert checked(first, hook[1]) == checked(second, hook[1])
    assert deliveries() == [("delivered", "status_204", 2)]


def test_after_a_new_secret_messages_bear_both_signatures_for_a_day(
    tenant, raise_alert, deliver, receiver, hook
):
    from auditvault.access.receivers.services import renew_secret
    from auditvault.core.crypto.webhooks import WebhookError

    receiver_id, old = hook
    new = renew_secret(
        actor="operator:cli", tenant_id=tenant.tenant_id, receiver_id=receiver_id, now=NOW
    )
    raise_alert()
    deliver()
    assert checked(receiver.asked[0], old) == checked(receiver.asked[0], new)
    before = NOW - timedelta(days=2)
    newest = renew_secret(
        actor="operator:cli", tenant_id=tenant.tenant_id, receiver_id=receiver_id, now=before
    )
    raise_alert()
    deliver()
    checked(receiver.asked[1], newest)
    with pytest.raises(WebhookError):
        checked(receiver.asked[1], new)


def test_a_secret_is_in_no_table(cluster, hook):
    from auditvault.core.crypto.webhooks import secret_of

    with superuser(cluster, "auditvault_control") as connection:
        (row,) = connection.execute(
            "SELECT secret FROM access_receivers_receiver WHERE receiver_id = %s", (hook[0],)
        ).fetchall()
    assert secret_of(hook[1]) not in bytes(row[0])


def test_a_secret_that_was_moved_to_another_receiver_does_not_open(tenant, hook):
    from auditvault.access.receivers.addressees import hook_of
    from auditvault.access.receivers.models import Receiver
    from auditvault.access.receivers.secrets import SecretLostError
    from auditvault.access.receivers.services import add_webhook

    other, _ = add_webhook(
        actor="operator:cli", tenant_id=tenant.tenant_id, url="https://example.org/"
    )
    stolen = Receiver.objects.get(pk=hook[0]).secret
    Receiver.objects.filter(pk=other).update(secret=stolen)
    with pytest.raises(SecretLostError):
        hook_of(other, NOW)


def test_a_removed_receiver_is_told_nothing(
    tenant, raise_alert, deliver, deliveries, due_again, receiver, hook
):
    from auditvault.access.receivers.services import remove_receiver

    raise_alert()
    with receiver.answering(503):
        deliver()
    remove_receiver(actor="operator:cli", tenant_id=tenant.tenant_id, receiver_id=hook[0], now=NOW)
    due_again()
    deliver()
    assert len(receiver.asked) == 1
    assert deliveries() == [("given_up", "receiver_removed", 2)]


# --- receivers that misbehave ----------------------------------------------------------------------------


def test_one_that_is_down_is_tried_again(raise_alert, deliver, deliveries, receiver, hook):
    raise_alert()
    with receiver.away():
        deliver()
    assert deliveries() == [("due", "unreachable", 1)]


def test_one_that_never_answers_is_left_in_time(raise_alert, deliver, deliveries, receiver, hook):
    raise_alert()
    with receiver.silent():
        began = time.monotonic()
        deliver(post_seconds=0.5)
        assert time.monotonic() - began < 5
    assert deliveries() == [("due", "too_slow", 1)]


def test_one_that_sends_a_byte_at_a_time_is_left_in_time(
    tenant, raise_alert, deliver, deliveries, loopback_allowed
):
    from auditvault.access.receivers.services import add_webhook

    with Dripping() as port:
        add_webhook(
            actor="operator:cli", tenant_id=tenant.tenant_id, url=f"http://127.0.0.1:{port}/"
        )
        raise_alert()
        began = time.monotonic()
        deliver(post_seconds=0.5)
        assert time.monotonic() - began < 5
    assert deliveries() == [("due", "too_slow", 1)]


class Dripping:
    """A server that answers one byte each twentieth of a second, for ever."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self.listener.getsockname()[1]

    def _serve(self):
        taken, _ = self.listener.accept()
        with taken:
            try:
                while not self.over.wait(0.05):
                    taken.sendall(b"H")
            except OSError:
                return

    def __exit__(self, *_error):
        self.over.set()
        self.thread.join()
        self.listener.close()


def test_of_a_huge_answer_little_is_read(raise_alert, deliver, deliveries, receiver, hook):
    receiver.answer = lambda _asked: Answered(200, bytes(64 * 1024 * 1024))
    raise_alert()
    began = time.monotonic()
    deliver()
    assert time.monotonic() - began < 5
    assert deliveries() == [("delivered", "status_200", 1)]


def test_a_redirect_inward_is_not_followed(raise_alert, deliver, deliveries, receiver, hook):
    receiver.answer = lambda _asked: Answered(
        302, b"", headers=(("Location", f"{receiver.url}/latest/meta-data/"),)
    )
    raise_alert()
    deliver()
    assert [asked.path for asked in receiver.asked] == ["/hook?of=us"]
    assert deliveries() == [("due", "status_302", 1)]


def test_a_slow_receiver_holds_up_nobody_elses_alert(
    tenant, raise_alert, deliver, deliveries, receiver, hook, sink, person
):
    from auditvault.access.receivers.services import add_role

    person("legal", email="legal@example.org")
    add_role(actor="operator:cli", tenant_id=tenant.tenant_id, role="legal")
    raise_alert()
    with receiver.silent():
        deliver(post_seconds=0.3)
    assert sorted(state for state, _, _ in deliveries()) == ["delivered", "due"]


# --- where it must not go --------------------------------------------------------------------------------

INWARD = [
    "https://127.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::1]/",
    "https://[fe80::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://10.0.0.1/",
    "https://100.64.0.1/",
    "https://224.0.0.1/",
    "https://localhost/",
]


@pytest.mark.parametrize("url", INWARD)
def test_nothing_is_sent_inward_however_the_address_is_written(url):
    from auditvault.access.alerts.posting import post
    from auditvault.core.policy.addresses import AddressRefusedError

    with pytest.raises(AddressRefusedError):
        post(url, b"{}", headers={}, seconds=2)


def test_an_alert_for_an_inward_url_is_not_sent_and_the_refusal_kept(
    tenant, raise_alert, deliver, deliveries, receiver
):
    from django.test import override_settings

    from auditvault.access.receivers.services import add_webhook

    add_webhook(actor="operator:cli", tenant_id=tenant.tenant_id, url=f"{receiver.url}/")
    raise_alert()
    with override_settings(OUTBOUND_ALLOWED_NETWORKS=()):
        deliver()
    assert receiver.asked == []
    assert deliveries() == [("due", "address_refused", 1)]


def test_a_name_that_leads_inward_is_refused_and_asked_for_once(monkeypatch):
    from auditvault.access.alerts.posting import post
    from auditvault.core.policy.addresses import AddressRefusedError

    asked = dns(monkeypatch, [["10.0.0.7"]])
    with pytest.raises(AddressRefusedError):
        post("https://hooks.example.org/", b"{}", headers={}, seconds=2)
    assert asked == ["hooks.example.org"]


def test_a_name_with_one_inward_address_among_others_is_refused(monkeypatch):
    from auditvault.access.alerts.posting import post
    from auditvault.core.policy.addresses import AddressRefusedError

    dns(monkeypatch, [["93.184.215.14", "127.0.0.1"]])
    with pytest.raises(AddressRefusedError):
        post("https://hooks.example.org/", b"{}", headers={}, seconds=2)


def test_what_was_checked_is_what_is_connected_to(monkeypatch, receiver):
    """A DNS that says something else the second time is not asked a second time."""
    from auditvault.access.alerts.posting import post

    asked = dns(monkeypatch, [["127.0.0.1"], ["10.0.0.7"]])
    port = receiver.port
    assert post(f"http://hooks.example.org:{port}/", b"{}", headers={}, seconds=2) == 204
    assert asked == ["hooks.example.org"]
    assert receiver.asked[0].headers["Host"] == f"hooks.example.org:{port}"


def dns(monkeypatch, answers):
    """Let names be answered so, one answer after the other; addresses stay what they are."""
    real, asked, left = socket.getaddrinfo, [], list(answers)

    def answered(host, port, *args, **kwargs):
        if host != "hooks.example.org":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    return asked


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "ftp://example.org/", "https://u:p@example.org/", "https:///x", "x"],
)
def test_a_url_that_is_no_receiver_is_refused_at_once(tenant, url):
    from auditvault.access.receivers.services import add_webhook
    from auditvault.core.policy.addresses import UrlRefusedError

    with pytest.raises(UrlRefusedError):
        add_webhook(actor="operator:cli", tenant_id=tenant.tenant_id, url=url)
