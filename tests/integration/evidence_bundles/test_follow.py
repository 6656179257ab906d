"""A bare verifier follows a live log over HTTP, and finds it when history changes."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.integration.api.growing import grow, http_service, open_log, uuid_of
from tests.integration.evidence.rewriting import cut, drop_checkpoints, rewrite
from tests.integration.evidence_bundles.forging import sign_anew
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.superuser import tampering
from tests.reference.bare_verifier import failures, outcomes


@pytest.fixture
def url(service):
    with http_service() as address:
        yield address


@pytest.fixture
def follow(url, tenant, verifier, trust, tmp_path):
    """`follow(log)` is one visit with an auditor's token and a state file."""
    token = tmp_path / "token"
    state = tmp_path / "state"

    def visit(log, *options):
        token.write_text(tenant.token("auditor") + "\n")
        command = ["log", f"{url}/tlog/{uuid_of(log)}", "--trust", trust(log)]
        return verifier.run(*command, "--token-file", str(token), "--state", str(state), *options)

    return visit


def test_a_live_log_is_followed_from_300_to_600_entries(client, tenant, run_signer, follow, log):
    record(client, tenant, *[chat(f"{n}") for n in range(300)])
    run_signer()
    code, first = follow(log())
    record(client, tenant, *[chat(f"{n}") for n in range(300)])
    run_signer()
    again, second = follow(log())
    assert (code, again) == (0, 0)
    assert (first["log"]["size"], first["log"]["read"]) == (300, 300)
    assert (second["log"]["size"], second["log"]["read"]) == (600, 300)
    assert set(outcomes(second).values()) == {"holds"}
    assert outcomes(first)["growth"] == "not_checked"


def test_a_log_is_followed_over_every_edge_of_its_tiles(tenant, run_signer, follow):
    log, size = open_log(tenant), 0
    for step in (0, 1, 254, 1, 1, 255, 0, 87, 425):
        if step:
            grow(log, step)
        size += step
        run_signer()
        code, report = follow(log)
        assert (code, report["log"]["size"], report["log"]["read"]) == (0, size, step)


def test_a_log_of_three_levels_of_tiles_is_followed(tenant, run_signer, follow):
    log = open_log(tenant)
    grow(log, 65_536 - 300)
    run_signer()
    assert follow(log)[0] == 0
    grow(log, 1000)
    run_signer()
    code, report = follow(log)
    assert (code, report["log"]["size"]) == (0, 66_236)
    assert outcomes(report)["tiles"] == "holds"


def test_a_history_that_was_rewritten_and_signed_again_is_found(
    tenant, run_signer, follow, cluster, tmp_path
):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    assert follow(log)[0] == 0
    kept = (tmp_path / "state").read_bytes()
    with tampering(cluster, tenant.tenant_id) as connection:
        rewrite(
            connection,
            log,
            lambda entry: dataclasses.replace(entry, src="forger") if entry.index >= 10 else entry,
        )
        drop_checkpoints(connection, log, 0)
        sign_anew(connection, log)
        code, report = follow(log)
    assert (code, failures(report)) == (1, {"growth": "proof_root_mismatch"})
    assert (tmp_path / "state").read_bytes() == kept
    fork = json.loads((tmp_path / "state.fork").read_text())
    assert fork["kept"] == json.loads(kept)["note"]
    assert fork["refused"] != fork["kept"]


def test_a_rewritten_history_that_has_grown_since_is_found(tenant, run_signer, follow, cluster):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    assert follow(log)[0] == 0
    with tampering(cluster, tenant.tenant_id) as connection:
        rewrite(
            connection,
            log,
            lambda entry: dataclasses.replace(entry, src="forger") if entry.index >= 10 else entry,
        )
        drop_checkpoints(connection, log, 0)
        grow(log, 300)
        sign_anew(connection, log)
        code, report = follow(log)
    assert (code, failures(report)) == (1, {"growth": "proof_root_mismatch"})


def test_an_older_backup_is_found_as_a_rollback(tenant, run_signer, follow, cluster):
    log = open_log(tenant)
    grow(log, 200)
    run_signer()
    grow(log, 100)
    run_signer()
    assert follow(log)[0] == 0
    with tampering(cluster, tenant.tenant_id) as connection:
        cut(connection, log, 200)
        drop_checkpoints(connection, log, 200)
        code, report = follow(log)
    assert (code, failures(report)) == (1, {"growth": "log_shrank"})


def test_an_edited_entry_is_found_by_a_first_visit(tenant, run_signer, follow, cluster):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(
            "UPDATE ledger_entry SET entry = replace(encode(entry, 'escape'), '\"test\"', '\"tost\"')"
            "::bytea WHERE log_id = %s AND idx = 7",
            (log.log_id,),
        )
        code, report = follow(log)
    assert (code, failures(report)) == (1, {"entries": "entry_misplaced"})
    assert any("entry 8 does not name" in check["detail"] for check in report["checks"])


def test_an_edited_tile_is_found(tenant, run_signer, follow, cluster):
    log = open_log(tenant)
    grow(log, 300)
    run_signer()
    with tampering(cluster, tenant.tenant_id) as connection:
        connection.execute(
            "UPDATE ledger_tile SET hashes = set_byte(hashes, 4, get_byte(hashes, 4) # 1)"
            " WHERE log_id = %s",
            (log.log_id,),
        )
        code, report = follow(log)
    assert (code, failures(report)) == (1, {"tiles": "tile_malformed"})


def test_a_log_that_may_not_be_read_is_not_checked(
    tenant, other_tenant, run_signer, url, verifier, trust, tmp_path
):
    log = open_log(tenant)
    grow(log, 3)
    run_signer()
    (tmp_path / "token").write_text(other_tenant.token("auditor"))
    command = ["log", f"{url}/tlog/{uuid_of(log)}", "--trust", trust(log)]
    for options in ([], ["--token-file", str(tmp_path / "token")]):
        code, report = verifier.run(*command, *options)
        assert (code, report["result"]) == (2, "not_checked")


def test_another_log_at_the_same_place_does_not_hold(tenant, run_signer, follow):
    log = open_log(tenant)
    grow(log, 3)
    run_signer()
    code, report = follow(log, "--origin", "log.example/eu/another")
    assert (code, failures(report)) == (1, {"checkpoint": "log_exchanged"})
