"""Committing what several threads want to commit in one transaction.

Of those who come, one commits for all that wait: whoever comes while nobody does. There is no thread that has to be
started or stopped, and who comes alone waits for nobody. Order, and what a crash leaves behind:

1. Items queue, at most `most_waiting` of them.                      Crash: nothing; nobody was told that it is done.
2. The one whose turn it is takes those that wait, and commits them.   Crash before the commit: nothing of any of them.
3. Everybody whose item it was is released.     Crash after the commit: all of them are there, and nobody was told; who
   wrote a record of a look has one of a look that may not have happened, which is the safe side.

A batch that cannot be written fails everybody in it. If one item refuses, all are undone and each is tried alone, so
that it refuses itself only: what an item does must bear being undone and done again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class TooManyWaitingError(Exception):
    """The queue is full: nothing was done, and nothing will be."""


class AbandonedError(Exception):
    """Who was committing was stopped: whether the item is committed is not known."""


class _Waiting(Generic[_Item]):
    """One item in the queue, and what became of it."""

    __slots__ = ("error", "is_done", "item")

    def __init__(self, item: _Item) -> None:
        self.item = item
        self.is_done = False
        self.error: BaseException | None = None


class Together(Generic[_Item]):
    """A queue of items that `commit` writes in one transaction, or not at all."""

    def __init__(
        self,
        commit: Callable[[Sequence[_Item]], None],
        *,
        fails_all: tuple[type[BaseException], ...],
        most_together: int,
        most_waiting: int,
    ) -> None:
        """`fails_all`: what `commit` raises where the batch could not be written, rather than one of it refuse."""
        self._commit = commit
        self._fails_all = fails_all
        self._most_together = most_together
        self._most_waiting = most_waiting
        self._queue: list[_Waiting[_Item]] = []
        self._is_committing = False
        self._changed = threading.Condition()

    def add(self, item: _Item) -> None:
        """Return once the item is committed; raises TooManyWaitingError, AbandonedError, or what kept it from being."""
        own = _Waiting(item)
        with self._changed:
            if len(self._queue) >= self._most_waiting:
                raise TooManyWaitingError
            self._queue.append(own)
        while batch := self._turn(own):
            self._commit_batch(batch)
        if own.error is not None:
            raise own.error

    def _turn(self, own: _Waiting[_Item]) -> list[_Waiting[_Item]]:
        """The batch that this thread is to commit; none once its own item is done."""
        with self._changed:
            while self._is_committing and not own.is_done:
                self._changed.wait()
            if own.is_done:
                return []
            self._is_committing = True
            batch = self._queue[: self._most_together]
            del self._queue[: self._most_together]
            return batch

    def _commit_batch(self, batch: list[_Waiting[_Item]]) -> None:
        """Whatever happens, everybody in it is released."""
        try:
            self._try(batch)
        except BaseException:
            for waiting in batch:
                waiting.error = waiting.error or AbandonedError()
            raise
        finally:
            with self._changed:
                self._is_committing = False
                for waiting in batch:
                    waiting.is_done = True
                self._changed.notify_all()

    def _try(self, batch: list[_Waiting[_Item]]) -> None:
        try:
            self._commit([waiting.item for waiting in batch])
        except self._fails_all as error:
            for waiting in batch:
                waiting.error = error
        except Exception as error:  # noqa: BLE001  # it is the item's own, and is raised where it came from
            if len(batch) == 1:
                batch[0].error = error
                return
            for waiting in batch:
                self._try([waiting])
