"""Writes docs/reference/endpoint-matrix.md anew from what the views declare. To be read before it is committed.

python -m tests.integration.access.write_matrix
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "postgresql://none@127.0.0.1:1/none"


def main() -> None:
    """Nothing is connected to."""
    for name in ("CONTROL", "REGION_EU", "KEYS_EU"):
        os.environ[f"AUDITVAULT_{name}_URL"] = NOWHERE
    os.environ["AUDITVAULT_REGIONS"] = "eu"
    os.environ["AUDITVAULT_SECRET_KEY_FILE"] = str(ROOT / "pyproject.toml")
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings.test"
    import django

    django.setup()
    from tests.integration.access.matrix import page

    (ROOT / "docs/reference/endpoint-matrix.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
