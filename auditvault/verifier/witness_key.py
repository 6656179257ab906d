"""A witness's key file: its name and its Ed25519 private key, readable by its owner only.

Rules kept: docs/spec/witness.md section 4. A file that others may read is refused, and an existing
one is never overwritten.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.cosignature import CosignatureSigner
from auditvault.core.tlog.note import NoteError, decode_base64
from auditvault.core.tlog.origin import OriginError, check_origin
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object
from auditvault.verifier.durable import create_file

_VERSION = "auditvault/witness-key/1"
_SEED_SIZE = 32
_MAX_FILE_SIZE = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class WitnessKeyError(AuditvaultError):
    """A witness's key file cannot be made, read or used."""

    code: ClassVar[str] = "witness_key_unusable"


def make_key(path: Path, name: str) -> CosignatureSigner:
    """Make a key for the witness `name` and write it to `path`; raises WitnessKeyError."""
    _check_name(name)
    private_key = Ed25519PrivateKey.generate()
    seed = base64.b64encode(private_key.private_bytes_raw()).decode()
    content = json.dumps({"v": _VERSION, "name": name, "seed": seed}) + "\n"
    try:
        create_file(path, content.encode())
    except FileExistsError:
        raise WitnessKeyError("a key file is there already; it is not overwritten") from None
    except OSError as error:
        raise WitnessKeyError(f"the key file cannot be written: {_reason(error)}") from error
    return CosignatureSigner(name, private_key)


def load_key(path: Path) -> CosignatureSigner:
    """Read what `make_key` wrote; raises WitnessKeyError."""
    try:
        members = parse_object(_read(path))
        check_keys(members, required={"v", "name", "seed"})
        if members["v"] != _VERSION:
            raise WitnessKeyError("the key file is of another version")
        seed = decode_base64(_text(members["seed"]))
    except (StrictJsonError, NoteError) as error:
        raise WitnessKeyError(f"the key file is malformed: {error.message}") from error
    name = _text(members["name"])
    _check_name(name)
    if len(seed) != _SEED_SIZE:
        raise WitnessKeyError("the key file's seed is not 32 bytes")
    return CosignatureSigner(name, Ed25519PrivateKey.from_private_bytes(seed))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & _OTHERS:
                raise WitnessKeyError("the key file is for its owner only: chmod 600 it")
            return file.read(_MAX_FILE_SIZE)
    except OSError as error:
        raise WitnessKeyError(f"the key file cannot be read: {_reason(error)}") from error


def _check_name(name: str) -> None:
    try:
        check_origin(name)
    except OriginError as error:
        raise WitnessKeyError(
            "a witness's name is 1 to 255 characters of A-Z a-z 0-9 . _ : / -"
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise WitnessKeyError("the key file's name and seed are strings")
    return value


def _reason(error: OSError) -> str:
    return error.strerror or "unknown error"
