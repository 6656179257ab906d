"""What a verifier keeps of a log between two visits.

Rules kept: docs/spec/bundle.md section 7. The state is replaced whole, and only after a visit in
which everything held; the first pair of checkpoints that contradict each other is kept for good.
Needs a POSIX system.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import Checkpoint
from auditvault.core.tlog.entry import check_time
from auditvault.core.tlog.merkle import HASH_SIZE, CompactRange
from auditvault.core.tlog.note import parse_note
from auditvault.core.tlog.strict_json import check_keys, parse_object
from auditvault.verifier.durable import create_file, replace_file

_VERSION = "auditvault/follow-state/1"
_FORK_VERSION = "auditvault/follow-fork/1"
_MAX_SIZE = 4 * 2**20


class FollowStateError(AuditvaultError):
    """The state cannot be read or written, or is not one."""

    code: ClassVar[str] = "follow_state_unusable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """Where the last visit ended; making one that contradicts itself raises FollowStateError."""

    note: str
    """The checkpoint, signed."""
    nodes: bytes
    """Compact range at its size."""
    leaf: bytes
    """Leaf hash of the last entry; empty when there is none."""
    time: str
    """Its `t`; empty when there is none."""

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says. Whether a trusted key has signed it is left to the caller."""
        return Checkpoint.parse(parse_note(self.note)[0])

    def tree(self) -> CompactRange:
        """Return the tree at the checkpoint's size, with its root."""
        checkpoint = self.checkpoint
        tree = CompactRange.from_bytes(checkpoint.size, self.nodes)
        if tree.root() != checkpoint.root:
            raise FollowStateError("the state's nodes are not those of its checkpoint")
        return tree


class FollowState:
    """A state file, which need not be there yet. Reading raises FollowStateError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.followed = self._read()

    def save(self, followed: Followed) -> None:
        """Put it on disk; raises FollowStateError."""
        members = {
            "v": _VERSION,
            "note": followed.note,
            "nodes": followed.nodes.hex(),
            "leaf": followed.leaf.hex(),
            "time": followed.time,
        }
        try:
            replace_file(self._path, json.dumps(members).encode())
        except OSError as error:
            raise FollowStateError(f"the state cannot be written: {error.strerror}") from error

    def keep_fork(self, kept: str, refused: str) -> Path:
        """Keep two notes that contradict each other and return where; FollowStateError."""
        path = self._path.with_name(f"{self._path.name}.fork")
        members = {"v": _FORK_VERSION, "kept": kept, "refused": refused}
        try:
            with contextlib.suppress(FileExistsError):
                create_file(path, json.dumps(members).encode())
        except OSError as error:
            raise FollowStateError(f"the fork cannot be kept: {error.strerror}") from error
        return path

    def _read(self) -> Followed | None:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_SIZE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FollowStateError(f"the state cannot be read: {error.strerror}") from error
        try:
            followed = _parse(data)
            followed.tree()
        except FollowStateError:
            raise
        except AuditvaultError as error:
            raise FollowStateError(f"the state is none: {error.message}") from error
        return followed


def _parse(data: bytes) -> Followed:
    members: dict[str, Any] = parse_object(data)
    check_keys(members, required={"v", "note", "nodes", "leaf", "time"})
    if members["v"] != _VERSION or not all(isinstance(value, str) for value in members.values()):
        raise FollowStateError("the state is none of this version")
    try:
        nodes, leaf = bytes.fromhex(members["nodes"]), bytes.fromhex(members["leaf"])
    except ValueError:
        raise FollowStateError("the state is none: not hex") from None
    if len(leaf) not in {0, HASH_SIZE} or bool(leaf) != bool(nodes):
        raise FollowStateError("the state is none: a leaf hash is 32 bytes")
    if leaf:
        # Compared as text with the times to come: another would let time go back, or accuse the log of it.
        check_time(members["time"])
    elif members["time"]:
        raise FollowStateError("the state is none: a time without an entry")
    return Followed(note=members["note"], nodes=nodes, leaf=leaf, time=members["time"])
