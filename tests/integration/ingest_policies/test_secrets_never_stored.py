"""A secret that is recognised lies nowhere: not in a database, not in the vault, not under a hash."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ingest_policies.policies import HASH, set_policy
from tests.integration.ingest_policies.test_policies import content_of, everything_sealed
from tests.integration.ledger.superuser import counts
from tests.integration.vault.looking import resolve, resolve_hash, revealed
from tests.integration.vault.test_sealing import DATABASES, dump
from tests.unit.ingest_policies.secret_corpus import POSITIVES, filled

MARK = "[secret removed: model_key]"


@pytest.fixture
def secret():
    """Made up, and put together here, so that no scanner takes it for a live one."""
    return "s" + "k-" + "1aB" * 12


def test_a_secret_in_any_slot_is_in_nothing_that_is_sealed_or_stored(
    client, tenant, cluster, secret
):
    attributes = {
        "gen_ai.output.messages": json.dumps([{"content": f"use {secret}"}]),
        "gen_ai.tool.call.arguments": json.dumps({"token": secret}),
        "http.request.header.authorization": f"Bearer {secret}",
        f"key {secret}": True,
        "gen_ai.agent.id": secret,
        "gen_ai.response.id": secret,
        "service.version": secret,
    }
    span = chat(
        f"my key is {secret}",
        user=secret,
        session=f"session {secret}",
        system=f"never say {secret}",
        attributes=attributes,
        name=f"chat {secret}",
        trace_state=f"vendor={secret}",
    )
    span.status.message = f"{secret} was refused"
    record(client, tenant, span)
    needle = secret.encode()
    assert all(needle not in content for content in everything_sealed(tenant))
    rows = [row for database in DATABASES for _, row in dump(cluster, database)]
    assert all(needle not in row and needle.hex().encode() not in row for row in rows)


def test_the_header_counts_what_was_taken_out_by_kind(client, tenant, secret):
    record(client, tenant, chat(f"{secret} and {secret}", system=f"never say {secret}"))
    (header,) = headers_of(client, tenant)
    assert header["secrets_removed"] == {"model_key": 3}
    assert content_of(header)["size_bytes"] == len(f"{MARK} and {MARK}")


def test_the_text_around_a_secret_is_kept_and_its_hash_is_of_what_is_kept(client, tenant, secret):
    record(client, tenant, chat(f"my key is {secret}."))
    assert revealed(resolve(client, tenant, f"my key is {MARK}.")) == [f"my key is {MARK}."]
    assert findings(tenant, region="eu", with_payloads=True) == {}


@pytest.mark.parametrize("rule", [None, HASH, {"keep": "all", "max_content_bytes": 64}])
def test_no_hash_of_the_text_with_its_secret_is_kept(client, tenant, secret, rule):
    if rule:
        set_policy(tenant.tenant_id, rule)
    text = f"my key is {secret}, and this goes on and on and on and on and on and on"
    claim = hashlib.sha256(text.encode()).hexdigest()
    record(client, tenant, chat(text, attributes={"prompt.hash": claim}))
    assert revealed(resolve(client, tenant, text)) == []
    assert revealed(resolve_hash(client, tenant, f"sha256:{claim}")) == []


def test_a_header_field_with_a_secret_is_withheld(client, tenant, secret):
    record(client, tenant, chat("hello", attributes={"gen_ai.agent.id": secret}))
    (header,) = headers_of(client, tenant)
    assert "agent_id" not in header
    assert (header["withheld"], header["secrets_removed"]) == (["agent_id"], {"model_key": 1})


def test_two_people_who_are_named_by_secrets_stay_two(client, tenant, secret):
    record(client, tenant, chat("a", user=secret), chat("b", user=f"{secret}2"))
    found = [headers_of(client, tenant, user=name) for name in (secret, f"{secret}2")]
    assert found == [[], []]
    assert counts_of_people(tenant) == 2


def counts_of_people(tenant):
    from auditvault.ledger.scope import region_alias, tenant_scope

    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        query = "SELECT count(*) FROM vault_subject WHERE kind = 'person'"
        ((found,),) = connection.execute(query).fetchall()
    return found


def test_a_span_with_a_secret_is_recorded_once(client, tenant, cluster, secret):
    span = chat(f"my key is {secret}", user=secret)
    record(client, tenant, span)
    before = counts(cluster, tenant.tenant_id)
    record(client, tenant, span)
    assert counts(cluster, tenant.tenant_id) == before


def test_every_kind_is_taken_out_of_one_request(client, tenant):
    texts = [filled(template, 5) for _, template in POSITIVES]
    record(client, tenant, *[chat(text) for text, _ in texts], chat("nothing in here"))
    found = [header.get("secrets_removed", {}) for header in headers_of(client, tenant, limit=200)]
    kinds = [kind for each in found for kind in each]
    assert sorted(kinds) == sorted(kind for kind, _ in POSITIVES)
