"""The file provider believes only a root key file that nobody else can read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from auditvault.core.crypto.keywrap import (
    KeyProvider,
    KeyProviderError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapError,
    WrapKeyMismatchError,
    WrapNotAuthenticError,
    wrap_context,
)
from auditvault.vault.providers import file as file_provider
from auditvault.vault.providers.file import (
    FileKeyProvider,
    RootKeyChangedError,
    RootKeyExposedError,
    RootKeyMalformedError,
    RootKeyMissingError,
    RootKeyNotDestroyedError,
    RootKeyNotMadeError,
    RootKeyUnreadableError,
    _check_owner_and_mode,
)

KEY = "a1" * 32
OTHER_KEY = "b2" * 32
KEK = bytes(range(32))
CONTEXT = wrap_context(purpose="region-kek", region="eu", key_or_object_id=b"k" * 16, version=1)
OTHER_EPOCH = wrap_context(purpose="region-kek", region="eu", key_or_object_id=b"k" * 16, version=2)


def write(path: Path, text: str = KEY, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return path


@pytest.fixture
def root_key_file(tmp_path: Path) -> Path:
    return write(tmp_path / "root.key")


def test_what_was_wrapped_unwraps_in_another_process_with_the_same_file(
    root_key_file: Path,
) -> None:
    provider: KeyProvider = FileKeyProvider(root_key_file)
    wrapped = provider.wrap(provider.make_key(1), KEK, CONTEXT)
    again = FileKeyProvider(root_key_file)
    assert again.unwrap(again.make_key(1), wrapped, CONTEXT) == KEK
    provider.health(provider.make_key(1))


@pytest.mark.parametrize("text", [KEY, KEY.upper(), KEY + "\n"])
def test_hex_in_either_case_with_at_most_one_newline_is_read(tmp_path: Path, text: str) -> None:
    plain = FileKeyProvider(write(tmp_path / "plain.key"))
    assert FileKeyProvider(write(tmp_path / "root.key", text)).make_key(1) == plain.make_key(1)


def test_a_read_only_file_is_read(tmp_path: Path) -> None:
    provider = FileKeyProvider(write(tmp_path / "root.key", mode=0o400))
    provider.health(provider.make_key(1))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RootKeyMissingError, match=r"root\.key") as caught:
        FileKeyProvider(tmp_path / "root.key")
    assert caught.value.code == "root_key_missing"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o700, 0o620, 0o601, 0o4600])
def test_a_file_that_others_could_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "root.key", mode=mode)
    with pytest.raises(RootKeyExposedError, match=f"{mode:04o}") as caught:
        FileKeyProvider(path)
    assert caught.value.code == "root_key_exposed"


def test_a_file_of_another_user_is_refused(root_key_file: Path) -> None:
    status = list(root_key_file.stat())
    _check_owner_and_mode(root_key_file, os.stat_result(status))
    status[4] = 0
    _check_owner_and_mode(root_key_file, os.stat_result(status))
    status[4] = os.geteuid() + 1
    with pytest.raises(RootKeyExposedError, match="belongs to user"):
        _check_owner_and_mode(root_key_file, os.stat_result(status))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        KEY[:-1],
        KEY[:-2],
        KEY + "a1",
        KEY + "\n\n",
        KEY + " ",
        " " + KEY,
        "0x" + KEY[2:],
        "g" * 64,
        "a1 " * 21 + "a",
    ],
)
def test_anything_but_64_hex_digits_is_refused_without_repeating_it(
    tmp_path: Path, text: str
) -> None:
    path = write(tmp_path / "root.key", text)
    with pytest.raises(RootKeyMalformedError) as caught:
        FileKeyProvider(path)
    assert caught.value.code == "root_key_malformed"
    assert "a1a1" not in str(caught.value).replace(str(path), "")


def test_a_directory_or_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    with pytest.raises(RootKeyUnreadableError, match="not a regular file"):
        FileKeyProvider(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(RootKeyUnreadableError, match="not a regular file"):
        FileKeyProvider(tmp_path / "pipe")


def test_a_path_through_a_file_is_refused(root_key_file: Path) -> None:
    with pytest.raises(RootKeyUnreadableError) as caught:
        FileKeyProvider(root_key_file / "root.key")
    assert caught.value.code == "root_key_unreadable"


def test_another_root_key_is_detected(tmp_path: Path, root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    wrapped = provider.wrap(provider.make_key(1), KEK, CONTEXT)
    other = FileKeyProvider(write(tmp_path / "other.key", OTHER_KEY))
    with pytest.raises(WrapKeyMismatchError):
        other.unwrap(other.make_key(1), wrapped, CONTEXT)
    with pytest.raises(KeyRefUnknownError):
        other.unwrap(provider.make_key(1), wrapped, CONTEXT)


def test_a_wrap_is_bound_to_its_context(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    wrapped = provider.wrap(provider.make_key(1), KEK, CONTEXT)
    with pytest.raises(WrapNotAuthenticError):
        provider.unwrap(provider.make_key(1), wrapped, OTHER_EPOCH)


def test_changed_bytes_are_refused(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    wrapped = provider.wrap(provider.make_key(1), KEK, CONTEXT)
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(WrapError):
            provider.unwrap(provider.make_key(1), bytes(changed), CONTEXT)


@pytest.mark.parametrize("key_ref", ["", "file:", "file:" + "00" * 16])
def test_an_unknown_reference_is_refused(root_key_file: Path, key_ref: str) -> None:
    provider = FileKeyProvider(root_key_file)
    with pytest.raises(KeyRefUnknownError):
        provider.wrap(key_ref, KEK, CONTEXT)
    with pytest.raises(KeyRefUnknownError):
        provider.destroy(key_ref)
    assert root_key_file.exists()


def test_the_reference_says_nothing_about_the_key(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    assert "a1a1" not in provider.make_key(1)
    assert "a1a1" not in repr(provider)


def test_health_notices_a_removed_an_exposed_and_an_exchanged_file(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    key_ref = provider.make_key(1)
    root_key_file.chmod(0o644)
    with pytest.raises(RootKeyExposedError):
        provider.health(key_ref)
    write(root_key_file, OTHER_KEY)
    with pytest.raises(RootKeyChangedError):
        provider.health(key_ref)
    root_key_file.unlink()
    with pytest.raises(RootKeyMissingError):
        provider.health(key_ref)


def test_the_key_of_a_later_epoch_is_made_once_beside_the_first(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    key_ref = provider.make_key(2)
    other_process = FileKeyProvider(root_key_file)
    assert {provider.make_key(2), other_process.make_key(2)} == {key_ref}
    assert key_ref != provider.make_key(1)
    made = root_key_file.with_name("root.key.e2")
    assert made.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in root_key_file.parent.iterdir()) == [
        "root.key",
        "root.key.e2",
    ]


def test_a_key_that_another_process_made_afterwards_is_found(root_key_file: Path) -> None:
    early, late = FileKeyProvider(root_key_file), FileKeyProvider(root_key_file)
    key_ref = late.make_key(7)
    wrapped = late.wrap(key_ref, KEK, CONTEXT)
    assert early.unwrap(key_ref, wrapped, CONTEXT) == KEK


def test_the_first_epochs_key_is_never_made(tmp_path: Path, root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    root_key_file.unlink()
    with pytest.raises(RootKeyMissingError):
        provider.make_key(1)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_takes_no_file_is_named(
    root_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FileKeyProvider(root_key_file)

    def refused(*_args: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(RootKeyNotMadeError, match="Read-only") as caught:
        provider.make_key(2)
    assert caught.value.code == "root_key_not_made"
    assert [path.name for path in root_key_file.parent.iterdir()] == ["root.key"]


def test_a_destroyed_key_is_gone_from_file_and_from_every_process(root_key_file: Path) -> None:
    provider, other_process = FileKeyProvider(root_key_file), FileKeyProvider(root_key_file)
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    assert provider.destroy(key_ref) is None
    assert not root_key_file.exists()
    for each in (provider, other_process, FileKeyProvider(root_key_file)):
        for refused in (
            lambda each=each: each.unwrap(key_ref, wrapped, CONTEXT),
            lambda each=each: each.wrap(key_ref, KEK, CONTEXT),
            lambda each=each: each.make_key(1),
            lambda each=each: each.health(key_ref),
        ):
            with pytest.raises(RootKeyDestroyedError):
                refused()


def test_destroying_the_key_of_one_epoch_leaves_the_others(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    first, second = provider.make_key(1), provider.make_key(2)
    wrapped = provider.wrap(second, KEK, CONTEXT)
    provider.destroy(first)
    assert FileKeyProvider(root_key_file).unwrap(second, wrapped, CONTEXT) == KEK


def test_destroying_twice_is_no_error(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    key_ref = provider.make_key(1)
    provider.destroy(key_ref)
    provider.destroy(key_ref)
    FileKeyProvider(root_key_file).destroy(key_ref)


def test_two_who_destroy_a_key_at_once_both_find_it_destroyed(
    root_key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = FileKeyProvider(root_key_file), FileKeyProvider(root_key_file)
    key_ref = first.make_key(1)
    real = file_provider._overwrite

    def overtaken(path: Path) -> None:
        monkeypatch.setattr(file_provider, "_overwrite", real)
        second.destroy(key_ref)
        real(path)

    monkeypatch.setattr(file_provider, "_overwrite", overtaken)
    first.destroy(key_ref)
    assert not root_key_file.exists()


@pytest.mark.parametrize("crash", ["_overwrite", "unlink"])
def test_a_destruction_that_crashed_is_finished_by_asking_again(
    root_key_file: Path, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    provider = FileKeyProvider(root_key_file)
    key_ref = provider.make_key(1)

    def crashed(*_args: object) -> None:
        raise OSError(errno.EIO, "crashed here")

    with monkeypatch.context() as broken:
        if crash == "unlink":
            broken.setattr(Path, "unlink", lambda path: None if ".root" in path.name else crashed())
        else:
            broken.setattr("auditvault.vault.providers.file._overwrite", crashed)
        with pytest.raises(RootKeyNotDestroyedError):
            provider.destroy(key_ref)
    again = FileKeyProvider(root_key_file)
    with pytest.raises(RootKeyDestroyedError):
        again.make_key(1)
    again.destroy(key_ref)
    assert not root_key_file.exists()


def test_destroying_overwrites_before_it_removes(tmp_path: Path, root_key_file: Path) -> None:
    second_name = tmp_path / "second-name.key"
    second_name.hardlink_to(root_key_file)
    provider = FileKeyProvider(root_key_file)
    provider.destroy(provider.make_key(1))
    assert KEY not in second_name.read_text(encoding="ascii")


def test_a_newer_key_at_the_same_path_is_left_alone(root_key_file: Path) -> None:
    provider = FileKeyProvider(root_key_file)
    key_ref = provider.make_key(1)
    write(root_key_file, OTHER_KEY)
    with pytest.raises(RootKeyChangedError):
        provider.destroy(key_ref)
    assert root_key_file.read_text(encoding="ascii") == OTHER_KEY


def test_a_link_is_read_but_not_destroyed(tmp_path: Path, root_key_file: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(root_key_file)
    provider = FileKeyProvider(link)
    key_ref = provider.make_key(1)
    with pytest.raises(RootKeyNotDestroyedError) as caught:
        provider.destroy(key_ref)
    assert caught.value.code == "root_key_not_destroyed"
    assert root_key_file.read_text(encoding="ascii") == KEY
    provider.health(key_ref)


def test_every_refusal_is_a_provider_error(tmp_path: Path) -> None:
    with pytest.raises(KeyProviderError):
        FileKeyProvider(tmp_path / "none")
