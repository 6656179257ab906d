"""The command line of `auditvault up`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from auditvault.cli.up.home import default_home
from auditvault.cli.up.options import Options
from auditvault.cli.up.session import up
from auditvault.core.errors import AuditvaultError

DEFAULT_PORT = 8000
_HIGHEST_PORT = 65_535
_DESCRIPTION = """\
Starts PostgreSQL, the broker, web, workers, beat and signer, and stays in the foreground.
Ctrl-C stops everything. On the first start it makes keys, databases and a demo tenant."""
_EPILOG = """\
environment:
  AUDITVAULT_HOME          directory of everything it writes (default: var/)
  AUDITVAULT_PORT          port of the web server on 127.0.0.1 (default: 8000)
  AUDITVAULT_REGIONS       regions to serve (default: eu,us)
  AUDITVAULT_POSTGRES_BIN  programs of another PostgreSQL, 15 or newer
  DATABASE_URL             administrative DSN of a running server, used instead of our own
  AUDITVAULT_BROKER_URL    a running broker, used instead of our own

exit status: 0 stopped on request, 1 could not start or go on"""


def main(arguments: Sequence[str]) -> int:
    """Run `up` with these arguments; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        options = Options.from_environment(
            os.environ,
            home=Path(parsed.home or os.environ.get("AUDITVAULT_HOME") or default_home()),
            port=parsed.port if parsed.port is not None else _port(_environment_port()),
            demo=not parsed.no_demo,
            as_json=parsed.json,
            verbose=parsed.verbose,
        )
        up(options)
    except AuditvaultError as error:
        _report(error, as_json=parsed.json)
        return 1
    except argparse.ArgumentTypeError as error:
        print(f"auditvault: AUDITVAULT_PORT: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="auditvault up",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", metavar="DIR", help="directory of everything it writes")
    parser.add_argument("--port", type=_port, metavar="N", help="web port; 0 finds a free one")
    parser.add_argument("--no-demo", action="store_true", help="make no demo tenant")
    parser.add_argument("--json", action="store_true", help="events as JSON lines")
    parser.add_argument("--verbose", action="store_true", help="show the children's logs as well")
    return parser


def _environment_port() -> str:
    return os.environ.get("AUDITVAULT_PORT") or str(DEFAULT_PORT)


def _port(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to {_HIGHEST_PORT}")
    return number


def _report(error: AuditvaultError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": error.code, "message": error.message}), file=sys.stderr)
    else:
        print(f"auditvault: {error.message}", file=sys.stderr)
