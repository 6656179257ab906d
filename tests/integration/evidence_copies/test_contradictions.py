"""What a copy finds: a log that was rewritten and signed anew with the stolen key, cut, or lost; and a damaged copy."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import pytest

from tests.integration.evidence.rewriting import cut, drop_checkpoints, resign, rewrite
from tests.integration.evidence.verdict import verify
from tests.integration.ledger.superuser import tampering


@pytest.fixture
def forger(cluster, tenant):
    """Asked for behind `copying`, so that what is saved is the log."""
    with tampering(cluster, tenant.tenant_id, "region_us") as connection:
        yield connection


@pytest.fixture
def signing_key(service):
    from django.conf import settings

    from auditvault.ledger.signer_keys import load_signing_key

    return load_signing_key(Path(settings.SIGNER_KEY_FILE)).private


@pytest.fixture
def copied(copying):
    """A log with two copied checkpoints."""
    copying.copy()
    copying.record(50)
    copying.copy()
    return copying


def rewritten_from(forger, copied, index, signing_key):
    rewrite(
        forger,
        copied.log,
        lambda entry: dataclasses.replace(entry, src="x:y") if entry.index >= index else entry,
    )
    resign(forger, copied.log, signing_key)


@pytest.mark.parametrize("index", [0, 10, 255, 256, 299, 320])
def test_a_log_signed_anew_with_the_stolen_key_is_named_by_its_first_other_entry(
    copied, forger, signing_key, index
):
    rewritten_from(forger, copied, index, signing_key)
    # The smaller checkpoint still fits a log that is another from behind its end only.
    expected = [("copy_contradicts", index)] * (2 if index < 300 else 1)
    assert copied.check() == expected


def test_nothing_of_a_log_signed_anew_is_copied(copied, forger, signing_key):
    from auditvault.evidence.copies.reading import CopyContradictsError

    rewritten_from(forger, copied, 10, signing_key)
    with pytest.raises(CopyContradictsError) as found:
        copied.copy()
    assert (found.value.index, copied.checkpoints()) == (10, [300, 350])


def test_progress_that_was_put_back_hides_no_rewrite(copied, forger, signing_key):
    """The forger owns the row too, and makes it say that nothing was copied."""
    from auditvault.evidence.copies.reading import CopyContradictsError

    rewritten_from(forger, copied, 10, signing_key)
    forger.execute("DELETE FROM evidence_copy WHERE log_id = %s", (copied.log.log_id,))
    with pytest.raises(CopyContradictsError) as found:
        copied.copy()
    assert found.value.index == 10


def test_a_log_that_was_cut_is_named_where_it_ends(copied, forger):
    cut(forger, copied.log, 320)
    drop_checkpoints(forger, copied.log, 300)
    assert copied.check() == [("copy_contradicts", 320)]


def test_a_log_that_the_database_does_not_have_is_named(copied, forger):
    origin = copied.log.origin
    for table in ("ledger_log", "ledger_head", "ledger_entry", "ledger_tile", "ledger_checkpoint"):
        forger.execute(f"DELETE FROM {table} WHERE tenant_id = %s", (copied._tenant.tenant_id,))
    from auditvault.evidence.copies.checking import check_copies

    assert [(each.origin, each.index) for each in check_copies(copied.target)] == [(origin, 0)]


def test_a_checkpoint_that_is_not_what_its_name_says_is_damaged(copied, directory):
    folder = directory / "logs" / copied.log.origin / "checkpoints"
    first, _ = sorted(folder.iterdir())
    # Still a checkpoint of that size that the signer signed: somebody added a line.
    line = f"— somebody.example {base64.b64encode(bytes(68)).decode()}\n".encode()
    content = first.read_bytes() + line
    first.unlink()
    first.write_bytes(content)
    assert copied.check() == [("copy_damaged", 299)]


def test_a_checkpoint_that_nobody_known_has_signed_is_damaged(copied, directory):
    from auditvault.core.tlog.copy_names import CopiedName

    note = b"localhost/us/none\n999\nnonsense\n"
    name = CopiedName.of(999, note)
    (directory / "logs" / copied.log.origin / "checkpoints" / str(name)).write_bytes(note)
    assert copied.check() == [("copy_damaged", 998)]


@pytest.mark.parametrize("index", [0, 290])
def test_an_entry_that_was_changed_with_its_tile_is_not_copied(copying, forger, directory, index):
    """Everything below the tile's root fits; at the edge, 290, everything but the root that was signed."""
    from auditvault.core.tlog.entry import leaf_hash
    from auditvault.evidence.copies.source import CopySourceError

    log = copying.log
    entry = b'{"another":"entry"}'
    forger.execute(
        "UPDATE ledger_entry SET entry = %s, leaf_hash = %s WHERE log_id = %s AND idx = %s",
        (entry, leaf_hash(entry), log.log_id, index),
    )
    if index == 0:
        forger.execute(
            "UPDATE ledger_tile SET hashes = overlay(hashes PLACING %s FROM 1) WHERE log_id = %s",
            (leaf_hash(entry), log.log_id),
        )
    with pytest.raises(CopySourceError):
        copying.copy()
    assert [path for path in directory.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("where", ["entry", "tile", "checkpoint"])
def test_what_was_not_signed_is_not_copied(copying, forger, where, directory):
    from auditvault.evidence.copies.source import CopySourceError

    log = copying.log
    forger.execute(
        {
            "entry": "UPDATE ledger_entry SET entry = overlay(entry PLACING 'X'::bytea FROM 9)"
            " WHERE log_id = %s AND idx = 7",
            "tile": "UPDATE ledger_tile SET hashes = overlay(hashes PLACING 'X'::bytea FROM 9)"
            " WHERE log_id = %s AND level = 0",
            "checkpoint": "UPDATE ledger_checkpoint SET root = sha256(root) WHERE log_id = %s",
        }[where],
        (log.log_id,),
    )
    with pytest.raises(CopySourceError):
        copying.copy()
    assert [path for path in directory.rglob("*") if path.is_file()] == []


def test_the_command_names_what_the_copies_contradict(copied, forger, signing_key, directory):
    from django.test import override_settings

    rewritten_from(forger, copied, 10, signing_key)
    with override_settings(COPIES_URLS={"us": f"file://{directory}"}, SIGNER_STATE_FILE=""):
        code, answer = verify(copies=True)
    (found,) = [item for item in answer["logs"] if item["origin"] == copied.log.origin]
    assert (code, found["first_bad"]) == (1, {"copy_contradicts": 10})


def test_the_command_does_not_call_a_region_without_copies_compared(service):
    code, answer = verify(copies=True)
    assert (code, answer["verdict"]) == (2, "not_checked")
