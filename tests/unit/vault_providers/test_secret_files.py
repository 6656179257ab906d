"""Files with what opens a key provider keep the rules of root key files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditvault.vault.providers.errors import KeyProviderSecretError
from auditvault.vault.providers.secret_files import _check, read_secret


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"word", b"word\n", b" word \r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_the_line_in_the_file_is_the_secret(tmp_path: Path, content: bytes, mode: int) -> None:
    assert read_secret(write(tmp_path / "s", content, mode)) == "word"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o700, 0o777])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyProviderSecretError, match=f"{mode:04o}"):
        read_secret(write(tmp_path / "s", b"word", mode))


def test_a_file_of_the_platform_may_be_read_by_others(tmp_path: Path) -> None:
    assert read_secret(write(tmp_path / "s", b"word", 0o644), of_platform=True) == "word"


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s", b"word")
    status = list(path.stat())
    status[4] = os.geteuid() + 1
    with pytest.raises(KeyProviderSecretError, match="belongs to"):
        _check(path, os.stat_result(status), of_platform=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"two\nlines", b"wor\xffd", b"wor\0d", b"x" * 20_000],
    ids=["empty", "blank", "lines", "latin", "nul", "long"],
)
def test_what_is_no_line_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyProviderSecretError) as refused:
        read_secret(write(tmp_path / "s", content))
    error: BaseException | None = refused.value
    assert "wor" not in str(error).replace(str(tmp_path), "")
    assert error is not None
    assert error.__cause__ is None


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(KeyProviderSecretError):
            read_secret(path)
