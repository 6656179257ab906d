"""Which keys a verifier trusts for which logs: its own trust file, never the thing verified.

Rules kept: docs/spec/receipt.md section 2. One signer key signs many logs, each under the log's
own name, so trust in a public key is turned into a `NoteVerifier` for each origin asked about.
Reading the file is left to the caller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.note import NoteError, NoteVerifier, decode_base64
from auditvault.core.tlog.origin import OriginError, check_origin
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

_WILDCARD = "/*"
_SEGMENT = re.compile(r"[^/]+")


class TrustError(AuditvaultError):
    """A trust file is malformed."""

    code: ClassVar[str] = "trust_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class _TrustedKey:
    public_key: bytes
    patterns: tuple[str, ...]


class TrustStore:
    """The keys of a trust file, answered by origin."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[_TrustedKey, ...]) -> None:
        self._keys = keys

    @classmethod
    def from_json(cls, data: str | bytes) -> TrustStore:
        """Read a trust file; raises TrustError when it is malformed or names no key."""
        try:
            members = parse_object(data)
            check_keys(members, required={"logs"})
            entries = members["logs"]
            if not isinstance(entries, list) or not entries:
                raise TrustError("logs is a list with at least one key")
            return cls(tuple(_trusted_key(entry) for entry in entries))
        except (StrictJsonError, NoteError, OriginError) as error:
            raise TrustError(error.message) from error

    def verifiers_for(self, origin: str) -> list[NoteVerifier]:
        """Return a verifier named `origin` for each key trusted for it; empty when there is none.

        Raises OriginError when `origin` is not one.
        """
        check_origin(origin)
        keys = [
            key.public_key
            for key in self._keys
            if any(_matches(pattern, origin) for pattern in key.patterns)
        ]
        return [NoteVerifier(origin, key) for key in dict.fromkeys(keys)]


def _trusted_key(entry: Any) -> _TrustedKey:
    if not isinstance(entry, dict):
        raise TrustError("an entry of logs is an object")
    if "vkey" in entry:
        check_keys(entry, required={"vkey"})
        verifier = NoteVerifier.parse(_text(entry["vkey"]))
        check_origin(verifier.name)
        return _TrustedKey(public_key=verifier.public_key, patterns=(verifier.name,))
    check_keys(entry, required={"public_key", "origins"})
    patterns = entry["origins"]
    if not isinstance(patterns, list) or not patterns:
        raise TrustError("origins is a list with at least one pattern")
    public_key = decode_base64(_text(entry["public_key"]))
    for pattern in patterns:
        check_origin(_text(pattern).removesuffix(_WILDCARD))
    NoteVerifier("key", public_key)  # refuses a key of another size now, not at first use
    return _TrustedKey(public_key=public_key, patterns=tuple(patterns))


def _matches(pattern: str, origin: str) -> bool:
    if not pattern.endswith(_WILDCARD):
        return pattern == origin
    prefix = pattern.removesuffix("*")
    return origin.startswith(prefix) and bool(_SEGMENT.fullmatch(origin[len(prefix) :]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TrustError("a key and a pattern are strings")
    return value
