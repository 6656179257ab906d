"""Engineers read contents with what is personal replaced: recorded first, never the original, gone with the content."""

from __future__ import annotations

import json
import threading

import psycopg
import pytest

from tests.integration.access.test_grants import look, recorded, refused
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy_detection.scanning import CutOffError, objects, run_out, scan
from tests.integration.vault.erasing import erase, subject_of
from tests.integration.vault.sealed import edit
from tests.staff import make_person

PROMPT = "Write to marie.dupont@example.fr about the invoice."
SECOND = "Did jo.smith@example.com or Marie.Dupont@example.fr answer?"
TABLES = ("vault_rendering", "vault_placeholder")


@pytest.fixture
def engineer(tenant):
    return make_person(tenant, "engineer").headers("engineer")


@pytest.fixture
def scanned(client, tenant, cluster, analyser):
    """One scanned prompt of anna's, with an e-mail address in it."""
    record(client, tenant, chat(PROMPT, user="anna"))
    while scan(tenant, analyser):
        pass
    [object_id] = objects(cluster, tenant)
    return object_id


def redacted(client, headers, text):
    return look(client, None, text, headers=headers, representation="redacted")


def shown(answer):
    assert answer.status_code == 200, answer.content
    return [item["content"] for item in answer.json()["contents"]]


def left(cluster, tenant):
    """How many rows each of the tables has."""
    with superuser(cluster, "region_eu") as connection:
        return [
            connection.execute(
                f"SELECT count(*) FROM {table} WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchone()[0]
            for table in TABLES
        ]


def erasing(tenant, subject):
    """An erasure that has begun, on connections of its own."""
    from django.db import connections

    def run():
        try:
            erase(tenant, subject)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_engineer_sees_what_is_personal_replaced_and_no_proof_of_the_original(
    client, tenant, engineer, scanned, cluster
):
    answer = redacted(client, engineer, PROMPT)

    assert shown(answer) == [PROMPT.replace("marie.dupont@example.fr", "<EMAIL_ADDRESS_1>")]
    [item] = answer.json()["contents"]
    assert (item["object_id"], item["state"]) == (str(scanned), "redacted")
    assert (item["sha256"], item["opening"]) == (None, None)
    ((outcome, said),) = recorded(cluster, tenant)
    assert (outcome, said["representation"], said["objects"]) == (
        "granted",
        "redacted",
        [str(scanned)],
    )


def test_messages_and_tool_calls_keep_their_structure(client, tenant, engineer, analyser):
    call = {"type": "tool_call", "id": "c1", "name": "send", "arguments": {"to": "a.b@example.org"}}
    text = json.dumps([{"role": "user", "parts": [{"type": "text", "content": PROMPT}, call]}])
    record(client, tenant, chat(text, user="anna"))
    scan(tenant, analyser)

    [one] = shown(redacted(client, engineer, text))

    [message] = json.loads(one)
    assert message["parts"][0]["content"].startswith("Write to <EMAIL_ADDRESS_1> ")
    assert message["parts"][1] == call | {"arguments": {"to": "<EMAIL_ADDRESS_2>"}}


def test_a_placeholder_stays_the_same_in_a_conversation(
    client, tenant, engineer, scanned, analyser
):
    record(client, tenant, chat(SECOND, user="anna"))
    scan(tenant, analyser)

    assert shown(redacted(client, engineer, SECOND)) == [
        "Did <EMAIL_ADDRESS_2> or <EMAIL_ADDRESS_1> answer?"
    ]


def test_somebody_elses_conversation_counts_for_itself(
    client, tenant, engineer, scanned, analyser, cluster
):
    record(client, tenant, chat(SECOND, user="bob"))
    scan(tenant, analyser)

    assert shown(redacted(client, engineer, SECOND)) == [
        "Did <EMAIL_ADDRESS_1> or <EMAIL_ADDRESS_2> answer?"
    ]
    # And nobody can tell from the tags that both hold the same address.
    with superuser(cluster, "region_eu") as connection:
        tags = connection.execute(
            "SELECT tag FROM vault_placeholder WHERE tenant_id = %s AND entity = 'EMAIL_ADDRESS'",
            (tenant.tenant_id,),
        ).fetchall()
    assert len(tags) == len({bytes(tag) for (tag,) in tags}) == 3


def test_what_is_not_scanned_says_so_and_shows_nothing(client, tenant, engineer, cluster):
    record(client, tenant, chat(PROMPT, user="anna"))

    answers = [redacted(client, engineer, text) for text in (PROMPT, "never sent")]

    assert [refused(answer) for answer in answers] == [
        (404, "redaction_not_found"),
        (404, "content_not_found"),
    ]
    assert "marie" not in answers[0].content.decode().lower()
    assert [said["objects"] for _, said in recorded(cluster, tenant)] == [[], []]


def test_another_detector_hides_the_rendering_until_it_was_remade(
    client, tenant, engineer, scanned, analyser, monkeypatch, cut_off, cluster
):
    from auditvault.privacy.detection import scanning

    monkeypatch.setattr(scanning, "detector_version", lambda: "0123456789abcdef")
    cut_off("_analysed", "before")
    with pytest.raises(CutOffError):
        scan(tenant, analyser)
    assert refused(redacted(client, engineer, PROMPT)) == (404, "redaction_not_found")

    run_out(cluster, tenant)
    while scan(tenant, analyser):
        pass
    assert shown(redacted(client, engineer, PROMPT)) == [
        PROMPT.replace("marie.dupont@example.fr", "<EMAIL_ADDRESS_1>")
    ]


def test_an_erasure_takes_rendering_and_numbers(client, tenant, engineer, scanned, cluster):
    before = left(cluster, tenant)
    erase(tenant, subject_of(cluster, tenant))

    assert before[0] > 0
    assert before[1] > 0
    with superuser(cluster, "region_eu") as connection:
        for table in TABLES:
            assert not connection.execute(
                f"SELECT FROM {table} WHERE object_id = %s", (scanned,)
            ).fetchall()
    assert refused(redacted(client, engineer, PROMPT)) == (404, "content_not_found")


def test_a_restricted_persons_rendering_is_not_found(client, tenant, engineer, scanned, cluster):
    edit(
        cluster,
        (
            "UPDATE vault_subject SET state = 'restricted' WHERE subject_id = %s",
            (subject_of(cluster, tenant),),
        ),
    )

    assert refused(redacted(client, engineer, PROMPT)) == (404, "content_not_found")


def test_who_is_erased_while_a_worker_renders_leaves_nothing(
    client, tenant, cluster, analyser, monkeypatch
):
    """The erasure begins after the numbers were given, on another connection, and waits for the worker's commit."""
    from auditvault.privacy.detection import scanning

    record(client, tenant, chat(PROMPT, user="anna"))
    [object_id] = objects(cluster, tenant)
    subject = subject_of(cluster, tenant)
    real, begun = scanning.seal_rendering, []

    def seal_while_erased(**given):
        if given["stored"].object_id == object_id:
            begun.append(erasing(tenant, subject))
            wait_for_lock(cluster)
        return real(**given)

    monkeypatch.setattr(scanning, "seal_rendering", seal_while_erased)
    scan(tenant, analyser)
    begun[0].join(30)

    with superuser(cluster, "region_eu") as connection:
        for table in (*TABLES, "vault_scan"):
            rows = connection.execute(
                f"SELECT FROM {table} WHERE object_id = %s", (object_id,)
            ).fetchall()
            assert rows == [], table


def wait_for_lock(cluster, function="vault_erase_rows"):
    """Until somebody waits for a row that another transaction holds."""
    with superuser(cluster, "region_eu") as connection:
        for _ in range(2000):
            if connection.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
                (f"%{function}%",),
            ).fetchall():
                return
            connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody waits")


