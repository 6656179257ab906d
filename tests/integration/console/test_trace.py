"""One trace: its waterfall, the parts of an interaction, and its proof."""

from __future__ import annotations

import html
import json
import re
import uuid
from pathlib import Path

import pytest
from django.conf import settings

from auditvault.core.tlog.log_key import log_verifiers
from auditvault.core.tlog.note import LogVerifier
from auditvault.core.tlog.proof import Receipt
from auditvault.evidence.verification import read_log_keys
from auditvault.ledger.scope import region_alias, tenant_scope

from .conftest import span

CAPTURE = Path(__file__).parents[2] / "vectors/otlp/handwritten-otel-genai/agent_tools.pb"


def _text(answer) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())))


def _record_ids(answer) -> list[str]:
    return re.findall(r'id="span-([^"]*)"', answer.content.decode())


@pytest.fixture
def agent_trace(client, tenant, auditor) -> str:
    """The path of a recorded agent run of five spans: a step, in it an agent that asks a model and uses a tool."""
    sent = client.post(
        "/v1/traces",
        data=CAPTURE.read_bytes(),
        content_type="application/x-protobuf",
        headers=tenant.headers("ingest"),
    )
    assert sent.status_code == 200
    return re.search(r'href="(/t/[0-9a-f]{32})', auditor.get("/").content.decode())[1]


def test_every_span_has_a_bar_of_its_kind_on_the_traces_axis(auditor, agent_trace):
    page = auditor.get(agent_trace).content.decode()

    bars = re.findall(r'<rect class="av-bar-(\w+)" x="([\d.]+)%" width="([\d.]+)%"', page)
    assert [kind for kind, _, _ in bars] == ["step", "agent", "llm", "tool", "llm"]
    assert bars[0][1:] == ("0.000", "100.000")
    assert all(float(x) + float(width) <= 100.001 for _, x, width in bars)
    assert re.findall(r'<li class="av-depth-(\d+)">', page) == ["0", "1", "2", "2", "2"]


def test_an_error_is_said_in_words_and_coloured(auditor, send, trace_id):
    send(span(trace_id, status=2, error__type="RateLimitError"))

    answer = auditor.get(f"/t/{trace_id}")

    assert "av-bar-error" in answer.content.decode()
    assert "✕ error" in _text(answer)
    assert "RateLimitError" in _text(answer)


def test_a_span_whose_parent_is_missing_says_so(auditor, send, trace_id):
    send(span(trace_id, 2, parent=1))

    assert "parent not recorded" in _text(auditor.get(f"/t/{trace_id}"))


def test_an_interaction_without_times_has_no_bar_and_no_made_up_length(auditor, send, trace_id):
    made = span(trace_id)
    made["startTimeUnixNano"] = made["endTimeUnixNano"] = "0"
    send(made)

    answer = auditor.get(f"/t/{trace_id}")

    assert "<rect" not in answer.content.decode()
    assert "Took not known" in _text(answer)


def test_a_revision_stands_beside_what_it_revises(auditor, send, trace_id):
    send(span(trace_id, name="as it was"))
    send(span(trace_id, name="as it is now"))

    text = _text(auditor.get(f"/t/{trace_id}"))

    assert "as it was" in text
    assert "as it is now revision 1" in text


def test_a_long_trace_is_shown_in_parts_and_the_chosen_span_is_in_its_part(auditor, send, trace_id):
    send(*(span(trace_id, number) for number in range(1, 621)))

    first = auditor.get(f"/t/{trace_id}")
    second = auditor.get(f"/t/{trace_id}?part=2")
    last = _record_ids(second)[-1]
    chosen = auditor.get(f"/t/{trace_id}?span={last}")

    assert (len(_record_ids(first)), len(_record_ids(second))) == (500, 120)
    assert last in _record_ids(chosen)
    assert "Spans 501\N{EN DASH}620 of 620" in _text(chosen)


@pytest.mark.parametrize(
    ("tab", "words"),
    [
        ("summary", ("chat gpt-4o", "support-bot", "of its log", "Tokens")),
        ("content", ("sealed", "input_messages", "a purpose, a case and a reason")),
        ("attributes", ("model_requested", "sdk_language", "auditvault/header/1")),
        ("proof", ("Leaf hash", "Previous hash", "interaction.recorded")),
        ("no-such-tab", ("chat gpt-4o", "Tokens")),
    ],
)
def test_a_tab_shows_its_part(auditor, agent_trace, tab, words):
    model_call = _record_ids(auditor.get(agent_trace))[2]

    text = _text(auditor.get(f"{agent_trace}?span={model_call}&tab={tab}"))

    for word in words:
        assert word in text


