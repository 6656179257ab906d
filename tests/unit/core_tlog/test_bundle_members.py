from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog import bundle_manifest
from auditvault.core.tlog.archive import ArchiveError
from auditvault.core.tlog.bundle_manifest import BundleError, BundleMismatchError
from auditvault.core.tlog.note import NoteVerifier
from tests.reference import bundles, receipts
from tests.reference import merkle_oracle as oracle
from tests.reference.bundle_steps import LEAVES, MADE, check, opened

SMALL = {"first": 1, "end": 4, "size": 5}
SMALL_MADE = bundles.members(**SMALL, previous=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"v": "auditvault/bundle/2"},
        {"first": 201},
        {"end": 600},
        {"size": 699},
        {"first": "200"},
        {"end": 0},
        {"log": "log.example/eu/00000000-0000-4000-8000-000000000000"},
        {"headers": "not_requested"},
        {"headers": "perhaps"},
        {"headers": ["included"]},
        {"headers": {}},
        {"members": {}},
        {"members": []},
        {"trust": [receipts.trust()]},
        {"vkey": "key"},
    ],
)
def test_a_manifest_that_says_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(AuditvaultError):
        check(bundles.bundle(MADE, **changes))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"v":1,"v":1}',
        bundles.manifest(MADE) + b"\n",
        json.dumps(json.loads(bundles.manifest(MADE))).encode(),
        b"[" * 5000,
    ],
)
def test_a_manifest_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        opened(bundles.archive({**MADE, "manifest.json": data}))


@pytest.mark.parametrize("name", sorted(MADE.keys() - {"bundle/keys"}))
def test_a_bundle_without_a_member_is_none(name: str) -> None:
    with pytest.raises(BundleError):
        opened(bundles.bundle(receipts.without(MADE, name)))


def test_a_bundle_without_keys_holds() -> None:
    assert check(bundles.bundle(receipts.without(MADE, "bundle/keys"))).keys == ()


def test_a_file_without_a_manifest_is_no_bundle() -> None:
    with pytest.raises(BundleError):
        opened(bundles.archive(MADE))


@pytest.mark.parametrize(
    "name",
    [
        "trust.json",
        "bundle/trust.json",
        "bundle/witnesses",
        "bundle/checkpoint.old",
        "bundle/records/0000000000000000300/entries",
        "bundle/records/256/entries",
        "bundle/extra",
        "bundle/timestamps/a.tsr",
        "bundle/prune/a",
        "bundle/prune/0000000000000000700",
        "extra/x",
    ],
)
def test_a_member_that_this_version_does_not_know_makes_it_no_bundle(name: str) -> None:
    with pytest.raises(BundleError, match=r"does not know|a time stamp has|a prune"):
        opened(bundles.bundle({**MADE, name: receipts.dumps(receipts.trust()).encode()}))


def test_members_of_reserved_folders_are_counted_and_change_nothing() -> None:
    more = {
        "bundle/extra/trust.json": receipts.dumps(receipts.trust()).encode(),
        "bundle/extra/more": b"x",
    }

    bundle = check(bundles.bundle({**MADE, **more}))

    assert bundle.reserved() == {"extra": 2}


def test_a_member_in_a_reserved_folder_is_hashed_like_any_other() -> None:
    made = {**MADE, "bundle/extra/a": b"x"}
    manifest = bundles.manifest({**MADE, "bundle/extra/a": b"y"})

    with pytest.raises(BundleMismatchError):
        check(bundles.archive({**made, "manifest.json": manifest}))


def test_a_member_that_the_manifest_does_not_list_makes_it_no_bundle() -> None:
    manifest = bundles.manifest(MADE)

    with pytest.raises(BundleError):
        opened(bundles.archive({**MADE, "bundle/extra/a": b"", "manifest.json": manifest}))


@pytest.mark.parametrize("name", ["bundle/checkpoint", "bundle/proof", "bundle/keys"])
def test_a_member_longer_than_its_kind_can_be_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="longer than its kind"):
        check(bundles.bundle({**MADE, name: b"x" * 1_000_001}))


@pytest.mark.parametrize("keys", [b"", b"key", b"\x1b[31m\n", "schlüssel\n".encode(), b"a\n" * 101])
def test_keys_that_are_no_lines_of_ascii_are_refused(keys: bytes) -> None:
    with pytest.raises(BundleError):
        opened(bundles.bundle({**MADE, "bundle/keys": keys}))


