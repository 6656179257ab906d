"""Django's customary entry point: the same as `auditvault COMMAND`."""

from __future__ import annotations

import sys

from auditvault.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
