"""Bundles bring how the region's keys came and went, out of a real operator's log; a verifier with one key follows."""

from __future__ import annotations

import json
from io import StringIO
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.integration.api.growing import grow, open_log
from tests.integration.ledger.rotation import Rig, own_region
from tests.reference.bare_verifier import failures, outcomes


@pytest.fixture(scope="module")
def _copied_region(cluster):
    with own_region(cluster):
        yield


@pytest.fixture
def rig(_copied_region, service, cluster, tmp_path, monkeypatch):
    """A region `us` and a signer of this test's own; its first key is called `old`."""
    return Rig(cluster, tmp_path, monkeypatch)


@pytest.fixture
def log(rig, tenant):
    """A tenant's log with ten entries."""
    made = open_log(tenant, region="us")
    grow(made, 10, region="us")
    return made


@pytest.fixture
def create(tenant, tmp_path, monkeypatch):
    """`create("--operator")` is what `auditvault bundle create` printed, and its file."""
    monkeypatch.delenv("AUDITVAULT_TOKEN", raising=False)

    def run(*options):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zip"
        words = options or ("--tenant", tenant.slug, "--log", "admin")
        out = StringIO()
        call_command(
            *("bundle", "create", "--region", "us", "--json", "-o", str(path)), *words, stdout=out
        )
        return json.loads(out.getvalue()), path

    return run


@pytest.fixture
def verify(verifier, rig, tmp_path):
    """`verify(path, *names, follow=…)` is what a verifier says who has the keys of these names and nothing else."""

    def run(path, *names, follow=False):
        entries = [
            {
                "public_key": rig.private(name).public.encoded(),
                "origins": ["localhost/us/*"],
                **({"follow": [rig.log().origin]} if follow else {}),
            }
            for name in names
        ]
        trust = tmp_path / "trust.json"
        trust.write_text(json.dumps({"logs": entries}))
        return verifier.run("bundle", str(path), "--trust", str(trust))

    return run


def overlap(rig):
    """Bring a new key in, up to the first checkpoints that it signs."""
    rig.look()
    new = rig.make("new")
    rig.hold("old", "new")
    rig.announce(new)
    rig.look()
    rig.look()
    assert rig.newest() == ["old", "new"]


def rotate(rig):
    """And let the old one end."""
    overlap(rig)
    rig.retire(rig.vkeys.read_text().splitlines()[0])
    rig.look()
    rig.look()
    rig.hold("new")
    assert rig.newest() == ["new"]


def operations(rig):
    with rig.owner() as owner:
        rows = owner.execute(
            "SELECT action, header FROM admin_event WHERE action NOT LIKE 'test.%'"
            " ORDER BY record_id"
        ).fetchall()
    return [(action, json.loads(bytes(header))["details"]) for action, header in rows]


def test_one_trusted_key_is_enough_after_it_was_replaced(rig, log, create, verify):
    rotate(rig)
    grow(log, 5, region="us")
    rig.look()
    _, path = create()
    code, report = verify(path, "old", follow=True)
    assert (code, report["bundle"]["size"]) == (0, 15)
    assert [
        (item["accepted"], item["announced"], item["retired"]) for item in report["bundle"]["keys"]
    ] == [(True, None, 2), (True, 1, None)]


def test_who_does_not_follow_is_told_of_the_key_and_does_not_accept_it(rig, log, create, verify):
    rotate(rig)
    _, path = create()
    code, report = verify(path, "old")
    assert (code, failures(report)) == (1, {"checkpoint": "note_untrusted"})
    assert "not accepted" in [c["detail"] for c in report["checks"] if c["name"] == "key"][-1]


@pytest.mark.parametrize("names", [("new",), ("old", "new")])
def test_who_has_the_new_key_needs_no_history(rig, log, create, verify, names):
    rotate(rig)
    _, path = create()
    assert verify(path, *names)[0] == 0


