"""`auditvault-verify log` and `tiles`: check a whole log, over HTTP or from a directory.

Rules kept: docs/spec/bundle.md section 7. A state is read before and replaced after a visit in which
everything held. A token comes from a file, so that it stands in no process list.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.trust import TrustStore
from auditvault.verifier import report
from auditvault.verifier.progress import Progress
from auditvault.verifier.receipt_checks import Outcome
from auditvault.verifier.sources import DirectorySource, HttpSource, Source

if TYPE_CHECKING:
    from auditvault.verifier.follow_state import FollowState
    from auditvault.verifier.following import Visit

Read = Callable[[Path, str], bytes]
ReadTrust = Callable[[Path], TrustStore]

_TOKEN = re.compile(r"[!-~]{1,512}")
_VERDICTS = {
    Outcome.HOLDS: "HOLDS: the log is whole, and what it signed.",
    Outcome.DOES_NOT_HOLD: "DOES NOT HOLD: keep what you have of this log, and tell who relies on it.",
    Outcome.NOT_CHECKED: "NOT CHECKED: nothing is wrong, but something could not be checked.",
}
_LIMITS = (
    "This cannot show: that others are given the same log (compare checkpoints, or use witnesses);",
    "what was never recorded; that the service's clock was right; headers and contents.",
)
_STEPS = """\
Checked, in this order:
  checkpoint  a key that you trust for this log has signed it
  growth      the log extends what your last visit saw (--state)
  entries     each is a ledger entry to the letter, at its place, naming the one before
  root        the entries lead to the checkpoint's root
  tiles       the tiles are those of the entries
  beginning   the log itself gave up the entries that are not there (--prunes; if it was pruned)"""
_EXIT_CODES = """\
exit codes:
  0  holds
  1  does not hold
  2  could not be checked: nothing was answered, no key for this log, an unusable state"""
_LOG_EPILOG = f"""\
The URL is the prefix before /checkpoint and /tile/. With --state the next visit reads only what is
new, and finds a log that shrank or was rewritten; without it every visit reads everything.
Of a pruned log it reads what is there, and proves the rest's tiles. A bundle of the log (--prunes)
shows that the log gave that up itself.

{_EXIT_CODES}

example:
  auditvault-verify log https://log.example/tlog/0f8fad5b-d9cb-469f-a165-70867728950e \\
    --trust trust.json --token-file token --state log.state"""
_TILES_EPILOG = f"""\
The directory has the files checkpoint and tile/... of C2SP tlog-tiles; or it is a downloaded write-once
copy, of which the newest file in checkpoints/ is taken.

{_EXIT_CODES}

example:
  auditvault-verify tiles copy/ --trust trust.json"""


class FollowInputError(AuditvaultError):
    """An argument cannot be used."""

    code: ClassVar[str] = "input_unreadable"


def add_parsers(commands: Any, read: Read, read_trust: ReadTrust) -> None:
    """Add both sub-commands to argparse's `commands`."""
    log = _add(commands, "log", "check a running log, and that it only grows", _LOG_EPILOG)
    log.add_argument("url", metavar="URL", help="where the log is, as C2SP tlog-tiles")
    log.add_argument("--token-file", type=Path, metavar="FILE", help="a bearer token, in a file")
    tiles = _add(commands, "tiles", "check a copy of a log in a directory", _TILES_EPILOG)
    tiles.add_argument("directory", type=Path, metavar="DIRECTORY", help="the copy")
    for parser in (log, tiles):
        add = parser.add_argument
        add("--trust", type=Path, required=True, metavar="TRUST.json", help="keys that you trust")
        add("--state", type=Path, metavar="FILE", help="what the last visit saw; made if missing")
        add("--prunes", type=Path, metavar="BUNDLE", help="a bundle with the log's prune records")
        add("--origin", help="the log's name; another log at that place then does not hold")
        add("--json", action="store_true", help="one JSON object on standard output")

    def source_of(arguments: argparse.Namespace) -> Source:
        token = _read_token(arguments.token_file, read)
        return HttpSource(arguments.url, token)

    log.set_defaults(run=lambda arguments: _run(arguments, source_of(arguments), read_trust))
    tiles.set_defaults(
        run=lambda arguments: _run(arguments, DirectorySource(arguments.directory), read_trust)
    )


def _add(commands: Any, name: str, what: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what.capitalize()}.\n\n{_STEPS}",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _run(arguments: argparse.Namespace, source: Source, read_trust: ReadTrust) -> int:
    # Its state needs a POSIX system; receipts and bundles can be checked anywhere.
    try:
        from auditvault.verifier.follow_state import FollowState
        from auditvault.verifier.following import Follower
        from auditvault.verifier.pruned import PruneRecords
    except ImportError as error:
        raise FollowInputError("following a log needs a POSIX system") from error
    trust = read_trust(arguments.trust)
    state = FollowState(arguments.state) if arguments.state else None
    progress = Progress(sys.stderr)
    visit = Follower(
        source,
        trust,
        progress=progress,
        kept=state.followed if state else None,
        origin=arguments.origin,
        prunes=PruneRecords(path=arguments.prunes) if arguments.prunes else None,
    ).visit()
    progress.clear()
    kept_fork = _keep(state, visit)
    write = _as_json if arguments.json else _as_text
    sys.stdout.write(write(visit))
    if kept_fork:
        sys.stderr.write(f"both checkpoints are kept in {kept_fork}\n")
    return visit.checklist.result().exit_code


def _keep(state: FollowState | None, visit: Visit) -> Path | None:
    """Replace the state where everything held; keep both checkpoints where they contradict."""
    if state is None:
        return None
    if visit.contradicts and state.followed is not None:
        return state.keep_fork(state.followed.note, visit.note)
    if visit.checklist.result() is Outcome.HOLDS and visit.followed is not None:
        state.save(visit.followed)
    return None


def _as_text(visit: Visit) -> str:
    facts = {"log": "not known"}
    if visit.checkpoint is not None:
        facts = {
            "log": visit.checkpoint.origin,
            "entries": f"{visit.checkpoint.size}, of which {visit.read} were read now",
        }
    verdict = _VERDICTS[visit.checklist.result()]
    return report.page(facts, visit.checklist, limits=_LIMITS, verdict=verdict)


def _as_json(visit: Visit) -> str:
    checkpoint = visit.checkpoint
    if checkpoint is None:
        return report.document("log", None, visit.checklist)
    members: dict[str, Any] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "read": visit.read,
    }
    if visit.beginning is not None:
        members["minimum"] = visit.beginning.minimum
    return report.document("log", members, visit.checklist)


def _read_token(path: Path | None, read: Read) -> str | None:
    if path is None:
        return None
    token = read(path, "the token").decode("ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise FollowInputError("the token's file holds one token and nothing else")
    return token
