"""`auditvault subject`: ids and tags on the screen, names never in an argument, everything recorded."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.ingest.sending import record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.people import admin_events, named, people, subjects

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = "Anna.Canary-19c@Example.org"


@pytest.fixture
def subject(tenant, monkeypatch):
    """`subject("show", …, typed=b"…")` is exit status and what was printed as JSON, or as text with `as_json=False`."""
    from django.core.management import call_command

    def run(*words, typed=b"", as_json=True):
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        place = ["--tenant", tenant.slug, "--region", "eu", *(["--json"] if as_json else [])]
        status = 0
        try:
            call_command("subject", *map(str, words), *place, stdout=out, stderr=err)
        except SystemExit as stopped:
            status = stopped.code
        printed = out.getvalue()
        return status, json.loads(printed) if as_json else printed + err.getvalue()

    return run


def test_a_person_is_shown_by_ids_and_tags(client, tenant, cluster, subject):
    record(client, tenant, named(user="anna", email=ADDRESS))
    status, found = subject("show", "--kind", "email", typed=ADDRESS.lower().encode() + b"\r\n")
    assert status == 0
    assert [one["subject"] for one in found["subjects"]] == [
        str(one) for one in subjects(cluster, tenant)
    ]
    names = found["subjects"][0]["names"]
    assert [(name["kind"], name["normalisation"]) for name in names] == [("email", 1), ("user", 1)]
    assert found["records"] == 1


def test_an_identifier_is_read_from_a_file(client, tenant, subject, tmp_path):
    record(client, tenant, named(email=ADDRESS))
    path = tmp_path / "who"
    path.write_text(f"{ADDRESS}\n")
    status, found = subject("show", "--kind", "email", "--file", path)
    assert (status, found["records"]) == (0, 1)


def test_subjects_are_merged_and_split(client, tenant, cluster, subject):
    a, b = (str(one) for one in people(client, tenant, cluster, "anna", "bert"))
    status, merged = subject("merge", a, b, "--case", "INC-1")
    assert (status, merged["state"], set(merged["group"])) == (0, "merged", {a, b})
    _, again = subject("merge", b, a, "--case", "INC-1")
    assert (again["state"], again["record"]) == ("one_already", None)
    _, shown = subject("show", "--subject", a)
    assert {one["subject"] for one in shown["subjects"]} == {a, b}
    assert subject("split", b, "--case", "INC-1")[1]["group"] == [a]


def test_a_look_is_recorded_before_it_is_shown(client, tenant, cluster, subject):
    record(client, tenant, named(email=ADDRESS))
    _, found = subject("show", "--kind", "email", typed=ADDRESS.encode())
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT record_id::text, action, actor, header FROM access_event WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchall()
    record_id, action, actor, header = rows[0]
    assert (record_id, action, actor) == (found["access_record"], "show_subject", "operator:cli")
    tag = found["subjects"][0]["names"][0]["tag"]
    assert json.loads(bytes(header))["details"] == {"email_tag": tag}


def test_a_look_that_cannot_be_recorded_shows_nothing(client, tenant, cluster, subject):
    record(client, tenant, named(email=ADDRESS))
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "REVOKE EXECUTE ON FUNCTION ledger_lock_head(integer) FROM auditvault_app"
        )
        try:
            status, found = subject("show", "--kind", "email", typed=ADDRESS.encode())
        finally:
            connection.execute(
                "GRANT EXECUTE ON FUNCTION ledger_lock_head(integer) TO auditvault_app"
            )
    assert (status, found["error"], "subjects" in found) == (1, "access_not_recorded", False)


def test_a_look_for_nobody_is_recorded_too(tenant, cluster, subject):
    status, found = subject("show", "--kind", "email", typed=b"nobody@example.org")
    assert (status, found["error"]) == (1, "subject_unknown")
    with superuser(cluster, "region_eu") as connection:
        row = connection.execute(
            "SELECT count(*) FROM access_event WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert row[0] == 1


def test_a_kind_is_declared(tenant, cluster, subject):
    _, declared = subject("declare", "customer", "--as", "compact")
    _, again = subject("declare", "customer", "--as", "compact")
    _, phone = subject("declare", "phone", "--phone-region", "DE")
    assert [one["state"] for one in (declared, again, phone)] == [
        "declared", "declared_already", "declared",
    ]  # fmt: skip
    assert phone["normalisation"] == "phone"
    assert [action for action, _ in admin_events(cluster, tenant)] == [
        "identifier_kind.declared"
    ] * 2


@pytest.mark.parametrize(
    ("words", "typed", "code"),
    [
        (("show", "--kind", "customer"), b"4711", "identifier_kind_unknown"),
        (("show", "--kind", "email"), b"", "identifier_invalid"),
        (("show", "--kind", "email"), b"x" * 3000, "identifier_invalid"),
        (("show", "--subject", uuid4()), b"", "subject_unknown"),
        (("merge", uuid4(), uuid4(), "--case", "INC-1"), b"", "subject_unknown"),
        (("split", uuid4(), "--case", "anna@example.org"), b"", "case_invalid"),
        (("declare", "email"), b"", "identifier_kind_invalid"),
    ],
    ids=["kind", "empty", "too long", "show", "merge", "split", "declare"],
)
def test_what_is_refused_says_why_and_leaves_no_admin_record(
    tenant, cluster, subject, words, typed, code
):
    status, found = subject(*words, typed=typed)
    assert (status, found["error"]) == (1, code)
    assert admin_events(cluster, tenant) == []


def shell(cluster, *words, typed=""):
    """The command as somebody types it."""
    return subprocess.run(
        [sys.executable, "-m", "django", "subject", *words],
        env=cluster.environment("operator"),
        cwd=ROOT,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_name_that_is_no_utf8_is_refused_and_not_repeated(client, tenant, subject):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError) as caught:
        subject("show", "--kind", "email", typed=b"canary\xff")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_name_in_place_of_an_id_is_not_repeated(tenant, cluster):
    place = ("--tenant", tenant.slug, "--region", "eu")
    done = shell(cluster, "show", "--subject", ADDRESS, *place)
    assert done.returncode == 2
    assert "Canary" not in done.stdout + done.stderr


def test_no_name_is_on_the_screen(client, tenant, cluster):
    record(client, tenant, named(user="anna", email=ADDRESS))
    place = ("--tenant", tenant.slug, "--region", "eu")
    done = shell(cluster, "show", "--kind", "email", *place, typed=ADDRESS)
    assert done.returncode == 0
    assert "ONE PERSON" in done.stdout
    assert "canary" not in (done.stdout + done.stderr).lower()
