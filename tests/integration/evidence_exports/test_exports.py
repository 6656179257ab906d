"""Exports: encrypted to who asked, marked, recorded, approved where they are many, and fetched once."""

from __future__ import annotations

import base64
import csv
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
from django.db import connections
from django.test import override_settings

from tests.integration.ingest.sending import START_NS, chat, record
from tests.integration.ledger.superuser import superuser
from tests.own_key import opened_by_openssl, own_certificate
from tests.staff import make_person

STARTED = datetime.fromtimestamp(START_NS / 1e9, UTC)


@pytest.fixture(scope="module")
def own_key():
    """A key of somebody's, and a certificate with it in PEM."""
    return own_certificate()


@pytest.fixture
def viewer(tenant):
    """Somebody who may read headers."""
    return make_person(tenant, "auditor")


@pytest.fixture
def wanted(own_key):
    """All of a day."""
    from auditvault.evidence.exports.services import Wanted

    return Wanted(
        started_from=STARTED - timedelta(hours=1),
        started_before=STARTED + timedelta(hours=1),
        certificate=own_key[1],
    )


def ask(viewer, wanted, **more):
    from auditvault.evidence.exports.services import ask

    return ask(
        credential=viewer.signed_in(), region="eu", wanted=wanted, now=datetime.now(UTC), **more
    )


def make():
    from auditvault.evidence.exports.making import make_due

    return make_due("eu")


def fetch(viewer, export_id):
    from auditvault.evidence.exports.services import fetch

    return fetch(
        credential=viewer.signed_in(), region="eu", export_id=export_id, now=datetime.now(UTC)
    )


def listed(viewer):
    from auditvault.evidence.exports.reading import list_exports

    page = list_exports(credential=viewer.signed_in(), region="eu", now=datetime.now(UTC))
    return {each.export_id: each for each in page.exports}


def opened(parts, own_key, tmp_path):
    """What OpenSSL's own program makes of the parts."""
    return [opened_by_openssl(body, own_key[0], tmp_path) for _, body in parts]


def admin(cluster, tenant, action):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT header FROM admin_event WHERE tenant_id = %s AND action = %s",
            (tenant.tenant_id, action),
        ).fetchall()
    return [json.loads(bytes(row[0]))["details"] for row in rows]


def test_openssl_opens_what_was_exported_and_each_row_says_whose_it_is(
    client, tenant, viewer, wanted, own_key, tmp_path, cluster
):
    record(client, tenant, chat("a"), chat("b"))
    export_id = ask(viewer, wanted)
    make()
    parts = fetch(viewer, export_id)
    (text,) = opened(parts, own_key, tmp_path)
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert len(rows) == 2
    assert {row["model_requested"] for row in rows} == {"gpt-4o"}
    actor = viewer.signed_in().actor
    assert {(row["export"], row["exported_by"]) for row in rows} == {(str(export_id), actor)}
    (details,) = admin(cluster, tenant, "export.made")
    assert details == {
        "export": str(export_id),
        "actor": actor,
        "rows": 2,
        "parts": [sha256(parts[0][1]).hexdigest()],
    }


def test_json_lines_hold_the_whole_headers_with_the_mark(
    client, tenant, viewer, wanted, own_key, tmp_path
):
    record(client, tenant, chat("a"))
    export_id = ask(viewer, replace(wanted, form="jsonl"))
    make()
    (text,) = opened(fetch(viewer, export_id), own_key, tmp_path)
    (line,) = [json.loads(each) for each in text.splitlines()]
    assert line["header"]["contents"]
    assert line["watermark"]["export"] == str(export_id)


