"""The witness policy that a verifier brings along, read from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.witness_policy import WitnessPolicy

# Evidence is about the past: cosignatures of any age will do unless somebody says otherwise.
_ANY_AGE_SECONDS = 2**62


class PolicyInputError(AuditvaultError):
    """The policy's file cannot be used."""

    code: ClassVar[str] = "input_unreadable"


def read_policy(path: Path, read: Callable[[Path, str], bytes]) -> WitnessPolicy:
    """Return the policy in a file; `read` gives a file's bytes. Raises PolicyInputError."""
    data = read(path, "the witness policy")
    try:
        return WitnessPolicy.parse(data, max_age_seconds=_ANY_AGE_SECONDS)
    except AuditvaultError as error:
        raise PolicyInputError(f"the witness policy cannot be used: {error.message}") from error
