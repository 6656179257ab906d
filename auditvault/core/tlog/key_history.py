"""Which keys a verifier accepts for a log, from its own trust file and what is proved of how keys came and went.

Rules kept: docs/spec/bundle.md section 10, checkpoint.md section 3.1. Trust begins in the trust file alone. A history
takes keys out of use for whoever believes the keys that signed it; it brings keys in only where the trust file names
the log that may (`follow`). Lines can be taken off a note and whole steps left out, so what is not here proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.bundle_history import HistoryStep, KeyEvent
from auditvault.core.tlog.bundle_manifest import BundleError, BundleMismatchError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.log_key import ED25519, LogKey, log_verifiers
from auditvault.core.tlog.merkle import verify_consistency
from auditvault.core.tlog.note import (
    LogVerifier,
    NoteSignatureError,
    SignatureLine,
    known_lines,
    parse_note,
)
from auditvault.core.tlog.origin import region_of
from auditvault.core.tlog.trust import TrustStore


class LogKeyRetiredError(AuditvaultError):
    """A checkpoint is signed by no accepted key but one that was retired."""

    code: ClassVar[str] = "log_key_retired"


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryKey:
    """A key of the trust file, or one that the operator's log announced."""

    key: LogKey
    announced: int | None = None
    """Index of the entry; None for a key of the trust file."""
    roots: frozenset[LogKey] = frozenset()
    """The keys of the trust file that it is accepted by; none where it is not accepted."""
    retired: int | None = None
    """Index of the entry that took it out of use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHistory:
    """Which keys there are, what became of them, and how far somebody trusted has signed that."""

    log: str
    """Origin of the operator's log."""
    keys: tuple[HistoryKey, ...] = ()
    steps: int = 0
    signed: int = 0
    """Steps that an accepted key signed while it was not retired."""
    last: Checkpoint | None = None
    indices: frozenset[int] = frozenset()
    """Of the entries in it."""

    def signers(self, log: str, trust: TrustStore) -> Signers:
        """Return whose signatures count under checkpoints of `log`."""
        trusted = trust.keys_for(log)
        retired = {item.key: item.retired for item in self.keys if item.retired is not None}
        followed = [item.key for item in self.keys if item.roots & set(trusted)]
        keys = list(dict.fromkeys([*trusted, *followed]))
        return Signers(
            current=log_verifiers(log, [key for key in keys if key not in retired]),
            retired=log_verifiers(log, [key for key in keys if key in retired]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Signers:
    """Whose signatures count: those that sign, and those that did before what the former signed."""

    current: Sequence[LogVerifier]
    retired: Sequence[LogVerifier] = ()

    @property
    def all(self) -> list[LogVerifier]:
        """Return both."""
        return [*self.current, *self.retired]

    def check_current(self, note: str) -> None:
        """Raise LogKeyRetiredError where only retired keys have signed a note, whose signatures were checked."""
        lines = parse_note(note)[1]
        if not known_lines(lines, self.current) and known_lines(lines, self.retired):
            raise LogKeyRetiredError(
                "it is signed by a key that was retired, and by no other that you trust"
            )


def read_history(
    steps: Iterable[tuple[int, HistoryStep]], *, log: str, trust: TrustStore
) -> KeyHistory:
    """Follow the steps, each given with its size in ascending order, for a bundle of `log`.

    A step that no accepted key has signed brings nothing by itself; what it says counts with the next that one has.
    Raises BundleError, BundleMismatchError, NoteError, CheckpointError, EntryError or a ProofError for a step that is
    none, is not of the region's operator's log, or does not extend the one before.
    """
    walk = _Walk(log, trust)
    for size, step in steps:
        walk.take(size, step)
    return walk.history


@dataclass(slots=True)
class _Walk:
    """The steps up to now."""

    log: str
    trust: TrustStore
    history: KeyHistory = field(init=False)
    _pending: list[KeyEvent] = field(default_factory=list)
    _said_retired: dict[LogKey, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = KeyHistory(log="")

    def take(self, size: int, step: HistoryStep) -> None:
        text, lines = parse_note(step.checkpoint)
        checkpoint = Checkpoint.parse(text)
        self._check_place(size, checkpoint)
        self._check_growth(checkpoint, step)
        events = self._events(checkpoint, step)
        signed = self._signed(text, lines)
        self._pending += events
        before = self.history
        indices = before.indices | {event.index for event in events}
        self.history = replace(before, steps=before.steps + 1, last=checkpoint, indices=indices)
        by = [item for item in signed if item.roots and item.retired is None]
        if not by:
            return
        self.history = replace(self.history, signed=before.signed + 1)
        others = self._lines_of_announced(text, lines)
        for event in self._pending:
            if event.retires:
                self._retire(event, {item.key for item in by} | others)
            else:
                self._announce(event, by)
        self._pending.clear()

    def _check_place(self, size: int, checkpoint: Checkpoint) -> None:
        """Each step is of one log of the region: of the one that the trust file names, if it names one."""
        origin = checkpoint.origin
        if checkpoint.size != size:
            raise BundleMismatchError("a step of the keys' history is of another size than named")
        if not self.history.log:
            named = self.trust.followed_in(region_of(self.log))
            if region_of(origin) != region_of(self.log) or (named and origin not in named):
                raise BundleMismatchError(
                    "the keys' history is not of the operator's log of this region"
                )
            keys = tuple(
                HistoryKey(key=key, roots=frozenset({key})) for key in self.trust.keys_for(origin)
            )
            self.history = replace(self.history, log=origin, keys=keys)
        elif origin != self.history.log:
            raise BundleMismatchError("the steps of the keys' history are of two logs")

    def _check_growth(self, checkpoint: Checkpoint, step: HistoryStep) -> None:
        last = self.history.last
        if last is None:
            if step.consistency:
                raise BundleError("the first step of the keys' history extends none")
            return
        verify_consistency(
            old_size=last.size,
            new_size=checkpoint.size,
            old_root=last.root,
            new_root=checkpoint.root,
            proof=step.consistency,
        )

    def _events(self, checkpoint: Checkpoint, step: HistoryStep) -> list[KeyEvent]:
        """What the step's entries say; they lie behind the step before, in order."""
        least = self.history.last.size if self.history.last else 0
        events = []
        for record in step.records:
            event = record.check(checkpoint)
            if event.index < least:
                raise BundleMismatchError("the keys' entries are not in order")
            least = event.index + 1
            events.append(event)
        return events

    def _signed(self, text: str, lines: Sequence[SignatureLine]) -> list[HistoryKey]:
        """The accepted keys whose lines verify; one that does not is an error, as under any note."""
        signed = []
        for item in self.history.keys:
            verifiers = log_verifiers(self.history.log, [item.key] if item.roots else [])
            for verifier, line in known_lines(lines, verifiers):
                verifier.verify(text, line.signature)
                signed.append(item)
        return signed

    def _lines_of_announced(self, text: str, lines: Sequence[SignatureLine]) -> set[LogKey]:
        """Keys that were announced, are not accepted, and have signed: they show which key stays, and no more."""
        found = {item.key for item in self.history.keys if not item.roots and item.retired is None}
        found |= {event.key for event in self._pending if not event.retires}
        return {key for key in found if self._has_signed(key, text, lines)}

    def _has_signed(self, key: LogKey, text: str, lines: Sequence[SignatureLine]) -> bool:
        try:
            known = known_lines(lines, log_verifiers(self.history.log, [key]))
            for verifier, line in known:
                verifier.verify(text, line.signature)
        except NoteSignatureError:
            return False
        return bool(known)

    def _announce(self, event: KeyEvent, by: Sequence[HistoryKey]) -> None:
        """A key is accepted on the word of keys that are not retired by then; a retired one never returns."""
        known = [item for item in self.history.keys if item.key == event.key]
        if any(item.roots or item.retired is not None for item in known):
            return
        roots: frozenset[LogKey] = frozenset()
        if event.key not in self._said_retired:
            for item in by:
                follows = item.announced is not None or self.trust.follows(
                    item.key, self.history.log
                )
                if follows and item.key not in self._said_retired:
                    roots |= item.roots
        others = tuple(item for item in self.history.keys if item.key != event.key)
        found = HistoryKey(key=event.key, announced=event.index, roots=roots)
        self.history = replace(self.history, keys=(*others, found))

    def _retire(self, event: KeyEvent, signed: set[LogKey]) -> None:
        """As the signer does it: not the last Ed25519 key. Another that stays has signed what covers the entry."""
        self._said_retired.setdefault(event.key, event.index)
        retired = {item.key for item in self.history.keys if item.retired is not None}
        staying = signed - retired - {event.key}
        if not any(key.algorithm == ED25519 for key in staying):
            return
        self.history = replace(
            self.history,
            keys=tuple(
                replace(item, retired=event.index)
                if item.key == event.key and item.retired is None
                else item
                for item in self.history.keys
            ),
        )
