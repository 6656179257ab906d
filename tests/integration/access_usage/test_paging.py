"""Five hundred payloads looked at one by one, by one person, over several connections at once."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter

import pytest

from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import superuser
from tests.integration.vault.looking import PURPOSE, resolve, revealed

PAYLOADS, BUDGET, READERS = 500, 50, 4


@pytest.fixture
def without_a_limit_by_the_minute(service):
    from django.test import override_settings

    with override_settings(LOOKUPS_PER_CALLER=10_000, LOOKUPS_PER_TENANT=10_000):
        yield


def ask(client, headers, content):
    digest = hashlib.sha256(content.encode()).hexdigest()
    body = json.dumps({"content_hash": f"sha256:{digest}", "purpose": PURPOSE})
    return client.post(
        "/api/v1/resolve", data=body, content_type="application/json", headers=headers
    )


def test_five_hundred_payloads_paged_one_by_one_end_at_the_budget_and_are_told_of(
    client, tenant, cluster, without_a_limit_by_the_minute
):
    from django.db import connections
    from django.test import Client

    contents = [f"payload {n}" for n in range(PAYLOADS)]
    record(client, tenant, *[chat(content, user=content) for content in contents])
    headers = tenant.cleared()
    codes: Counter[str] = Counter()

    def reader(number):
        own = Client()
        try:
            for content in contents[number::READERS]:
                answer = ask(own, headers, content)
                codes[f"{answer.status_code} {answer.json().get('code', '')}"] += 1
        finally:
            connections.close_all()

    readers = [threading.Thread(target=reader, args=(number,)) for number in range(READERS)]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    assert codes == {"200 ": BUDGET, "429 subject_budget_spent": PAYLOADS - BUDGET}
    with superuser(cluster, "region_eu") as connection:
        kinds = connection.execute(
            "SELECT kind FROM access_alert WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
        denied = connection.execute(
            "SELECT count(*) FROM access_event WHERE tenant_id = %s AND outcome = 'denied' AND action = 'resolve'",
            (tenant.tenant_id,),
        ).fetchone()
    assert kinds == [("subject_budget_spent",)]
    assert denied == (1,)


def test_a_content_of_more_people_than_are_left_is_shown_in_part(client, tenant):
    from django.test import override_settings

    record(client, tenant, *[chat("the same", user=f"user {n}") for n in range(5)])
    with override_settings(SUBJECTS_PER_DAY=3):
        answer = resolve(client, tenant, "the same")
        assert (len(revealed(answer)), answer.json()["more"]) == (3, True)
        again = resolve(client, tenant, "the same")
        assert (len(revealed(again)), again.json()["more"]) == (3, True)


def test_what_is_nobodys_can_be_looked_at_when_the_budget_is_spent(client, tenant):
    from django.test import override_settings

    record(client, tenant, chat("one", user="1", system="Be brief."), chat("two", user="2"))
    with override_settings(SUBJECTS_PER_DAY=1):
        assert resolve(client, tenant, "one").status_code == 200
        assert resolve(client, tenant, "two").status_code == 429
        assert (
            resolve(client, tenant, "never sent").content == resolve(client, tenant, "two").content
        )
        assert revealed(resolve(client, tenant, "Be brief.")) == ["Be brief."]
