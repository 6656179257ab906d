"""The signer's key is stolen and history is rewritten with it: found by whoever kept anything, and where readers meet.

Nothing of this can be seen from inside without the signer's memory, see `evidence/test_attacks`. Readers have a bare
verifier, the public key, and what they kept.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from contextlib import contextmanager

import pytest

from tests.integration.api.growing import http_service, uuid_of
from tests.integration.evidence.rewriting import drop_checkpoints, rewrite
from tests.integration.evidence.verdict import verify
from tests.integration.evidence_bundles.forging import sign_anew
from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ledger.superuser import tampering
from tests.reference.bare_verifier import failures, outcomes

SIZE = 30


@pytest.fixture
def history(client, tenant, run_signer):
    """Thirty interactions, signed."""
    record(client, tenant, *[chat(f"{n}") for n in range(SIZE)])
    run_signer()
    return tenant


@pytest.fixture
def another(history, cluster, log):
    """Inside `with another():` everything from index 10 on is another, signed with the stolen key."""

    @contextmanager
    def rewriting():
        with tampering(cluster, history.tenant_id) as connection:
            rewrite(
                connection,
                log(),
                lambda entry: (
                    dataclasses.replace(entry, src="forger") if entry.index >= 10 else entry
                ),
            )
            drop_checkpoints(connection, log(), 0)
            sign_anew(connection, log())
            yield connection

    return rewriting


def member(bundle, name, path):
    """A member of a bundle as a file of its own."""
    with zipfile.ZipFile(bundle) as archive:
        path.write_bytes(archive.read(name))
    return str(path)


@pytest.fixture
def kept(create, tmp_path):
    """The checkpoint of a bundle that was made before."""
    _, path = create()
    return member(path, "bundle/checkpoint", tmp_path / "kept")


def test_a_bundle_of_the_other_history_holds_for_who_kept_nothing(
    history, another, create, verifier, trust, log
):
    """What checkpoints are kept for."""
    with another():
        _, path = create()
    code, _ = verifier.run("bundle", str(path), "--trust", trust(log()))
    assert code == 0


def test_an_earlier_bundle_contradicts_a_bundle_of_the_other_history(
    history, kept, another, create, verifier, trust, log
):
    with another():
        _, path = create()
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()), "--previous", kept)
    assert (code, set(failures(report))) == (1, {"kept"})


def test_an_earlier_bundle_contradicts_the_other_history_after_it_has_grown(
    client, history, kept, another, create, verifier, trust, log
):
    with another() as connection:
        record(client, history, *[chat(f"more {n}") for n in range(20)])
        sign_anew(connection, log())
        _, path = create()
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()), "--previous", kept)
    assert (report["bundle"]["size"], code, set(failures(report))) == (SIZE + 20, 1, {"kept"})


def test_an_earlier_bundle_contradicts_the_database(history, kept, another, log, monkeypatch):
    from pathlib import Path

    from django.conf import settings

    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", "")
    with another():
        code, answer = verify(region="eu", checkpoint=[Path(kept)])
    assert "logs" in answer, answer
    (found,) = [item for item in answer["logs"] if item["origin"] == log().origin]
    assert (code, found["first_bad"]) == (1, {"checkpoint_root": SIZE - 1})


def test_an_earlier_receipt_contradicts_the_database(
    client, history, another, log, tmp_path, monkeypatch
):
    from django.conf import settings

    (header,) = headers_of(client, history, limit=1)
    path = tmp_path / "receipt.json"
    headers = history.headers("engineer")
    path.write_bytes(client.get(f"/api/v1/receipts/{header['id']}", headers=headers).content)
    monkeypatch.setattr(settings, "SIGNER_STATE_FILE", "")
    with another():
        code, answer = verify(region="eu", checkpoint=[path])
    assert "logs" in answer, answer
    (found,) = [item for item in answer["logs"] if item["origin"] == log().origin]
    assert (code, found["first_bad"]) == (1, {"checkpoint_root": SIZE - 1})


@pytest.fixture
def reader(history, verifier, trust, log, tmp_path):
    """`reader(url, state)` is one visit by whoever keeps that state."""
    token = tmp_path / "token"
    token.write_text(history.token("auditor"))

    def visit(url, state):
        place = f"{url}/tlog/{uuid_of(log())}"
        options = ("--trust", trust(log()), "--token-file", str(token), "--state", str(state))
        return verifier.run("log", place, *options)

    return visit


@pytest.fixture
def misled(reader, another, tmp_path):
    """Two readers who were shown two histories, and each found the log whole; the second history is still shown."""
    one, two = tmp_path / "one", tmp_path / "two"
    with http_service() as url:
        assert reader(url, one)[0] == 0
        with another():
            assert reader(url, two)[0] == 0
            yield url, one, two


def test_two_readers_of_two_histories_find_it_out_when_one_looks_with_the_others_state(
    misled, reader
):
    url, one, two = misled
    code, report = reader(url, one)
    assert (code, failures(report)) == (1, {"growth": "proof_root_mismatch"})
    fork = json.loads(one.with_name("one.fork").read_text())
    assert fork["kept"] == json.loads(one.read_text())["note"]
    assert fork["refused"] == json.loads(two.read_text())["note"]


def test_two_readers_of_two_histories_find_it_out_when_one_verifies_with_the_others_checkpoint(
    misled, create, verifier, trust, log, tmp_path
):
    _, one, two = misled
    _, path = create()
    results = []
    for state in (one, two):
        checkpoint = tmp_path / f"{state.name}.checkpoint"
        checkpoint.write_text(json.loads(state.read_text())["note"])
        options = ("--trust", trust(log()), "--previous", str(checkpoint))
        results.append(outcomes(verifier.run("bundle", str(path), *options)[1])["kept"])
    assert results == ["does_not_hold", "holds"]
