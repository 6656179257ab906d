"""All pieces of a verification see the region as it was when it began."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.evidence.verdict import logs_of, reports_of
from tests.integration.ingest.sending import chat, protobuf_of, send


def test_what_is_recorded_meanwhile_is_left_to_the_next_verification(client, tenant, run_signer):
    from django.db import connections

    headers = tenant.headers("ingest", regions=("us",))

    def add(count):
        try:
            body = protobuf_of(*[chat(f"{n} of {count}") for n in range(count)])
            return send(client, tenant, body, headers=headers).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(add, 300).result() == 200
        run_signer()
        answers = []

        def meanwhile(_origin, _done, _size):
            if not answers:
                answers.append(elsewhere.submit(add, 30).result())

        report = reports_of(tenant, range_levels=1, progress=meanwhile)["interactions"]
    assert (answers, report.first_bad) == ([200], {})
    assert (report.entries, report.headers) == (300, 300)
    again = reports_of(tenant, range_levels=1)["interactions"]
    assert (again.first_bad, again.entries) == ({}, 330)
    assert list(logs_of(tenant)) == ["interactions"]
