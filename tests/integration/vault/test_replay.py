"""After a restore of either database or both, nothing of an erased person is opened, before replay and after it."""

from __future__ import annotations

import json
import shutil
from uuid import UUID, uuid4

import pytest

from tests.integration.ingest.sending import chat, post, protobuf_of, send
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.erasing import NOTHING, CutOffError, erase, heads, left, subject_of
from tests.integration.vault.looking import PURPOSE
from tests.integration.vault.restoring import back_up, restored, start_anew

REGION, KEYS = "region_us", "keys_us"
RESTORED = [(REGION,), (KEYS,), (REGION, KEYS)]


@pytest.fixture
def us(client, tenant):
    """`us.record(…)` and `us.look(…)` in the region `us`."""
    return Us(client, tenant)


class Us:
    def __init__(self, client, tenant):
        self._client, self._tenant = client, tenant

    def _headers(self, role):
        return self._tenant.headers(role, regions=("us",))

    def record(self, *spans):
        answer = send(
            self._client, self._tenant, protobuf_of(*spans), headers=self._headers("ingest")
        )
        return answer.status_code

    def look(self, content):
        """The contents that are shown, or the status."""
        import hashlib

        body = {
            "content_hash": f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
            "purpose": PURPOSE,
        }
        answer = post(self._client, "/api/v1/resolve", body, self._tenant.cleared(regions=("us",)))
        if answer.status_code == 404:
            return []
        if answer.status_code != 200:
            return answer.status_code
        return [item["content"] for item in answer.json()["contents"]]


@pytest.fixture
def anna(us, tenant, cluster):
    """Her subject in `us`; there is a second person, bert."""
    assert us.record(chat("a", user="anna", system="Be brief.")) == 200
    found = subject_of(cluster, tenant, region="us")
    assert us.record(chat("b", user="bert")) == 200
    return found


def replay():
    from auditvault.vault.erasures.replay import replay_erasures

    return replay_erasures(region="us")


def reason():
    from auditvault.vault.erasures.pending import restore_pending_reason

    return restore_pending_reason("us")


@pytest.mark.parametrize("databases", RESTORED, ids="+".join)
def test_a_restored_region_opens_nothing_and_after_replay_nothing_of_who_was_erased(
    us, tenant, cluster, anna, monkeypatch, databases
):
    back_up(cluster, *databases)
    erase(tenant, anna, region="us")
    with restored(cluster, monkeypatch, *databases):
        came_back = left(cluster, tenant, anna, region="us")
        assert came_back != NOTHING
        assert reason() is not None
        # Whatever is asked for: nobody knows yet whose content came back.
        assert (us.look("a"), us.look("b"), us.record(chat("c", user="anna"))) == (503, 503, 503)

        found = replay()

        assert reason() is None
        assert len(heads(cluster, "us")) == 1
        assert left(cluster, tenant, anna, region="us") == NOTHING
        assert (us.look("a"), us.look("b"), us.look("Be brief.")) == ([], ["b"], ["Be brief."])
        assert us.record(chat("c", user="anna")) == 200
        assert (us.look("c"), subject_of_anna(cluster, tenant) != anna) == (["c"], True)
        assert (found.counts.keys, found.counts.objects) == (
            came_back["keys"],
            came_back["vault_object"],
        )


def subject_of_anna(cluster, tenant):
    with superuser(cluster, REGION) as connection:
        rows = connection.execute(
            "SELECT subject_id FROM vault_identifier WHERE tenant_id = %s ORDER BY created_at DESC",
            (tenant.tenant_id,),
        ).fetchall()
    return rows[0][0]


def test_a_backup_from_before_the_person_was_known_gains_nothing_of_them(
    us, tenant, cluster, monkeypatch
):
    assert us.record(chat("b", user="bert")) == 200
    back_up(cluster, REGION, KEYS)
    assert us.record(chat("a", user="anna")) == 200
    anna = subject_of_anna(cluster, tenant)
    erase(tenant, anna, region="us")
    with restored(cluster, monkeypatch, REGION, KEYS):
        assert us.look("b") == 503
        replay()
        assert (us.look("a"), us.look("b")) == ([], ["b"])