def test_two_bundles_glued_together_are_none() -> None:
    data = bundles.bundle(MADE)

    with pytest.raises(ArchiveError):
        opened(data + data)


def test_a_bundle_cut_off_is_none() -> None:
    data = bundles.bundle(SMALL_MADE, **SMALL)
    for length in range(0, len(data), 7):
        with pytest.raises(AuditvaultError):
            check(data[:length])


def test_a_bundle_of_a_huge_range_is_refused_without_its_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bundle_manifest, "MAX_ENTRIES", 400)

    with pytest.raises(BundleError):
        opened(bundles.bundle(MADE))


NOTE = MADE["bundle/checkpoint"].decode()
SIGNATURE = NOTE.splitlines()[-1]
STRANGER = base64.b64encode(b"\x01\x02\x03\x04" + bytes(64)).decode()


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (NOTE[:-1], "note_malformed"),
        (NOTE.replace("\n", "\r\n"), "note_malformed"),
        (NOTE + "\n", "note_malformed"),
        (NOTE + SIGNATURE + "\n", "note_malformed"),
        (NOTE.replace("\u2014", "-"), "note_malformed"),
        (NOTE.replace("\n\n", "\n"), "note_malformed"),
        ("\x00" + NOTE, "note_malformed"),
        (NOTE.replace(SIGNATURE, f"\u2014 {receipts.ORIGIN} {STRANGER}"), "note_untrusted"),
        (
            NOTE.replace(SIGNATURE, SIGNATURE.replace(receipts.ORIGIN, "somebody")),
            "note_untrusted",
        ),
        (NOTE.replace("\n700\n", "\n701\n"), "note_signature_invalid"),
        (receipts.note(oracle.tree_hash(LEAVES), size="0700"), "checkpoint_malformed"),
        (receipts.note(oracle.tree_hash(LEAVES), size="+700"), "checkpoint_malformed"),
        (receipts.note(oracle.tree_hash(LEAVES), size="700\nextra"), "checkpoint_malformed"),
        (receipts.note(bytes(31), size=700), "checkpoint_malformed"),
        (receipts.note(oracle.tree_hash(LEAVES[:699]), size=699), "bundle_mismatch"),
        (
            receipts.note(oracle.tree_hash(LEAVES), size=700, key=receipts.OTHER_KEY),
            "note_untrusted",
        ),
        (
            receipts.note(oracle.tree_hash(LEAVES), size=700, origin="log.example/eu/b"),
            "checkpoint_malformed",
        ),
        (receipts.note(oracle.tree_hash(LEAVES[1:]), size=700), "proof_root_mismatch"),
    ],
)
def test_a_checkpoint_that_is_none_or_not_this_ones_is_refused(note: str, code: str) -> None:
    with pytest.raises(AuditvaultError) as caught:
        check(bundles.bundle({**MADE, "bundle/checkpoint": note.encode()}))

    assert caught.value.code == code


def test_a_strangers_signature_beside_the_logs_changes_nothing() -> None:
    note = f"{NOTE}\u2014 stranger {STRANGER}\n"

    check(bundles.bundle({**MADE, "bundle/checkpoint": note.encode()}))


def test_a_note_that_is_no_text_makes_it_no_bundle() -> None:
    with pytest.raises(BundleError):
        opened(bundles.bundle({**MADE, "bundle/checkpoint": b"\xff"}))


def test_a_key_in_the_bundle_is_never_trusted() -> None:
    """Everything in it is right, and signed by a key that stands in it, but that is not the verifier's."""
    root = oracle.tree_hash(LEAVES)
    other = NoteVerifier(receipts.ORIGIN, receipts.OTHER_KEY.public_key().public_bytes_raw())
    made = {
        **MADE,
        "bundle/checkpoint": receipts.note(root, size=700, key=receipts.OTHER_KEY).encode(),
        "bundle/keys": f"{other.vkey()}\n".encode(),
        "bundle/extra/trust.json": receipts.dumps({"logs": [{"vkey": other.vkey()}]}).encode(),
    }

    with pytest.raises(AuditvaultError) as caught:
        check(bundles.bundle(made))

    assert caught.value.code == "note_untrusted"
