"""A log is given up under a policy that two people stand for, and then under it alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from auditvault.core.policy.approvals import Plan
from tests.integration.evidence_pruning.old_logs import (
    DATABASE,
    PARTITION,
    REGION,
    policy_file,
    run,
)
from tests.integration.ledger.superuser import superuser
from tests.staff import make_person


@pytest.fixture(autouse=True)
def _two_people(_one_person, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", False)


@pytest.fixture
def people(tenant):
    """Who asks, and who approves."""
    return [make_person(tenant, role, regions=(REGION,)) for role in ("records_manager", "legal")]


def approved(people, log, policy):
    """The id of an approval of what the command would give up now."""
    from auditvault.access.approvals import services

    now = datetime.now(UTC)
    code, planned = run(log, policy, plan=True)
    plan = Plan.parse(planned["plan"].encode())
    assert (code, plan.digest().hex()) == (0, planned["digest"])
    asked = services.request(
        credential=people[0].signed_in(), plan=plan, case="RET-1", now=now
    ).approval_id
    services.approve(credential=people[1].signed_in(), region=REGION, approval_id=asked, now=now)
    return asked


def ask_of(log, policy):
    """What the command asks the service for."""
    from pathlib import Path

    from django.conf import settings

    from auditvault.evidence.pruning.planning import Ask, read_policy
    from auditvault.evidence.verification import read_log_keys

    keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    return Ask(region=REGION, log=log, policy=read_policy(policy), keys=keys)


def entries(cluster, tenant):
    """What the tenant's admin log says of prunes and of used approvals."""
    with superuser(cluster, DATABASE) as connection:
        rows = connection.execute(
            "SELECT action, header FROM admin_event WHERE tenant_id = %s"
            " AND (action = 'approval.used' OR action LIKE 'prune.%%') ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [(action, json.loads(bytes(header))["details"]) for action, header in rows]


def pruned_to(cluster, log):
    """The minimum of each prune of the log that was recorded."""
    with superuser(cluster, DATABASE) as connection:
        return connection.execute(
            "SELECT minimum FROM ledger_prune WHERE log_id = %s", (log.log_id,)
        ).fetchall()


def test_one_person_alone_prunes_under_no_policy_of_their_own(expired, policy, cluster):
    code, said = run(expired, policy)

    assert (code, said["error"]) == (1, "command_approval_missing")
    assert pruned_to(cluster, expired) == []


def test_what_somebody_else_approved_is_pruned_and_an_entry_names_the_approval(
    expired, policy, people, cluster, tenant, run_signer
):
    approval_id = approved(people, expired, policy)

    assert run(expired, policy, approval_ids=[approval_id])[0] == 3

    (used, said), (taken_up, details) = entries(cluster, tenant)
    assert (used, taken_up) == ("approval.used", "prune.policy_taken_up")
    assert said["approval"] == details["approval"] == str(approval_id)
    assert said["plan"] == details["plan"]
    assert (details["log"], details["minimum"]) == (expired.origin, 2 * PARTITION)
    # What is pending is finished without another.
    assert run(expired, policy, plan=True)[1] == {"plan": None, "digest": None}
    run_signer()
    assert run(expired, policy)[0] == 0


def test_an_approval_of_one_policy_is_none_of_another(expired, policy, people, tmp_path, cluster):
    approval_id = approved(people, expired, policy)
    other = policy_file(tmp_path, text="Somebody has made up their own mind.")

    code, said = run(expired, other, approval_ids=[approval_id])

    assert (code, said["error"]) == (1, "approval_drifted")
    assert pruned_to(cluster, expired) == []


def test_an_approval_of_another_tenants_or_of_none_is_of_no_use(expired, policy, cluster):
    code, said = run(expired, policy, approval_ids=[UUID(int=7)])

    assert (code, said["error"]) == (1, "approval_not_found")
    assert pruned_to(cluster, expired) == []


def test_another_prune_takes_an_approval_under_another_policy_alone(
    expired, policy, people, tmp_path
):
    from auditvault.evidence.pruning import services
    from auditvault.evidence.pruning.planning import decide
    from auditvault.ledger.scope import region_alias, tenant_scope

    run(expired, policy, approval_ids=[approved(people, expired, policy)])
    other = tmp_path / "other"
    other.mkdir()

    def plan_under(path):
        ask = ask_of(expired, path)
        with tenant_scope(region_alias(REGION), expired.tenant_id) as connection:
            order = decide(connection, ask, datetime.now(UTC))
            return services._plan(connection, ask, order)

    assert plan_under(policy) is None
    assert plan_under(policy_file(other, text="Another decision of the same day.")) is not None


def test_a_crash_while_the_prune_is_recorded_leaves_the_approval(
    expired, policy, people, cluster, tenant, monkeypatch
):
    from auditvault.evidence.pruning import services

    approval_id = approved(people, expired, policy)

    def crash(*_given, **_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as failing:
        failing.setattr(services, "record_in", crash)
        with pytest.raises(KeyboardInterrupt):
            services.prune(ask_of(expired, policy), wait=lambda: False, approval_ids=[approval_id])
    assert (pruned_to(cluster, expired), entries(cluster, tenant)) == ([], [])

    assert run(expired, policy, approval_ids=[approval_id])[0] == 3


def test_nothing_goes_while_copies_are_elsewhere_than_was_taken_up(
    expired, policy, people, monkeypatch, tmp_path, run_signer
):
    from django.conf import settings

    from auditvault.evidence.trust import take_up

    now = datetime.now(UTC)
    monkeypatch.setattr(settings, "COPIES_URLS", {REGION: f"file://{tmp_path}/copies"})
    take_up(REGION, now=now)
    run(expired, policy, approval_ids=[approved(people, expired, policy)])
    run_signer()

    # With nowhere to copy to, only the taking up stands in the way.
    monkeypatch.setattr(settings, "COPIES_URLS", {})
    code, said = run(expired, policy)

    assert (code, said["error"]) == (1, "trust_changed")
    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", True)
    take_up(REGION, now=now)
    assert run(expired, policy)[0] == 0
