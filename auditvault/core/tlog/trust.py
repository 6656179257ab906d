"""Which keys a verifier trusts for which logs: its own trust file, never the thing verified.

Rules kept: docs/spec/receipt.md section 2. One signer key signs many logs, each under the log's
own name, so trust in a public key is turned into a verifier for each origin asked about.
Reading the file is left to the caller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.log_key import ED25519, LogKey, LogKeyError, log_verifiers
from auditvault.core.tlog.note import LogVerifier, NoteError, decode_base64
from auditvault.core.tlog.origin import OriginError, check_origin, region_of
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

_WILDCARD = "/*"
_SEGMENT = re.compile(r"[^/]+")


class TrustError(AuditvaultError):
    """A trust file is malformed."""

    code: ClassVar[str] = "trust_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class _TrustedKey:
    key: LogKey
    patterns: tuple[str, ...]
    follow: tuple[str, ...] = ()
    """Logs whose announcements of keys count where this key signed them."""


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
        except (StrictJsonError, NoteError, LogKeyError, OriginError) as error:
            raise TrustError(error.message) from error

    def verifiers_for(self, origin: str) -> list[LogVerifier]:
        """Return a verifier named `origin` for each key trusted for it; empty when there is none.

        A key whose algorithm is not to be had here is left out: its lines are of an unknown key.
        Raises OriginError when `origin` is not one.
        """
        return log_verifiers(origin, self.keys_for(origin))

    def keys_for(self, origin: str) -> list[LogKey]:
        """Return each key trusted for `origin`, once, also of an algorithm that is not to be had; OriginError."""
        check_origin(origin)
        found = [
            trusted.key
            for trusted in self._keys
            if any(_matches(pattern, origin) for pattern in trusted.patterns)
        ]
        return list(dict.fromkeys(found))

    def follows(self, key: LogKey, origin: str) -> bool:
        """Whether keys that the log `origin` announces, signed by `key`, are to be accepted as well."""
        return any(trusted.key == key and origin in trusted.follow for trusted in self._keys)

    def followed_in(self, region: str) -> set[str]:
        """Return the operator's logs that are named for a region, as `origin.region_of` gives it."""
        named = {origin for trusted in self._keys for origin in trusted.follow}
        return {origin for origin in named if region_of(origin) == region}


def _trusted_key(entry: Any) -> _TrustedKey:
    if not isinstance(entry, dict):
        raise TrustError("an entry of logs is an object")
    if "vkey" in entry:
        check_keys(entry, required={"vkey"}, optional={"follow"})
        name, key = LogKey.from_vkey(_text(entry["vkey"]))
        check_origin(name)
        return _trusted(key, (name,), entry)
    check_keys(entry, required={"public_key", "origins"}, optional={"algorithm", "follow"})
    patterns = entry["origins"]
    if not isinstance(patterns, list) or not patterns:
        raise TrustError("origins is a list with at least one pattern")
    for pattern in patterns:
        check_origin(_text(pattern).removesuffix(_WILDCARD))
    key = LogKey(
        algorithm=_text(entry.get("algorithm", ED25519)),
        public_key=decode_base64(_text(entry["public_key"])),
    )
    return _trusted(key, tuple(patterns), entry)


def _trusted(key: LogKey, patterns: tuple[str, ...], entry: dict[str, Any]) -> _TrustedKey:
    """The key with the operator's logs that it is followed in: each one that it is trusted for itself."""
    follow = entry.get("follow", [])
    if not isinstance(follow, list) or not all(isinstance(origin, str) for origin in follow):
        raise TrustError("follow is a list of origins")
    for origin in follow:
        check_origin(origin)
        if not any(_matches(pattern, origin) for pattern in patterns):
            raise TrustError("a key is followed in logs that it is trusted for")
    return _TrustedKey(key=key, patterns=patterns, follow=tuple(follow))


def _matches(pattern: str, origin: str) -> bool:
    if not pattern.endswith(_WILDCARD):
        return pattern == origin
    prefix = pattern.removesuffix("*")
    return origin.startswith(prefix) and bool(_SEGMENT.fullmatch(origin[len(prefix) :]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TrustError("a key, an algorithm and a pattern are strings")
    return value
