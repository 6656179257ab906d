"""What the supervisor leaves for others to read: run.json and the environments, all 0600.

run.json is there from the moment the service is ready until it stops, and its pids are rewritten
whenever one changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from auditvault.cli.up.environment import Purpose, Site, child_environment
from auditvault.cli.up.files import write_private
from auditvault.cli.up.home import Home
from auditvault.cli.up.provision import CONTROL_DATABASE, keys_database, region_database

# Besides the operator's own, for commands that change the schema, sign, or back up.
_OTHER_PURPOSES: tuple[Purpose, ...] = ("owner", "signer", "backup")


def web_url(port: int) -> str:
    """Where a browser finds the console."""
    return f"http://127.0.0.1:{port}"


def write_environments(site: Site) -> None:
    """env.json for a person at a shell, and one beside it for each of the other purposes."""
    home = Home(path=site.home)
    files = {"operator": home.env_file} | {
        purpose: home.environment_file(purpose) for purpose in _OTHER_PURPOSES
    }
    for purpose, path in files.items():
        whole = child_environment(purpose, site, inherited={})  # type: ignore[arg-type]
        ours = {name: value for name, value in whole.items() if not name.startswith("PYTHON")}
        write_private(path, json.dumps(ours, indent=2) + "\n")


def write_run_file(site: Site, pids: Mapping[str, int], *, superuser_dsn: str) -> None:
    """Where everything runs now."""
    content: dict[str, Any] = {
        "web": web_url(site.port),
        "pids": {"supervisor": os.getpid(), **pids},
        "broker": site.broker_url,
        "postgres": {
            "superuser_dsn": superuser_dsn,
            "control": {"database": CONTROL_DATABASE},
            "regions": {
                region: {
                    "database": region_database(region),
                    "keys_database": keys_database(region),
                }
                for region in site.regions
            },
        },
    }
    write_private(Home(path=site.home).run_file, json.dumps(content, indent=2) + "\n")


def remove_state(home: Home) -> None:
    """After a stop nothing runs anywhere."""
    others = [home.environment_file(purpose) for purpose in _OTHER_PURPOSES]
    for path in (home.run_file, home.env_file, *others):
        path.unlink(missing_ok=True)


def read_marker(home: Home) -> dict[str, Any] | None:
    """What the first start wrote down, None before it."""
    try:
        found = json.loads(home.marker_file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_marker(home: Home, regions: Sequence[str]) -> None:
    """From now on these regions hold data; a region that is not served any more still does."""
    known = (read_marker(home) or {}).get("regions", [])
    content = {"version": 1, "regions": sorted({*known, *regions})}
    write_private(home.marker_file, json.dumps(content) + "\n")


def demo_logins(home: Home) -> list[str]:
    """The logins that the demo left in demo.json, one text a login; none before it ran."""
    try:
        logins = json.loads(home.demo_file.read_text())["logins"]
        return [_login_text(login) for login in logins]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _login_text(login: Mapping[str, str] | str) -> str:
    if isinstance(login, str):
        return login
    known = ("email", "username", "user", "password")
    first = [login[key] for key in known if key in login]
    second = login.get("second factor")
    others = [f"{value}" for key, value in login.items() if key not in (*known, "second factor")]
    others += [f"second factor: {second}"] if second else []
    return " / ".join(first) + (f"  ({', '.join(others)})" if others else "")
