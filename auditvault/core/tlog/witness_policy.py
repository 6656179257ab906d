"""Which witnesses must have cosigned a checkpoint, how many of them, and how long ago at most.

Rules kept: docs/spec/witness.md section 5. Names and quorum are a c2sp.org/tlog-policy file; ages
stand beside it. The check fails closed: a missing, old or early cosignature never counts. Reading
the file, the clock, and asking witnesses at their URLs are left to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint, open_checkpoint
from auditvault.core.tlog.cosignature import (
    CosignatureVerifier,
    parse_vkey,
    read_cosignatures,
)
from auditvault.core.tlog.note import NoteError, NoteVerifier

MAX_POLICY_SIZE = 65_536
"""Bytes."""

MAX_NAMES = 256
"""Witnesses and groups, or logs."""

MAX_AHEAD_SECONDS = 60
"""How far two honest clocks may be apart, unless the policy says otherwise."""

_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_BLANK = " \t"
_NONE = "none"
_COUNT = re.compile(r"[1-9][0-9]{0,2}")


class WitnessPolicyError(AuditvaultError):
    """A policy is malformed."""

    code: ClassVar[str] = "witness_policy_malformed"


class WitnessedError(AuditvaultError):
    """A checkpoint does not meet the policy; every subclass has its own code."""

    code: ClassVar[str] = "not_witnessed"


class QuorumMissingError(WitnessedError):
    """Too few witnesses have cosigned."""

    code: ClassVar[str] = "witness_quorum_missing"


class CosignatureStaleError(WitnessedError):
    """Enough witnesses have cosigned, but too long ago."""

    code: ClassVar[str] = "cosignature_stale"


class CosignatureEarlyError(WitnessedError):
    """Enough witnesses have cosigned, but in a time that has not come yet."""

    code: ClassVar[str] = "cosignature_from_future"


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyWitness:
    """One witness of a policy."""

    name: str
    """What the policy calls it; nothing outside knows this name."""
    verifier: CosignatureVerifier
    url: str | None
    """Where it takes submissions, if the policy says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A set of witnesses and groups that has cosigned when `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Witnessed:
    """What a checkpoint that meets a policy is known to be."""

    checkpoint: Checkpoint
    quorum_at: int | None
    """The quorum time in POSIX seconds: enough witnesses cosigned then or later; None if the policy
    asks for no witness."""
    cosigned_at: Mapping[str, int]
    """When each known witness cosigned, by its name in the policy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WitnessPolicy:
    """A policy as read."""

    logs: tuple[NoteVerifier, ...]
    """One of these must have signed; empty when the log's signature is checked elsewhere."""
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[Group, ...]
    """In an order in which each stands behind its members."""
    quorum: str | None
    """A witness's or group's name; None when no witness is needed."""
    max_age_seconds: int
    """How old the quorum time may be, from 1."""
    max_ahead_seconds: int = MAX_AHEAD_SECONDS
    """How far ahead of the verifier's clock a cosignature may be, from 0."""

    @classmethod
    def parse(
        cls, data: bytes, *, max_age_seconds: int, max_ahead_seconds: int = MAX_AHEAD_SECONDS
    ) -> WitnessPolicy:
        """Read a tlog-policy file; raises WitnessPolicyError."""
        if max_age_seconds < 1 or max_ahead_seconds < 0:
            raise WitnessPolicyError("an age is at least 1 second, an advance at least 0")
        if len(data) > MAX_POLICY_SIZE or not _ALLOWED.fullmatch(data):
            raise WitnessPolicyError("a policy is 64 KiB of text without control characters")
        if not data.endswith(b"\n"):
            raise WitnessPolicyError("each line of a policy ends in a newline")
        reader = _Reader()
        # Octets that are no UTF-8 stay distinct names: the format calls them opaque.
        for number, line in enumerate(data.decode(errors="surrogateescape").split("\n"), start=1):
            reader.read(number, line.strip(_BLANK))
        if not reader.has_quorum:
            raise WitnessPolicyError("a policy has a quorum line")
        return cls(
            logs=tuple(reader.logs),
            witnesses=tuple(reader.witnesses),
            groups=tuple(reader.groups),
            quorum=reader.quorum,
            max_age_seconds=max_age_seconds,
            max_ahead_seconds=max_ahead_seconds,
        )

    def quorum_time(self, cosigned_at: Mapping[str, int]) -> int | None:
        """Return the latest time at which the quorum had cosigned, or None when it has not.

        `cosigned_at` has the times of single witnesses by name. A group has cosigned at the time
        of its member that completed the threshold when members are taken newest first.
        """
        times = dict(cosigned_at)
        for group in self.groups:
            known = sorted((times[name] for name in group.members if name in times), reverse=True)
            if len(known) >= group.threshold:
                times[group.name] = known[group.threshold - 1]
        return None if self.quorum is None else times.get(self.quorum)


def check(policy: WitnessPolicy, note: str, *, now: int) -> Witnessed:
    """Return what is known of the checkpoint in `note` if it meets `policy` at `now`.

    `now` is in POSIX seconds. Raises QuorumMissingError, CosignatureStaleError or
    CosignatureEarlyError; NoteError and its subclasses when the note is malformed, a known key's
    line does not verify or none of the policy's logs has signed; CheckpointError.
    """
    text, cosignatures = read_cosignatures(note, [each.verifier for each in policy.witnesses])
    checkpoint = Checkpoint.parse(text)
    if policy.logs:
        open_checkpoint(note, origin=checkpoint.origin, verifiers=policy.logs)
    names = {each.verifier: each.name for each in policy.witnesses}
    cosigned_at = {names[each.verifier]: each.timestamp for each in cosignatures}
    quorum_at = None if policy.quorum is None else _check_quorum(policy, cosigned_at, now)
    return Witnessed(checkpoint=checkpoint, quorum_at=quorum_at, cosigned_at=cosigned_at)


def _check_quorum(policy: WitnessPolicy, cosigned_at: Mapping[str, int], now: int) -> int:
    latest = now + policy.max_ahead_seconds
    timely = {name: time for name, time in cosigned_at.items() if time <= latest}
    quorum_at = policy.quorum_time(timely)
    if quorum_at is None:
        if policy.quorum_time(cosigned_at) is not None:
            raise CosignatureEarlyError("a needed cosignature is from the future")
        raise QuorumMissingError("too few witnesses have cosigned the checkpoint")
    if quorum_at < now - policy.max_age_seconds:
        raise CosignatureStaleError("the witnesses' cosignatures are too old")
    return quorum_at


@dataclass(kw_only=True, slots=True)
class _Reader:
    """What the lines so far have said."""

    logs: list[NoteVerifier] = field(default_factory=list)
    witnesses: list[PolicyWitness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    has_quorum: bool = False
    names: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    def read(self, number: int, line: str) -> None:
        """Take one line, blanks at its ends removed."""
        if not line or line.startswith("#"):
            return
        keyword, *items = re.split(r"[ \t]+", line)
        readers = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }
        try:
            readers.get(keyword, _unknown)(items)
        except (WitnessPolicyError, NoteError) as error:
            raise WitnessPolicyError(f"line {number} of a policy: {error.message}") from error

    def _log(self, items: Sequence[str]) -> None:
        match items:
            case [vkey] | [vkey, _]:  # the URL says where to read the log, which is not ours to do
                verifier = parse_vkey(vkey)
            case _:
                raise WitnessPolicyError("a log has a key and perhaps a URL")
        if not isinstance(verifier, NoteVerifier):
            raise WitnessPolicyError("a log's key is of type 0x01")
        if any(verifier.public_key == other.public_key for other in self.logs):
            raise WitnessPolicyError("two logs have the same key")
        _check_count(self.logs)
        self.logs.append(verifier)

    def _witness(self, items: Sequence[str]) -> None:
        match items:
            case [name, vkey] | [name, vkey, _]:
                verifier = parse_vkey(vkey)
            case _:
                raise WitnessPolicyError("a witness has a name, a key and perhaps a URL")
        if not isinstance(verifier, CosignatureVerifier):
            raise WitnessPolicyError("a witness's key is of type 0x04")
        if any(verifier.public_key == other.verifier.public_key for other in self.witnesses):
            raise WitnessPolicyError("two witnesses have the same key")
        self._define(name)
        url = "".join(items[2:]) or None
        self.witnesses.append(PolicyWitness(name=name, verifier=verifier, url=url))

    def _group(self, items: Sequence[str]) -> None:
        match items:
            case [name, threshold, _, *_]:
                members = items[2:]
            case _:
                raise WitnessPolicyError("a group has a name, a threshold and a member")
        if not self.names.issuperset(members):
            raise WitnessPolicyError("a member is not defined before its group")
        if len(set(members)) < len(members) or self.taken.intersection(members):
            raise WitnessPolicyError("a name is a member of one group, once")
        self._define(name)
        self.taken.update(members)
        count = _threshold(threshold, len(members))
        self.groups.append(Group(name=name, threshold=count, members=tuple(members)))

    def _quorum(self, items: Sequence[str]) -> None:
        if len(items) != 1 or self.has_quorum:
            raise WitnessPolicyError("there is one quorum line, with one name")
        if items[0] != _NONE:
            if items[0] not in self.names:
                raise WitnessPolicyError("the quorum is not defined before its line")
            self.quorum = items[0]
        self.has_quorum = True

    def _define(self, name: str) -> None:
        if name == _NONE or name in self.names:
            raise WitnessPolicyError("a name is defined once, and none is reserved")
        _check_count(self.names)
        self.names.add(name)


def _unknown(_items: Sequence[str]) -> NoReturn:
    raise WitnessPolicyError("it is no log, witness, group or quorum")


def _threshold(text: str, members: int) -> int:
    if text in ("any", "all"):
        return 1 if text == "any" else members
    if not _COUNT.fullmatch(text) or int(text) > members:
        raise WitnessPolicyError("a threshold is any, all, or from 1 to the number of members")
    return int(text)


def _check_count(known: Sequence[object] | set[str]) -> None:
    if len(known) >= MAX_NAMES:
        raise WitnessPolicyError("a policy has at most 256 names")
