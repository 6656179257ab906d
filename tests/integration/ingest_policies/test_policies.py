"""As much of contents is kept as the policy says, and a header says what was not."""

from __future__ import annotations

import hashlib
import os

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from auditvault.core.tlog.commitment import verify_content_commitment
from tests.integration.evidence.verdict import findings
from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ingest_policies.policies import (
    HALF_OF_THEM,
    HASH,
    KEEP_ALL,
    NONE_OF_THEM,
    OPERATOR,
    set_policy,
)
from tests.integration.ledger.superuser import counts, superuser
from tests.integration.vault.looking import forget_keys, resolve, resolve_hash, revealed


def failed(prompt, **fields):
    span = chat(prompt, **fields)
    span.status.code = Status.STATUS_CODE_ERROR
    return span


def content_of(header, role="input_messages"):
    (found,) = [item for item in header["contents"] if item["role"] == role]
    return found


def states(client, tenant):
    """(decision, state of the prompt) of every record."""
    return sorted(
        (header["payload_decision"], content_of(header).get("state", "whole"))
        for header in headers_of(client, tenant)
    )


def test_without_a_policy_everything_is_kept_and_the_header_says_nothing(client, tenant):
    record(client, tenant, chat("a secret wish"))
    (header,) = headers_of(client, tenant)
    assert {"payload_policy", "payload_decision", "secrets_removed"} & header.keys() == set()
    assert content_of(header).keys() == {"role", "object", "commitment", "size_bytes"}


def test_under_hash_no_content_reaches_the_vault(client, tenant):
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat("a secret wish", system="Be brief, my canary."))
    assert everything_sealed(tenant) & {b"a secret wish", b"Be brief, my canary."} == set()


def everything_sealed(tenant):
    """What opens of everything that the tenant has in the vault."""
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import _SELECT, _stored, open_stored

    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        place = {
            "permit": refuse_while_restore_pending(connection, "eu"),
            "tenant_id": tenant.tenant_id,
        }
        rows = connection.execute(_SELECT).fetchall()
        found = {open_stored(**place, stored=_stored(row)).content for row in rows}
    assert found
    return found


def test_what_everything_sealed_finds_is_there_without_a_policy(client, tenant):
    record(client, tenant, chat("a secret wish"))
    assert b"a secret wish" in everything_sealed(tenant)


def test_under_hash_the_header_says_so_with_the_size_and_a_commitment(client, tenant):
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat("a secret wish"))
    (header,) = headers_of(client, tenant)
    said = content_of(header)
    assert (header["payload_policy"], header["payload_decision"]) == ("tenant/1", "hash")
    assert (said["state"], said["size_bytes"]) == ("hash_only", len("a secret wish"))


def test_under_hash_who_has_the_content_finds_it_and_can_prove_it(client, tenant):
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat("a secret wish"))
    (found,) = resolve(client, tenant, "a secret wish").json()["contents"]
    (header,) = headers_of(client, tenant)
    assert (found["state"], found["content"], found["encoding"]) == ("hash_only", None, None)
    assert found["size_bytes"] == len("a secret wish")
    verify_content_commitment(
        bytes.fromhex(content_of(header)["commitment"]),
        opening=bytes.fromhex(found["opening"]),
        role="input_messages",
        content_sha256=hashlib.sha256(b"a secret wish").digest(),
    )
    assert found["sha256"] == hashlib.sha256(b"a secret wish").hexdigest()


def test_what_was_kept_in_part_verifies(client, tenant, run_signer):
    record(client, tenant, chat("kept whole", system="shared by all"))
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat("hash alone", system="shared by all"))
    set_policy(tenant.tenant_id, {"keep": "all", "max_content_bytes": 64})
    record(client, tenant, chat("cut " * 100, system="shared by all"))
    run_signer()
    assert findings(tenant, region="eu", with_payloads=True) == {}


