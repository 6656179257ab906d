"""A directory as a store: created once, whole, by whoever comes first."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from auditvault.evidence.copies.store import (
    CopyDiffersError,
    DirectoryStore,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    put_once,
)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def test_what_was_created_is_read(store: DirectoryStore) -> None:
    store.create("a/b/c", b"one")
    assert (store.read("a/b/c", 3), store.read("a/b/c", 1)) == (b"one", b"on")


def test_what_is_there_is_not_replaced(store: DirectoryStore, tmp_path: Path) -> None:
    store.create("a", b"one")
    with pytest.raises(ObjectExistsError):
        store.create("a", b"two")
    assert store.read("a", 3) == b"one"
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_a_copy_is_read_only(store: DirectoryStore, tmp_path: Path) -> None:
    store.create("a", b"one")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o444


def test_the_same_again_is_a_success_and_other_content_is_not(store: DirectoryStore) -> None:
    assert [put_once(store, "a", b"one"), put_once(store, "a", b"one")] == [True, False]
    for other in (b"two", b"on", b"one more"):
        with pytest.raises(CopyDiffersError):
            put_once(store, "a", other)


def test_of_many_at_once_exactly_one_creates(store: DirectoryStore) -> None:
    made: list[bool] = []
    start = threading.Barrier(8)

    def put() -> None:
        start.wait()
        made.append(put_once(store, "a/b", b"one"))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_names_are_in_order_and_of_one_folder(store: DirectoryStore) -> None:
    for name in ("f/2", "f/1", "f/3", "f/d/9", "g"):
        store.create(name, b"")
    assert (list(store.names("f")), list(store.names("f", "1"))) == (["1", "2", "3"], ["2", "3"])
    assert (store.folders("f"), list(store.names("none")), store.folders("none")) == (["d"], [], [])


def test_what_is_not_there_is_missing(store: DirectoryStore) -> None:
    with pytest.raises(ObjectMissingError):
        store.read("a", 1)


@pytest.mark.parametrize("call", ["create", "read", "names"])
def test_a_directory_that_is_gone_is_unavailable_and_not_empty(tmp_path: Path, call: str) -> None:
    store = DirectoryStore(tmp_path / "unmounted")
    calls = {
        "create": lambda: store.create("a", b""),
        "read": lambda: store.read("a", 1),
        "names": lambda: list(store.names("a")),
    }
    with pytest.raises(StoreUnavailableError):
        calls[call]()
