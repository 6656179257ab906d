"""Secrets are made once and never replaced."""

from __future__ import annotations

import json
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from auditvault.cli.up.keys import SecretError, SecretStore
from auditvault.core.tlog.log_key import LogKey
from auditvault.core.tlog.note import NoteVerifier
from auditvault.core.tlog.trust import TrustStore


@pytest.fixture
def directory(home):
    path = home / "secrets"
    path.mkdir(mode=0o700)
    return path


def store(directory, *, may_create=True):
    return SecretStore(directory, may_create=may_create)


def ensure(made, **changes):
    options = {"regions": ("eu", "us"), "new_regions": (), "log_host": "log.example"}
    made.ensure(**options | changes)


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_a_second_start_finds_the_first_ones_secrets(directory):
    ensure(store(directory))
    store(directory).role_passwords()
    before = contents(directory)

    ensure(store(directory, may_create=False))
    store(directory, may_create=False).role_passwords()

    assert contents(directory) == before


def test_every_secret_is_for_its_owner_only(directory):
    ensure(store(directory))
    store(directory).role_passwords()
    store(directory).superuser_password()

    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_no_two_secrets_are_alike(directory):
    ensure(store(directory))
    store(directory).role_passwords()

    found = contents(directory)

    assert len(set(found.values())) == len(found)


def test_a_root_key_is_32_bytes_as_hex(directory):
    ensure(store(directory))

    assert len(bytes.fromhex(store(directory).root_key_file("eu").read_text())) == 32


def test_a_root_key_that_was_destroyed_when_its_epoch_ended_is_not_missed(directory):
    ensure(store(directory))
    store(directory).root_key_file("eu").rename(directory / "root_key_eu.destroyed")

    ensure(store(directory, may_create=False))

    assert not store(directory).root_key_file("eu").exists()


@pytest.mark.parametrize("name", ["root_key_eu", "signer.pem", "django_secret_key"])
def test_a_secret_that_is_lost_is_not_made_anew_under_data(directory, name):
    ensure(store(directory))
    (directory / name).unlink()

    with pytest.raises(SecretError, match=name):
        ensure(store(directory, may_create=False))

    assert not (directory / name).exists()


def test_a_region_that_is_new_gets_its_key_later(directory):
    ensure(store(directory))

    ensure(store(directory, may_create=False), regions=("eu", "us", "ch"), new_regions=("ch",))

    assert store(directory).root_key_file("ch").is_file()


def test_the_public_file_holds_the_signers_key_as_a_c2sp_verifier_key(directory):
    ensure(store(directory))

    public = (
        serialization.load_pem_private_key(store(directory).signer_key_file.read_bytes(), None)
        .public_key()
        .public_bytes_raw()
    )
    assert (
        store(directory).vkeys_file.read_text() == NoteVerifier("log.example", public).vkey() + "\n"
    )


def test_a_key_that_was_announced_stays_in_the_public_file_and_in_the_trust_file(directory):
    ensure(store(directory))
    further = LogKey(
        algorithm="ml-dsa-44",
        public_key=MLDSA44PrivateKey.from_seed_bytes(bytes(32)).public_key().public_bytes_raw(),
    )
    with store(directory).vkeys_file.open("a") as file:
        file.write(further.vkey("log.example") + "\n")

    ensure(store(directory, may_create=False))

    assert len(store(directory).vkeys_file.read_text().splitlines()) == 2
    trust = store(directory).trust_file_content(regions=("eu",), log_host="log.example")
    found = TrustStore.from_json(trust).verifiers_for("log.example/eu/1")
    assert found[1].vkey() == further.vkey("log.example/eu/1")


def test_a_public_file_that_holds_something_else_stops_the_start(directory):
    ensure(store(directory))
    store(directory).vkeys_file.write_text("not a vkey\n")

    with pytest.raises(SecretError, match="log_vkeys"):
        ensure(store(directory, may_create=False))


def test_the_trust_file_names_the_logs_of_the_regions(directory):
    ensure(store(directory))

    trust = json.loads(
        store(directory).trust_file_content(regions=("eu", "us"), log_host="log.example")
    )

    assert [log["origins"] for log in trust["logs"]] == [
        ["log.example/eu/*", "log.example/us/*"],
        [
            "log.example/eu/ledger/erasures",
            "log.example/us/ledger/erasures",
            "log.example/eu/ledger/certificates",
            "log.example/us/ledger/certificates",
        ],
    ]


def test_a_signer_key_of_another_kind_is_refused(directory):
    ensure(store(directory))
    store(directory).signer_key_file.write_text("not a key")

    with pytest.raises(SecretError, match=r"signer\.pem"):
        ensure(store(directory, may_create=False))


def test_an_instance_from_before_erasure_ledgers_gets_their_key(directory):
    ensure(store(directory))
    for name in ("erasure_ledger.pem", "erasure_vkeys"):
        (directory / name).unlink()

    ensure(store(directory, may_create=False))

    assert store(directory).erasure_key_file.exists()


def test_a_lost_key_of_the_erasure_ledgers_is_not_made_anew(directory):
    ensure(store(directory))
    (directory / "erasure_ledger.pem").unlink()

    with pytest.raises(SecretError, match="erasure_ledger"):
        ensure(store(directory, may_create=False))


def test_the_erasure_ledgers_have_a_key_of_their_own(directory):
    ensure(store(directory))
    made = store(directory)
    keys = {path.read_text() for path in (made.vkeys_file, made.erasure_vkeys_file)}
    assert len(keys) == 2