def test_sealed_content_is_on_no_tab(auditor, send, trace_id):
    send(
        span(
            trace_id,
            gen_ai__input__messages='[{"role":"user","content":"canary-in-the-prompt"}]',
            something__unknown="canary-in-an-attribute",
            user__id="canary-user",
        )
    )

    for tab in ("summary", "content", "attributes", "proof"):
        assert "canary" not in auditor.get(f"/t/{trace_id}?tab={tab}").content.decode()


def test_a_proof_is_pending_until_a_checkpoint_covers_the_entry(
    auditor, send, trace_id, run_signer
):
    send(span(trace_id))

    before = _text(auditor.get(f"/t/{trace_id}?tab=proof"))
    run_signer()
    after = _text(auditor.get(f"/t/{trace_id}?tab=proof"))

    assert "Pending." in before
    assert "This record is in the log, unaltered." in after


def test_the_path_that_is_drawn_ends_at_the_checkpoints_root(auditor, agent_trace, run_signer):
    run_signer()

    record_id = _record_ids(auditor.get(agent_trace))[0]
    page = auditor.get(f"{agent_trace}?span={record_id}&tab=proof").content.decode()
    body = auditor.get(f"/r/{record_id}.json").json()

    drawn = re.findall(r"[0-9a-f]{64}", page[page.index('<ol class="av-path">') :])
    assert drawn[0] == body["leaf_hash"]
    assert drawn[1::2] == body["inclusion_proof"]["hashes"]
    receipt = Receipt.from_json(json.dumps(body))
    verified = receipt.verify(_verifiers(receipt.log))
    assert drawn[-1] == verified.checkpoint.root.hex()


def test_the_receipt_is_a_file_that_verifies_elsewhere(auditor, send, trace_id, run_signer):
    send(span(trace_id, name="worth proving"))
    run_signer()
    (record_id,) = _record_ids(auditor.get(f"/t/{trace_id}"))

    answer = auditor.get(f"/r/{record_id}.json")

    assert answer["Content-Disposition"] == f'attachment; filename="receipt-{record_id}.json"'
    assert answer["Cache-Control"] == "no-store"
    receipt = Receipt.from_json(answer.content)
    assert receipt.verify(_verifiers(receipt.log)).header["name"] == "worth proving"


def test_a_pending_receipt_says_that_it_is_not_ready(auditor, send, trace_id):
    send(span(trace_id))
    (record_id,) = _record_ids(auditor.get(f"/t/{trace_id}"))

    assert auditor.get(f"/r/{record_id}.json").status_code == 202


@pytest.mark.parametrize(
    "path", ["/t/" + "0" * 32, "/t/short", "/t/" + "z" * 32, f"/r/{uuid.UUID(int=1)}.json"]
)
def test_what_does_not_exist_is_not_found(auditor, path):
    answer = auditor.get(path)

    assert answer.status_code == 404
    assert "Not found here" in _text(answer)


def test_another_tenants_trace_and_receipt_are_not_found(
    signed_in, auditor, send, other_tenant, trace_id
):
    send(span(trace_id))
    (record_id,) = _record_ids(auditor.get(f"/t/{trace_id}"))
    stranger = signed_in({f"{other_tenant.slug}.eu": "auditor"})

    assert stranger.get(f"/t/{trace_id}").status_code == 404
    assert stranger.get(f"/r/{record_id}.json").status_code == 404


def test_a_look_at_a_trace_is_recorded(auditor, send, tenant, trace_id):
    send(span(trace_id))

    auditor.get(f"/t/{trace_id}")

    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        rows = connection.execute("SELECT actor, action, header FROM access_event").fetchall()
    ((actor, action, header),) = rows
    assert actor.startswith("user:")
    assert action == "view_trace"
    assert json.loads(bytes(header))["details"] == {"rows": 1, "trace_id": trace_id}


def _verifiers(origin: str) -> list[LogVerifier]:
    return log_verifiers(origin, read_log_keys(Path(settings.LOG_VKEYS_FILE)))
