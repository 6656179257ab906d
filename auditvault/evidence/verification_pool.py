"""Doing the pieces of a verification one after the other, or several at once, each in a process of its own.

Processes are made anew and not forked: they share no database connection with their parent.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeVar

_LOOK_SECONDS = 0.2

Tell = Callable[[str, int], None]
"""Takes a log's origin, and how many more of its entries were checked."""

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Task, Tell], Result]
"""One piece of work. A function of a module, since its name is what is sent to another process."""

_Told = SimpleQueue[tuple[str, int]]


class Workers:
    """Does pieces of work; `tell` hears how far they are."""

    def __init__(self, tell: Tell, pool: ProcessPoolExecutor | None, told: _Told | None) -> None:
        self._tell = tell
        self._pool = pool
        self._told = told

    def map(self, work: Work[Task, Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """The result of each task, in order, as soon as it and those before it are done."""
        if self._pool is None or len(tasks) <= 1:
            for task in tasks:
                yield work(task, self._tell)
            return
        for future in [self._pool.submit(_run, work, task) for task in tasks]:
            self._listen(future)
            yield future.result()

    def _listen(self, future: Future[Any]) -> None:
        """Pass on what the processes tell, until this one is done; a full pipe would hold them up."""
        waiting = True
        while waiting:
            waiting = bool(wait([future], _LOOK_SECONDS).not_done)
            while self._told is not None and not self._told.empty():
                self._tell(*self._told.get())


@contextmanager
def workers(jobs: int, tell: Tell) -> Iterator[Workers]:
    """So many processes, which are made when there is work for them; with one job, this one does it all."""
    if jobs <= 1:
        yield Workers(tell, None, None)
        return
    context = multiprocessing.get_context("spawn")
    told: _Told = context.SimpleQueue()
    pool = ProcessPoolExecutor(jobs, context, _begin, (told,))
    try:
        yield Workers(tell, pool, told)
    finally:
        # After an error, or Ctrl-C, what nobody waits for any more is not begun.
        pool.shutdown(cancel_futures=True)


_told: _Told | None = None


def _begin(told: _Told) -> None:
    """In a new process: settings, and where to tell progress."""
    global _told  # noqa: PLW0603  # a pool's process has nothing else to keep it in
    _told = told
    import django

    django.setup()


def _run(work: Work[Task, Result], task: Task) -> Result:
    told = _told
    if told is None:
        raise RuntimeError("not a process of the pool")
    return work(task, lambda origin, entries: told.put((origin, entries)))
