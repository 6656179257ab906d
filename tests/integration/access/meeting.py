"""Things that happen at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def together(*acts: Callable[[], Any]) -> list[Any]:
    """What each gives or raises, in a thread and on connections of its own, all let go at once."""
    from django.db import connections

    gate = threading.Barrier(len(acts))
    results: list[Any] = []

    def run(act: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results.append(act())
        except Exception as error:  # noqa: BLE001  # it is the result
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