def test_a_backup_from_the_middle_of_an_erasure_opens_nothing_of_it(
    us, tenant, cluster, anna, monkeypatch, cut_off
):
    reference = uuid4()
    cut_off("destroy_keys", "before")
    with pytest.raises(CutOffError):
        erase(tenant, anna, reference=reference, region="us")
    back_up(cluster, REGION, KEYS)
    erase(tenant, anna, reference=reference, region="us")
    with restored(cluster, monkeypatch, REGION, KEYS):
        assert us.look("a") == []
        replay()
        assert left(cluster, tenant, anna, region="us") == NOTHING
        assert len(heads(cluster, "us")) == 1


def test_what_was_found_is_recorded_in_the_operators_log(us, tenant, cluster, anna, monkeypatch):
    back_up(cluster, REGION, KEYS)
    erase(tenant, anna, region="us")
    with restored(cluster, monkeypatch, REGION, KEYS):
        done = replay()
        with superuser(cluster, REGION) as connection:
            (action, header) = connection.execute(
                "SELECT action, header FROM admin_event WHERE record_id = %s", (done.record_id,)
            ).fetchone()
    details = json.loads(bytes(header))["details"]
    assert action == "restore.completed"
    assert details["records"] == done.head.idx + 1
    assert details["came_back"]["subjects"] == 1
    assert details["came_back"]["keys"] == 1


STEPS = [
    ("hide", "before"),
    ("hide", "after"),
    ("destroy_keys", "after"),
    ("finish", "after"),
    ("record_operation", "after"),
    ("_clear", "before"),
]


@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_replay_that_was_cut_off_leaves_the_region_pending_and_is_run_again(
    us, tenant, cluster, anna, monkeypatch, step, when
):
    from auditvault.vault.erasures import replay as module

    back_up(cluster, REGION)
    erase(tenant, anna, region="us")
    real = getattr(module, step)

    def failing(*arguments, **named):
        if when == "after":
            real(*arguments, **named)
        raise CutOffError

    with restored(cluster, monkeypatch, REGION):
        monkeypatch.setattr(module, step, failing)
        with pytest.raises(CutOffError):
            replay()
        assert us.look("b") == 503
        monkeypatch.setattr(module, step, real)
        replay()
        assert (us.look("a"), us.look("b")) == ([], ["b"])


def test_a_hold_that_came_back_is_named_and_the_region_stays_pending(
    us, tenant, cluster, anna, monkeypatch
):
    from auditvault.vault.shred import KeysHeldError

    held = uuid4(), tenant.tenant_id, anna, uuid4()
    with superuser(cluster, KEYS) as connection:
        connection.execute("SELECT keyring_place_hold(%s, %s, %s, NULL, %s)", held)
    back_up(cluster, KEYS)
    release(cluster, held)
    erase(tenant, anna, region="us")
    with restored(cluster, monkeypatch, KEYS):
        with pytest.raises(KeysHeldError) as caught:
            replay()
        assert caught.value.references == {held[3]}
        assert us.look("b") == 503
        release(cluster, held)
        replay()
        assert us.look("b") == ["b"]
        assert left(cluster, tenant, anna, region="us") == NOTHING


def release(cluster, held):
    with superuser(cluster, KEYS) as connection:
        connection.execute("SELECT keyring_release_hold(%s, %s)", held[:2])


# --- a ledger that is not what it was ----------------------------------------------------------------------


@pytest.fixture
def copied_ledger(us, tenant, anna, monkeypatch, tmp_path):
    """A copy of the region's ledger, with at least two records, that this test may damage; and that is used."""
    from django.conf import settings

    erase(tenant, anna, region="us")
    bert = subject_of_bert(tenant, us)
    erase(tenant, bert, region="us")
    directory = tmp_path / "ledger"
    shutil.copytree(settings.ERASURE_LEDGER_DIRS["us"], directory)
    monkeypatch.setattr(
        settings,
        "ERASURE_LEDGER_DIRS",
        {**settings.ERASURE_LEDGER_DIRS, "us": str(directory)},
    )
    return directory


def subject_of_bert(tenant, us):
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("us"), tenant.tenant_id) as connection:
        ((found,),) = connection.execute(
            "SELECT subject_id FROM vault_identifier WHERE kind = 'user'"
        ).fetchall()
    return UUID(str(found))


