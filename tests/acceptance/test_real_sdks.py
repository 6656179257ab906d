"""Real SDKs on one side, the whole service on the other: what was sent is what is recorded.

OpenAI's client, traced by OpenInference and by OpenLLMetry, talks to a fake model server; the
OpenTelemetry SDK exports the spans to the running service. Header, tree, content, proof and
resolve are then asked for over the API, as an engineer, an investigator and an auditor would.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from auditvault.core.tlog.commitment import verify_content_commitment
from tests.acceptance import fake_model_server as model
from tests.acceptance import sdk_client as client
from tests.acceptance.running_service import (
    PROJECT,
    VERIFIER,
    Answer,
    RunningService,
    running_service,
    until,
)

pytestmark = pytest.mark.timeout(300)

DIALECTS = ("openinference", "openllmetry")
PURPOSE = {"code": "INCIDENT", "case": "INC-77", "reason": "A customer complains about an answer"}
# Attributes that are sealed as they are sent, so that their SHA-256 is the sender's to compute.
CONTENT_KEYS = {
    "input.value",
    "output.value",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
}
# Words of the conversation, of the customer's names, and of the model server's errors.
SECRET_WORDS = (
    "Abernathy", "abernathy", "Gothenburg", "Trollhattan", "furniture", "lamp", "parcel", "order of",
    "Thursday", "packed", "Refused", "customers",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a client says that it sent."""

    delivered: bool
    traces: dict[str, str]
    spans: list[dict[str, Any]]

    def spans_of(self, scenario: str) -> list[dict[str, Any]]:
        """The spans of one trace, in the order they began to be sent."""
        return [span for span in self.spans if span["trace_id"] == self.traces[scenario]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A customer's application, and the service that records it."""

    service: RunningService
    reader: str
    sent: dict[str, Sent]

    def tree(self, trace_id: str) -> list[dict[str, Any]]:
        """A trace's spans as the API gives them."""
        answer = self.service.get(f"/api/v1/traces/{trace_id}", self.reader)
        assert answer.status == 200
        found: list[dict[str, Any]] = answer.json()["spans"]
        return found

    def headers(self, dialect: str, scenario: str) -> dict[str, dict[str, Any]]:
        """A trace's headers by span id."""
        tree = self.tree(self.sent[dialect].traces[scenario])
        return {node["header"]["span_id"]: node["header"] for node in tree}

    def calls(self, dialect: str, scenario: str) -> list[dict[str, Any]]:
        """The headers of a trace's model calls, in the order they were made."""
        found = [
            header
            for header in self.headers(dialect, scenario).values()
            if header.get("operation") == "chat"
        ]
        return sorted(found, key=lambda header: int(header["started_at"]))

    def resolve(self, digest: str) -> Answer:
        """What stands behind a SHA-256."""
        body = {"content_hash": f"sha256:{digest}", "purpose": PURPOSE}
        return self.service.post("/api/v1/resolve", body, self.reader)

    def receipt(self, record_id: str) -> bytes:
        """A record's receipt, once a checkpoint covers it."""

        def covered() -> bytes | None:
            answer = self.service.get(f"/api/v1/receipts/{record_id}", self.reader)
            assert answer.status in {200, 202}
            return answer.body if answer.status == 200 else None

        found = until(covered, "a checkpoint")
        assert found is not None
        return found


def run_client(service: RunningService, dialect: str, token: str, model_server: str) -> Sent:
    done = subprocess.run(
        [sys.executable, str(Path(client.__file__)), dialect],
        env=service.environment(
            TOKEN=token, ENDPOINT=f"{service.url}/v1/traces", MODEL_SERVER=model_server
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Sent(**json.loads(done.stdout))


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with running_service("--no-demo") as service, model.fake_model_server() as model_server:
        service.make_tenant("shop")
        sender = service.make_token("shop", "ingest")
        reader = service.make_reader("shop", case=PURPOSE["case"])
        sent = {name: run_client(service, name, sender, model_server) for name in DIALECTS}
        yield Shop(service=service, reader=reader, sent=sent)


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def chat_call(dialect: str) -> dict[str, Any]:
    """What every header of a model call says."""
    scope = {
        "openinference": ("openinference.instrumentation.openai", "0.1.66", "internal"),
        "openllmetry": ("opentelemetry.instrumentation.openai.v1", "0.62.4", "client"),
    }[dialect]
    return {
        "operation": "chat",
        "provider": "openai",
        "model_requested": model.MODEL,
        "service_name": "shop-bot",
        "service_version": "2.1.0",
        "scope_name": scope[0],
        "scope_version": scope[1],
        "kind": scope[2],
    }


def answered(usage: model.Usage, finish_reason: str) -> dict[str, Any]:
    return {
        "model_responded": model.ANSWERING_MODEL,
        "input_tokens": usage.prompt,
        "output_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "finish_reasons": [finish_reason],
    }


def says(header: dict[str, Any], expected: dict[str, Any]) -> bool:
    return {name: header.get(name) for name in expected} == expected


def test_every_span_is_delivered_and_stands_in_its_trees_place(shop, dialect):
    sent = shop.sent[dialect]

    trees = {scenario: shop.tree(trace_id) for scenario, trace_id in sent.traces.items()}

    assert sent.delivered
    for scenario, tree in trees.items():
        recorded = {
            node["header"]["span_id"]: (
                node["header"]["name"],
                node["header"].get("parent_span_id"),
                node["depth"],
                node["missing_parent"],
            )
            for node in tree
        }
        assert recorded == {
            span["span_id"]: (
                span["name"],
                span["parent_span_id"],
                0 if span["parent_span_id"] is None else 1,
                False,
            )
            for span in sent.spans_of(scenario)
        }
    assert [len(trees[name]) for name in ("chat", "tool", "stream", "errors")] == [2, 4, 2, 3]


def test_a_chats_header_says_model_tokens_and_how_it_ended(shop, dialect):
    (call,) = shop.calls(dialect, "chat")

    assert says(call, chat_call(dialect) | answered(model.CHAT_USAGE, "stop"))
    assert call["temperature"] == "0.25"
    assert call.get("status", "unset") in {"ok", "unset"}
    assert call.get("stream", False) is False


def test_a_tool_calls_headers_say_which_tool_and_both_ends(shop, dialect):
    asked, told = shop.calls(dialect, "tool")
    (tool,) = [
        header
        for header in shop.headers(dialect, "tool").values()
        if header.get("operation") == "execute_tool"
    ]

    wanted = {"openinference": "tool_calls", "openllmetry": "tool_call"}[dialect]
    assert says(asked, chat_call(dialect) | answered(model.TOOL_USAGE, wanted))
    assert says(told, chat_call(dialect) | answered(model.CHAT_USAGE, "stop"))
    assert tool["tool_name"] == "find_order"
    assert {item["role"] for item in tool["contents"]} == {"tool_arguments", "tool_result"}


def test_a_streams_header_says_that_it_was_one_and_what_it_used(shop, dialect):
    (call,) = shop.calls(dialect, "stream")

    assert says(call, chat_call(dialect) | answered(model.STREAM_USAGE, "stop"))
    assert call["stream"] is True
    assert call["status"] == "ok"


def test_an_errors_header_says_its_type_and_nothing_of_its_text(shop, dialect):
    limited, broken = shop.calls(dialect, "errors")

    assert says(limited, chat_call(dialect) | {"model_requested": "gpt-4o-limited"})
    assert says(broken, chat_call(dialect) | {"model_requested": "gpt-4o-broken"})
    for call, kind in ((limited, "RateLimitError"), (broken, "InternalServerError")):
        assert call["status"] == "error"
        assert call["error_type"].rpartition(".")[2] == kind
        assert "output_tokens" not in call
        assert "error_message" in {item["role"] for item in call["contents"]}


def test_content_is_found_under_the_hash_that_the_sender_computed(shop, dialect):
    wanted = {
        (span["sha256"][key], span["span_id"]): value
        for span in shop.sent[dialect].spans
        for key, value in span["attributes"].items()
        if key in CONTENT_KEYS
    }
    assert len(wanted) >= 10

    for (digest, _), value in wanted.items():
        answer = shop.resolve(digest)

        assert answer.status == 200
        assert {item["content"] for item in answer.json()["contents"]} == {value}


def test_what_is_found_opens_the_commitment_in_the_recorded_header(shop, dialect):
    (span,) = [
        span for span in shop.sent[dialect].spans_of("chat") if span["parent_span_id"] is not None
    ]
    (key,) = CONTENT_KEYS & span["attributes"].keys() & {"output.value", "gen_ai.output.messages"}
    header = shop.headers(dialect, "chat")[span["span_id"]]

    found = shop.resolve(span["sha256"][key]).json()["contents"]

    objects = {item["object"]: item for item in header["contents"]}
    (item,) = [item for item in found if item["object_id"] in objects]
    assert item["interaction_id"] == header["id"]
    verify_content_commitment(
        bytes.fromhex(objects[item["object_id"]]["commitment"]),
        opening=bytes.fromhex(item["opening"]),
        role=item["role"],
        content_sha256=hashlib.sha256(item["content"].encode()).digest(),
    )


def test_a_flattened_conversation_is_found_as_the_list_that_the_specification_makes_of_it(shop):
    (span,) = [
        span
        for span in shop.sent["openinference"].spans_of("chat")
        if span["parent_span_id"] is not None
    ]
    prefix = "llm.input_messages."
    messages: list[dict[str, Any]] = [{}, {}]
    for key, value in span["attributes"].items():
        if key.startswith(prefix):
            index, _, rest = key.removeprefix(prefix).partition(".")
            messages[int(index)][rest] = value
    text = json.dumps(messages, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    answer = shop.resolve(hashlib.sha256(text.encode()).hexdigest())

    assert {message["message.content"] for message in messages} == {client.SYSTEM, client.QUESTION}
    assert [(item["role"], item["content"]) for item in answer.json()["contents"]] == [
        ("input_messages", text)
    ]


def test_a_customers_interactions_are_found_by_the_name_that_no_header_holds(shop, dialect):
    answer = shop.service.post(
        "/api/v1/traces/search", {"user": client.USER, "limit": 200}, shop.reader
    )

    assert answer.status == 200
    found = {header["span_id"] for header in answer.json()["interactions"]}
    calls = {
        span["span_id"] for span in shop.sent[dialect].spans if span["parent_span_id"] is not None
    }
    assert calls <= found


def test_no_content_and_no_name_stands_in_any_header(shop):
    sent = json.dumps([value.spans for value in shop.sent.values()])
    assert all(word in sent for word in SECRET_WORDS)

    answer = shop.service.post("/api/v1/traces/search", {"limit": 200}, shop.reader)

    text = answer.body.decode()
    assert len(answer.json()["interactions"]) == sum(len(one.spans) for one in shop.sent.values())
    assert [word for word in SECRET_WORDS if word in text] == []


def verify_offline(receipt: bytes, trust: Path, folder: Path) -> tuple[int, dict[str, Any]]:
    """`auditvault-verify` in an empty directory, with a trust file and nothing of the service."""
    folder.mkdir()
    (folder / "receipt.json").write_bytes(receipt)
    done = subprocess.run(
        [*VERIFIER, "receipt", "receipt.json", "--trust", str(trust), "--json"],
        env={"PYTHONPATH": str(PROJECT)},
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_every_receipt_of_a_trace_verifies_offline(shop, dialect, tmp_path):
    trust = shop.service.home / "trust.json"
    headers = shop.headers(dialect, "tool")

    for number, header in enumerate(headers.values()):
        receipt = shop.receipt(header["id"])
        code, report = verify_offline(receipt, trust, tmp_path / str(number))

        assert code == 0, report
        assert {check["name"]: check["outcome"] for check in report["checks"]} == {
            "entry": "holds",
            "leaf hash": "holds",
            "checkpoint": "holds",
            "inclusion": "holds",
            "header": "holds",
        }
        proved = json.loads(base64.b64decode(json.loads(receipt)["header"]))
        assert proved == header


def test_a_receipt_with_another_number_of_tokens_does_not_verify(shop, dialect, tmp_path):
    (call,) = shop.calls(dialect, "chat")
    receipt = json.loads(shop.receipt(call["id"]))
    header = base64.b64decode(receipt["header"])
    forged = header.replace(b'"output_tokens":12', b'"output_tokens":13')
    assert forged != header

    receipt["header"] = base64.b64encode(forged).decode()
    code, report = verify_offline(
        json.dumps(receipt).encode(), shop.service.home / "trust.json", tmp_path / "forged"
    )

    assert (code, report["result"]) == (1, "does_not_hold")


def test_a_key_of_somebody_else_proves_nothing(shop, dialect, tmp_path):
    (call,) = shop.calls(dialect, "chat")
    other = {"public_key": base64.b64encode(bytes(32)).decode(), "origins": ["elsewhere/eu/*"]}
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps({"logs": [other]}))

    code, report = verify_offline(shop.receipt(call["id"]), trust, tmp_path / "other")

    assert (code, report["result"]) == (2, "not_checked")
