"""The acts of a turn that leave something behind, and what makes one of them fail or end the process.

`python -m tests.integration.vault_epochs.acts ACT before|after` turns the epoch of `us` and is killed there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

ACTS = (
    "make_key",
    "begin_turn",
    "record key.epoch_started",
    "new_tenant_key",
    "rewrap_subject_keys",
    "rewrap_tag_secret",
    "end_epoch",
    "record key.epoch_turned",
    "destroy",
    "root_keys_destroyed",
    "record key.destroyed",
    "finish_turn",
)


class MadeToFailError(Exception):
    """As if the process had ended here."""


class _Retention:
    """The retention role's connection, whose calls of functions go through a hook."""

    def __init__(self, connection: Any, around: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._connection = connection
        self._around = around

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: Any, *values: Any) -> Any:
        def work() -> Any:
            return self._connection.execute(query, *values)

        if not isinstance(query, str) or not query.startswith("SELECT keyring_"):
            return work()
        return self._around(query.removeprefix("SELECT keyring_").partition("(")[0], work)


def arrange(patch: Any, around: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Have every act go through `around(name, work)`; `patch(object, name, value)` sets attributes."""
    from auditvault.vault.keyring import hierarchy, turning
    from auditvault.vault.providers.file import FileKeyProvider

    def through(name: str, real: Any) -> Any:
        return lambda *words: around(name, lambda: real(*words))

    connect, record_it = turning.retention_connection, turning.record_operation
    patch(turning, "retention_connection", lambda *w, **k: _Retention(connect(*w, **k), around))

    def record(**said: Any) -> Any:
        return around(f"record {said['action']}", lambda: record_it(**said))

    patch(turning, "record_operation", record)
    patch(FileKeyProvider, "make_key", through("make_key", FileKeyProvider.make_key))
    patch(FileKeyProvider, "destroy", through("destroy", FileKeyProvider.destroy))
    make = hierarchy.EpochKeys._new_tenant_key
    patch(hierarchy.EpochKeys, "_new_tenant_key", through("new_tenant_key", make))


def stopping(
    act: str, when: str, stop: Callable[[], Any]
) -> Callable[[str, Callable[[], Any]], Any]:
    """A hook that stops before or after the first such act."""

    def around(name: str, work: Callable[[], Any]) -> Any:
        if name == act and when == "before":
            stop()
        found = work()
        if name == act and when == "after":
            stop()
        return found

    return around


def main() -> None:
    """Turn, and die."""
    import django

    django.setup()
    from auditvault.vault import epochs

    act, when = sys.argv[1:]
    arrange(setattr, stopping(act, when, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    epochs.turn("us")


if __name__ == "__main__":
    main()
