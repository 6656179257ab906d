"""A key provider around a key service: `BoxedKeyProvider`, and what a service must be able to do.

Rules kept: docs/spec/keys.md section 3. After a service did not answer, nobody asks it again for `PAUSE_SECONDS`:
requests that wait for one another must not each wait for the same dead service. What a service speaks is left to its
module.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from auditvault.core.crypto.keywrap import (
    SECRET_SIZE,
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    WrapError,
    version_bytes,
)
from auditvault.vault.providers.box import binding, close_box, open_box, outer_of, same_secret
from auditvault.vault.providers.errors import KeyProviderUnusableError

CONNECT_SECONDS: Final = 2
"""How long a connection to a service may take."""

ANSWER_SECONDS: Final = 5
"""How long a service may take for one answer."""

PAUSE_SECONDS: Final = 5
"""How long a service that did not answer is left alone."""

_KEY_REF = re.compile(r"[!-~]{1,1024}")
_HEALTH_CONTEXT = b"auditvault/health/1"

Made = TypeVar("Made")


class KeyService(Protocol):
    """Encrypts a 32-byte key under the root key of an epoch. All methods raise KeyProviderErrors."""

    LABEL: ClassVar[bytes]

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider.make_key`."""
        ...

    def encrypt(self, key_ref: str, inner_key: bytes, bound_to: bytes) -> bytes:
        """Return the ciphertext, bound to these 32 bytes where the service can do that."""
        ...

    def decrypt(self, key_ref: str, outer: bytes, bound_to: bytes) -> bytes:
        """Return what was encrypted; raises WrapError where the service refuses the ciphertext."""
        ...

    def destroy(self, key_ref: str) -> datetime | None:
        """As `KeyProvider.destroy`."""
        ...


class BoxedKeyProvider:
    """A `KeyProvider` that puts what a key service returns into a box."""

    def __init__(
        self, service: KeyService, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._service = service
        self._monotonic = monotonic
        self._rests_until = float("-inf")

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider`."""
        version_bytes(epoch)
        with self._asked():
            return self._service.make_key(epoch)

    def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        """As `KeyProvider`; raises WrapError for a secret of another size before anybody is asked."""
        if len(secret) != SECRET_SIZE:
            raise WrapError("a wrapped key is 32 bytes")
        label, inner_key = self._service.LABEL, os.urandom(SECRET_SIZE)
        with self._asked(key_ref):
            outer = self._service.encrypt(key_ref, inner_key, binding(label, key_ref, context))
        return close_box(
            label=label,
            key_ref=key_ref,
            context=context,
            inner_key=inner_key,
            outer=outer,
            secret=secret,
        )

    def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        """As `KeyProvider`. What the service answers is believed only if it opens the inner wrap."""
        label, outer = self._service.LABEL, outer_of(wrapped)
        with self._asked(key_ref):
            inner_key = self._service.decrypt(key_ref, outer, binding(label, key_ref, context))
        return open_box(
            label=label, key_ref=key_ref, context=context, inner_key=inner_key, box=wrapped
        )

    def destroy(self, key_ref: str) -> datetime | None:
        """As `KeyProvider`."""
        with self._asked(key_ref):
            return self._service.destroy(key_ref)

    def health(self, key_ref: str) -> None:
        """As `KeyProvider`: wraps random bytes and unwraps them."""
        probe = os.urandom(SECRET_SIZE)
        wrapped = self.wrap(key_ref, probe, _HEALTH_CONTEXT)
        if not same_secret(self.unwrap(key_ref, wrapped, _HEALTH_CONTEXT), probe):
            raise KeyProviderUnusableError("The key service does not give back what it was given.")

    @contextmanager
    def _asked(self, key_ref: str = "make") -> Iterator[None]:
        if not _KEY_REF.fullmatch(key_ref):
            raise KeyRefUnknownError("A reference of a root key is 1 to 1024 printable characters.")
        if self._monotonic() < self._rests_until:
            raise KeyProviderUnavailableError(
                f"The key service did not answer less than {PAUSE_SECONDS} seconds ago."
            )
        try:
            yield
        except KeyProviderUnavailableError:
            self._rests_until = self._monotonic() + PAUSE_SECONDS
            raise


class PerProcess(Generic[Made]):
    """A client that each process makes for itself: connections do not survive a fork."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: tuple[int, Made] | None = None

    def get(self) -> Made:
        """The process's own; two threads that come first may make two, of which one stays."""
        made, process_id = self._made, os.getpid()
        if made is None or made[0] != process_id:
            self._made = made = (process_id, self._make())
        return made[1]

    def forget(self) -> None:
        """Let the next call make another."""
        self._made = None


def epoch_name(name: str, epoch: int) -> str:
    """The name of an epoch's root key at a service."""
    return f"{name}-e{epoch}"