def test_nothing_in_clear_is_in_the_database(client, tenant, viewer, wanted, cluster):
    record(client, tenant, chat("a"))
    ask(viewer, wanted)
    make()
    with superuser(cluster, "region_eu") as connection:
        (row,) = connection.execute(
            "SELECT body FROM evidence_export_part WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert b"gpt-4o" not in bytes(row[0])


def test_the_look_is_recorded_before_with_its_filters_and_its_rows(
    client, tenant, viewer, wanted, cluster
):
    record(client, tenant, chat("a"))
    export_id = ask(viewer, wanted)
    with superuser(cluster, "region_eu") as connection:
        (row,) = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = 'export'",
            (tenant.tenant_id,),
        ).fetchall()
    details = json.loads(bytes(row[0]))["details"]
    assert (details["export"], details["rows"], details["form"]) == (str(export_id), 1, "csv")


def test_a_formula_that_a_sender_wrote_is_none_in_the_file(
    client, tenant, viewer, wanted, own_key, tmp_path
):
    record(client, tenant, chat("a", attributes={"gen_ai.request.model": "@SUM/1+1"}))
    export_id = ask(viewer, wanted)
    make()
    (text,) = opened(fetch(viewer, export_id), own_key, tmp_path)
    assert '"\'@SUM/1+1"' in text.decode()
    assert not any(
        cell.startswith(("=", "+", "-", "@"))
        for row in csv.reader(io.StringIO(text.decode()))
        for cell in row
    )


# --- whose it is -----------------------------------------------------------------------------------------


def test_it_is_fetched_once_and_by_nobody_else(client, tenant, other_tenant, viewer, wanted):
    from auditvault.evidence.exports.services import ExportNotFoundError

    record(client, tenant, chat("a"))
    export_id = ask(viewer, wanted)
    with pytest.raises(ExportNotFoundError):
        fetch(viewer, export_id)  # not made yet
    make()
    colleague, stranger = make_person(tenant, "auditor"), make_person(other_tenant, "auditor")
    for other in (colleague, stranger):
        with pytest.raises(ExportNotFoundError):
            fetch(other, export_id)
    assert fetch(viewer, export_id)
    with pytest.raises(ExportNotFoundError):
        fetch(viewer, export_id)
    assert listed(colleague)[export_id].state == "fetched"
    assert export_id not in listed(stranger)


def test_who_examines_no_looks_lists_their_own_alone(client, tenant, viewer, wanted):
    record(client, tenant, chat("a"))
    export_id = ask(viewer, wanted)
    assert export_id in listed(viewer)
    assert listed(make_person(tenant, "viewer")) == {}


def test_a_machine_or_a_single_factor_is_not_enough(client, tenant, viewer, wanted):
    from auditvault.access.credentials import HumanRequiredError, SecondFactorRequiredError
    from auditvault.evidence.exports.services import ask

    strong = viewer.signed_in()
    for credential, error in (
        (replace(strong, human=None), HumanRequiredError),
        (replace(strong, strong_until=None), SecondFactorRequiredError),
    ):
        with pytest.raises(error):
            ask(credential=credential, region="eu", wanted=wanted, now=datetime.now(UTC))


def test_after_a_day_it_is_not_to_be_had_and_its_parts_go(client, tenant, viewer, wanted, cluster):
    from auditvault.evidence.exports.making import forget_parts
    from auditvault.evidence.exports.services import ExportNotFoundError

    record(client, tenant, chat("a"))
    export_id = ask(viewer, wanted)
    make()
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE evidence_export SET created_at = created_at - interval '2 days',"
            " expires_at = expires_at - interval '2 days' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    with pytest.raises(ExportNotFoundError):
        fetch(viewer, export_id)
    forget_parts("eu")
    assert parts_of(cluster, tenant) == 0


