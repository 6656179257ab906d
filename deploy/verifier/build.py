"""Makes `auditvault-verify.pyz`: the verifier in one file that needs Python and `cryptography`, nothing else of ours.

Equal sources give equal bytes: times are fixed, members are sorted and not compressed. So an auditor who builds it from
a tag can compare its SHA-256 with the one that they were told. Anybody can look inside: it is a ZIP file.
"""

from __future__ import annotations

import hashlib
import stat
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "auditvault/__init__.py",
    "auditvault/core/__init__.py",
    "auditvault/core/errors.py",
    "auditvault/core/tlog",
    "auditvault/verifier",
)
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = b"import sys\n\nfrom auditvault.verifier.main import main\n\nsys.exit(main())\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def sources() -> dict[str, bytes]:
    """Name in the archive -> content."""
    found = {"__main__.py": _MAIN, "LICENSE": (ROOT / "LICENSE").read_bytes()}
    for part in PARTS:
        place = ROOT / part
        for path in [place] if place.is_file() else place.rglob("*.py"):
            found[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    return found


def build(target: Path) -> str:
    """Write the archive and return its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, content in sorted(sources().items()):
                member = zipfile.ZipInfo(name, _LONG_AGO)
                # Not this machine's: its kind and its umask would be in the bytes.
                member.create_system, member.external_attr = 3, 0o100644 << 16
                archive.writestr(member, content)
    target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return hashlib.sha256(target.read_bytes()).hexdigest()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(f"{build(place)}  {place}")
