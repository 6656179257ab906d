"""A content in pieces sealed anew: the next version, whole, in the old one's place, or the old one as it was."""

from __future__ import annotations

import threading

import pytest

from tests.integration.evidence.verdict import reports_of
from tests.integration.ingest.sending import chat, protobuf_of, send

REGION = "turning_region"
TEXT = "Was sagte die Ärztin? " * 120_000  # 2.8 MB


@pytest.fixture
def large(keys, tenant, client):
    """The object of a prompt in pieces."""
    headers = tenant.headers("ingest", regions=("us",))
    body = protobuf_of(chat(TEXT, user="anna"))
    assert send(client, tenant, body, headers=headers).status_code == 200
    ((object_id,),) = keys.rows(
        "SELECT object_id FROM vault_object WHERE tenant_id = %s AND role = 'input_messages'",
        tenant.tenant_id,
        database=REGION,
    )
    return object_id


def reseal(tenant, *object_ids):
    from auditvault.vault.resealing import reseal as work

    return work(region="us", tenant_id=tenant.tenant_id, object_ids=object_ids)


def versions(keys, object_id):
    """The row's version, and version -> number of pieces."""
    ((row,),) = keys.rows(
        "SELECT version FROM vault_object WHERE object_id = %s", object_id, database=REGION
    )
    pieces = keys.rows(
        "SELECT version, count(*) FROM vault_piece WHERE object_id = %s GROUP BY 1",
        object_id,
        database=REGION,
    )
    return row, dict(pieces)


def reads(keys, tenant, client):
    keys.forget()
    return keys.contents(client, tenant, TEXT) == [TEXT]


def test_its_pieces_are_all_new_and_it_reads_and_verifies_as_before(keys, tenant, client, large):
    before = keys.rows(
        "SELECT sealed FROM vault_piece WHERE object_id = %s", large, database=REGION
    )
    assert reseal(tenant, large).resealed == 1
    after = keys.rows("SELECT sealed FROM vault_piece WHERE object_id = %s", large, database=REGION)
    assert versions(keys, large) == (2, {2: 3})
    assert not {row[0] for row in before} & {row[0] for row in after}
    assert reads(keys, tenant, client)
    report = reports_of(tenant, region="us", with_payloads=True, with_memory=False)["interactions"]
    assert {kind for kind in report.first_bad if kind.startswith(("payload", "header"))} == set()
    assert (report.payloads, report.payloads_gone) == (1, 0)


def test_its_key_can_be_rotated_and_its_epoch_turned(keys, tenant, client, large):
    from auditvault.vault.rotation import rotate_subject

    reseal(tenant, large)
    ((subject,),) = keys.rows(
        "SELECT subject_id FROM vault_object WHERE object_id = %s", large, database=REGION
    )
    assert rotate_subject(region="us", tenant_id=tenant.tenant_id, subject_id=subject).rewrapped
    keys.turn()
    assert reads(keys, tenant, client)


class MadeToFailError(Exception):
    """As if the process had ended here."""


@pytest.mark.parametrize("act", ["write_pieces", "replace_large"])
def test_where_it_ends_in_the_middle_the_old_version_reads_and_the_next_attempt_replaces_it(
    keys, tenant, client, large, monkeypatch, act
):
    from auditvault.vault import resealing, resealing_large

    module = resealing if act == "replace_large" else resealing_large

    def fail(*_):
        raise MadeToFailError

    with monkeypatch.context() as patched:
        patched.setattr(module, act, fail)
        with pytest.raises(MadeToFailError):
            reseal(tenant, large)
    written = {2: 3} if act == "replace_large" else {}
    assert versions(keys, large) == (1, {1: 3} | written)
    assert reads(keys, tenant, client)
    assert reseal(tenant, large).resealed == 1
    assert versions(keys, large) in [(2, {2: 3}), (3, {3: 3})]
    assert reads(keys, tenant, client)


def test_what_changed_meanwhile_keeps_its_pieces_and_the_others_go(
    keys, tenant, client, large, monkeypatch
):
    from auditvault.vault import resealing

    real, begun, inner = resealing.replace_large, [], []

    def meanwhile(*words):
        if not begun:
            begun.append(True)
            inner.append(reseal(tenant, large))
        return real(*words)

    monkeypatch.setattr(resealing, "replace_large", meanwhile)
    outer = reseal(tenant, large)
    assert (outer.resealed, outer.changed, inner[0].resealed) == (0, 1, 1)
    assert versions(keys, large) == (3, {3: 3})
    assert reads(keys, tenant, client)


def test_two_at_once_leave_one_whole_version(keys, tenant, client, large):
    from django.db import connections

    start, found = threading.Barrier(2), []

    def work():
        start.wait(20)
        try:
            found.append(reseal(tenant, large).resealed)
        except Exception as error:  # noqa: BLE001  # a version that another one writes is refused
            found.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    version, pieces = versions(keys, large)
    assert 1 in found
    assert pieces == {version: 3}
    assert reads(keys, tenant, client)


@pytest.mark.parametrize("state", ["erasing", "erased"])
def test_an_erasure_that_begins_in_the_middle_keeps_the_old_version(
    keys, tenant, large, monkeypatch, state
):
    from auditvault.vault import resealing

    real = resealing.replace_large

    def erasing(*words):
        with keys.owner(REGION) as owner:
            owner.execute(
                "UPDATE vault_subject SET state = %s WHERE tenant_id = %s",
                (state, tenant.tenant_id),
            )
        return real(*words)

    monkeypatch.setattr(resealing, "replace_large", erasing)
    assert reseal(tenant, large).changed == 1
    assert versions(keys, large) == (1, {1: 3})


def test_a_version_whose_pieces_are_not_all_there_does_not_take_its_place(
    keys, tenant, client, large, monkeypatch
):
    from auditvault.vault import resealing

    real = resealing.replace_large

    def one_lost(*words):
        with keys.owner(REGION) as owner:
            owner.execute(
                "DELETE FROM vault_piece WHERE object_id = %s AND version = 2 AND number = 1",
                (large,),
            )
        return real(*words)

    monkeypatch.setattr(resealing, "replace_large", one_lost)
    assert reseal(tenant, large).changed == 1
    assert versions(keys, large) == (1, {1: 3})
    assert reads(keys, tenant, client)
