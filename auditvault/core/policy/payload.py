"""What of a span's contents is kept: the written policy, and what it says of one span.

Pure. Format and rules: docs/spec/payload-policy.md. That secrets are taken out is no part of a policy: nobody can
decide otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.strict_json import StrictJsonError, check_keys, parse_object

POLICY_VERSION = "auditvault/payload-policy/1"
MAX_POLICY_SIZE = 65_536
Keep = Literal["all", "hash", "sample"]
Reason = Literal["all", "hash", "sampled", "not_sampled", "error"]
"""Why contents are kept whole, or are not: `payload_decision` in a header."""
# What names a span's feature, best first: header fields.
FEATURE_FIELDS = ("feature", "workflow_name", "agent_name", "prompt_name", "service_name")
_KEEPS: dict[str, Keep] = {"all": "all", "hash": "hash", "sample": "sample"}
_FEATURE = re.compile(r"[A-Za-z0-9_.:/@+ -]{1,128}")
_PER = 10_000
_MAX_FEATURES = 1000
_MIN_TEXT = 15
_MIN_BYTES, _MAX_BYTES = 64, 1 << 30
_SAMPLE_LABEL = b"auditvault/payload-sample/1"
_UTF8_LONGEST = 4
_CONTINUATION_BITS, _CONTINUATION = 0xC0, 0x80


class PayloadPolicyError(AuditvaultError):
    """Bytes are no payload policy."""

    code = "payload_policy_malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is kept of spans that it is for."""

    keep: Keep
    sample_per_10000: int
    """Of 10,000 traces, how many are kept whole; 10,000 where nothing is sampled."""
    max_content_bytes: int | None
    """A longer content is cut."""


class Decision(NamedTuple):
    """Whether contents are kept, or their hashes alone, and why."""

    is_kept: bool
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadPolicy:
    """A written policy, as read."""

    text: str
    """What was decided, in words."""
    default: Rule
    features: Mapping[str, Rule]

    @classmethod
    def parse(cls, data: bytes) -> PayloadPolicy:
        """Read a policy; raises PayloadPolicyError unless it is one to the letter."""
        if len(data) > MAX_POLICY_SIZE:
            raise PayloadPolicyError("A payload policy has at most 64 KiB.")
        try:
            members = parse_object(data)
            check_keys(members, required={"v", "text", "default"}, optional={"features"})
        except StrictJsonError as error:
            raise PayloadPolicyError(f"The payload policy is none: {error.message}.") from error
        if members["v"] != POLICY_VERSION:
            raise PayloadPolicyError(f"A payload policy's v is {POLICY_VERSION}.")
        text = members["text"]
        if not isinstance(text, str) or len(text.strip()) < _MIN_TEXT:
            raise PayloadPolicyError(
                "A policy says in words, at least 15 characters, what was decided."
            )
        return cls(
            text=text,
            default=_rule(members["default"], "default"),
            features=_features(members.get("features", {})),
        )

    def rule_for(self, header: Mapping[str, Any]) -> Rule:
        """The rule of the first of a header's names for its feature that has one, else the default."""
        for field in FEATURE_FIELDS:
            rule = self.features.get(header.get(field, ""))
            if rule is not None:
                return rule
        return self.default


def decide(rule: Rule, *, has_error: bool, lot: bytes) -> Decision:
    """What a rule comes to for one span; `lot` is the trace's, 32 bytes that nobody outside can foresee."""
    if rule.keep == "all":
        return Decision(is_kept=True, reason="all")
    if rule.keep == "hash":
        return Decision(is_kept=False, reason="hash")
    if int.from_bytes(lot[:8]) * _PER < rule.sample_per_10000 << 64:
        return Decision(is_kept=True, reason="sampled")
    if has_error:
        return Decision(is_kept=True, reason="error")
    return Decision(is_kept=False, reason="not_sampled")


def sample_digest(trace_id: bytes) -> bytes:
    """What is tagged with the tenant's lookup key to make a trace's lot. The label keeps it apart from contents."""
    return sha256(_SAMPLE_LABEL + trace_id).digest()


def cut(body: bytes, limit: int) -> bytes:
    """The beginning of `body`, of at most `limit` bytes, with no character of UTF-8 cut in two."""
    if len(body) <= limit:
        return body
    for at in range(limit, max(limit - _UTF8_LONGEST, -1), -1):
        if (
            body[at] & _CONTINUATION_BITS != _CONTINUATION
        ):  # no continuation: a character begins here
            return body[:at]
    return body[:limit]  # not UTF-8


def _features(value: Any) -> Mapping[str, Rule]:
    if not isinstance(value, dict) or len(value) > _MAX_FEATURES:
        raise PayloadPolicyError("features is an object of at most 1,000 rules.")
    for name in value:
        if not _FEATURE.fullmatch(name):
            raise PayloadPolicyError(
                "A feature's name is 1 to 128 characters as in a header's name."
            )
    return {name: _rule(rule, "a feature's rule") for name, rule in value.items()}


def _rule(value: Any, what: str) -> Rule:
    if not isinstance(value, dict):
        raise PayloadPolicyError(f"{what} is an object.")
    try:
        check_keys(value, required={"keep"}, optional={"sample_per_10000", "max_content_bytes"})
    except StrictJsonError as error:
        raise PayloadPolicyError(f"{what}: {error.message}.") from error
    keep = _KEEPS.get(value["keep"]) if isinstance(value["keep"], str) else None
    if keep is None:
        raise PayloadPolicyError(f"{what}: keep is all, hash or sample.")
    if (keep == "sample") != ("sample_per_10000" in value):
        raise PayloadPolicyError(f"{what}: sample_per_10000 goes with keep: sample.")
    return Rule(
        keep=keep,
        sample_per_10000=_number(value.get("sample_per_10000", _PER), 0, _PER, what),
        max_content_bytes=_number(value["max_content_bytes"], _MIN_BYTES, _MAX_BYTES, what)
        if "max_content_bytes" in value
        else None,
    )


def _number(value: Any, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise PayloadPolicyError(f"{what}: a number is whole, from {least:,} to {most:,}.")
    return value
