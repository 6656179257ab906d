"""Several names of one person lead to one subject, however they are written; names that may be two people's to two."""

from __future__ import annotations

import threading

import pytest

from tests.integration.ingest.sending import chat, post, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.people import identifiers, named, sent, set_state, spans_of, subjects


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("user", "Zoe\u0308", "Zo\u00eb "),
        ("session", " one", "one"),
        ("email", "Anna@Example.org", "anna@example.ORG"),
        ("email", "anna@b\u00fccher.example", "anna@xn--bcher-kva.example"),
        ("email", "\u202aanna@example.org\u202c", "anna@example.org"),
        ("phone", "+49 (30) 901820", "+4930901820"),
        ("phone", "+49-30-901820", "tel:+49 30 901820"),
    ],
)
def test_two_spellings_are_one_person(client, tenant, cluster, kind, first, second):
    ids = sent(client, tenant, named(**{kind: first})) + sent(
        client, tenant, named(**{kind: second})
    )
    assert len(subjects(cluster, tenant)) == 1
    assert spans_of(client, tenant, **{kind: second}) == set(ids)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("user", "anna", "Anna"),
        ("user", "anna", "an\u200bna"),
        ("email", "anna+a@example.org", "anna@example.org"),
        ("phone", "030 901820", "+49 30 901820"),
        ("phone", "+49 30 901820 ext. 1", "+49 30 901820 ext. 2"),
    ],
)
def test_two_spellings_that_may_be_two_peoples_are_two(
    client, tenant, cluster, kind, first, second
):
    (one,) = sent(client, tenant, named(**{kind: first}))
    sent(client, tenant, named(**{kind: second}))
    assert len(subjects(cluster, tenant)) == 2
    assert spans_of(client, tenant, **{kind: first}) == {one}


def test_every_name_of_a_span_finds_its_person(client, tenant, cluster):
    names = {"user": "anna", "email": "anna@example.org", "phone": "+4930901820", "session": "s"}
    ids = sent(client, tenant, named(**names))
    assert len(subjects(cluster, tenant)) == 1
    assert [spans_of(client, tenant, **{kind: value}) for kind, value in names.items()] == [
        set(ids)
    ] * 4


def test_all_names_that_are_asked_for_must_be_the_persons(client, tenant):
    ids = sent(client, tenant, named(user="anna", email="a@example.org"))
    sent(client, tenant, named(user="bert", email="b@example.org"))
    assert spans_of(client, tenant, user="anna", email="a@example.org") == set(ids)
    assert spans_of(client, tenant, user="anna", email="b@example.org") == set()


def test_a_user_who_was_an_address_first_is_the_same_person(client, tenant, cluster):
    ids = sent(client, tenant, named(email="a@example.org"))
    ids += sent(client, tenant, named(user="anna", email="a@example.org"))
    ids += sent(client, tenant, named(user="anna"))
    assert len(subjects(cluster, tenant)) == 1
    assert spans_of(client, tenant, email="a@example.org") == set(ids)


def test_two_users_of_one_mailbox_stay_two(client, tenant, cluster):
    sent(client, tenant, named(user="anna", email="help@example.org"))
    (second,) = sent(client, tenant, named(user="bert", email="help@example.org"))
    assert len(subjects(cluster, tenant)) == 2
    assert spans_of(client, tenant, user="bert") == {second}


def test_a_mailbox_that_came_first_takes_one_user_only(client, tenant, cluster):
    sent(client, tenant, named(email="help@example.org"))
    sent(client, tenant, named(user="anna", email="help@example.org"))
    (second,) = sent(client, tenant, named(user="bert", email="help@example.org"))
    assert len(subjects(cluster, tenant)) == 2
    assert spans_of(client, tenant, user="bert") == {second}


def test_a_mailbox_takes_one_user_of_two_in_one_request(client, tenant, cluster):
    sent(client, tenant, named(email="help@example.org"))
    sent(
        client,
        tenant,
        named(user="anna", email="help@example.org"),
        named(user="bert", email="help@example.org"),
    )
    assert len(subjects(cluster, tenant)) == 2