def last(directory):
    return max(directory.iterdir())


def cut(directory):
    last(directory).unlink()


def empty(directory):
    for path in directory.iterdir():
        path.unlink()


def take_from_the_middle(directory):
    sorted(directory.iterdir())[-2].unlink()


def edit(directory):
    path = sorted(directory.iterdir())[-2]
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data.replace(b'"version":1', b'"version":2', 1))


def fork(directory):
    """The last record says something else, and is signed with the real key."""
    sign_last_anew(directory, None)


def sign_with_another_key(directory):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    sign_last_anew(directory, Ed25519PrivateKey.generate())


def sign_last_anew(directory, key):
    import dataclasses

    from auditvault.core.tlog.erasure_ledger import open_record
    from auditvault.core.tlog.note import NoteSigner
    from auditvault.vault.erasures.keys import signing_key, trusted_keys

    path = last(directory)
    record = open_record(path.read_bytes(), trusted_keys())
    other = dataclasses.replace(record, reference=str(uuid4()))
    path.unlink()
    path.write_bytes(other.sign(NoteSigner(record.log, key or signing_key())))


def add_something(directory):
    (directory / "notes.txt").write_text("x")


def unmount(directory):
    shutil.rmtree(directory)


DAMAGES = [
    (cut, "erasure_ledger_contradicts"),
    (empty, "erasure_ledger_contradicts"),
    (take_from_the_middle, "erasure_ledger_damaged"),
    (edit, "note_signature_invalid"),
    (fork, "erasure_ledger_contradicts"),
    (sign_with_another_key, "note_untrusted"),
    (add_something, "erasure_ledger_damaged"),
    (unmount, "erasure_ledger_unavailable"),
]


@pytest.mark.parametrize(("damage", "code"), DAMAGES, ids=[d.__name__ for d, _ in DAMAGES])
def test_a_ledger_that_is_not_what_it_was_refuses_replay_is_an_alarm_and_stays_pending(
    us, cluster, copied_ledger, monkeypatch, caplog, damage, code
):
    from auditvault.core.errors import AuditvaultError
    from auditvault.vault.erasures.pending import mark_restore_pending

    mark_restore_pending("us")
    damage(copied_ledger)
    start_anew(monkeypatch)
    try:
        with pytest.raises(AuditvaultError) as caught:
            replay()
        assert caught.value.code == code
        assert us.look("a") == 503
        assert reason() is not None
        if damage is not unmount:
            assert "CRITICAL" in {record.levelname for record in caplog.records}
    finally:
        with superuser(cluster, REGION) as connection:
            connection.execute(
                "UPDATE erasure_state SET pending_since = NULL, pending_reason = NULL"
            )


@pytest.mark.parametrize("damage", [cut, empty, fork, unmount], ids=lambda d: d.__name__)
def test_a_ledger_without_the_last_known_record_closes_the_region_at_once(
    us, copied_ledger, damage
):
    assert us.look("Be brief.") == ["Be brief."]
    damage(copied_ledger)
    assert us.look("Be brief.") == 503


def test_the_command_says_what_came_back_and_its_exit_code(us, tenant, cluster, anna, monkeypatch):
    back_up(cluster, REGION)
    erase(tenant, anna, region="us")
    with restored(cluster, monkeypatch, REGION):
        assert command("--check") == (1, {"region": "us", "restore_pending": "erasures_missing"})
        code, said = command()
        assert (code, said["came_back"]["objects"]) == (0, 1)
        assert command("--check") == (0, {"region": "us", "restore_pending": None})


def test_the_command_says_that_a_ledger_contradicts(us, copied_ledger, monkeypatch):
    cut(copied_ledger)
    code, said = command()
    assert (code, said["error"]) == (1, "erasure_ledger_contradicts")


def test_the_command_says_that_there_is_no_ledger(us, copied_ledger):
    unmount(copied_ledger)
    code, said = command()
    assert (code, said["error"]) == (2, "erasure_ledger_unavailable")


def command(*words):
    import io

    from django.core.management import call_command

    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("replay_erasures", "--region", "us", "--json", *words, stdout=out)
    return ended.value.code, json.loads(out.getvalue())