def test_a_content_that_looks_like_a_kept_hash_is_itself(client, tenant):
    from auditvault.vault.hash_only import to_statement

    statement = to_statement(b"d" * 32, 7).decode()
    record(client, tenant, chat(statement))
    assert revealed(resolve(client, tenant, statement)) == [statement]
    assert findings(tenant, region="eu", with_payloads=True) == {}


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_shared_is_kept_whole_once_the_policy_says_so(client, tenant, monkeypatch, restart):
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat("one", system="shared by all"))
    set_policy(tenant.tenant_id, KEEP_ALL)
    if restart:
        forget_keys(monkeypatch)
    record(client, tenant, chat("two", system="shared by all"))
    found = resolve(client, tenant, "shared by all").json()["contents"]
    assert sorted(str(item["content"]) for item in found) == ["None", "shared by all"]


def test_what_was_shared_whole_is_not_referred_to_under_hash(client, tenant):
    record(client, tenant, chat("one", system="shared by all"))
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, chat("two", system="shared by all"))
    newest = headers_of(client, tenant)[0]
    assert content_of(newest, "system_instructions")["state"] == "hash_only"


# --- samples ---------------------------------------------------------------------------------------------


def test_a_trace_is_whole_or_absent_in_whatever_requests_it_comes(client, tenant):
    set_policy(tenant.tenant_id, HALF_OF_THEM)
    traces = [os.urandom(16) for _ in range(40)]
    for _ in range(3):
        record(client, tenant, *[chat("hello", trace_id=trace) for trace in traces])
    found = {}
    for header in headers_of(client, tenant, limit=200):
        found.setdefault(header["trace_id"], set()).add(header["payload_decision"])
    assert all(len(decisions) == 1 for decisions in found.values())
    assert set.union(*found.values()) == {"sampled", "not_sampled"}


def test_a_lot_is_the_tenants_own(client, tenant, other_tenant):
    traces = [bytes([number]) * 16 for number in range(1, 41)]
    drawn = []
    for each in (tenant, other_tenant):
        set_policy(each.tenant_id, HALF_OF_THEM)
        record(client, each, *[chat("hello", trace_id=trace) for trace in traces])
        drawn.append({h["trace_id"]: h["payload_decision"] for h in headers_of(client, each)})
    assert drawn[0] != drawn[1]


def test_every_error_is_kept(client, tenant):
    set_policy(tenant.tenant_id, NONE_OF_THEM)
    record(client, tenant, failed("went wrong"), chat("went well"))
    assert states(client, tenant) == [("error", "whole"), ("not_sampled", "hash_only")]


def test_with_an_error_the_spans_of_its_trace_in_the_request_are_kept(client, tenant):
    set_policy(tenant.tenant_id, NONE_OF_THEM)
    trace = os.urandom(16)
    record(client, tenant, chat("its cause", trace_id=trace), failed("it", trace_id=trace))
    assert states(client, tenant) == [("error", "whole"), ("error", "whole")]


def test_spans_of_an_errors_trace_in_another_request_keep_to_their_lot(client, tenant):
    set_policy(tenant.tenant_id, NONE_OF_THEM)
    trace = os.urandom(16)
    record(client, tenant, chat("earlier", trace_id=trace))
    record(client, tenant, failed("it", trace_id=trace))
    assert states(client, tenant) == [("error", "whole"), ("not_sampled", "hash_only")]


def test_a_listed_feature_is_kept_whole(client, tenant):
    set_policy(tenant.tenant_id, NONE_OF_THEM, **{"check-out": KEEP_ALL})
    listed = {"auditvault.feature": "check-out"}
    record(client, tenant, chat("listed", attributes=listed), chat("not listed"))
    assert states(client, tenant) == [("all", "whole"), ("not_sampled", "hash_only")]


# --- size ------------------------------------------------------------------------------------------------


def test_a_long_content_is_cut_between_characters_and_marked(client, tenant):
    set_policy(tenant.tenant_id, {"keep": "all", "max_content_bytes": 64})
    text = "x" * 63 + "€" * 10
    record(client, tenant, chat(text))
    said = content_of(headers_of(client, tenant)[0])
    assert (said["truncated"], said["size_bytes"], said["original_bytes"]) == (True, 63, 93)
    assert revealed(resolve(client, tenant, "x" * 63)) == ["x" * 63]


