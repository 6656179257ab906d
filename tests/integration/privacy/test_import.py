"""A table of requests is taken in whole or not at all, and no answer repeats what stands in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.privacy.requests.importing import COLUMNS
from tests.integration.ledger.superuser import superuser
from tests.staff import make_person

IMPORT = "/api/v1/privacy/requests/import"
FIRST = ",".join(COLUMNS)


def line(**changes):
    cells = {
        "kind": "erasure",
        "regime": "gdpr",
        "received_at": (datetime.now(UTC) - timedelta(days=2)).isoformat(),
        "country": "DE",
        "subdivision": "",
        "zone": "Europe/Berlin",
        "identifier_kind": "email",
        "identifier": "Erika.Mustermann@example.org",
    }
    return ",".join((cells | changes).values())


@pytest.fixture
def send(client, desk):
    """Sends a table as the desk's operator; returns the status and the body."""

    def call(table, own=None):
        data = table if isinstance(table, bytes) else table.encode()
        headers = own or desk.operator.headers("privacy_operator")
        answer = client.post(IMPORT, data, content_type="text/csv", headers=headers)
        assert b"ustermann" not in answer.content
        return answer.status_code, answer.json()

    return call


@pytest.fixture
def stored(cluster, tenant):
    def count():
        with superuser(cluster, "region_eu") as connection:
            return connection.execute(
                "SELECT count(*) FROM privacy_request WHERE tenant_id = %s", (tenant.tenant_id,)
            ).fetchone()[0]

    return count


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_every_line_becomes_a_request_of_its_own(send, stored, mark):
    table = "\r\n".join([FIRST, line(), line(kind="access", identifier="anna@example.org"), ""])
    status, body = send(mark + table.encode())
    assert (status, len(set(body["requests"])), stored()) == (201, 2, 2)


def test_lines_that_will_not_do_are_told_by_number_and_nothing_is_taken_in(send, stored):
    table = "\n".join(
        [
            FIRST,
            line(),
            line(regime="martian"),
            line(received_at="2026-02-30T00:00:00Z"),
            line(received_at="2199-01-01T00:00:00Z"),
            line(identifier=""),
            line(identifier_kind="shoe_size"),
            line(zone="Moon/Sea"),
            line() + ",more",
            line(kind="oblivion"),
            line(regime="custom"),
            line(received_at="2026-11-20T00:00:00"),
        ]
    )
    status, body = send(table)
    assert (status, body["code"]) == (422, "privacy_import_invalid")
    invalid = "privacy_request_invalid"
    assert [(each["line"], each["code"]) for each in body["lines"]] == [
        (3, invalid),
        (4, invalid),
        (5, invalid),
        (6, "identifier_invalid"),
        (7, "identifier_kind_unknown"),
        (8, "calendar_unknown"),
        (9, invalid),
        (10, invalid),
        (11, invalid),
        (12, invalid),
    ]
    assert stored() == 0


@pytest.mark.parametrize(
    "table",
    [
        FIRST,
        f"{FIRST},state\n{line()},identified",
        f"{FIRST}\n{line()}".replace(",", ";"),
        f"{FIRST}\n{line(identifier=chr(34) + 'Mustermann')}",
        f"{FIRST}\n{line()}".encode("utf-16"),
        "\n".join([FIRST, *[line(kind="access")] * 1001]),
    ],
    ids=["no line", "a column", "semicolons", "an open quote", "UTF-16", "1001 lines"],
)
def test_what_is_no_such_table_is_refused_and_nothing_is_taken_in(send, stored, table):
    status, body = send(table)
    assert (status, body["code"], stored()) == (422, "privacy_import_invalid", 0)


@pytest.mark.parametrize("role", ["viewer", "auditor", "privacy_officer"])
def test_who_prepares_no_requests_imports_none(send, stored, tenant, role):
    own = make_person(tenant, role).headers(role)
    assert send(f"{FIRST}\n{line()}", own=own)[0] == 403
    assert stored() == 0


def test_a_table_that_fails_on_its_way_leaves_nothing(send, stored, monkeypatch):
    from auditvault.core.errors import AuditvaultError
    from auditvault.privacy.requests import services

    written = []

    def fail(*args, **how):
        if written:
            raise AuditvaultError("It ends here.")
        written.append(services.__name__)
        return real(*args, **how)

    real = services.insert
    monkeypatch.setattr(services, "insert", fail)
    assert send(f"{FIRST}\n{line()}\n{line()}")[0] == 503
    assert stored() == 0
