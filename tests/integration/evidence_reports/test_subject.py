"""A person's own report: found by tags alone, without names of staff unless somebody says why."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.integration.evidence_reports.conftest import actor_of
from tests.integration.ingest.sending import headers_of, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import resolve
from tests.integration.vault.people import named, set_state, subjects

ADDRESS = "Anna.Canary-57a@Example.org"
EMAIL = {"kind": "email", "value": ADDRESS}
WHY = {"case": "DSAR-7", "reason": "Needed to exercise the rights before a court"}


@pytest.fixture
def own(report):
    """`own()` is the person's own report, as a privacy operator gets it."""
    return lambda role="privacy_operator", **words: report(
        "subject_looks", role=role, identifier=EMAIL, **words
    )


@pytest.fixture
def looked_at(client, tenant):
    """A person and somebody else, each with one content."""
    record(client, tenant, named("Anna's secret", email=ADDRESS))
    record(client, tenant, named("Ben's secret", email="ben@example.org"))
    (header,) = [h for h in headers_of(client, tenant) if h["contents"]][1:]
    return SimpleNamespace(trace_id=header["trace_id"])


def test_looks_at_content_traces_and_names_are_told_with_purpose_and_role(
    client, tenant, own, looked_at
):
    resolve(client, tenant, "Anna's secret")
    resolve(client, tenant, "Ben's secret")
    client.get(f"/api/v1/traces/{looked_at.trace_id}", headers=tenant.headers("viewer"))
    assert len(headers_of(client, tenant, email=ADDRESS)) == 1
    headers_of(client, tenant, email="ben@example.org")

    rows = own()

    assert [(row["what"], row["purpose_code"], row["role"], row["contents"]) for row in rows] == [
        ("a search by their name", None, "engineer", 0),
        ("a trace", None, "viewer", 0),
        ("content", "INCIDENT", "investigator", 1),
    ]


def test_names_and_ids_of_staff_are_withheld(client, tenant, own, looked_at):
    resolve(client, tenant, "Anna's secret")
    (row,) = own()
    assert (row["actor"], row["username"]) == (None, None)


def test_a_privacy_officer_may_name_staff_and_says_why(
    client, tenant, ask, act, recorded, account, cluster, looked_at
):
    with superuser(cluster, "region_eu") as connection:
        ((object_id,),) = connection.execute(
            "SELECT o.object_id FROM vault_object o WHERE o.subject_id = %s",
            (subjects(cluster, tenant)[0],),
        ).fetchall()
    person = account("investigator")
    act("resolve", actor=actor_of(person), case="INC-1", objects=[str(object_id)])

    answer = ask("subject_looks", role="privacy_officer", identifier=EMAIL, staff_names=WHY)

    (row,) = json.loads(answer.content)["body"]["rows"]
    assert (row["actor"], row["username"]) == (actor_of(person), person.username)
    (header,) = recorded("report")
    assert (header["purpose_code"], header["case"]) == ("DSAR", "DSAR-7")
    assert header["reason"]["role"] == "access_reason"
    assert WHY["reason"] not in json.dumps(header)


@pytest.mark.parametrize(
    ("role", "why", "status"),
    [
        ("privacy_operator", WHY, 403),
        ("privacy_officer", WHY | {"reason": "because"}, 422),
        ("privacy_officer", WHY | {"case": "Anna Canary"}, 400),
    ],
)
def test_nobody_else_and_no_other_reason_names_staff(ask, role, why, status):
    answer = ask("subject_looks", role=role, identifier=EMAIL, staff_names=why)
    assert answer.status_code == status


def test_who_is_one_person_with_them_is_followed(client, tenant, cluster, own):
    from auditvault.vault.merging import merge_subjects

    record(client, tenant, named("by address", email=ADDRESS))
    record(client, tenant, named("by name", user="anna"))
    one, other = subjects(cluster, tenant)
    resolve(client, tenant, "by name")
    assert own() == []
    merge_subjects(
        region="eu",
        tenant_id=tenant.tenant_id,
        one=one,
        other=other,
        actor="operator:cli",
        case="T-1",
    )

    assert [row["what"] for row in own()][-1] == "content"


def test_the_report_itself_is_a_look_at_their_data(own, looked_at):
    assert own() == []
    assert [row["what"] for row in own()] == ["a report for them"]


def test_nobody_is_told_as_nobody(ask):
    answer = ask(
        "subject_looks", role="privacy_operator", identifier={"kind": "user", "value": "nobody"}
    )
    said = json.loads(answer.content)
    assert (said["body"]["rows"], said["footer"]["facts"]["subjects"]) == ([], 0)


def test_after_an_erasure_nothing_leads_to_the_looks(client, tenant, own, cluster, looked_at):
    resolve(client, tenant, "Anna's secret")
    with superuser(cluster, "region_eu") as connection:
        # What an erasure takes away (vault/shred.py steps 2 and 5).
        gone = subjects(cluster, tenant)[0]
        connection.execute("DELETE FROM vault_identifier WHERE subject_id = %s", (gone,))
        connection.execute("DELETE FROM vault_object WHERE subject_id = %s", (gone,))
    set_state(cluster, gone, "erased")

    assert own() == []


def test_an_identifier_stands_nowhere(client, tenant, ask, cluster, looked_at, caplog):
    resolve(client, tenant, "Anna's secret")
    contents = [
        ask(
            "subject_looks", role="privacy_officer", identifier=EMAIL, format=form, staff_names=WHY
        ).content
        for form in ("json", "csv")
    ]

    canary = ADDRESS.lower().encode().split(b"@")[0]
    found = [canary in content.lower() for content in contents]
    for database in ("region_eu", "keys_eu", "auditvault_control"):
        with superuser(cluster, database) as connection:
            found += [canary in dump for dump in dumped(connection)]
    assert not any(found)
    assert canary.decode() not in caplog.text.lower()


def dumped(connection):
    """Every table's rows as lower-case bytes."""
    tables = connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND NOT relispartition AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    for (table,) in tables:
        with connection.cursor().copy(
            f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)"
        ) as copy:
            yield b"".join(map(bytes, copy)).lower()


def test_another_tenants_person_of_that_name_is_not_reported(
    client, tenant, other_tenant, ask, looked_at
):
    resolve(client, tenant, "Anna's secret")
    answer = ask("subject_looks", role="privacy_operator", of=other_tenant, identifier=EMAIL)
    assert json.loads(answer.content)["body"]["rows"] == []
