"""Whom evidence leans on outside is changed by two people, and nothing is gathered under what one has put there."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from auditvault.core.policy.approvals import Plan
from tests.integration.ledger.superuser import superuser
from tests.staff import make_person

REGION = "us"
WITNESSES = b"policy text"


@pytest.fixture
def trust(service, tenant, monkeypatch, tmp_path):
    """`trust(witnesses=…, copies=…)` is what the settings say; nobody is leaned on afterwards."""
    from django.conf import settings

    from auditvault.evidence.trust import take_up

    def say(witnesses=None, copies=None):
        policy = tmp_path / "policy"
        monkeypatch.setattr(settings, "TSA_URL", "")
        if witnesses is not None:
            policy.write_bytes(witnesses)
        monkeypatch.setattr(settings, "WITNESS_POLICY_FILE", str(policy) if witnesses else "")
        monkeypatch.setattr(settings, "COPIES_URLS", {REGION: copies} if copies else {})

    monkeypatch.setattr(settings, "OPERATOR_TENANT", tenant.slug)
    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", False)
    say()
    yield say
    say()
    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", True)
    take_up(REGION, now=datetime.now(UTC))


@pytest.fixture
def people(tenant):
    """Who asks, and who approves."""
    return [make_person(tenant, "log_admin", regions=(REGION,)) for _ in range(2)]


def look():
    """One run of the job, as a worker does it."""
    from auditvault.evidence.trust import trust_jobs

    (job,) = trust_jobs()
    return job.run(REGION, datetime.now(UTC))


def approved(people):
    """The id of an approval of what would be taken up now."""
    from auditvault.access.approvals import services
    from auditvault.evidence.trust import plan_of_take_up

    now = datetime.now(UTC)
    plan = Plan.parse(plan_of_take_up(REGION).body())
    asked = services.request(
        credential=people[0].signed_in(), plan=plan, case="CHG-7", now=now
    ).approval_id
    services.approve(credential=people[1].signed_in(), region=REGION, approval_id=asked, now=now)
    return asked


def command(*words):
    """What `auditvault trust` prints."""
    from io import StringIO

    out = StringIO()
    call_command("trust", *words, "--region", REGION, stdout=out, stderr=StringIO())
    return out.getvalue()


def records(cluster):
    """Details of each record in the region's operator's log, oldest first."""
    with superuser(cluster, f"region_{REGION}") as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE action = 'trust.taken_up' ORDER BY record_id"
        ).fetchall()
    return [json.loads(bytes(header))["details"] for (header,) in rows]


def test_where_nobody_is_leaned_on_nothing_is_recorded(trust, cluster):
    before = records(cluster)

    assert look() == {"taken_up": False}

    assert records(cluster) == before


def test_the_first_parties_are_taken_up_by_the_service_and_once(trust, cluster):
    before = len(records(cluster))
    trust(witnesses=WITNESSES, copies="file:///copies")

    assert [look(), look()] == [{"taken_up": True}, {"taken_up": False}]

    (record,) = records(cluster)[before:]
    assert record["approval"] is None
    assert record["trust"]["copies"]["url"] == "file:///copies"
    assert record["trust"]["time_stamps"] is None


@pytest.mark.parametrize(
    "changed",
    [
        {"witnesses": b"another"},
        {"copies": "file:///elsewhere"},
        {"witnesses": None},
        {"witnesses": None, "copies": None},
    ],
)
def test_what_one_person_changed_is_an_alarm_and_is_not_taken_up(trust, cluster, changed):
    from auditvault.evidence.jobs import JobFailedError

    now = {"witnesses": WITNESSES, "copies": "file:///copies"}
    trust(**now)
    look()
    before = records(cluster)
    trust(**now | changed)

    with pytest.raises(JobFailedError, match="trust_changed"):
        look()
    with pytest.raises(CommandError, match="command_approval_missing"):
        command("take-up")

    assert records(cluster) == before


def test_no_job_gathers_evidence_from_parties_that_one_person_put_there(
    trust, monkeypatch, tmp_path
):
    from django.conf import settings

    from auditvault.evidence.anchors.jobs import timestamp_jobs
    from auditvault.evidence.copies.jobs import copy_jobs
    from auditvault.evidence.jobs import JobFailedError
    from auditvault.evidence.witnesses import witness_jobs

    trust(witnesses=WITNESSES, copies=f"file://{tmp_path}/copies")
    look()
    trust(witnesses=b"another", copies=f"file://{tmp_path}/theirs")
    monkeypatch.setattr(settings, "TSA_URL", "http://127.0.0.1:1/")
    monkeypatch.setattr(settings, "TSA_CA_FILE", str(tmp_path / "policy"))
    refused = []
    for job in [*witness_jobs(), *timestamp_jobs(), *copy_jobs()]:
        with pytest.raises(JobFailedError, match="trust_changed"):
            job.run(REGION, datetime.now(UTC))
        refused.append(job.name)

    assert refused == ["witness", "time_stamp", "copy", "verify_copies"]
    assert not (tmp_path / "theirs").exists()


def test_a_change_that_somebody_else_approved_counts_from_then_on(trust, people, cluster):
    trust(witnesses=WITNESSES)
    look()
    trust(witnesses=b"another")
    approval_id = approved(people)
    assert json.loads(command("take-up", "--plan", "--json"))["digest"]

    assert "taken up" in command("take-up", "--approval", str(approval_id))

    assert records(cluster)[-1]["approval"] == str(approval_id)
    assert look() == {"taken_up": False}
    assert json.loads(command("show", "--json"))["changed"] is False
    assert "taken up before" in command("take-up", "--approval", str(approval_id))


def test_an_approval_of_one_change_is_none_of_another(trust, people, cluster):
    trust(witnesses=WITNESSES)
    look()
    trust(witnesses=b"another")
    approval_id = approved(people)
    before = records(cluster)
    trust(witnesses=b"a third")

    with pytest.raises(CommandError, match="approval_drifted"):
        command("take-up", "--approval", str(approval_id))

    assert records(cluster) == before


def test_a_change_is_shown_with_what_was_before_and_by_the_exit_code(trust):
    trust(copies="file:///copies")
    look()
    trust(copies="file:///elsewhere")
    from io import StringIO

    out = StringIO()
    with pytest.raises(CommandError, match="was not taken up"):
        call_command("trust", "show", "--region", REGION, stdout=out)

    assert "url=file:///elsewhere\n" in out.getvalue()
    assert "taken up: lock_days=0  lock_mode=COMPLIANCE  url=file:///copies\n" in out.getvalue()


def test_a_policy_that_cannot_be_read_is_an_alarm(trust, monkeypatch, tmp_path):
    from django.conf import settings

    from auditvault.evidence.jobs import JobFailedError

    monkeypatch.setattr(settings, "WITNESS_POLICY_FILE", str(tmp_path / "nowhere"))

    with pytest.raises(JobFailedError, match="trust_unreadable"):
        look()


def test_a_crash_before_the_entry_leaves_the_approval_to_be_used(trust, people, monkeypatch):
    from auditvault.ledger.admin import services

    trust(witnesses=WITNESSES)
    look()
    trust(witnesses=b"another")
    approval_id = approved(people)
    with monkeypatch.context() as patched:
        patched.setattr(services, "record_in", _die)
        with pytest.raises(RuntimeError):
            command("take-up", "--approval", str(approval_id))

    assert "taken up" in command("take-up", "--approval", str(approval_id))


def _die(*_args, **_named):
    raise RuntimeError("the process ended here")
