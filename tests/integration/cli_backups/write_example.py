"""Writes docs/reference/restore-drill-example.md and .json: `python -m tests.integration.cli_backups.write_example`.

A region with two tenants is recorded, signed and backed up; it goes on, and somebody is erased; then its backup is
drilled by the command. The report is the command's own.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.integration.cli_backups.conftest import running
from tests.integration.cli_backups.site import ROOT

EXAMPLE = ROOT / "docs" / "reference" / "restore-drill-example"


def main() -> None:
    """Drill, and put the report in its place."""
    reports = Path(tempfile.mkdtemp())
    try:
        with running() as site:
            for tenant, count in (("acme", 60), ("globex", 25)):
                site.record(tenant, *[f"question {number} to {tenant}" for number in range(count)])
            site.sign()
            backup = site.back_up()
            site.erase("acme", "question 7 to acme")
            site.record("acme", *[f"later question {number}" for number in range(5)])
            site.sign()
            done = site.command(
                "restore_drill", "--region", "eu", "--from", str(backup), "--report", str(reports)
            )
            assert done.code == 0, done.out + done.err
        for path in reports.iterdir():
            EXAMPLE.with_suffix(path.suffix).write_text(path.read_text())
    finally:
        shutil.rmtree(reports)


if __name__ == "__main__":
    main()
