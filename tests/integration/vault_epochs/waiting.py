"""Waits for what another thread or process is about to do."""

from __future__ import annotations

import threading
from collections.abc import Callable


def until(condition: Callable[[], bool]) -> bool:
    """Look until it is so."""
    pause = threading.Event()
    for _ in range(400):
        if condition():
            return True
        pause.wait(0.05)
    return False