def parts_of(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT count(*) FROM evidence_export_part WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()[0]


def test_a_cancelled_export_is_not_made(client, tenant, viewer, wanted, cluster):
    from auditvault.evidence.exports.services import ExportNotFoundError, cancel

    record(client, tenant, chat("a"))
    export_id = ask(viewer, wanted)
    with pytest.raises(ExportNotFoundError):
        cancel(
            credential=make_person(tenant, "auditor").signed_in(), region="eu", export_id=export_id
        )
    cancel(credential=viewer.signed_in(), region="eu", export_id=export_id)
    make()
    assert parts_of(cluster, tenant) == 0
    assert listed(viewer)[export_id].state == "cancelled"


# --- many rows -------------------------------------------------------------------------------------------


@pytest.fixture
def few(service):
    with override_settings(EXPORT_ROWS_ALONE=1, EXPORT_MOST_ROWS=4):
        yield


def approved(tenant, viewer, wanted):
    from auditvault.access.approvals import services as approvals
    from auditvault.evidence.exports.services import plan_of

    now = datetime.now(UTC)
    mine = viewer.signed_in()
    plan = plan_of(credential=mine, region="eu", wanted=wanted, now=now).plan
    asked = approvals.request(credential=mine, plan=plan, case="INC-1", now=now)
    officer = make_person(tenant, "privacy_officer").signed_in()
    approvals.approve(credential=officer, region="eu", approval_id=asked.approval_id, now=now)
    return asked.approval_id


def test_many_rows_take_an_approval_of_exactly_these(client, tenant, viewer, wanted, few):
    from auditvault.core.policy.approvals import (
        ApprovalDriftedError,
        ApprovalMissingError,
        ApprovalNotOpenError,
    )

    record(client, tenant, chat("a"), chat("b"))
    with pytest.raises(ApprovalMissingError):
        ask(viewer, wanted)
    approval_id = approved(tenant, viewer, wanted)
    record(client, tenant, chat("c"))
    with pytest.raises(ApprovalDriftedError):
        ask(viewer, wanted, approval_id=approval_id)
    approval_id = approved(tenant, viewer, wanted)
    assert ask(viewer, wanted, approval_id=approval_id) in listed(viewer)
    with pytest.raises(ApprovalNotOpenError):
        ask(viewer, wanted, approval_id=approval_id)
    assert len(listed(viewer)) == 1


def test_there_is_an_end_to_an_export(client, tenant, viewer, wanted, few):
    from auditvault.evidence.exports.services import ExportTooLargeError

    record(client, tenant, *[chat(f"{n}") for n in range(5)])
    with pytest.raises(ExportTooLargeError):
        ask(viewer, wanted)


def test_a_worker_that_dies_in_the_middle_is_gone_on_after(
    client, tenant, viewer, wanted, own_key, tmp_path, cluster, monkeypatch
):
    from auditvault.evidence.exports import making

    make()  # what others left
    record(client, tenant, *[chat(f"{n}") for n in range(3)])
    export_id = ask(viewer, wanted)
    monkeypatch.setattr(making, "MAX_PAGE", 1)
    monkeypatch.setattr(making, "_PAGES_IN_A_PART", 1)
    real, calls = making.encrypt, []

    def dies(content, *, certificate):
        calls.append(content)
        if len(calls) == 2:
            raise MemoryError
        return real(content, certificate=certificate)

    monkeypatch.setattr(making, "encrypt", dies)
    with pytest.raises(MemoryError):
        make()
    assert parts_of(cluster, tenant) == 1
    assert make() == 0  # leased
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE evidence_export SET due_at = now() WHERE tenant_id = %s", (tenant.tenant_id,)
        )
    make()
    parts = fetch(viewer, export_id)
    rows = [
        row
        for text in opened(parts, own_key, tmp_path)
        for row in csv.DictReader(io.StringIO(text.decode()))
    ]
    assert len({row["id"] for row in rows}) == len(rows) == 3
    assert [number for number, _ in parts] == [1, 2, 3]


def test_what_is_recorded_after_the_question_is_not_in_it(client, tenant, viewer, wanted):
    record(client, tenant, chat("a"))
    export_id = ask(viewer, wanted)
    record(client, tenant, chat("later"))
    make()
    assert listed(viewer)[export_id].rows == 1