def test_who_was_erased_before_the_numbers_were_given_leaves_nothing(
    client, tenant, cluster, analyser, monkeypatch
):
    from auditvault.privacy.detection import scanning

    record(client, tenant, chat(PROMPT, user="anna"))
    [object_id] = objects(cluster, tenant)
    subject, real = subject_of(cluster, tenant), scanning.number_values

    def erased_before(connection, **given):
        if given["stored"].object_id == object_id:
            erasing(tenant, subject).join(30)
        return real(connection, **given)

    monkeypatch.setattr(scanning, "number_values", erased_before)
    scan(tenant, analyser)

    with superuser(cluster, "region_eu") as connection:
        for table in (*TABLES, "vault_scan"):
            assert not connection.execute(
                f"SELECT FROM {table} WHERE object_id = %s", (object_id,)
            ).fetchall()


def test_who_removes_an_object_first_is_waited_for_and_not_in_a_circle(
    client, tenant, cluster, analyser, monkeypatch
):
    """The remover holds the object before the worker asks for numbers, and takes its rows only afterwards."""
    from auditvault.privacy.detection import scanning

    record(client, tenant, chat(PROMPT, user="anna"))
    [object_id] = objects(cluster, tenant)
    real, is_held, failed = scanning.number_values, threading.Event(), []

    def remove():
        try:
            with superuser(cluster, "region_eu") as connection, connection.transaction():
                connection.execute(
                    "SELECT FROM vault_object WHERE object_id = %s FOR UPDATE", (object_id,)
                )
                is_held.set()
                wait_for_lock(cluster, "vault_number_values")
                connection.execute("DELETE FROM vault_object WHERE object_id = %s", (object_id,))
        except psycopg.Error as error:
            failed.append(error)

    def numbered_beside(connection, **given):
        if given["stored"].object_id == object_id:
            removers.append(threading.Thread(target=remove))
            removers[0].start()
            assert is_held.wait(10)
        return real(connection, **given)

    removers = []
    monkeypatch.setattr(scanning, "number_values", numbered_beside)
    scan(tenant, analyser)
    removers[0].join(30)

    assert failed == []
    with superuser(cluster, "region_eu") as connection:
        for table in (*TABLES, "vault_scan", "vault_object"):
            assert not connection.execute(
                f"SELECT FROM {table} WHERE object_id = %s", (object_id,)
            ).fetchall()


def test_a_rendering_does_not_open_as_another_detectors_or_objects(
    client, tenant, engineer, scanned, cluster
):
    other = "fedcba9876543210"
    edit(
        cluster,
        ("UPDATE vault_rendering SET detector = %s WHERE object_id = %s", (other, scanned)),
        ("UPDATE vault_detector SET detector = %s WHERE tenant_id = %s", (other, tenant.tenant_id)),
    )

    assert refused(redacted(client, engineer, PROMPT)) == (404, "content_not_found")


def test_no_row_holds_what_was_replaced(tenant, cluster, scanned):
    with superuser(cluster, "region_eu") as connection:
        rows = [
            connection.execute(
                f"SELECT t::text FROM {table} AS t WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchall()
            for table in (*TABLES, "vault_detector")
        ]
    text = str(rows).lower()
    assert "marie" not in text
    assert b"marie".hex() not in text
    assert b"invoice".hex() not in text


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM vault_placeholder",
        "UPDATE vault_rendering SET detector = 'x'",
        "UPDATE vault_detector SET detector = 'x'",
        "SELECT envelope FROM vault_rendering",
    ],
)
def test_the_services_role_neither_changes_them_by_hand_nor_goes_round_the_view(connect, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect("app").execute(statement)
