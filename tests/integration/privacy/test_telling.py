"""Somebody is told when the time of a request runs out, once for each part of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.policy.erasure import Action
from auditvault.core.tlog.canonical import parse_canonical
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.requesting import TO_APPROVAL
from tests.integration.vault.erasing import CutOffError


def told(cluster, tenant):
    """Request and part of each alert, in order."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT details FROM access_alert WHERE tenant_id = %s AND kind = 'privacy_request_due'"
            " ORDER BY alert_id",
            (tenant.tenant_id,),
        ).fetchall()
    found = [parse_canonical(bytes(details)) for (details,) in rows]
    return [(each["request"], each["part"]) for each in found]


def tell(record, part, *, due_at=None):
    """Look when so many hundredths of the request's time are over."""
    from auditvault.privacy.requests.telling import tell_due

    whole = (due_at or record.due_at) - record.received_at
    return tell_due("eu", record.received_at + whole * part / 100 + timedelta(seconds=1))


def test_somebody_is_told_at_half_at_four_fifths_and_at_the_end_once_each(tenant, cluster, desk):
    record = desk.receive()
    for part in (49, 50, 51, 80, 80, 99, 100, 150):
        tell(record, part)
    assert told(cluster, tenant) == [(str(record.request_id), part) for part in (50, 80, 100)]


def test_of_parts_that_passed_unseen_the_latest_is_told(tenant, cluster, desk):
    record = desk.receive()
    tell(record, 90)
    assert told(cluster, tenant) == [(str(record.request_id), 80)]


def test_after_an_extension_the_new_limit_counts(tenant, cluster, desk):
    from auditvault.privacy.requests.services import extend_request

    record = desk.receive()
    tell(record, 80)
    moved = extend_request(
        region="eu",
        credential=desk.operator.signed_in(),
        request_id=record.request_id,
        reasons="There is far more of it than usual.",
        now=datetime.now(UTC),
    )
    tell(record, 40, due_at=moved.extended_due_at)
    tell(record, 60, due_at=moved.extended_due_at)
    assert [part for _, part in told(cluster, tenant)] == [80, 50]


@pytest.mark.parametrize("action", [Action.WITHDRAW, Action.MARK_DUPLICATE])
def test_nobody_is_told_of_what_is_at_an_end(tenant, cluster, desk, action):
    record = desk.receive()
    desk.move(record.request_id, action)
    tell(record, 100)
    assert told(cluster, tenant) == []


def test_somebody_is_told_of_one_that_waits_for_approval(tenant, cluster, desk):
    record = desk.receive()
    for action, manifest in TO_APPROVAL:
        desk.move(record.request_id, action, manifest=manifest)
    tell(record, 100)
    assert told(cluster, tenant) == [(str(record.request_id), 100)]


def test_a_crash_before_the_alert_leaves_it_to_be_told(tenant, cluster, desk, monkeypatch):
    from auditvault.privacy.requests import telling

    record = desk.receive()

    def ends(*_given, **_named):
        raise CutOffError

    with monkeypatch.context() as patched:
        patched.setattr(telling, "raise_within", ends)
        with pytest.raises(CutOffError):
            tell(record, 50)
    tell(record, 50)
    assert told(cluster, tenant) == [(str(record.request_id), 50)]
