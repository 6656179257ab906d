"""A receipt laid out: the path that is drawn, and what is said of one that does not hold."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .conftest import span


@pytest.fixture
def body(auditor, send, trace_id, run_signer) -> dict:
    """The receipt of the second of three entries."""
    send(*(span(trace_id, number) for number in (1, 2, 3)))
    run_signer()
    page = auditor.get(f"/t/{trace_id}").content.decode()
    record_id = re.findall(r'id="span-([^"]*)"', page)[1]
    return auditor.get(f"/r/{record_id}.json").json()


@given(size=st.integers(1, 70), data=st.data())
def test_a_drawn_path_ends_at_the_root_of_the_tree(size, data):
    from auditvault.console.proofs import path_of
    from auditvault.core.tlog.merkle import root_of
    from tests.reference.merkle_oracle import inclusion_path, leaf

    leaves = [leaf(number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))

    steps = path_of(
        leaf=leaves[index],
        index=index,
        size=size,
        siblings=tuple(inclusion_path(index, leaves)),
    )

    assert (steps[-1].node if steps else leaves[0].hex()) == root_of(leaves).hex()


def test_a_whole_receipt_holds(body):
    from auditvault.console.proofs import view_of

    view = view_of(body)

    assert view.state == "holds"
    assert [check.outcome for check in view.checks] == ["holds"] * 5


@pytest.mark.parametrize("part", ["leaf_hash", "proof", "header", "checkpoint", "index"])
def test_an_altered_receipt_does_not_hold_and_the_page_says_which_part(body, part):
    from auditvault.console.proofs import view_of

    flip = lambda text: ("0" if text[0] != "0" else "1") + text[1:]  # noqa: E731
    if part == "leaf_hash":
        body["leaf_hash"] = flip(body["leaf_hash"])
    elif part == "proof":
        body["inclusion_proof"]["hashes"][0] = flip(body["inclusion_proof"]["hashes"][0])
    elif part == "header":
        header = json.loads(base64.b64decode(body["header"])) | {"name": "another"}
        data = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        body["header"] = base64.b64encode(data).decode()
    elif part == "checkpoint":
        body["checkpoint"] = body["checkpoint"].replace("\n3\n", "\n4\n")
    else:
        body["index"] = 0

    view = view_of(body)

    assert view.state == "does_not_hold"
    assert [check.detail for check in view.checks if check.outcome == "does_not_hold"]


def test_a_server_without_verifier_keys_says_not_checked_and_never_holds(
    body, settings_without_keys
):
    from auditvault.console.proofs import view_of

    assert view_of(body).state == "not_checked"


@pytest.fixture
def settings_without_keys(service):
    from django.test import override_settings

    with override_settings(LOG_VKEYS_FILE=""):
        yield
