"""Contents in the vault against the headers that name them: what was changed is named, what is gone is counted."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.integration.evidence.rewriting import SIZE, record_at
from tests.integration.evidence.verdict import findings, logs_of, reports_of, verify
from tests.integration.ingest.sending import chat, protobuf_of, send
from tests.integration.ledger.superuser import superuser, tampering


def contents(connection, log, index):
    """Role -> object of the contents that a record's header names."""
    rows = connection.execute(
        "SELECT item ->> 'role', (item ->> 'object')::uuid FROM traces_header,"
        " jsonb_array_elements(convert_from(header, 'UTF8')::jsonb -> 'contents') AS item"
        " WHERE record_id = %s",
        (record_at(connection, log, index),),
    ).fetchall()
    return dict(rows)


def prompt(connection, log, index):
    return contents(connection, log, index)["input_messages"]


def change(connection, object_id, assignment):
    connection.execute(f"UPDATE vault_object SET {assignment} WHERE object_id = %s", (object_id,))


def test_every_content_is_opened_and_counted(recorded):
    found = reports_of(recorded, with_payloads=True)
    assert {kind: report.payloads for kind, report in found.items()} == {
        "interactions": 2 * SIZE,
        "access": 1,
        # The grant under which somebody looked: requests, decisions and the people's roles hold no payload.
        "admin": 0,
    }
    assert {report.payloads_gone for report in found.values()} == {0}


@pytest.mark.parametrize(
    "assignment",
    [
        "envelope = set_byte(envelope, 90, get_byte(envelope, 90) # 1)",
        "envelope = substring(envelope FROM 2)",
        "envelope = ''",
        "wrapped_cek = set_byte(wrapped_cek, 50, get_byte(wrapped_cek, 50) # 1)",
        "tag = set_byte(tag, 4, get_byte(tag, 4) # 1)",
        "key_id = gen_random_uuid()",
        "subject_id = gen_random_uuid()",
        "version = 2",
        "data_class = 'other'",
        "role = 'output_messages'",
    ],
)
def test_an_edited_payload_row_is_named(recorded, log, forger, assignment):
    change(forger, prompt(forger, log, 7), assignment)
    assert findings(recorded, with_payloads=True) == {"interactions": {"payload_damaged": 7}}


def test_a_payload_given_to_another_record_is_named(recorded, log, forger):
    change(forger, prompt(forger, log, 7), f"record_id = '{record_at(forger, log, 9)}'")
    assert findings(recorded, with_payloads=True) == {"interactions": {"payload_damaged": 7}}


def test_a_payload_of_a_record_that_no_entry_records_is_found(recorded, log, forger):
    change(forger, prompt(forger, log, 7), "record_id = gen_random_uuid()")
    assert findings(recorded, with_payloads=True) == {"interactions": {"payload_unrecorded": SIZE}}


def test_two_payloads_that_changed_places_are_named_by_the_first(recorded, log, forger):
    one, two = prompt(forger, log, 9), prompt(forger, log, 7)
    forger.execute(
        "UPDATE vault_object AS a SET envelope = b.envelope, wrapped_cek = b.wrapped_cek, tag = b.tag"
        " FROM vault_object AS b WHERE (a.object_id, b.object_id) IN ((%s, %s), (%s, %s))",
        (one, two, two, one),
    )
    assert findings(recorded, with_payloads=True) == {"interactions": {"payload_damaged": 7}}


def test_a_content_of_many_records_is_named_by_the_first_of_them(recorded, log, forger):
    shared = contents(forger, log, 7)["system_instructions"]
    change(forger, shared, "envelope = set_byte(envelope, 90, get_byte(envelope, 90) # 1)")
    assert findings(recorded, with_payloads=True) == {"interactions": {"payload_damaged": 0}}


def test_an_edited_reason_of_a_look_is_named_in_the_access_log(recorded, access_log, forger):
    forger.execute(
        "UPDATE vault_object SET envelope = '' WHERE role = 'access_reason' AND record_id = %s",
        (record_at(forger, access_log, 0),),
    )
    assert findings(recorded, with_payloads=True) == {"access": {"payload_damaged": 0}}


def test_another_content_sealed_with_the_right_keys_is_not_the_one_committed_to(
    recorded, log, forger
):
    """A forger who has the keys as well."""
    from auditvault.core.crypto.envelope import ContextPrefix, seal_object
    from auditvault.vault.keyring.services import keyring
    from auditvault.vault.services import lookup_tag

    object_id = prompt(forger, log, 7)
    subject_id, key_id = forger.execute(
        "SELECT subject_id, key_id FROM vault_object WHERE object_id = %s", (object_id,)
    ).fetchone()
    place = {"region": "us", "tenant_id": recorded.tenant_id}
    box = seal_object(
        dek=keyring("us").key_to_open(recorded.tenant_id, key_id),
        prefix=ContextPrefix(**place, data_class="content"),
        subject_id=subject_id,
        object_id=object_id,
        content=b"another",
    )
    tag = lookup_tag(**place, content_sha256=sha256(b"another").digest())
    forger.execute(
        "UPDATE vault_object SET envelope = %s, wrapped_cek = %s, tag = %s WHERE object_id = %s",
        (box.envelope, box.wrapped_cek, tag, object_id),
    )
    assert findings(recorded, with_payloads=True) == {"interactions": {"payload_commitment": 7}}


