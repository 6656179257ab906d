"""Bundles of the running service: what is in them, who gets what, and that a bare process verifies them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.integration.access.test_disclosure import access_log_closed
from tests.integration.evidence.rewriting import drop_checkpoints, rewrite
from tests.integration.evidence_bundles.forging import sign_anew
from tests.integration.ingest.sending import chat, record
from tests.integration.ledger.outage import unreachable
from tests.integration.ledger.superuser import superuser, tampering
from tests.reference.bare_verifier import failures, outcomes


@pytest.fixture
def recorded(client, tenant, run_signer):
    """300 interactions, all signed."""
    record(client, tenant, *[chat(f"{n}") for n in range(300)])
    run_signer()
    return tenant


def access_records(cluster, tenant):
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT action, outcome, actor, actor_role, header FROM access_event"
            " WHERE tenant_id = %s ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [(*row[:4], json.loads(bytes(row[4]))["details"]) for row in rows]


def checkpoint_of(client, tenant, log, path):
    headers = tenant.headers("auditor")
    answer = client.get(f"/tlog/{log.origin.split('/')[-1]}/checkpoint", headers=headers)
    path.write_bytes(answer.content)
    return str(path)


def test_only_the_verifier_can_be_imported_where_bundles_are_verified(verifier):
    assert verifier.others() == []


def test_an_auditors_bundle_verifies_where_only_the_verifier_is_installed(
    recorded, create, verifier, trust, log
):
    made, path = create("--headers", "--from", "20", "--to", "280", token=recorded.token("auditor"))
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()))
    assert (code, report["result"]) == (0, "holds")
    assert report["bundle"] == {"log": log().origin, "first": 20, "end": 280, "size": 300}
    assert {name for name, said in outcomes(report).items() if said == "holds"} == {
        "manifest",
        "checkpoint",
        "entries",
        "range",
        "headers",
    }
    assert "260 are the ones" in next(
        check["detail"] for check in report["checks"] if check["name"] == "headers"
    )
    assert made["headers"] == "included"


def test_growth_since_a_kept_checkpoint_is_proved_and_verified(
    client, recorded, run_signer, create, verifier, trust, log, tmp_path
):
    kept = checkpoint_of(client, recorded, log(), tmp_path / "kept")
    record(client, recorded, *[chat(f"{n}") for n in range(300)])
    run_signer()
    _, path = create("--from", "400", "--previous", kept)
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()), "--previous", kept)
    assert code == 0
    assert (outcomes(report)["previous"], outcomes(report)["kept"]) == ("holds", "holds")
    assert report["bundle"]["end"] == 600


def test_a_bundle_of_the_access_log_holds_its_own_record(
    recorded, create, run_signer, verifier, trust, log
):
    create(token=recorded.token("auditor"))
    run_signer()
    made, path = create("--log", "access", "--headers", token=recorded.token("auditor"))
    code, report = verifier.run("bundle", str(path), "--trust", trust(log("access")))
    assert (code, outcomes(report)["headers"]) == (0, "holds")
    assert made["end"] == 1


def test_what_is_taken_away_is_recorded_first(recorded, create, cluster, log):
    made, _ = create("--to", "10", "--headers", token=recorded.token("auditor"))
    ((action, outcome, actor, role, details),) = access_records(cluster, recorded)
    assert (action, outcome, role) == ("export_bundle", "granted", "auditor")
    assert actor.startswith("token:")
    assert details == {
        "log": log().origin,
        "first": 0,
        "end": 10,
        "size": 300,
        "headers": "included",
    }
    assert made["access_record"]


def test_nothing_is_written_when_it_cannot_be_recorded(recorded, create, cluster, tmp_path):
    from django.core.management.base import CommandError

    with access_log_closed(cluster), pytest.raises(CommandError, match="cannot be written"):
        create()
    assert list(tmp_path.glob("*.zip*")) == []


def test_a_region_that_is_away_leaves_no_bundle(recorded, create, cluster, tmp_path):
    from django.core.management.base import CommandError

    with unreachable(cluster, "region_eu"), pytest.raises(CommandError, match="database"):
        create()
    assert list(tmp_path.glob("*.zip*")) == []


def test_entries_that_are_gone_leave_no_bundle(recorded, create, cluster, tmp_path, log):
    from django.core.management.base import CommandError

    with tampering(cluster, recorded.tenant_id) as connection:
        connection.execute(
            "DELETE FROM ledger_entry WHERE log_id = %s AND idx = 270", (log().log_id,)
        )
        with pytest.raises(CommandError, match="Verify the log"):
            create()
    assert list(tmp_path.glob("*.zip*")) == []


def test_a_log_that_was_rewritten_since_the_kept_checkpoint_gives_no_bundle(
    client, recorded, create, cluster, tmp_path, log
):
    from django.core.management.base import CommandError

    kept = checkpoint_of(client, recorded, log(), tmp_path / "kept")
    with tampering(cluster, recorded.tenant_id) as connection:
        rewrite(connection, log(), lambda entry: dataclasses.replace(entry, src="somebody"))
        drop_checkpoints(connection, log(), 0)
        sign_anew(connection, log())
        with pytest.raises(CommandError, match="does not extend"):
            create("--previous", kept)


def test_the_operator_gets_entries_and_proofs_and_no_headers(
    recorded, create, verifier, trust, log, cluster
):
    made, path = create("--headers")
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()))
    assert (code, made["headers"]) == (0, "not_authorised")
    assert outcomes(report)["headers"] == "not_checked"
    assert access_records(cluster, recorded)[0][2:4] == ("operator:cli", None)


@pytest.mark.parametrize("role", ["ingest", "engineer", "investigator"])
def test_a_role_that_may_not_read_the_log_gets_no_bundle_and_is_recorded(
    recorded, create, cluster, role, tmp_path
):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="None of your roles"):
        create(token=recorded.token(role))
    ((action, outcome, *_, details),) = access_records(cluster, recorded)
    assert (action, outcome) == ("export_bundle", "denied")
    assert details == {"kind": "interactions", "code": "access_denied"}
    assert list(tmp_path.glob("*.zip*")) == []


def test_a_token_of_another_tenant_or_region_gets_no_bundle(recorded, create, other_tenant):
    from django.core.management.base import CommandError

    for token in (other_tenant.token("auditor"), recorded.token("auditor", regions=("us",))):
        with pytest.raises(CommandError, match="another tenant, or not for that region"):
            create(token=token)


@pytest.mark.parametrize(
    "options",
    [
        ["--to", "301"],
        ["--from", "300"],
        ["--from", "5", "--to", "5"],
        ["--from", "-1"],
        ["--log", "admin"],
        ["--previous", "/nowhere"],
    ],
)
def test_what_is_not_there_cannot_be_taken_away(recorded, create, cluster, options):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError):
        create(*options)
    assert access_records(cluster, recorded) == []


def test_equal_content_gives_equal_bytes(recorded, create):
    first, second = create()[1], create()[1]
    assert first.read_bytes() == second.read_bytes()


def test_a_bundle_is_never_written_over(recorded, create, tmp_path):
    from django.core.management.base import CommandError

    _, path = create()
    with pytest.raises(CommandError, match="exists already"):
        create("-o", str(path))


def test_a_header_that_is_gone_is_said_to_be(recorded, create, verifier, trust, log, cluster):
    with tampering(cluster, recorded.tenant_id) as connection:
        connection.execute(
            "DELETE FROM traces_header AS h USING ledger_entry AS e WHERE e.log_id = %s"
            " AND e.idx = 7 AND h.tenant_id = e.tenant_id AND h.record_id = e.record_id",
            (log().log_id,),
        )
        _, path = create("--headers", token=recorded.token("auditor"))
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()))
    assert code == 0
    assert any("1 absent (gone)" in check["detail"] for check in report["checks"])


def test_an_edited_header_is_found_by_its_index(recorded, create, verifier, trust, log, cluster):
    with tampering(cluster, recorded.tenant_id) as connection:
        connection.execute(
            "UPDATE traces_header AS h SET opening = %s FROM ledger_entry AS e"
            " WHERE e.log_id = %s AND e.idx = 7 AND h.tenant_id = e.tenant_id"
            " AND h.record_id = e.record_id",
            (bytes(32), log().log_id),
        )
        _, path = create("--headers", token=recorded.token("auditor"))
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()))
    assert (code, failures(report)) == (1, {"headers": "bundle_mismatch"})
    assert any(check["detail"].startswith("header 7:") for check in report["checks"])


def test_an_edited_entry_is_found(recorded, create, verifier, trust, log, cluster):
    with tampering(cluster, recorded.tenant_id) as connection:
        connection.execute(
            "UPDATE ledger_entry SET entry = replace(encode(entry, 'escape'), 'token:', 'tokem:')::bytea"
            " WHERE log_id = %s AND idx = 7",
            (log().log_id,),
        )
        _, path = create()
    code, report = verifier.run("bundle", str(path), "--trust", trust(log()))
    assert code == 1
    assert failures(report)["entries"] == "entry_misplaced"
