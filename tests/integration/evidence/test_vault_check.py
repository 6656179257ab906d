"""The vault from its own side: what does not open is named, what belongs to nothing is counted."""

from __future__ import annotations

import io
from uuid import uuid4

import pytest
from django.core.management import call_command

from tests.integration.evidence.rewriting import SIZE
from tests.integration.evidence.test_payloads import change, prompt
from tests.integration.evidence.verdict import verify
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import forget_keys

# One prompt each, one system prompt for all, and the reason of a look.
CONTENTS = SIZE + 2


def check(tenant, *, region="us", **options):
    from auditvault.evidence.vault_check import check_vault

    (report,) = check_vault(region=region, tenants=[tenant.tenant_id], **options)
    return report


def kinds(found):
    return {kind: item.count for kind, item in found.items()}


def test_every_content_and_identifier_opens_and_is_what_was_recorded(recorded):
    report = check(recorded)
    assert (report.opened, report.identifiers, report.damaged) == (CONTENTS, 1, {})


@pytest.mark.parametrize(
    ("assignment", "kind"),
    [
        ("envelope = set_byte(envelope, 90, get_byte(envelope, 90) # 1)", "content_damaged"),
        ("wrapped_cek = set_byte(wrapped_cek, 50, 1)", "content_damaged"),
        ("version = 2", "content_damaged"),
        ("tag = set_byte(tag, 4, get_byte(tag, 4) # 1)", "tag_wrong"),
        ("role = 'output_messages'", "content_unnamed"),
        ("key_id = gen_random_uuid()", "key_missing"),
    ],
)
def test_an_edited_row_is_named_by_its_id(recorded, log, forger, assignment, kind):
    edited = prompt(forger, log, 7)
    change(forger, edited, assignment)
    report = check(recorded)
    assert {name: item.ids for name, item in report.damaged.items()} == {kind: [str(edited)]}


def test_a_content_under_a_record_that_did_not_bring_it_is_named(recorded, log, forger):
    moved, other = prompt(forger, log, 7), prompt(forger, log, 8)
    forger.execute(
        "UPDATE vault_object SET record_id = (SELECT record_id FROM vault_object"
        " WHERE object_id = %s) WHERE object_id = %s",
        (other, moved),
    )
    assert check(recorded).damaged["content_unnamed"].ids == [str(moved)]


def test_a_content_of_another_opening_is_no_recorded_one(recorded, log, forger, monkeypatch):
    """Somebody who has the keys seals the same text anew: it opens, and is not what the header commits to."""
    from auditvault.core.crypto.envelope import ContextPrefix, seal_object
    from auditvault.vault.keyring.services import keyring

    edited = prompt(forger, log, 7)
    subject, key_id = forger.execute(
        "SELECT subject_id, key_id FROM vault_object WHERE object_id = %s", (edited,)
    ).fetchone()
    key = keyring("us").key_to_open(recorded.tenant_id, key_id)
    box = seal_object(
        dek=key,
        prefix=ContextPrefix(region="us", tenant_id=recorded.tenant_id, data_class="content"),
        subject_id=subject,
        object_id=edited,
        content=b"another text",
    )
    forger.execute(
        "UPDATE vault_object SET wrapped_cek = %s, envelope = %s WHERE object_id = %s",
        (box.wrapped_cek, box.envelope, edited),
    )
    assert kinds(check(recorded).damaged) == {"commitment_wrong": 1, "tag_wrong": 1}


def test_a_damaged_identifier_is_named(recorded, forger):
    forger.execute(
        "UPDATE vault_identifier SET envelope = set_byte(envelope, 90, get_byte(envelope, 90) # 1)"
        " WHERE tenant_id = %s AND envelope IS NOT NULL",
        (recorded.tenant_id,),
    )
    assert kinds(check(recorded).damaged) == {"identifier_damaged": 1}


def test_what_a_subject_that_is_being_erased_still_has_is_no_damage(recorded, log, forger):
    erased = prompt(forger, log, 7)
    forger.execute(
        "UPDATE vault_subject SET state = 'erasing' WHERE subject_id ="
        " (SELECT subject_id FROM vault_object WHERE object_id = %s)",
        (erased,),
    )
    change(forger, erased, "key_id = gen_random_uuid()")
    report = check(recorded)
    assert (report.damaged, report.opened) == ({}, 2)