@pytest.mark.parametrize(
    "pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_refused(client, tenant, viewer, wanted, pem):
    from auditvault.core.crypto.cms import CertificateError

    with pytest.raises(CertificateError):
        ask(viewer, replace(wanted, certificate=pem))


def test_a_key_of_a_kind_that_nobody_knows_is_refused(wanted):
    from auditvault.core.crypto.cms import CertificateError, read_certificate

    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    der = base64.b64decode(wanted.certificate.replace(begin, "").replace(end, ""))
    rsa = bytes.fromhex("06092a864886f70d010101")  # rsaEncryption
    assert rsa in der
    other = base64.encodebytes(der.replace(rsa, rsa[:-1] + b"\x63")).decode()
    with pytest.raises(CertificateError):
        read_certificate(f"{begin}\n{other}{end}\n")


def test_an_export_of_nothing_is_refused_and_the_look_recorded(tenant, viewer, wanted, cluster):
    from auditvault.evidence.exports.services import ExportEmptyError

    with pytest.raises(ExportEmptyError):
        ask(viewer, wanted)
    assert listed(viewer) == {}
    with superuser(cluster, "region_eu") as connection:
        (row,) = connection.execute(
            "SELECT header FROM access_event WHERE tenant_id = %s AND action = 'export'",
            (tenant.tenant_id,),
        ).fetchall()
    assert json.loads(bytes(row[0]))["details"]["rows"] == 0


def test_an_unknown_export_is_not_found(viewer):
    from auditvault.evidence.exports.services import ExportNotFoundError

    with pytest.raises(ExportNotFoundError):
        fetch(viewer, uuid4())


def refused_as_waiting(ask_again):
    from auditvault.evidence.exports.services import ExportsWaitingError

    with pytest.raises(ExportsWaitingError) as refused:
        ask_again()
    return refused.value.code


def test_a_person_has_so_many_exports_waiting_until_one_is_cancelled(
    client, tenant, viewer, wanted
):
    from auditvault.evidence.exports.services import cancel

    record(client, tenant, chat())
    colleague = make_person(tenant, "auditor")
    with override_settings(EXPORTS_WAITING_PER_PERSON=1):
        first = ask(viewer, wanted)
        assert refused_as_waiting(lambda: ask(viewer, wanted)) == "exports_waiting"
        assert set(listed(viewer)) == {first}
        ask(colleague, wanted)
        cancel(credential=viewer.signed_in(), region="eu", export_id=first)
        ask(viewer, wanted)


def test_what_is_made_waits_until_it_is_fetched(client, tenant, viewer, wanted):
    record(client, tenant, chat())
    with override_settings(EXPORTS_WAITING_PER_PERSON=1):
        export_id = ask(viewer, wanted)
        make()
        refused_as_waiting(lambda: ask(viewer, wanted))
        fetch(viewer, export_id)
        ask(viewer, wanted)


def test_a_tenant_has_so_many_exports_waiting_and_another_tenant_its_own(
    client, tenant, other_tenant, viewer, wanted
):
    for each in (tenant, other_tenant):
        record(client, each, chat())
    with override_settings(EXPORTS_WAITING_PER_TENANT=1):
        ask(viewer, wanted)
        refused_as_waiting(lambda: ask(make_person(tenant, "auditor"), wanted))
        ask(make_person(other_tenant, "auditor"), wanted)


def test_two_who_ask_at_once_do_not_both_have_the_last_place(
    client, tenant, viewer, wanted, monkeypatch
):
    from auditvault.evidence.exports import services
    from auditvault.evidence.exports.services import ExportsWaitingError

    record(client, tenant, chat())
    both, check = threading.Barrier(2), services._check_waiting
    credential = viewer.signed_in()

    def then_both(*about):
        check(*about)
        # Whoever holds the lock is alone here; without it both would come, and both be queued.
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=1)

    def asks(_turn):
        try:
            services.ask(credential=credential, region="eu", wanted=wanted, now=datetime.now(UTC))
        except ExportsWaitingError:
            return "refused"
        finally:
            connections.close_all()
        return "queued"

    monkeypatch.setattr(services, "_check_waiting", then_both)
    with override_settings(EXPORTS_WAITING_PER_PERSON=1), ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(asks, range(2))) == ["queued", "refused"]
