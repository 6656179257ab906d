"""One trace through the whole service: sent, recorded, searched, resolved, proved."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from auditvault.core.tlog.log_key import log_verifiers
from auditvault.core.tlog.proof import Receipt

CAPTURES = Path(__file__).parents[2] / "vectors" / "otlp"
PURPOSE = {"code": "INCIDENT", "case": "INC-1", "reason": "A customer complains about an answer"}


def send(client, tenant, body, content_type="application/x-protobuf", **kwargs):
    return client.post(
        "/v1/traces",
        data=body,
        content_type=content_type,
        headers=tenant.headers("ingest") | kwargs.pop("headers", {}),
    )


def agent_trace():
    return (CAPTURES / "handwritten-otel-genai" / "agent_tools.pb").read_bytes()


def post(client, path, body, headers):
    return client.post(
        path, data=json.dumps(body), content_type="application/json", headers=headers
    )


def test_a_sent_trace_is_found_as_a_tree(client, tenant):
    assert send(client, tenant, agent_trace()).status_code == 200
    found = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer")).json()
    trace_id = found["interactions"][0]["trace_id"]
    spans = client.get(f"/api/v1/traces/{trace_id}", headers=tenant.headers("engineer")).json()[
        "spans"
    ]
    assert [(span["depth"], span["header"]["name"]) for span in spans] == [
        (0, "POST /ask"),
        (1, "invoke_agent support_agent"),
        (2, "chat gpt-4o"),
        (2, "execute_tool get_weather"),
        (2, "chat gpt-4o"),
    ]


def test_every_capture_of_every_sdk_is_taken_whole(client, tenant):
    answers = {
        path.relative_to(CAPTURES).as_posix(): send(client, tenant, path.read_bytes())
        for path in sorted(CAPTURES.glob("*/*.pb"))
        if not path.name.endswith(".logs.pb")
    }
    assert len(answers) > 10
    # An empty answer is full success; a span that was rejected would be counted in it.
    assert {
        name: (answer.status_code, answer.content)
        for name, answer in answers.items()
        if (answer.status_code, answer.content) != (200, b"")
    } == {}


def test_a_repeated_request_is_answered_with_success_and_recorded_once(client, tenant):
    for _ in range(3):
        assert send(client, tenant, agent_trace()).status_code == 200
    found = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer")).json()
    assert len(found["interactions"]) == 5


def test_a_receipt_verifies_under_the_signers_key(client, tenant, run_signer):
    from django.conf import settings

    from auditvault.evidence.verification import read_log_keys

    send(client, tenant, agent_trace())
    run_signer()
    found = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer")).json()
    record = found["interactions"][2]["id"]
    answer = client.get(f"/api/v1/receipts/{record}", headers=tenant.headers("engineer"))
    receipt = Receipt.from_json(answer.content)
    keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    verified = receipt.verify(log_verifiers(receipt.log, keys))
    assert verified.header["id"] == record


def test_an_entrys_proof_is_given_out_in_the_form_of_other_tools(client, tenant, run_signer):
    from django.conf import settings

    from auditvault.core.tlog.tlog_proof import TlogProof
    from auditvault.evidence.verification import read_log_keys
    from auditvault.ledger.logs import tenant_logs

    send(client, tenant, agent_trace())
    found = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer")).json()
    path = f"/api/v1/receipts/{found['interactions'][2]['id']}/tlog-proof"
    pending = client.get(path, headers=tenant.headers("ingest"))
    assert (pending.status_code, pending["Retry-After"], pending.content) == (202, "1", b"")
    run_signer()
    answer = client.get(path, headers=tenant.headers("ingest"))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    proof = TlogProof.parse(answer.content.decode())
    (log,) = [
        each
        for each in tenant_logs(region="eu", tenant_id=tenant.tenant_id)
        if each.kind == "interactions"
    ]
    keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    verifiers = log_verifiers(log.origin, keys)
    checkpoint = proof.check_checkpoint(origin=log.origin, verifiers=verifiers)
    proof.check_inclusion(proof.entry, checkpoint)


def test_a_hash_resolves_and_the_look_is_in_the_access_log(client, tenant):
    send(client, tenant, agent_trace())
    prompt = _first_prompt(agent_trace())
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    body = {"content_hash": f"sha256:{digest}", "purpose": PURPOSE}
    answer = post(client, "/api/v1/resolve", body, tenant.cleared())
    assert answer.status_code == 200
    assert answer.json()["contents"][0]["content"] == prompt
    logs = client.get("/api/v1/logs", headers=tenant.headers("auditor")).json()["logs"]
    assert {log["kind"]: log["size"] for log in logs}["access"] >= 1


def _first_prompt(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                for item in span.attributes:
                    if item.key == "gen_ai.input.messages":
                        return item.value.string_value
    raise AssertionError("the capture has no prompt")


def test_an_unknown_path_is_a_404_that_says_so(client, service):
    answer = client.get("/api/v1/nothing-here")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_answers_are_not_to_be_kept(client, tenant):
    answer = post(client, "/api/v1/traces/search", {}, tenant.headers("engineer"))
    assert answer.headers["Cache-Control"] == "no-store"
