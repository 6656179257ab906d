"""An older backup is put back: a rollback until somebody answers for it, and a new epoch for ever after."""

from __future__ import annotations

import io
import json

import pytest

from auditvault.ledger.admin.services import OPERATOR
from tests.integration.evidence.backups import back_up, restored
from tests.integration.evidence.rewriting import cut, drop_checkpoints, resign, rewrite
from tests.integration.evidence.verdict import findings, logs_of, reports_of, verify
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser, tampering

BACKUP = "region_us_old"


@pytest.fixture
def memory(service, monkeypatch, tmp_path):
    """A signer's memory of this test's own: it is not wound back with the database at the end."""
    from django.conf import settings

    state = tmp_path / "state.json"
    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", str(state))
    return state


@pytest.fixture
def add(client, tenant, memory, run_signer):
    """`add(n)` records so many and lets the signer look."""

    def adding(count):
        body = protobuf_of(*[chat(f"{n}") for n in range(count)])
        headers = tenant.headers("ingest", regions=("us",))
        assert send(client, tenant, body, headers=headers).status_code == 200
        run_signer()

    return adding


@pytest.fixture
def old_backup(add, cluster):
    """20 interactions, a backup, 10 more, and the backup in their place."""
    add(20)
    back_up(cluster, BACKUP)
    add(10)
    with restored(cluster, BACKUP):
        yield


def acknowledge(case="INC-1"):
    """What `auditvault restored` answers."""
    from django.core.management import call_command

    out = io.StringIO()
    call_command("restored", region="us", case=case, json=True, stdout=out)
    return json.loads(out.getvalue())["restores"]


def signed(cluster, log):
    """Sizes of the checkpoints in the database."""
    with superuser(cluster, "region_us") as connection:
        rows = connection.execute(
            "SELECT size FROM ledger_checkpoint WHERE log_id = %s ORDER BY size", (log.log_id,)
        ).fetchall()
    return [row[0] for row in rows]


def test_it_is_a_rollback(tenant, old_backup):
    assert findings(tenant, with_payloads=True) == {"interactions": {"rollback": 20}}


def test_it_is_none_any_more_when_the_newer_database_is_back(tenant, add, cluster):
    add(20)
    back_up(cluster, BACKUP)
    add(10)
    with restored(cluster, BACKUP):
        pass
    assert findings(tenant, with_payloads=True) == {}


def test_nothing_is_signed_until_somebody_answers_for_it(tenant, old_backup, add, cluster, caplog):
    add(15)
    assert signed(cluster, logs_of(tenant)["interactions"]) == [20]
    assert "refused to sign" in caplog.text
    assert set(findings(tenant)["interactions"]) == {"checkpoint_root"}


@pytest.mark.parametrize("since", [0, 5, 15])
def test_answered_for_it_goes_on_and_the_new_epoch_is_seen_for_ever(
    tenant, old_backup, add, run_signer, cluster, since
):
    if since:
        add(since)
    (restore,) = acknowledge()
    run_signer()
    assert findings(tenant, with_payloads=True) == {}
    assert (restore["lost_size"], restore["kept_size"], restore["epoch"]) == (30, 20, 2)
    add(1)
    assert signed(cluster, logs_of(tenant)["interactions"])[-1] == 21 + since
    _, answer = verify()
    (found,) = [item for item in answer["logs"] if item["origin"] == restore["origin"]]
    assert (found["holds"], found["epoch"]) == (True, 2)
    assert found["restores"] == [restore]


def test_people_read_that_a_log_was_restored(tenant, old_backup, run_signer, capsys):
    from django.core.management import call_command

    acknowledge()
    run_signer()
    with pytest.raises(SystemExit):
        call_command("verify", region=["us"])
    said = capsys.readouterr().out
    assert (
        "RESTORED: epoch 2 goes on from 20 entries; of 30 that were signed the rest is lost" in said
    )


def test_it_is_recorded_in_the_operators_log(tenant, old_backup, cluster):
    (restore,) = acknowledge("INC-7")
    with superuser(cluster, "region_us") as connection:
        (header,) = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND record_id = %s",
            (OPERATOR, restore["record"]),
        ).fetchone()
    names = ("epoch", "kept_root", "kept_size", "lost_root", "lost_size")
    assert json.loads(bytes(header))["details"] == {
        "case": "INC-7",
        "logs": [{"log": restore["origin"], **{name: restore[name] for name in names}}],
    }
    assert reports_of(_Operator)["admin"].holds


class _Operator:
    tenant_id = OPERATOR


