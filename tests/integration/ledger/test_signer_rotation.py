"""A key signs once it is announced under a checkpoint that others signed, and stops once its end is; for good."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import psycopg
import pytest

from tests.integration.ledger.rotation import alarms


def overlap(rig, name="new", algorithm="ed25519"):
    """Bring a key in, up to the first checkpoint that it signs."""
    vkey = rig.make(name, algorithm)
    rig.hold("old", name)
    rig.announce(vkey)
    rig.look()
    rig.look()
    assert rig.newest() == ["old", name]
    return vkey


def test_a_key_comes_and_another_goes(rig, caplog):
    rig.look()
    new = rig.make("new")
    rig.hold("old", "new")
    rig.announce(new)
    for _ in range(2):
        rig.look()
    rig.happen()
    rig.look()
    rig.retire(rig.vkeys.read_text().splitlines()[0])
    for _ in range(2):
        rig.look()
    rig.hold("new")
    rig.happen()
    rig.look()
    assert rig.signers() == [
        (1, ["old"]),
        (2, ["old"]),
        (2, ["old", "new"]),
        (3, ["old", "new"]),
        (4, ["old", "new"]),
        (4, ["new"]),
        (5, ["new"]),
    ]
    assert (rig.events(), rig.findings()) == (["new announced", "old retired"], {})
    assert alarms(caplog) == []


def test_a_second_signature_is_a_key_that_stays(rig):
    overlap(rig, "second", "ml-dsa-44")
    rig.happen()
    rig.look()
    assert (rig.newest(), rig.findings()) == (["old", "second"], {})


def test_an_idle_log_is_signed_anew_when_a_key_comes(rig):
    rig.open_log()
    overlap(rig)
    with rig.owner() as owner:
        rows = owner.execute(
            "SELECT note FROM ledger_checkpoint WHERE size = 0 ORDER BY signed_at"
        ).fetchall()
    assert [note.count("\u2014") for (note,) in rows] == [1, 2]


def test_a_key_that_nobody_announced_signs_nothing(rig):
    rig.make("new")
    rig.hold("old", "new")
    for _ in range(3):
        rig.look()
        rig.happen()
    assert {tuple(names) for _, names in rig.signers()} == {("old",)}


def test_a_key_that_is_announced_and_not_at_hand_signs_once_it_is(rig):
    rig.announce(rig.make("new"))
    for _ in range(2):
        rig.look()
    assert rig.newest() == ["old"]
    rig.hold("old", "new")
    rig.look()
    assert rig.newest() == ["old", "new"]


CHANGES = {
    "another key": """UPDATE admin_event SET header = convert_to(replace(convert_from(header, 'UTF8'),
        %(announced)s, %(other)s), 'UTF8')""",
    "another opening": "UPDATE admin_event SET opening = decode(repeat('00', 32), 'hex')",
    "another entry": """UPDATE ledger_entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'),
        'auditvault"', 'auditvalut"'), 'UTF8') WHERE idx = 1""",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_announcement_that_was_changed_is_reported_and_brings_no_key(rig, caplog, change):
    other = rig.make("other")
    announced = rig.make("new")
    rig.hold("old", "new", "other")
    rig.announce(announced)
    rig.look()
    with rig.owner() as owner:
        owner.execute("SET session_replication_role = replica")
        keys = [rig.private(name).public.encoded() for name in ("new", "other")]
        psycopg.ClientCursor(owner).execute(
            change, dict(zip(("announced", "other"), keys, strict=True))
        )
    rig.look()
    assert other != announced
    assert (rig.newest(), len(alarms(caplog))) == (["old"], 1)


def test_a_key_is_not_retired_before_another_signs(rig):
    from django.core.management.base import CommandError

    old = rig.vkeys.read_text().splitlines()[0]
    rig.announce(rig.make("new"))
    rig.look()
    with pytest.raises(CommandError, match="checkpoint_key_overlap_missing"):
        rig.retire(old)
    assert rig.events() == ["new announced"]


def test_a_second_signature_is_no_reason_to_retire_the_first(rig):
    from django.core.management.base import CommandError

    overlap(rig, "second", "ml-dsa-44")
    with pytest.raises(CommandError, match="checkpoint_key_overlap_missing"):
        rig.retire(rig.vkeys.read_text().splitlines()[0])


def test_the_last_key_signs_on_though_an_entry_retires_it(rig, caplog):
    from auditvault.ledger.admin.checkpoint_keys import ENTRY_TYPE_RETIRED, _details
    from auditvault.ledger.admin.services import record_operation

    details = _details("us", rig.private("old").public)
    record_operation(region="us", action=ENTRY_TYPE_RETIRED, details=details)
    for _ in range(2):
        rig.look()
        rig.happen()
    rig.look()
    assert rig.newest() == ["old"]
    assert all("checkpoint_key_refused" in alarm for alarm in alarms(caplog))
    assert alarms(caplog)


def test_a_retired_key_is_not_announced_again(rig):
    from django.core.management.base import CommandError

    new = overlap(rig)
    rig.retire(new)
    with pytest.raises(CommandError, match="checkpoint_key_retired"):
        rig.announce(new)


def test_a_key_of_somebody_elses_is_not_retired(rig):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="checkpoint_key_unknown"):
        rig.retire(rig.make("new"))


def test_announcing_and_retiring_again_changes_nothing(rig):
    new = overlap(rig)
    assert rig.announce(new) == "us: was announced before\n"
    rig.retire(new)
    assert rig.retire(new) == "us: was retired before\n"
    assert rig.events() == ["new announced", "new retired"]


def test_nothing_is_signed_while_a_key_that_signs_is_not_at_hand(rig, caplog):
    overlap(rig)
    before = rig.signers()
    rig.hold("new")
    rig.happen()
    rig.look()
    assert rig.signers() == before
    assert ["signer_key_missing" in alarm for alarm in alarms(caplog)] == [True]
    rig.hold("old", "new")
    rig.look()
    assert rig.newest() == ["old", "new"]


def test_another_key_in_place_of_the_first_signs_nothing(rig, caplog):
    rig.look()
    rig.make("other")
    rig.hold("other")
    rig.happen()
    rig.look()
    assert [names for _, names in rig.signers()] == [["old"]]
    assert ["signer_key_missing" in alarm for alarm in alarms(caplog)] == [True]


def first_version(state):
    """A state file as it was before keys were remembered."""
    body = json.loads(state.read_text())
    state.write_text(json.dumps({"v": "auditvault/signer-state/1", "logs": body["logs"]}))


def test_a_state_without_keys_is_read_and_gets_them(rig):
    rig.look()
    first_version(rig.state)
    rig.happen()
    rig.look()
    body = json.loads(rig.state.read_text())
    assert (body["v"], len(body["keys"]["us"])) == ("auditvault/signer-state/2", 1)
    assert rig.signers() == [(1, ["old"]), (2, ["old"])]


def test_a_state_without_keys_is_not_taken_over_by_another_key(rig, caplog):
    rig.look()
    first_version(rig.state)
    rig.make("other")
    rig.hold("other")
    rig.happen()
    rig.look()
    assert rig.signers() == [(1, ["old"])]
    assert ["signer_key_unknown" in alarm for alarm in alarms(caplog)] == [True]


def test_a_retired_key_that_signs_on_is_a_finding(rig):
    from auditvault.core.tlog.checkpoint import Checkpoint
    from auditvault.core.tlog.note import sign_note
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.ledger.selectors import head

    overlap(rig)
    rig.retire(rig.vkeys.read_text().splitlines()[0])
    for _ in range(2):
        rig.look()
    rig.happen()
    log, now = rig.log(), datetime.now(UTC)
    with tenant_scope(region_alias("us"), log.tenant_id) as connection:
        found = head(connection, log)
    body = Checkpoint(origin=log.origin, size=found.size, root=found.root).body()
    note = sign_note(body, [rig.private("old").signer(log.origin, now)])
    with rig.owner() as owner:
        owner.execute(
            "INSERT INTO ledger_checkpoint VALUES (%s, %s, %s, %s, %s, %s)",
            (log.tenant_id, log.log_id, found.size, found.root, note, now),
        )
    assert rig.findings() == {"checkpoint_key": found.size - 1}


def test_the_signer_may_read_of_admin_records_those_of_keys_and_write_none(rig):
    from django.db import connections

    from auditvault.ledger.scope import driver_connection

    rig.announce(rig.make("new"))
    connections["signer_us"].ensure_connection()
    connection = driver_connection(connections["signer_us"])
    rows = connection.execute("SELECT action FROM admin_event").fetchall()
    assert rows == [("checkpoint_key.announced",)]
    for statement in (
        "INSERT INTO admin_event SELECT * FROM admin_event",
        "DELETE FROM admin_event",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
