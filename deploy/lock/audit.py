"""Asks pip-audit whether what is locked has known vulnerabilities, and tells "none" from "could not ask".

Exit status: 0 nothing known, 1 something is, 2 the advisories could not be had or do not know the packages. pip-audit
itself exits with 1 in both of the last cases, and a mirror without advisories looks to it like an index without the
package; neither must be mistaken for an audit. Needs the network, so it is no part of `make test`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOCKS = (
    "runtime.txt",
    "copies.txt",
    "transit.txt",
    "aws.txt",
    "gcp.txt",
    "azure.txt",
    "pkcs11.txt",
)
SERVICES = ("pypi", "osv")
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Audit each lock file with the first service that answers."""
    worst = 0
    for name in LOCKS:
        worst = max(worst, audit(HERE / name))
    return worst


def audit(lock: Path, *, command: Sequence[str] = (sys.executable, "-m", "pip_audit")) -> int:
    """Print what is known about one lock file; returns the exit status."""
    reasons = []
    for service in SERVICES:
        done = subprocess.run(  # noqa: S603
            [*command, "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--strict",
             "--vulnerability-service", service, "--format", "json", "--requirement", str(lock)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = report_of(done.stdout)
        if found is not None:
            return say(lock, service, found)
        reasons.append(f"{service}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    print(f"{lock.name}: NOT AUDITED, the advisories could not be had", *reasons, sep="\n  ")
    return 2


def report_of(text: str) -> list[tuple[str, str, list[str]]] | None:
    """Name, version and advisories of each package; None where the answer is no whole report."""
    try:
        packages = json.loads(text)["dependencies"]
        return [
            (found["name"], found["version"], [known["id"] for known in found["vulns"]])
            for found in packages
        ] or None
    except (ValueError, KeyError, TypeError):
        return None


def say(lock: Path, service: str, found: list[tuple[str, str, list[str]]]) -> int:
    """Print the verdict; returns the exit status."""
    bad = [(name, version, ids) for name, version, ids in found if ids]
    print(f"{lock.name}: {len(found)} packages, {len(bad)} with known vulnerabilities ({service})")
    for name, version, ids in bad:
        print(f"  {name} {version}: {', '.join(ids)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
