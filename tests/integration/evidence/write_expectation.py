"""Writes what the databases should allow anew, from databases made a moment ago. To be read before it is committed.

python -m tests.integration.evidence.write_expectation
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

from auditvault.cli.up.cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    """Start servers, migrate, open one log for its partition, and write both files."""
    home = Path(tempfile.mkdtemp(prefix="auditvault-expectation-"))
    home.chmod(0o711)
    try:
        with Cluster(home, with_broker=False) as cluster:
            migrate = [sys.executable, "-m", "django", "migrate_all", "--verbosity", "0"]
            subprocess.run(migrate, env=cluster.environment("owner"), check=True, cwd=ROOT)
            os.environ.update(cluster.environment("operator"))
            _write()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write() -> None:
    import django

    django.setup()
    from django.db import connections

    from auditvault.evidence.grants import expectation, read_catalogue
    from auditvault.ledger.logs import open_log

    open_log(region="us", tenant_id=uuid4(), kind="access", log_host="localhost")
    for kind in ("region", "keys"):
        path = ROOT / "auditvault" / "evidence" / f"grants_{kind}.txt"
        path.write_text(expectation(read_catalogue("us", kind)))
    connections.close_all()


if __name__ == "__main__":
    main()
