"""Verifying several logs at once, each in a process of its own: a log is one stream, and a core's work.

Processes are made anew and not forked: they share no database connection with their parent.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue

from auditvault.evidence.verification_checkpoints import Trust
from auditvault.evidence.verification_report import Progress, Report
from auditvault.ledger.logs import LogRef

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTask:
    """One log to verify; goes to another process."""

    region: str
    log: LogRef
    trust: Trust
    with_payloads: bool


VerifyLog = Callable[[LogTask, Progress | None], Report]
_Told = SimpleQueue[tuple[str, int, int]]


def run_tasks(
    verify: VerifyLog, tasks: Sequence[LogTask], *, jobs: int, progress: Progress | None
) -> list[Report]:
    """The report of each task, in order. `verify` is a function of a module, since its name is what is sent."""
    if jobs <= 1 or len(tasks) <= 1:
        return [verify(task, progress) for task in tasks]
    context = multiprocessing.get_context("spawn")
    told: _Told = context.SimpleQueue()
    with ProcessPoolExecutor(
        min(jobs, len(tasks)), context, _begin, (told if progress else None,)
    ) as pool:
        futures = [pool.submit(_run, verify, task) for task in tasks]
        _listen(futures, told, progress)
        return [future.result() for future in futures]


def _listen(futures: Sequence[Future[Report]], told: _Told, progress: Progress | None) -> None:
    """Pass on what the processes tell, until all are done; a full pipe would hold them up."""
    waiting = set(futures)
    while waiting:
        _, waiting = wait(waiting, _LOOK_SECONDS)
        while not told.empty():
            origin, done, size = told.get()
            if progress:
                progress(origin, done, size)


_told: _Told | None = None


def _begin(told: _Told | None) -> None:
    """In a new process: settings, and where to tell progress."""
    global _told  # noqa: PLW0603  # a pool's process has nothing else to keep it in
    _told = told
    import django

    django.setup()


def _run(verify: VerifyLog, task: LogTask) -> Report:
    told = _told
    if told is None:
        return verify(task, None)
    return verify(task, lambda origin, done, size: told.put((origin, done, size)))