def test_a_cut_content_is_found_by_the_hash_of_what_was_sent(client, tenant):
    set_policy(tenant.tenant_id, {"keep": "all", "max_content_bytes": 64})
    record(client, tenant, chat("y" * 200))
    assert revealed(resolve(client, tenant, "y" * 200)) == ["y" * 64]


def test_a_content_within_the_cap_is_not_marked(client, tenant):
    set_policy(tenant.tenant_id, {"keep": "all", "max_content_bytes": 64})
    record(client, tenant, chat("z" * 64))
    assert "truncated" not in content_of(headers_of(client, tenant)[0])


# --- which policy ----------------------------------------------------------------------------------------


def test_the_newest_version_counts_from_the_next_request_on(client, tenant):
    for version, (rule, decision) in enumerate([(HASH, "hash"), (KEEP_ALL, "all"), (HASH, "hash")]):
        set_policy(tenant.tenant_id, rule)
        record(client, tenant, chat(f"number {version}"))
        header = headers_of(client, tenant)[0]
        assert (header["payload_policy"], header["payload_decision"]) == (
            f"tenant/{version + 1}",
            decision,
        )


def test_another_tenants_policy_is_nobody_elses(client, tenant, other_tenant):
    set_policy(other_tenant.tenant_id, HASH)
    record(client, tenant, chat("a secret wish"))
    assert "payload_policy" not in headers_of(client, tenant)[0]


def test_a_policy_of_another_region_is_not_this_ones(client, tenant):
    set_policy(tenant.tenant_id, HASH, region="us")
    record(client, tenant, chat("a secret wish"))
    assert "payload_policy" not in headers_of(client, tenant)[0]


def test_the_regions_own_policy_is_for_tenants_without_one(client, tenant, other_tenant, cluster):
    set_policy(other_tenant.tenant_id, KEEP_ALL)
    set_policy(OPERATOR, HASH)
    try:
        record(client, tenant, chat("a secret wish"))
        record(client, other_tenant, chat("a secret wish"))
    finally:
        with superuser(cluster, "region_eu") as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("DELETE FROM payload_policy WHERE tenant_id = %s", (OPERATOR,))
    assert headers_of(client, tenant)[0]["payload_policy"].startswith("region/")
    assert headers_of(client, other_tenant)[0]["payload_policy"] == "tenant/1"


@pytest.mark.parametrize("rule", [HASH, HALF_OF_THEM, {"keep": "all", "max_content_bytes": 64}])
def test_a_repeated_span_is_recorded_once_under_a_policy(client, tenant, cluster, rule):
    set_policy(tenant.tenant_id, rule)
    span = chat("hello " * 50, user="anna", system="Be brief.")
    record(client, tenant, span)
    before = counts(cluster, tenant.tenant_id)
    record(client, tenant, span, span)
    assert counts(cluster, tenant.tenant_id) == before


def test_a_span_repeated_under_another_policy_is_recorded_once(client, tenant):
    span = chat("hello", user="anna", system="Be brief.")
    record(client, tenant, span)
    set_policy(tenant.tenant_id, HASH)
    record(client, tenant, span)
    assert len(headers_of(client, tenant)) == 1


def test_a_span_that_says_something_else_is_a_revision_under_hash(client, tenant):
    set_policy(tenant.tenant_id, HASH)
    span = chat("hello")
    record(client, tenant, span)
    record(client, tenant, chat("other", trace_id=span.trace_id, span_id=span.span_id))
    assert [header.get("revision", 0) for header in headers_of(client, tenant)] == [1, 0]


def test_a_senders_own_hash_finds_a_kept_hash(client, tenant):
    set_policy(tenant.tenant_id, HASH)
    claim = "cd" * 32
    record(client, tenant, chat("as it was sent", attributes={"prompt.hash": claim}))
    (found,) = resolve_hash(client, tenant, f"sha256:{claim}").json()["contents"]
    assert found["sha256"] == hashlib.sha256(b"as it was sent").hexdigest()