@pytest.mark.parametrize(
    ("edit", "kind", "count"),
    [
        ("DELETE FROM traces_header WHERE record_id = %(record)s", "contents_without_header", 1),
        (
            (
                "INSERT INTO vault_tag_alias (tenant_id, tag, object_id)"
                " VALUES (%(tenant)s, sha256('x'), gen_random_uuid())"
            ),
            "hashes_without_content",
            1,
        ),
        (
            (
                "INSERT INTO vault_record (tenant_id, record_id, subject_id)"
                " SELECT tenant_id, object_id, subject_id FROM vault_object WHERE record_id = %(record)s"
            ),
            "records_without_header",
            1,
        ),
        (
            (
                "INSERT INTO vault_subject (tenant_id, subject_id, kind, created_at)"
                " VALUES (%(tenant)s, gen_random_uuid(), 'person', now() - interval '2 hours')"
            ),
            "subjects_without_identifier",
            1,
        ),
        (
            (
                "INSERT INTO vault_piece SELECT tenant_id, object_id, 1, 0, 'x' FROM vault_object"
                " WHERE record_id = %(record)s"
            ),
            "pieces_without_content",
            1,
        ),
        (
            "UPDATE vault_object SET subject_id = gen_random_uuid() WHERE record_id = %(record)s",
            "contents_without_subject",
            1,
        ),
    ],
)
def test_what_belongs_to_nothing_is_counted(recorded, log, forger, edit, kind, count):
    record = forger.execute(
        "SELECT record_id FROM vault_object WHERE object_id = %s", (prompt(forger, log, 7),)
    ).fetchone()[0]
    forger.execute(edit, {"record": record, "tenant": recorded.tenant_id})
    assert check(recorded).orphans[kind].count == count


def test_a_key_that_seals_nothing_is_counted_once_it_is_an_hour_old(tenant, service, cluster):
    from auditvault.vault.keyring.services import keyring

    idle = uuid4()
    keyring("us").keys_to_seal(tenant.tenant_id, [idle], "content")
    assert check(tenant).orphans == {}
    with superuser(cluster, "keys_us") as connection:
        connection.execute(
            "UPDATE keyring_subject_key SET created_at = now() - interval '2 hours'"
            " WHERE subject_id = %s",
            (idle,),
        )
    assert kinds(check(tenant).orphans) == {"keys_without_content": 1}


def test_a_sample_opens_at_most_that_many_contents(recorded):
    report = check(recorded, sample=20)
    assert 0 < report.opened <= 20
    assert report.damaged == {}


def test_a_large_enough_sample_meets_damage(recorded, log, forger):
    forger.execute(
        "UPDATE vault_object SET version = 2 WHERE tenant_id = %s", (recorded.tenant_id,)
    )
    assert check(recorded, sample=5).damaged["content_damaged"].count >= 1


@pytest.fixture
def large(client, tenant):
    """A tenant with a content in two pieces."""
    record(client, tenant, chat("a long story " * 100_000, user="anna"))
    return tenant


def test_a_large_content_is_opened_piece_by_piece(large):
    report = check(large, region="eu")
    assert (report.opened, report.damaged, report.orphans) == (1, {}, {})


def test_a_large_content_without_its_last_piece_is_named(large, cluster):
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "DELETE FROM vault_piece WHERE tenant_id = %s AND number = 1", (large.tenant_id,)
        )
    assert kinds(check(large, region="eu").damaged) == {"content_damaged": 1}


def test_a_vault_without_contents_holds(tenant, service):
    assert check(tenant, sample=3).holds


def test_a_key_that_is_gone_while_its_person_is_not_is_damage(client, tenant, cluster, monkeypatch):
    record(client, tenant, chat("a", user="anna"))
    with superuser(cluster, "keys_eu") as keys:
        keys.execute("DELETE FROM keyring_subject_key WHERE tenant_id = %s", (tenant.tenant_id,))
    forget_keys(monkeypatch)
    report = check(tenant, region="eu")
    assert (set(report.damaged), report.opened) == ({"key_missing"}, 0)


def test_the_command_names_each_tenants_vault(recorded):
    _, answer = verify(vault=True, sample=5)
    (found,) = [item for item in answer["vaults"] if item["tenant"] == str(recorded.tenant_id)]
    assert (found["region"], found["holds"], found["sample"]) == ("us", True, 5)


def test_the_command_says_in_words_what_it_found(recorded, log, forger):
    change(forger, prompt(forger, log, 7), "version = 2")
    out = io.StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("verify", region=["us"], vault=True, stdout=out)
    assert left.value.code == 1
    assert "damaged: content_damaged 1, first" in out.getvalue()
    assert "AT LEAST ONE VAULT DOES NOT HOLD" in out.getvalue()


@pytest.mark.parametrize(
    "options",
    [{"sample": 3}, {"vault": True, "copies": True}, {"vault": True, "payloads": False}],
    ids=["sample-alone", "copies", "no-payloads"],
)
def test_options_that_do_not_go_together_are_no_verdict(service, options):
    code, answer = verify(**options)
    assert (code, answer["verdict"]) == (2, "not_checked")


def test_the_vault_without_its_keys_is_no_verdict(service, monkeypatch):
    from django.conf import settings

    monkeypatch.setattr(settings, "KEY_PROVIDERS", {"eu": "", "us": ""})
    code, answer = verify(vault=True)
    assert (code, answer["verdict"]) == (2, "not_checked")