def test_a_stolen_key_signs_nothing_more_once_it_was_retired(rig, log, create, verify):
    """The thief owns the database too: a log that grew, signed with the old key alone."""
    from datetime import UTC, datetime

    from auditvault.core.tlog.checkpoint import Checkpoint, sign_note
    from auditvault.ledger.scope import tenant_scope
    from auditvault.ledger.selectors import head

    rotate(rig)
    grow(log, 5, region="us")
    with tenant_scope("region_us", log.tenant_id) as connection:
        now = head(connection, log)
    body = Checkpoint(origin=log.origin, size=now.size, root=now.root).body()
    note = sign_note(body, [rig.private("old").signer(log.origin, datetime.now(UTC))])
    with rig.owner() as owner:
        owner.execute(
            "INSERT INTO ledger_checkpoint (tenant_id, log_id, size, root, note, signed_at)"
            " VALUES (%s, %s, %s, %s, %s, now())",
            (log.tenant_id, log.log_id, now.size, now.root, note),
        )
    _, path = create()
    for follow in (False, True):
        code, report = verify(path, "old", follow=follow)
        assert (code, failures(report)) == (1, {"checkpoint": "log_key_retired"})


def test_a_region_whose_keys_never_changed_has_no_history(rig, log, create, verify):
    rig.look()
    _, path = create()
    code, report = verify(path, "old", follow=True)
    assert (code, outcomes(report)["history"]) == (0, "not_checked")


def test_the_operators_log_can_be_taken_away_whole(rig, create, verify):
    rotate(rig)
    made, path = create("--operator")
    assert (made["log"], made["first"], made["end"]) == (rig.log().origin, 0, 3)
    code, report = verify(path, "old", follow=True)
    assert code == 0
    assert {outcomes(report)[name] for name in ("history", "headers", "range")} == {"holds"}
    assert outcomes(report)["headers"] == "holds"


def test_that_it_was_taken_away_stands_in_it(rig, create):
    overlap(rig)
    made, _ = create("--operator")
    action, details = operations(rig)[-1]
    assert action == "bundle.exported"
    assert details == {
        "log": rig.log().origin,
        "first": 0,
        "end": 2,
        "size": 2,
        "headers": "included",
    }
    assert UUID(made["access_record"])


def test_a_range_of_the_operators_log_is_enough(rig, create, verify):
    rotate(rig)
    _, path = create("--operator", "--from", "2")
    assert verify(path, "old", follow=True)[0] == 0


def test_a_token_takes_no_operators_log_away(rig, create, tenant, monkeypatch):
    rig.look()
    monkeypatch.setenv("AUDITVAULT_TOKEN", tenant.token("auditor", regions=("us",)))
    with pytest.raises(CommandError, match="of no tenant"):
        create("--operator")
    assert operations(rig) == []


@pytest.mark.parametrize(
    "options",
    [("--operator", "--log", "access"), ("--operator", "--tenant", "demo"), ("--log", "admin")],
    ids=["another log", "a tenant too", "neither"],
)
def test_the_operators_log_is_asked_for_in_one_way(rig, create, options):
    rig.look()
    with pytest.raises(CommandError):
        create(*options)
    assert operations(rig) == []


def test_an_operators_log_that_is_not_signed_yet_is_said_to_be(rig, create):
    with pytest.raises(CommandError, match="no checkpoint yet"):
        create("--operator")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE admin_event SET opening = decode(repeat('00', 32), 'hex')",
        """UPDATE ledger_entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'),
           'auditvault"', 'auditvalut"'), 'UTF8') WHERE idx = 1""",
    ],
    ids=["its header", "its entry"],
)
def test_a_record_of_a_key_that_was_changed_leaves_no_bundle(rig, log, create, tmp_path, change):
    overlap(rig)
    with rig.owner() as owner:
        owner.execute("SET session_replication_role = replica")
        psycopg.ClientCursor(owner).execute(change)
    with pytest.raises(CommandError, match="Verify the operator's log"):
        create()
    assert list(tmp_path.glob("*.zip")) == []


def test_a_record_that_names_no_key_is_passed_over(rig, log, create, verify):
    from auditvault.core.tlog.key_events import ENTRY_TYPE_ANNOUNCED
    from auditvault.ledger.admin.services import record_operation

    overlap(rig)
    record_operation(region="us", action=ENTRY_TYPE_ANNOUNCED, details={"algorithm": "rsa"})
    rig.look()
    _, path = create()
    assert verify(path, "old")[0] == 0
