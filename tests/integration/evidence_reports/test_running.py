"""A report is for whoever may, is recorded before it is given out, and changes nothing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess

import pytest

from auditvault.core.policy.roles import ALLOWED, Role
from auditvault.core.reports.catalogue import CATALOGUE, ReportName
from tests.integration.access.test_disclosure import access_log_closed
from tests.integration.evidence_reports.conftest import token_id
from tests.integration.ledger.superuser import counts

EMAIL = {"kind": "email", "value": "anna@example.org"}


def words_for(name):
    return {"identifier": EMAIL} if name == ReportName.SUBJECT_LOOKS else {}


@pytest.mark.parametrize("name", list(ReportName))
def test_a_report_is_for_the_roles_of_the_table_and_no_other(ask, recorded, name):
    for role in Role:
        answer = ask(name, role=role, **words_for(name))
        allowed = bool(set(CATALOGUE[name].acts) & ALLOWED[role])
        assert answer.status_code == (200 if allowed else 403), role
    # Who may run no report at all is refused before it is looked at which.
    outcomes = [header["outcome"] for header in (*recorded("report"), *recorded("refused"))]
    granted = sum(bool(set(CATALOGUE[name].acts) & ALLOWED[role]) for role in Role)
    assert (outcomes.count("granted"), outcomes.count("denied")) == (granted, len(Role) - granted)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_footer_says_who_what_when_and_from_which_log(tenant, ask, recorded, cluster, form):
    from auditvault.ledger.logs import tenant_logs
    from auditvault.ledger.scope import tenant_scope
    from auditvault.ledger.selectors import head

    ask("denials", role="privacy_operator")
    (log,) = [
        log for log in tenant_logs(region="eu", tenant_id=tenant.tenant_id) if log.kind == "access"
    ]
    with tenant_scope("region_eu", tenant.tenant_id) as connection:
        state = head(connection, log)

    answer = ask("denials", format=form, filters={"action": "report"})

    assert f'.{form}"' in answer["Content-Disposition"]
    assert answer["Cache-Control"] == "no-store"
    footer = footer_of(answer.content, form)
    (record,) = [each for each in recorded("report") if each["outcome"] == "granted"]
    assert footer["actor"] == token_id(tenant.token("auditor"))
    assert footer["role"] == "auditor"
    assert footer["filters"]["action"] == "report"
    assert footer["at"][:22] == record["recorded_at"][:22]
    assert footer["rows"] == 1
    assert footer["access_record"] == record["id"]
    assert footer["logs"] == [
        {"origin": log.origin, "kind": "access", "size": state.size, "root": state.root.hex()}
    ]
    said = record["details"]
    assert said == {
        "report": "denials",
        "format": form,
        **{name: footer[name] for name in ("filters", "rows", "sha256", "logs", "facts")},
    }


def footer_of(content, form):
    if form == "json":
        return json.loads(content)["footer"]
    body = subprocess.run(
        ["grep", "-v", "^#footer,"], input=content, capture_output=True, check=True
    ).stdout
    rows = list(csv.reader(io.StringIO(content.decode())))
    footer = {row[1]: row[2] for row in rows if row[0] == "#footer"}
    assert hashlib.sha256(body).hexdigest() == footer["sha256"]
    numbers = {"filters", "rows", "logs", "facts"}
    return {name: json.loads(value) if name in numbers else value for name, value in footer.items()}


def test_a_log_head_of_a_report_is_one_that_the_log_goes_on_from(tenant, ask, recorded):
    from auditvault.core.tlog.merkle import verify_consistency
    from auditvault.ledger.logs import tenant_logs
    from auditvault.ledger.scope import tenant_scope
    from auditvault.ledger.selectors import consistency, head

    ask("denials")
    (said,) = json.loads(ask("denials").content)["footer"]["logs"]
    ask("denials")
    (log,) = [
        each
        for each in tenant_logs(region="eu", tenant_id=tenant.tenant_id)
        if each.kind == "access"
    ]
    with tenant_scope("region_eu", tenant.tenant_id) as connection:
        now = head(connection, log)
        proof = consistency(connection, log, old_size=said["size"], new_size=now.size)
    verify_consistency(
        old_size=said["size"],
        new_size=now.size,
        old_root=bytes.fromhex(said["root"]),
        new_root=now.root,
        proof=proof,
    )


def test_a_report_writes_its_own_record_and_nothing_else(ask, tenant, cluster):
    ask("denials")
    before = counts(cluster, tenant.tenant_id)

    for name in ReportName:
        ask(name, role="privacy_officer" if words_for(name) else "auditor", **words_for(name))

    after = counts(cluster, tenant.tenant_id)
    changed = {
        table: after[table] - before[table] for table in after if after[table] != before[table]
    }
    own = len(ReportName)
    # The first report about verification opens no log of the tenant's.
    assert changed == {"access_event": own, "ledger_entry": own}


def test_what_a_report_reads_is_read_in_a_transaction_that_cannot_write(tenant, service):
    import psycopg

    from auditvault.access.holdings import staff_snapshot

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), staff_snapshot() as connection:
        connection.execute("DELETE FROM access_apitoken")


def test_nothing_is_given_out_where_it_cannot_be_recorded(ask, cluster, tenant):
    ask("denials")
    with access_log_closed(cluster):
        answer = ask("denials")
    assert (answer.status_code, answer.json()["code"]) == (503, "access_not_recorded")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"name": "everything"}, "request_invalid"),
        ({"name": "looks", "filters": {"days": 3}}, "report_filter_invalid"),
        ({"name": "looks", "filters": {"case": {"$ne": 1}}}, "report_filter_invalid"),
        ({"name": "looks", "filters": [1]}, "request_invalid"),
        ({"name": "looks", "format": "pdf"}, "request_invalid"),
        ({"name": "looks", "identifier": EMAIL}, "report_filter_invalid"),
        ({"name": "looks", "staff_names": {"case": "A-1", "reason": "x"}}, "report_filter_invalid"),
        ({"name": "subject_looks"}, "report_filter_invalid"),
        ({"name": "looks", "colour": "red"}, "request_invalid"),
    ],
)
def test_what_cannot_be_asked_is_refused(ask, members, code):
    answer = ask(**members)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_filter_that_matches_nothing_is_recorded_as_a_tag(ask, recorded):
    ask("looks", filters={"case": "Anna.Canary"})

    (record,) = recorded("report")
    assert "Anna" not in json.dumps(record)
    assert len(record["details"]["filters"]["case_tag"]) == 64


def test_a_cell_that_a_spreadsheet_would_run_is_disarmed(ask, account):
    account("investigator", username='=HYPERLINK("http://x")')

    content = ask("content_access", format="csv").content

    (row,) = list(csv.DictReader(io.StringIO(content.decode())))[:1]
    assert row["username"] == '\'=HYPERLINK("http://x")'
