"""The one base class of every error auditvault raises on purpose.

An error is defined in the module that raises it, carries a stable `code` that people and machines may rely on,
and never holds personal data, keys or plaintext. HTTP statuses are chosen in `auditvault.api`, exit codes in the
command lines; nothing in here knows either.
"""

from __future__ import annotations

from typing import ClassVar


class AuditvaultError(Exception):
    """Base of all errors of this project; `code` is part of the public contract."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