def test_a_payload_that_is_gone_is_counted(recorded, log, forger):
    forger.execute("DELETE FROM vault_object WHERE object_id = %s", (prompt(forger, log, 7),))
    report = reports_of(recorded, with_payloads=True)["interactions"]
    assert (report.first_bad, report.payloads, report.payloads_gone) == ({}, 2 * SIZE - 1, 1)


def test_what_is_left_of_an_erased_person_is_not_opened_and_counts_as_gone(recorded, log, forger):
    forger.execute(
        "UPDATE vault_subject SET state = 'erased' WHERE kind = 'person' AND tenant_id = %s",
        (recorded.tenant_id,),
    )
    report = reports_of(recorded, with_payloads=True)["interactions"]
    assert (report.first_bad, report.payloads, report.payloads_gone) == ({}, SIZE, SIZE)


def test_an_erasure_that_comes_while_the_log_is_verified_is_no_finding(
    client, tenant, cluster, monkeypatch
):
    """The snapshot still shows a live subject, whose key is gone by now."""
    from auditvault.evidence import payloads

    body = protobuf_of(chat("a prompt", user="anna"))
    headers = tenant.headers("ingest", regions=("us",))
    assert send(client, tenant, body, headers=headers).status_code == 200
    examine_stored = payloads.examine_stored
    with tampering(cluster, tenant.tenant_id, "region_us") as region:

        def erased_meanwhile(**arguments):
            region.execute(
                "UPDATE vault_subject SET state = 'erased' WHERE tenant_id = %s",
                (tenant.tenant_id,),
            )
            stored = arguments.pop("stored")._replace(key_id=tenant.tenant_id)
            return examine_stored(**arguments, stored=stored)

        monkeypatch.setattr(payloads, "examine_stored", erased_meanwhile)
        report = reports_of(tenant, with_payloads=True)["interactions"]
    assert (report.first_bad, report.payloads, report.payloads_gone) == ({}, 0, 1)


def test_keys_that_were_destroyed_under_a_living_person_are_a_finding(
    client, tenant, cluster, monkeypatch
):
    from tests.integration.vault.looking import forget_keys

    body = protobuf_of(*[chat(f"{n}", user="anna") for n in range(3)])
    headers = tenant.headers("ingest", regions=("us",))
    assert send(client, tenant, body, headers=headers).status_code == 200
    with superuser(cluster, "keys_us") as keys:
        keys.execute(
            "CREATE TEMP TABLE saved AS SELECT * FROM keyring_subject_key"
            f" WHERE tenant_id = '{tenant.tenant_id}'"
        )
        keys.execute("DELETE FROM keyring_subject_key WHERE tenant_id = %s", (tenant.tenant_id,))
        forget_keys(monkeypatch)
        found = findings(tenant, with_payloads=True)
        keys.execute("INSERT INTO keyring_subject_key SELECT * FROM saved")
    assert found == {"interactions": {"payload_damaged": 0}}


@pytest.mark.parametrize("table", ["keyring_subject_key", "keyring_tenant_key"])
def test_a_key_that_was_changed_is_a_finding_of_its_tenant_and_stops_nothing(
    client, tenant, cluster, monkeypatch, table
):
    from tests.integration.vault.looking import forget_keys

    body = protobuf_of(*[chat(f"{n}", user="anna") for n in range(3)])
    headers = tenant.headers("ingest", regions=("us",))
    assert send(client, tenant, body, headers=headers).status_code == 200
    change = f"UPDATE {table} SET wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1)"
    with superuser(cluster, "keys_us") as keys:
        keys.execute("SET session_replication_role = replica")
        keys.execute(f"{change} WHERE tenant_id = %s", (tenant.tenant_id,))
        forget_keys(monkeypatch)
        code, answer = verify(payloads=True)
        keys.execute(f"{change} WHERE tenant_id = %s", (tenant.tenant_id,))
        forget_keys(monkeypatch)
    origin = logs_of(tenant)["interactions"].origin
    (found,) = [log["first_bad"] for log in answer["logs"] if log["origin"] == origin]
    assert (code, found) == (1, {"payload_damaged": 0})


def test_an_edited_header_takes_none_of_its_contents_along(recorded, log, forger):
    forger.execute(
        "UPDATE traces_header SET header = convert_to(replace(convert_from(header, 'UTF8'),"
        " '\"commitment\":\"', '\"commitment\":\"ff'), 'UTF8') WHERE record_id = %s",
        (record_at(forger, log, 7),),
    )
    assert findings(recorded, with_payloads=True) == {"interactions": {"header_commitment": 7}}


def found_in(answer, log):
    (found,) = [item for item in answer["logs"] if item["origin"] == log.origin]
    return found


def test_the_command_opens_contents_where_the_keys_are_at_hand(recorded, log):
    _, answer = verify()
    found = found_in(answer, log)
    assert (found["holds"], found["payloads"]) == (True, 2 * SIZE)


def test_the_command_opens_nothing_when_told_so_and_says_it(recorded, log):
    _, answer = verify(payloads=False)
    found = found_in(answer, log)
    assert found["payloads"] is None
    assert any("payloads were not checked" in note for note in found["notes"])


@pytest.fixture
def keyless(service, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "KEY_PROVIDERS", {"eu": "", "us": ""})


def test_without_the_keys_the_command_opens_nothing_and_says_it(recorded, log, keyless):
    _, answer = verify()
    found = found_in(answer, log)
    assert (found["holds"], found["payloads"]) == (True, None)


def test_contents_asked_for_without_the_keys_are_no_verdict(recorded, keyless):
    code, answer = verify(payloads=True)
    assert (code, answer["verdict"]) == (2, "not_checked")
