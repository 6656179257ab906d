"""Committing together: one transaction for all that wait, and what becomes of each if it fails."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from auditvault.access.events.together import AbandonedError, Together, TooManyWaitingError


class OutageError(Exception):
    """The database is away."""


class RefusalError(Exception):
    """One item is not to be."""


class Queue(list[Any]):
    """Says when something has been queued."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Semaphore(0)

    def append(self, item: Any) -> None:
        super().append(item)
        self.came.release()


class Store:
    """What is committed, batch by batch; `hold` lets the first batch wait until `go`."""

    def __init__(self, *, most_together: int = 64, most_waiting: int = 256) -> None:
        self.batches: list[list[Any]] = []
        self.raises: dict[Any, BaseException] = {}
        self.held, self.go = threading.Event(), threading.Event()
        self.hold_first = False
        self.together: Together[Any] = Together(
            self.commit, fails_all=(OutageError,), most_together=most_together, most_waiting=most_waiting
        )  # fmt: skip
        self.queue = self.together._queue = Queue()
        self.outcomes: dict[Any, BaseException | None] = {}
        self.threads: list[threading.Thread] = []

    def commit(self, items: Sequence[Any]) -> None:
        if self.hold_first and not self.held.is_set():
            self.held.set()
            assert self.go.wait(30)
        for item in items:
            if item in self.raises:
                raise self.raises[item]
        self.batches.append(list(items))

    def add(self, item: Any) -> None:
        """In a thread of its own; returns once the item is queued."""

        def run() -> None:
            try:
                self.together.add(item)
            except BaseException as error:  # noqa: BLE001  # looked at by the test
                self.outcomes[item] = error
            else:
                self.outcomes[item] = None

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()
        assert self.queue.came.acquire(timeout=30)

    def busy_with(self, item: Any) -> None:
        """Begin a commit that lasts until `finish`."""
        self.hold_first = True
        self.add(item)
        assert self.held.wait(30)

    def finish(self) -> None:
        self.go.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def test_who_comes_alone_waits_for_nobody() -> None:
    store = Store()

    store.together.add("a")
    store.together.add("b")

    assert store.batches == [["a"], ["b"]]


def test_those_who_come_meanwhile_are_committed_together() -> None:
    store = Store()
    store.busy_with("first")
    for number in range(5):
        store.add(number)

    store.finish()

    assert store.batches == [["first"], [0, 1, 2, 3, 4]]
    assert set(store.outcomes.values()) == {None}


def test_nobody_is_released_before_the_commit() -> None:
    store = Store()
    store.busy_with("first")
    store.add("second")

    assert store.outcomes == {}
    store.finish()


def test_a_batch_has_a_limit() -> None:
    store = Store(most_together=2)
    store.busy_with("first")
    for number in range(5):
        store.add(number)

    store.finish()

    assert [len(batch) for batch in store.batches] == [1, 2, 2, 1]
    assert len(store.outcomes) == 6


def test_a_batch_that_cannot_be_written_fails_everybody_in_it() -> None:
    store = Store()
    store.busy_with("first")
    store.raises["b"] = OutageError()
    for item in "abc":
        store.add(item)

    store.finish()

    assert store.batches == [["first"]]
    assert {item: type(store.outcomes[item]) for item in "abc"} == dict.fromkeys("abc", OutageError)


def test_one_that_refuses_refuses_itself_only() -> None:
    store = Store()
    store.busy_with("first")
    store.raises["b"] = RefusalError()
    for item in "abc":
        store.add(item)

    store.finish()

    assert store.batches == [["first"], ["a"], ["c"]]
    assert [type(store.outcomes[item]) for item in "abc"] == [type(None), RefusalError, type(None)]


def test_a_full_queue_refuses() -> None:
    store = Store(most_waiting=2)
    store.busy_with("first")
    store.add("a")
    store.add("b")

    with pytest.raises(TooManyWaitingError):
        store.together.add("c")
    store.finish()

    assert store.batches == [["first"], ["a", "b"]]


def test_who_is_stopped_while_committing_leaves_nobody_waiting() -> None:
    store = Store()
    store.busy_with("first")
    store.raises["b"] = SystemExit()
    for item in "abc":
        store.add(item)

    store.finish()
    store.together.add("later")

    found = sorted(type(store.outcomes[item]).__name__ for item in "abc")
    assert found in (
        ["AbandonedError", "AbandonedError", "SystemExit"],  # whose turn it was is stopped himself
        ["AbandonedError"] * 3,
    )
    assert store.batches == [["first"], ["later"]]
    assert AbandonedError.__name__ in found
