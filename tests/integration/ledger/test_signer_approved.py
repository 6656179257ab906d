"""Which key signs the log is changed by two people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management.base import CommandError

from auditvault.core.policy.approvals import Plan
from tests.staff import make_person


@pytest.fixture(autouse=True)
def _two_people(rig, tenant, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", False)
    monkeypatch.setattr(settings, "OPERATOR_TENANT", tenant.slug)


@pytest.fixture
def people(tenant):
    """Who asks, and who approves."""
    return [make_person(tenant, "key_custodian", regions=("us",)) for _ in range(2)]


def planned(rig, *words):
    """What `--plan` prints: the digest, and the text."""
    digest, text = rig.command("checkpoint_key", *words, "--plan").splitlines()
    return digest.split()[1], text


def approved(rig, people, *words):
    """The id of an approval of what the command would do now."""
    from auditvault.access.approvals import services

    now = datetime.now(UTC)
    digest, text = planned(rig, *words)
    plan = Plan.parse(text.encode())
    assert plan.digest().hex() == digest
    asked = services.request(
        credential=people[0].signed_in(), plan=plan, case="CHG-1", now=now
    ).approval_id
    services.approve(credential=people[1].signed_in(), region="us", approval_id=asked, now=now)
    return str(asked)


def last_details(rig):
    import json

    with rig.owner() as owner:
        rows = owner.execute(
            "SELECT action, header FROM admin_event WHERE action LIKE 'approval.used'"
            " OR action LIKE 'checkpoint_key.%' ORDER BY record_id"
        ).fetchall()
    return [
        (action, json.loads(bytes(header))["details"].get("approval")) for action, header in rows
    ]


def test_one_person_alone_announces_nothing(rig):
    before = rig.vkeys.read_text()

    with pytest.raises(CommandError, match="command_approval_missing"):
        rig.announce(rig.make("new"))

    assert rig.vkeys.read_text() == before
    assert rig.events() == []


def test_a_key_comes_and_another_goes_by_approvals_that_the_entries_name(rig, people):
    new = rig.make("new")
    coming = approved(rig, people, "announce", new)
    rig.command("checkpoint_key", "announce", new, "--approval", coming)
    rig.hold("old", "new")
    rig.look()
    rig.look()
    old = rig.vkeys.read_text().splitlines()[0]
    with pytest.raises(CommandError, match="command_approval_missing"):
        rig.retire(old)
    going = approved(rig, people, "retire", old)

    rig.command("checkpoint_key", "retire", old, "--approval", coming, "--approval", going)

    assert rig.events() == ["new announced", "old retired"]
    assert last_details(rig) == [
        ("approval.used", coming),
        ("checkpoint_key.announced", coming),
        ("approval.used", going),
        ("checkpoint_key.retired", going),
    ]


def test_an_approval_of_one_key_is_none_of_another(rig, people):
    before = rig.vkeys.read_text()
    approval_id = approved(rig, people, "announce", rig.make("new"))

    with pytest.raises(CommandError, match="approval_drifted"):
        rig.command("checkpoint_key", "announce", rig.make("theirs"), "--approval", approval_id)

    assert (rig.vkeys.read_text(), rig.events()) == (before, [])


def test_another_change_in_between_voids_the_approval(rig, people):
    new = rig.make("new")
    approval_id = approved(rig, people, "announce", new)
    other = rig.make("other")
    rig.command(
        "checkpoint_key", "announce", other, "--approval", approved(rig, people, "announce", other)
    )

    with pytest.raises(CommandError, match="approval_drifted"):
        rig.command("checkpoint_key", "announce", new, "--approval", approval_id)

    assert rig.events() == ["other announced"]


def test_what_is_recorded_already_needs_no_approval(rig, people):
    new = rig.make("new")
    rig.command(
        "checkpoint_key", "announce", new, "--approval", approved(rig, people, "announce", new)
    )

    assert rig.announce(new) == "us: was announced before\n"
    assert "No approval is needed" in rig.command("checkpoint_key", "announce", new, "--plan")


def test_an_announcement_that_is_not_recorded_leaves_its_approval(rig, people, monkeypatch):
    from auditvault.ledger.admin import services

    new = rig.make("new")
    approval_id = approved(rig, people, "announce", new)

    def crash(*_given, **_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as failing:
        failing.setattr(services, "record_in", crash)
        with pytest.raises(KeyboardInterrupt):
            rig.command("checkpoint_key", "announce", new, "--approval", approval_id)
    assert rig.events() == []

    rig.command("checkpoint_key", "announce", new, "--approval", approval_id)

    assert rig.events() == ["new announced"]


def test_a_site_that_does_without_says_so_in_the_log(rig, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", True)

    rig.announce(rig.make("new"))

    assert last_details(rig) == [("checkpoint_key.announced", None)]