def test_an_answer_that_was_recorded_and_not_written_down_is_given_again(
    tenant, old_backup, run_signer, cluster, monkeypatch
):
    from django.core.management.base import CommandError

    from auditvault.ledger import restores

    def full(_path, _text):
        raise OSError("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(restores, "replace_file", full)
        with pytest.raises(CommandError, match="cannot be written"):
            acknowledge()
    run_signer()
    assert findings(tenant) == {"interactions": {"rollback": 20}}
    assert len(acknowledge()) == 1
    run_signer()
    assert findings(tenant) == {}
    with superuser(cluster, "region_us") as connection:
        (recorded,) = connection.execute(
            "SELECT count(*) FROM admin_event WHERE action = 'log.restored'"
        ).fetchone()
    assert recorded == 2


def test_it_is_answered_for_once(old_backup):
    assert len(acknowledge()) == 1
    assert acknowledge() == []


def test_a_database_that_lost_nothing_needs_no_answer(add):
    add(3)
    assert acknowledge() == []


def test_an_answer_is_good_for_one_restore(tenant, add, run_signer, cluster, memory, monkeypatch):
    """The newer database comes back and is signed again; whoever then cuts it at the same place is found."""
    add(20)
    back_up(cluster, BACKUP)
    add(10)
    with restored(cluster, BACKUP):
        acknowledge()
        run_signer()
    run_signer()
    log = logs_of(tenant)["interactions"]
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        cut(connection, log, 20)
        drop_checkpoints(connection, log, 20)
        run_signer()
        assert findings(tenant) == {"interactions": {"rollback": 20}}


def test_a_log_that_is_rewritten_after_the_answer_is_refused(
    tenant, old_backup, run_signer, cluster
):
    acknowledge()
    log = logs_of(tenant)["interactions"]
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        rewrite(connection, log, lambda entry: None if entry.index == 5 else entry)
        drop_checkpoints(connection, log, 0)
        run_signer()
        assert signed(cluster, log) == []


def test_a_log_that_the_backup_does_not_have_is_lost_whole(
    client, tenant, memory, run_signer, cluster
):
    back_up(cluster, BACKUP)
    body = protobuf_of(*[chat(f"{n}") for n in range(3)])
    headers = tenant.headers("ingest", regions=("us",))
    assert send(client, tenant, body, headers=headers).status_code == 200
    run_signer()
    origin = logs_of(tenant)["interactions"].origin
    with restored(cluster, BACKUP):
        before = found_of(origin)
        acknowledge()
        after = found_of(origin)
    assert (before["first_bad"], before["epoch"]) == ({"log_missing": 0}, 1)
    assert (after["first_bad"], after["epoch"]) == ({}, 2)


def found_of(origin):
    _, answer = verify()
    (found,) = [item for item in answer["logs"] if item["origin"] == origin]
    return found


@pytest.mark.parametrize("keeps_checkpoints", [True, False])
def test_a_log_that_was_rewritten_cannot_be_answered_for(
    tenant, add, cluster, memory, keeps_checkpoints
):
    from django.core.management.base import CommandError

    add(20)
    log = logs_of(tenant)["interactions"]
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        rewrite(connection, log, lambda entry: None if entry.index == 5 else entry)
        if not keeps_checkpoints:
            drop_checkpoints(connection, log, 0)
        with pytest.raises(CommandError, match="changed"):
            acknowledge()
    assert not memory.with_name("state.json.restores").exists()


def test_a_log_that_was_signed_with_another_key_cannot_be_answered_for(
    tenant, add, cluster, memory
):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from django.core.management.base import CommandError

    add(20)
    log = logs_of(tenant)["interactions"]
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        rewrite(connection, log, lambda entry: None if entry.index == 5 else entry)
        connection.execute(
            "UPDATE ledger_checkpoint SET size = 19 WHERE log_id = %s", (log.log_id,)
        )
        resign(connection, log, Ed25519PrivateKey.generate())
        with pytest.raises(CommandError, match="not signed"):
            acknowledge()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v": "another", "restores": []}'])
def test_a_file_of_restores_that_is_none_stops_verification_and_signing(
    tenant, add, old_backup, memory, run_signer, cluster, text, caplog
):
    memory.with_name("state.json.restores").write_text(text)
    code, answer = verify()
    run_signer()
    assert (code, answer["verdict"]) == (2, "not_checked")
    assert signed(cluster, logs_of(tenant)["interactions"]) == [20]


@pytest.mark.parametrize("case", ["", "a b", "x" * 65, "Mr. O'Neil"])
def test_a_case_is_a_reference(old_backup, case):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="reference"):
        acknowledge(case)
