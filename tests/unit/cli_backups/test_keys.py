"""Files of keys: read by the rules of root keys, or refused with a word why."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.cli.backups.keys import (
    BackupKeyError,
    read_backup_key,
    read_public_keys,
    read_signing_key,
)


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def file(tmp_path):
    def write(content, mode=0o600):
        path = tmp_path / "key"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_backup_key_is_64_digits(file, mode, end):
    assert len(read_backup_key(file(b"0a" * 32 + end, mode)).key_id) == 16


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700])
def test_a_private_file_that_others_can_reach_is_refused(file, mode):
    with pytest.raises(BackupKeyError, match="mode"):
        read_backup_key(file(b"0a" * 32, mode))
    with pytest.raises(BackupKeyError, match="mode"):
        read_signing_key(file(private_pem(Ed25519PrivateKey.generate()), mode))


@pytest.mark.parametrize("content", [b"", b"0a" * 31, b"0a" * 33, b"zz" * 32, b"0a" * 32 + b"\n\n"])
def test_something_else_is_no_backup_key(file, content):
    with pytest.raises(BackupKeyError, match="64 hexadecimal digits"):
        read_backup_key(file(content))


def test_a_pipe_or_a_missing_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BackupKeyError, match="regular file"):
        read_backup_key(tmp_path / "pipe")
    with pytest.raises(BackupKeyError, match="cannot read"):
        read_backup_key(tmp_path / "missing")


def test_a_signing_key_is_ed25519_in_pem(file):
    key = Ed25519PrivateKey.generate()
    assert read_signing_key(file(private_pem(key))).private_bytes_raw() == key.private_bytes_raw()


@pytest.mark.parametrize("content", [b"", b"nothing"])
def test_something_else_is_no_signing_key(file, content):
    with pytest.raises(BackupKeyError, match="PEM"):
        read_signing_key(file(content))


def test_a_key_of_another_kind_signs_nothing(file):
    with pytest.raises(BackupKeyError, match="Ed25519"):
        read_signing_key(file(private_pem(ec.generate_private_key(ec.SECP256R1()))))


def test_several_public_keys_are_trusted(file):
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    found = read_public_keys(file(b"".join(map(public_pem, keys)), 0o644))
    assert [one.public_bytes_raw() for one in found] == [
        key.public_key().public_bytes_raw() for key in keys
    ]


@pytest.mark.parametrize("content", [b"", b"nothing"])
def test_a_file_without_public_keys_is_refused(file, content):
    with pytest.raises(BackupKeyError, match="Ed25519 public keys"):
        read_public_keys(file(content))


def test_a_public_key_of_another_kind_is_refused(file):
    with pytest.raises(BackupKeyError, match="no others"):
        read_public_keys(file(public_pem(ec.generate_private_key(ec.SECP256R1()))))