def test_a_mailbox_takes_one_user_of_two_requests_at_once(client, tenant, cluster):
    from auditvault.vault import subjects as module

    sent(client, tenant, named(email="help@example.org"))
    tenant.token("ingest")
    both_looked = threading.Barrier(2, timeout=60)
    make_missing = module.Naming.make_missing

    def together(naming):
        both_looked.wait()
        make_missing(naming)

    def send(user):
        from django.db import connections
        from django.test import Client

        try:
            record(Client(), tenant, named(user=user, email="help@example.org"))
        finally:
            connections.close_all()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Naming, "make_missing", together)
        threads = [threading.Thread(target=send, args=(user,)) for user in ("anna", "bert")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    found = identifiers(cluster, tenant)
    assert len({subject_id for kind, subject_id in found if kind == "user"}) == 2
    assert len(subjects(cluster, tenant)) == 2


def test_a_new_name_beside_two_peoples_names_joins_the_older_one(client, tenant, cluster):
    (first,) = sent(client, tenant, named(email="a@example.org"))
    (second,) = sent(client, tenant, named(phone="+4930901820"))
    (third,) = sent(client, tenant, named(user="anna", phone="+4930901820", email="a@example.org"))
    assert len(subjects(cluster, tenant)) == 2
    assert spans_of(client, tenant, user="anna") == {first, third}
    assert spans_of(client, tenant, phone="+4930901820") == {second}


def test_a_new_name_does_not_join_a_group_that_has_one_of_its_kind(client, tenant, cluster):
    from auditvault.vault.merging import merge_subjects

    sent(client, tenant, named(email="help@example.org"))
    sent(client, tenant, named(user="bert"))
    one, other = subjects(cluster, tenant)
    merge_subjects(
        region="eu", tenant_id=tenant.tenant_id, one=one, other=other, actor="t", case="INC-1"
    )
    sent(client, tenant, named(user="anna", email="help@example.org"))
    assert len(subjects(cluster, tenant)) == 3


@pytest.mark.parametrize("state", ["restricted", "erasing", "erased"])
def test_a_new_name_does_not_join_somebody_who_is_not_active(client, tenant, cluster, state):
    sent(client, tenant, named(email="a@example.org"))
    set_state(cluster, subjects(cluster, tenant)[0], state)
    sent(client, tenant, named(user="anna", email="a@example.org"))
    assert len(subjects(cluster, tenant)) == 2


def test_two_known_names_that_disagree_stay_where_they_are(client, tenant, cluster):
    sent(client, tenant, named(user="anna", email="a@example.org"))
    sent(client, tenant, named(user="bert", email="b@example.org"))
    before = identifiers(cluster, tenant)
    (third,) = sent(client, tenant, named(user="anna", email="b@example.org"))
    assert identifiers(cluster, tenant) == before
    assert third in spans_of(client, tenant, email="a@example.org")
    assert third not in spans_of(client, tenant, email="b@example.org")


def test_a_span_with_an_address_belongs_to_the_user_another_span_names_beside_it(
    client, tenant, cluster
):
    first, second = named(email="a@example.org"), named(user="anna", email="a@example.org")
    ids = sent(client, tenant, first, second)
    assert len(subjects(cluster, tenant)) == 1
    assert spans_of(client, tenant, user="anna") == set(ids)


def test_users_who_name_each_other_are_one(client, tenant, cluster):
    one = chat("a", user="anna", attributes={"enduser.id": "bert"})
    other = chat("b", user="bert", attributes={"enduser.id": "anna"})
    sent(client, tenant, one, other)
    assert len(subjects(cluster, tenant)) == 1


def test_an_address_that_is_none_names_somebody_too(client, tenant):
    ids = sent(client, tenant, named(email="not an address"))
    assert spans_of(client, tenant, email="NOT an address") == set(ids)


@pytest.mark.parametrize("value", ["x" * 513, ""])
def test_what_can_be_no_identifier_is_sealed_with_the_other_attributes(
    client, tenant, cluster, value
):
    sent(client, tenant, named(email=value, user="anna"))
    assert [kind for kind, _ in identifiers(cluster, tenant)] == ["user"]


def test_a_tag_says_which_rules_made_it(client, tenant, cluster):
    record(client, tenant, named(user="anna"), named())
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT kind, normalisation FROM vault_identifier WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchall()
    assert sorted(rows) == [("trace", 0), ("user", 1)]


def test_a_tag_of_other_rules_names_nobody(client, tenant, cluster, monkeypatch):
    """The defence: without the version in the tag, a change of the rules could make two people one."""
    from auditvault.core import identifiers as rules

    record(client, tenant, named(user="anna"))
    monkeypatch.setattr(rules, "NORMALISATION", 2)
    assert spans_of(client, tenant, user="anna") == set()


def test_what_was_sent_is_what_is_sealed(client, tenant, cluster):
    from auditvault.core.crypto.envelope import ContextPrefix, open_object
    from auditvault.vault.keyring.services import keyring

    record(client, tenant, named(email=" Anna@Example.ORG"))
    with superuser(cluster, "region_eu") as connection:
        row = connection.execute(
            "SELECT subject_id, object_id, key_id, wrapped_cek, envelope FROM vault_identifier"
            " WHERE tenant_id = %s AND kind = 'email'",
            (tenant.tenant_id,),
        ).fetchone()
    opened = open_object(
        dek=keyring("eu").key_to_open(tenant.tenant_id, row[2]),
        prefix=ContextPrefix(region="eu", tenant_id=tenant.tenant_id, data_class="content"),
        subject_id=row[0].bytes,
        object_id=row[1].bytes,
        version=1,
        wrapped_cek=row[3],
        envelope=row[4],
    )
    assert opened.content == b" Anna@Example.ORG"


def refused(client, tenant, **filters):
    answer = post(client, "/api/v1/traces/search", filters, tenant.headers("engineer"))
    return answer.status_code, answer.json()["code"]


def test_a_kind_that_nobody_declared_is_refused_in_a_search(client, tenant):
    asked = {"kind": "customer", "value": "4711"}
    assert refused(client, tenant, identifier=asked) == (400, "identifier_kind_unknown")


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "user", "value": "anna"},
        {"kind": "No kind", "value": "anna"},
        {"kind": "customer"},
        {"kind": "customer", "value": "x" * 513},
        {"kind": "customer", "value": "\ud800"},
        "anna",
    ],
    ids=["a member of its own", "no kind", "no value", "too long", "surrogate", "text"],
)
def test_a_malformed_name_is_refused(client, tenant, asked):
    assert refused(client, tenant, identifier=asked) == (400, "request_invalid")


def test_a_lone_surrogate_is_refused(client, tenant):
    assert refused(client, tenant, email="anna\ud800@example.org") == (400, "request_invalid")
