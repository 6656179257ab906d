"""Keys that are destroyed outside their schedule take two people, by whatever way round one of them tries."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from auditvault.core.policy.approvals import Plan
from tests.integration.vault_epochs.test_commands import answer, command
from tests.staff import make_person

TURN = ("turn", "--region", "us")


@pytest.fixture(autouse=True)
def _operators_tenant(service, tenant, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "OPERATOR_TENANT", tenant.slug)


@pytest.fixture
def people(tenant):
    """Who asks, and who approves."""
    return [make_person(tenant, "key_custodian", regions=("us",)) for _ in range(2)]


def ask(people, text, now=None):
    """Ask for an approval of what `--plan` printed; its id."""
    from auditvault.access.approvals import services

    asked = services.request(
        credential=people[0].signed_in(),
        plan=Plan.parse(text.encode()),
        case="CHG-1",
        now=now or datetime.now(UTC),
    )
    return asked.approval_id


def approve(people, approval_id, now=None):
    from auditvault.access.approvals import services

    services.approve(
        credential=people[1].signed_in(),
        region="us",
        approval_id=approval_id,
        now=now or datetime.now(UTC),
    )


def approved(people, *words):
    """The id of an approval of what the command would do now."""
    approval_id = ask(people, answer(*words, "--plan")["plan"])
    approve(people, approval_id)
    return str(approval_id)


def refused(*words):
    """The code with which the command is refused."""
    out = io.StringIO()
    from django.core.management import call_command

    with pytest.raises(SystemExit):
        call_command("keys", *words, "--json", stdout=out)
    return json.loads(out.getvalue())["error"]


def test_one_person_alone_does_not_turn_an_epoch(keys, tenant):
    keys.make(tenant.tenant_id, 1)

    assert refused(*TURN) == "command_approval_missing"

    assert keys.epochs() == [1]
    assert keys.entries("key.destruction_begun", "key.epoch_started") == []


def test_what_somebody_else_approved_is_done_and_its_entry_names_the_approval(keys, tenant, people):
    keys.make(tenant.tenant_id, 2)
    approval_id = approved(people, *TURN)

    assert answer(*TURN, "--approval", approval_id)["turn"]["state"] == "done"

    assert keys.epochs() == [2]
    (begun, details), (started, _) = keys.entries("key.destruction_begun", "key.epoch_started")
    assert (begun, started) == ("key.destruction_begun", "key.epoch_started")
    assert (details["act"], details["epoch"]) == ("turn_epoch", 1)
    assert details["approval"] == approval_id
    ((used, said),) = keys.entries("approval.used")[-1:]
    assert (used, said["approval"], said["actor"]) == ("approval.used", approval_id, "operator:cli")
    assert details["plan"] == said["plan"]


def test_a_plan_is_printed_with_its_digest_and_does_nothing(keys, tenant):
    keys.make(tenant.tenant_id, 1)

    planned = answer(*TURN, "--plan")

    plan = Plan.parse(planned["plan"].encode())
    assert plan.digest().hex() == planned["digest"]
    ((key_id,),) = keys.rows("SELECT key_id FROM keyring_region_key")
    assert plan.parameters == {"act": "turn_epoch", "epoch": 1, "region_keys": [str(key_id)]}
    assert planned["digest"] in command(*TURN, "--plan")
    assert keys.epochs() == [1]


def test_an_approval_that_nobody_gave_that_is_over_or_was_used_is_of_no_use(keys, tenant, people):
    keys.make(tenant.tenant_id, 1)
    text = answer(*TURN, "--plan")["plan"]
    asked = ask(people, text)
    yesterday = datetime.now(UTC) - timedelta(hours=25)
    over = ask(people, text, now=yesterday)
    approve(people, over, now=yesterday)

    assert refused(*TURN, "--approval", str(asked)) == "approval_missing"
    assert refused(*TURN, "--approval", str(over)) == "approval_not_open"
    assert refused(*TURN, "--approval", str(UUID(int=7))) == "approval_not_found"
    assert keys.epochs() == [1]
    approve(people, asked)
    command(*TURN, "--approval", str(asked))
    assert refused(*TURN, "--approval", str(asked)) == "approval_not_open"
    assert keys.epochs() == [2]


def test_an_epoch_that_turned_meanwhile_voids_the_approval(keys, tenant, people):
    keys.make(tenant.tenant_id, 1)
    approval_id = approved(people, *TURN)
    keys.turn()

    assert refused(*TURN, "--approval", approval_id) == "approval_drifted"

    assert keys.epochs() == [2]
    assert keys.entries("key.destruction_begun") == []


def test_an_epoch_that_turns_after_the_approval_was_used_is_not_followed_by_another(
    keys, tenant, people, monkeypatch
):
    from auditvault.cli.management.commands import keys as commands

    keys.make(tenant.tenant_id, 1)
    approval_id = approved(people, *TURN)
    records = commands.record_approved

    def and_then_a_worker_turns_it(*given, **words):
        records(*given, **words)
        keys.turn()

    monkeypatch.setattr(commands, "record_approved", and_then_a_worker_turns_it)

    assert refused(*TURN, "--approval", approval_id) == "approval_drifted"
    assert keys.epochs() == [2]


def test_a_turn_that_is_due_or_was_begun_needs_no_approval(keys, tenant):
    keys.make(tenant.tenant_id, 1)
    with keys.owner() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE keyring_region_key SET created_at = created_at - interval '8 days'")
    assert "No approval is needed" in command(*TURN, "--plan")
    command(*TURN)
    with keys.owner() as owner:
        owner.execute("UPDATE keyring_turn SET state = 'destroyed', finished_at = NULL")

    assert answer(*TURN)["turn"]["epoch"] == 2
    assert keys.entries("key.destruction_begun") == []


def test_a_site_that_does_without_says_so_in_the_log(keys, tenant, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", True)
    keys.make(tenant.tenant_id, 1)

    command(*TURN)

    ((_, details),) = keys.entries("key.destruction_begun")
    assert details["approval"] is None


def test_a_crash_after_the_approval_was_used_leaves_its_entry_and_the_epoch_as_it_was(
    keys, tenant, people, monkeypatch
):
    from auditvault.vault import epochs

    keys.make(tenant.tenant_id, 1)
    approval_id = approved(people, *TURN)

    def crash(*_given, **_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as failing:
        failing.setattr(epochs, "turn", crash)
        with pytest.raises(KeyboardInterrupt):
            command(*TURN, "--approval", approval_id)

    assert [action for action, _ in keys.entries("key.destruction_begun")] == [
        "key.destruction_begun"
    ]
    assert keys.epochs() == [1]
    assert refused(*TURN, "--approval", approval_id) == "approval_not_open"
    command(*TURN, "--approval", approved(people, *TURN))
    assert keys.epochs() == [2]


def test_the_versions_of_a_subjects_key_are_replaced_by_two_people(keys, tenant, people, anna):
    words = ("rotate-subject", "--region", "us", "--tenant", tenant.slug, "--subject", str(anna))
    assert refused(*words) == "command_approval_missing"
    versions = keys.rows("SELECT key_id FROM keyring_subject_key WHERE subject_id = %s", anna)
    approval_id = approved(people, *words)

    assert answer(*words, "--approval", approval_id)["state"] == "waiting"

    ((_, details),) = keys.entries("key.destruction_begun")
    assert details["act"] == "rotate_subject"
    assert details["approval"] == approval_id
    assert str(anna) not in json.dumps(details)
    assert len(versions) == 1
    assert "No approval is needed" in command(*words, "--plan")


def test_another_version_of_a_subjects_key_voids_the_approval(keys, tenant, people, anna):
    from auditvault.vault.keyring.services import keyring

    words = ("rotate-subject", "--region", "us", "--tenant", tenant.slug, "--subject", str(anna))
    approval_id = approved(people, *words)
    keyring("us").new_version(tenant.tenant_id, anna, "content")

    assert refused(*words, "--approval", approval_id) == "approval_drifted"
    assert keys.entries("key.destruction_begun") == []


def test_a_version_that_comes_after_the_approval_was_used_is_not_destroyed(
    keys,
    tenant,
    people,
    anna,
    monkeypatch,
):
    from auditvault.cli.management.commands import keys as commands
    from auditvault.vault.keyring.services import keyring

    words = ("rotate-subject", "--region", "us", "--tenant", tenant.slug, "--subject", str(anna))
    approval_id = approved(people, *words)
    records = commands.record_approved

    def and_then_there_is_another(*given, **words):
        records(*given, **words)
        keyring("us").new_version(tenant.tenant_id, anna, "content")

    monkeypatch.setattr(commands, "record_approved", and_then_there_is_another)

    assert refused(*words, "--approval", approval_id) == "approval_drifted"
    assert keys.rows("SELECT FROM keyring_rotation") == []
