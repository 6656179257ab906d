"""`auditvault keys`, the scheduled jobs, and the figures: what they do, and that they show no key."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _one_person(service, monkeypatch):
    """Two people are the matter of test_approved.py."""
    from django.conf import settings

    monkeypatch.setattr(settings, "COMMANDS_WITHOUT_APPROVAL", True)


def command(*words, **options):
    from django.core.management import call_command

    out = io.StringIO()
    call_command("keys", *words, stdout=out, **options)
    return out.getvalue()


def answer(*words):
    return json.loads(command(*words, "--json"))


def test_the_epoch_is_turned_and_said_so(keys, tenant):
    keys.make(tenant.tenant_id, 3)
    turn = answer("turn", "--region", "us")["turn"]
    assert (turn["epoch"], turn["state"], turn["subject_keys"]) == (2, "done", 3)
    assert "epoch 3 has begun" in command("turn", "--region", "us")
    assert keys.epochs() == [3]


def test_the_status_says_how_the_keys_stand(keys, tenant):
    assert answer("status", "--region", "us")["regions"][0]["epoch"] is None
    keys.make(tenant.tenant_id, 2)
    (state,) = answer("status", "--region", "us")["regions"]
    assert (state["epoch"], state["turn"], state["remaining"]) == (1, None, 0)
    keys.turn()
    (state,) = answer("status", "--region", "us")["regions"]
    assert (state["epoch"], state["turn"]["state"]) == (2, "done")
    assert state["scheduled_destructions"] == []


def test_an_unfinished_turn_is_shown_and_a_destruction_that_can_be_taken_back(keys, tenant):
    keys.make(tenant.tenant_id, 2)
    keys.turn()
    with keys.owner() as owner:
        owner.execute(
            "UPDATE keyring_turn SET state = 'rewrapping', past_recall_at = now() + interval '7 days'"
        )
        owner.execute("UPDATE keyring_tenant_key SET epoch = 2")
    text = command("status", "--region", "us")
    assert "UNFINISHED turn (rewrapping)" in text
    assert "can be taken back until" in text
    assert len(answer("status", "--region", "us")["regions"][0]["scheduled_destructions"]) == 1


def test_a_subjects_key_is_rotated_and_objects_are_sealed_anew(keys, tenant, client, anna):
    where = ("--region", "us", "--tenant", tenant.slug, "--subject", str(anna))
    done = answer("rotate-subject", *where)
    assert (done["state"], done["rewrapped"]) == ("waiting", 3)
    assert answer("reseal", *where) == {"resealed": 2, "missing": 0, "unreadable": 0, "changed": 0}
    keys.forget()
    assert keys.contents(client, tenant, "a secret") == ["a secret"]
    ((object_id,),) = keys.rows(
        "SELECT object_id FROM vault_object WHERE tenant_id = %s LIMIT 1",
        tenant.tenant_id,
        database="turning_region",
    )
    assert answer("reseal", *where[:4], "--object", str(object_id))["resealed"] == 1


def test_keys_are_listed_by_their_metadata_and_no_subject_is_named(keys, tenant, anna):
    with_subjects = answer("list", "--region", "us", "--tenant", tenant.slug)["keys"]
    assert {key["kind"] for key in with_subjects} == {"tenant_kek", "tag_secret", "subject_dek"}
    kinds = {key["kind"] for key in answer("list", "--region", "us")["keys"]}
    assert kinds == {"region_kek", "tenant_kek", "tag_secret"}
    assert str(anna) not in json.dumps(with_subjects)
    assert len(answer("list", "--region", "us", "--limit", "1")["keys"]) == 1


def test_no_command_shows_a_key_wrapped_or_not(keys, tenant, anna):
    where = ("--region", "us", "--tenant", tenant.slug)
    said = command("list", *where) + command("list", *where, "--json")
    said += command("rotate-subject", *where, "--subject", str(anna), "--json")
    said += command("turn", "--region", "us") + command("status")
    wraps = [wrap for _, wrap in keys.wraps().values()]
    wraps += [bytes(row[0]) for row in keys.rows("SELECT wrapped FROM keyring_region_key")]
    root_key = (keys.root_key.parent / "root_key.e2").read_text()
    assert [wrap for wrap in wraps if wrap.hex() in said or wrap[46:78].hex() in said] == []
    assert root_key not in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("turn", "--region", "us"), "key_epoch_none"),
        (("turn", "--region", "mars"), "region_unavailable"),
        (("status", "--region", "mars"), "region_unavailable"),
        (("list", "--region", "us", "--tenant", "nobody"), "tenant_request_invalid"),
        (
            ("rotate-subject", "--region", "us", "--tenant", "-", "--subject", "0" * 32),
            "key_not_there",
        ),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(keys, tenant, words, code):
    words = tuple(tenant.slug if word == "-" else word for word in words)
    out = io.StringIO()
    from django.core.management import call_command

    with pytest.raises(SystemExit) as left:
        call_command("keys", *words, "--json", stdout=out)
    assert (left.value.code, json.loads(out.getvalue())["error"]) == (1, code)


# --- jobs --------------------------------------------------------------------------------------------------


def job(name):
    from auditvault.evidence.key_jobs import key_jobs

    (found,) = [found for found in key_jobs() if found.name == name]
    return found


@pytest.fixture
def age(keys):
    """`age(days)` sets the newest epoch back in time."""

    def make(days):
        with keys.owner() as owner:
            owner.execute(
                "UPDATE keyring_region_key SET created_at = now() - make_interval(days => %s)",
                (days,),
            )

    return make


def run(name):
    return job(name).run("us", datetime.now(UTC))


def test_an_epoch_turns_when_it_is_a_week_old_and_not_before(keys, tenant, age):
    keys.make(tenant.tenant_id, 1)
    age(6)
    assert run("turn_key_epoch") == {"turned": False}
    age(7)
    assert run("turn_key_epoch") == {"turned": True, "epoch": 2, "subject_keys": 1}
    assert run("turn_key_epoch") == {"turned": False}
    assert keys.epochs() == [2]


def test_a_region_without_keys_has_nothing_due(keys):
    assert run("turn_key_epoch") == {"turned": False}


def test_a_turn_that_was_broken_off_is_finished_however_young_it_is(keys, tenant, monkeypatch):
    from auditvault.vault.keyring import turning

    class BrokenOffError(Exception):
        """As if the process had ended here."""

    def break_off(*_):
        raise BrokenOffError

    keys.make(tenant.tenant_id, 1)
    with monkeypatch.context() as patched:
        patched.setattr(turning, "_destroy", break_off)
        with pytest.raises(BrokenOffError):
            keys.turn()
    assert run("turn_key_epoch")["epoch"] == 2
    assert keys.rows("SELECT state FROM keyring_turn") == [("done",)]


def test_where_epochs_are_turned_by_hand_there_is_no_such_job(monkeypatch):
    from django.conf import settings

    from auditvault.evidence.key_jobs import key_jobs

    monkeypatch.setattr(settings, "KEY_EPOCH_DAYS", 0)
    assert [found.name for found in key_jobs()] == ["rotate_keys"]


def test_a_worker_that_may_not_make_root_keys_says_so_on_the_jobs_row(
    keys, tenant, age, monkeypatch
):
    from auditvault.evidence.jobs import run_due
    from auditvault.vault.providers import file

    def refused(*_words, **_options):
        raise PermissionError(13, "Permission denied")

    keys.make(tenant.tenant_id, 1)
    age(8)
    with keys.owner("turning_region") as owner:
        owner.execute("DELETE FROM scheduled_job WHERE name = 'turn_key_epoch'")
    with monkeypatch.context() as patched:
        patched.setattr(file, "_write_new", refused)
        assert run_due("us", [job("turn_key_epoch")], datetime.now(UTC)) == ["turn_key_epoch"]
    outcome, detail, again_in = keys.rows(
        "SELECT outcome, detail, due_at - finished_at FROM scheduled_job WHERE name = 'turn_key_epoch'",
        database="turning_region",
    )[0]
    assert (outcome, detail) == ("failed", {"error": "root_key_not_made"})
    assert again_in <= timedelta(hours=1)
    assert keys.epochs() == [1]
    assert run("turn_key_epoch")["epoch"] == 2


def test_a_key_that_does_not_open_is_named_on_the_jobs_row(keys, tenant, age):
    from auditvault.evidence.jobs import JobFailedError

    keys.make(tenant.tenant_id, 2)
    damaged = min(keys.wraps())
    with keys.owner() as owner:
        owner.execute("UPDATE keyring_subject_key SET wrapped = 'x' WHERE key_id = %s", (damaged,))
    age(8)
    with pytest.raises(JobFailedError) as failed:
        run("turn_key_epoch")
    assert failed.value.detail == {"error": "key_epoch_stuck", "keys": [str(damaged)]}


def test_a_rotation_that_waits_is_finished_by_the_job(keys, tenant, anna):
    command("rotate-subject", "--region", "us", "--tenant", tenant.slug, "--subject", str(anna))
    assert run("rotate_keys") == {"finished": 0, "waiting": 1, "rewrapped": 0}
    with keys.owner() as owner:
        owner.execute("UPDATE keyring_subject_key SET retired_at = retired_at - interval '1 hour'")
    assert run("rotate_keys") == {"finished": 1, "waiting": 0, "rewrapped": 0}


# --- figures -----------------------------------------------------------------------------------------------


def figures(client):
    text = client.get("/metrics").content.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if 'region="us"' in line]
    return {name.partition("{")[0]: float(value) for name, _, value in lines if "_key_" in name}


def test_the_figures_say_how_old_the_epoch_is_and_what_is_scheduled(keys, tenant, client, age):
    keys.make(tenant.tenant_id, 1)
    keys.turn()
    age(3)
    with keys.owner() as owner:
        owner.execute("UPDATE keyring_turn SET past_recall_at = now() + interval '7 days'")
    found = figures(client)
    assert round(found["auditvault_key_epoch_age_seconds"] / 86400, 2) == 3
    assert found["auditvault_key_turn_unfinished"] == 0
    assert found["auditvault_key_destructions_scheduled"] == 1


def test_the_figures_say_that_a_turn_is_under_way(keys, tenant, client):
    keys.make(tenant.tenant_id, 2)
    keys.turn()
    with keys.owner() as owner:
        owner.execute("UPDATE keyring_turn SET state = 'destroying'")
    found = figures(client)
    assert found["auditvault_key_turn_unfinished"] == 1
    assert found["auditvault_key_turn_moved_keys"] == 2
