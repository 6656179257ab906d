"""What every key provider keeps (docs/spec/keys.md section 3), whatever keeps its keys.

A module of tests makes a subclass with a fixture `make` that returns a function making a provider: each call is another
process's, of the same place. `RemoteContract` also wants a fixture `service`, an object of `Breakable`'s form.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol

import pytest

from auditvault.core.crypto.keywrap import (
    KeyProvider,
    KeyProviderError,
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapError,
    wrap_context,
)
from auditvault.vault.providers.errors import KeyProviderRefusedError
from auditvault.vault.providers.service import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    PAUSE_SECONDS,
    BoxedKeyProvider,
)

KEK = bytes(range(32))
CONTEXT = wrap_context(purpose="region-kek", region="eu", key_or_object_id=b"k" * 16, version=1)
OTHER_CONTEXTS = {
    "epoch": wrap_context(purpose="region-kek", region="eu", key_or_object_id=b"k" * 16, version=2),
    "key": wrap_context(purpose="region-kek", region="eu", key_or_object_id=b"j" * 16, version=1),
    "region": wrap_context(
        purpose="region-kek", region="us", key_or_object_id=b"k" * 16, version=1
    ),
}

Make = Callable[[], KeyProvider]


class ProviderContract:
    """Kept by all of them."""

    DESTROYED_AT_ONCE: ClassVar[bool] = True

    @pytest.fixture
    def provider(self, make: Make) -> KeyProvider:
        return make()

    def test_what_was_wrapped_is_unwrapped_by_another_process(self, make: Make) -> None:
        first, second = make(), make()
        key_ref = first.make_key(1)
        for secret in (KEK, bytes(32), os.urandom(32)):
            wrapped = first.wrap(key_ref, secret, CONTEXT)
            assert second.unwrap(key_ref, wrapped, CONTEXT) == secret
            assert secret not in wrapped

    def test_two_wraps_of_one_secret_are_different(self, provider: KeyProvider) -> None:
        key_ref = provider.make_key(1)
        wraps = {provider.wrap(key_ref, KEK, CONTEXT) for _ in range(3)}
        assert len(wraps) == 3

    @pytest.mark.parametrize("other", sorted(OTHER_CONTEXTS))
    def test_another_context_opens_nothing(self, provider: KeyProvider, other: str) -> None:
        key_ref = provider.make_key(1)
        wrapped = provider.wrap(key_ref, KEK, CONTEXT)
        with pytest.raises(WrapError):
            provider.unwrap(key_ref, wrapped, OTHER_CONTEXTS[other])

    def test_the_key_of_another_epoch_opens_nothing(self, provider: KeyProvider) -> None:
        first, second = provider.make_key(1), provider.make_key(2)
        assert first != second
        with pytest.raises(WrapError):
            provider.unwrap(second, provider.wrap(first, KEK, CONTEXT), CONTEXT)

    def test_a_change_of_any_byte_is_found(self, provider: KeyProvider) -> None:
        key_ref = provider.make_key(1)
        wrapped = provider.wrap(key_ref, KEK, CONTEXT)
        for place in range(len(wrapped)):
            changed = bytearray(wrapped)
            changed[place] ^= 1 << (place % 8)
            with pytest.raises(WrapError):
                provider.unwrap(key_ref, bytes(changed), CONTEXT)
        assert provider.unwrap(key_ref, wrapped, CONTEXT) == KEK

    def test_a_wrap_that_was_cut_or_has_more_behind_it_is_refused(
        self, provider: KeyProvider
    ) -> None:
        key_ref = provider.make_key(1)
        wrapped = provider.wrap(key_ref, KEK, CONTEXT)
        for bad in (b"", wrapped[:1], wrapped[:93], wrapped[:-1], wrapped + b"\0", wrapped * 2):
            with pytest.raises(WrapError):
                provider.unwrap(key_ref, bad, CONTEXT)

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_a_secret_of_another_size_is_refused(self, provider: KeyProvider, size: int) -> None:
        key_ref = provider.make_key(1)
        with pytest.raises(WrapError):
            provider.wrap(key_ref, bytes(size), CONTEXT)

    def test_a_key_is_made_once(self, make: Make) -> None:
        first, second = make(), make()
        key_ref = first.make_key(7)
        assert first.make_key(7) == second.make_key(7) == key_ref
        assert key_ref.isascii()
        assert key_ref.isprintable()
        assert len(key_ref) <= 1024

    def test_two_that_make_a_key_at_once_get_the_same(self, make: Make) -> None:
        barrier, found = threading.Barrier(2), []

        def run(provider: KeyProvider) -> None:
            barrier.wait()
            found.append(provider.make_key(3))

        threads = [threading.Thread(target=run, args=(make(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [make().make_key(3)] * 2

    def test_a_destroyed_key_does_nothing_any_more(self, make: Make) -> None:
        provider, other_process = make(), make()
        key_ref, next_ref = provider.make_key(1), provider.make_key(2)
        wrapped = provider.wrap(key_ref, KEK, CONTEXT)
        kept = provider.wrap(next_ref, KEK, CONTEXT)
        provider.destroy(key_ref)
        for each in (provider, other_process, make()):
            with pytest.raises(RootKeyDestroyedError):
                each.unwrap(key_ref, wrapped, CONTEXT)
            with pytest.raises(RootKeyDestroyedError):
                each.wrap(key_ref, KEK, CONTEXT)
            with pytest.raises(RootKeyDestroyedError):
                each.health(key_ref)
            with pytest.raises(RootKeyDestroyedError):
                each.make_key(1)
            assert each.unwrap(next_ref, kept, CONTEXT) == KEK

    def test_destroying_says_when_and_the_same_again(self, make: Make) -> None:
        key_ref = make().make_key(1)
        said = [make().destroy(key_ref) for _ in range(3)]
        assert said[1:] == said[:-1]
        assert (said[0] is None) == self.DESTROYED_AT_ONCE
        if said[0] is not None:
            now = datetime.now(UTC)
            assert now < said[0] < now + timedelta(days=91)

    @pytest.mark.parametrize("unknown", ["", "x", "file:" + "0" * 32, "ä", "a" * 1025, "other:e1"])
    def test_a_reference_of_another_provider_is_unknown(
        self, provider: KeyProvider, unknown: str
    ) -> None:
        key_ref = provider.make_key(1)
        wrapped = provider.wrap(key_ref, KEK, CONTEXT)
        for ask in (
            lambda: provider.wrap(unknown, KEK, CONTEXT),
            lambda: provider.unwrap(unknown, wrapped, CONTEXT),
            lambda: provider.destroy(unknown),
            lambda: provider.health(unknown),
        ):
            with pytest.raises(KeyRefUnknownError):
                ask()

    def test_health_is_silent_while_all_is_well(self, provider: KeyProvider) -> None:
        provider.health(provider.make_key(1))

    @pytest.mark.parametrize("epoch", [0, -1, 2**31])
    def test_an_epoch_out_of_range_makes_no_key(self, provider: KeyProvider, epoch: int) -> None:
        from auditvault.core.crypto.keywrap import CryptoContextError

        with pytest.raises(CryptoContextError):
            provider.make_key(epoch)


class Breakable(Protocol):
    """A service that can be broken."""

    def away(self) -> AbstractContextManager[None]:
        """Nothing listens."""
        ...

    def silent(self) -> AbstractContextManager[None]:
        """It takes requests and answers none."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """It answers that it cannot now."""
        ...

    def refusing(self) -> AbstractContextManager[None]:
        """It does not let us."""
        ...

    def lying(self) -> AbstractContextManager[None]:
        """It decrypts to another key."""
        ...

    def careless(self) -> AbstractContextManager[None]:
        """It binds nothing: encrypts and decrypts whatever the context."""
        ...


MOST_SECONDS = CONNECT_SECONDS + ANSWER_SECONDS + 2


class RemoteContract(ProviderContract):
    """Kept by those that ask a service."""

    @pytest.fixture
    def prepared(self, provider: KeyProvider) -> tuple[KeyProvider, str, bytes]:
        key_ref = provider.make_key(1)
        return provider, key_ref, provider.wrap(key_ref, KEK, CONTEXT)

    @pytest.mark.parametrize("how", ["away", "silent", "busy"])
    def test_a_service_that_does_not_answer_is_unavailable_soon(
        self, prepared: tuple[KeyProvider, str, bytes], service: Breakable, how: str
    ) -> None:
        provider, key_ref, wrapped = prepared
        with getattr(service, how)():
            began = time.monotonic()
            with pytest.raises(KeyProviderUnavailableError):
                provider.unwrap(key_ref, wrapped, CONTEXT)
            took = time.monotonic() - began
            # Whoever waited for the first does not wait as long again.
            with pytest.raises(KeyProviderUnavailableError):
                provider.health(key_ref)
            took_both = time.monotonic() - began
        assert took < MOST_SECONDS
        assert took_both - took < 0.5

    def test_a_service_that_is_back_is_asked_again(
        self, prepared: tuple[KeyProvider, str, bytes], service: Breakable
    ) -> None:
        provider, key_ref, wrapped = prepared
        assert isinstance(provider, BoxedKeyProvider)
        with service.busy(), pytest.raises(KeyProviderUnavailableError):
            provider.unwrap(key_ref, wrapped, CONTEXT)
        provider._monotonic = lambda: time.monotonic() + PAUSE_SECONDS
        assert provider.unwrap(key_ref, wrapped, CONTEXT) == KEK

    def test_being_refused_is_said_so(
        self, prepared: tuple[KeyProvider, str, bytes], service: Breakable
    ) -> None:
        provider, key_ref, wrapped = prepared
        with service.refusing():
            for ask in (
                lambda: provider.unwrap(key_ref, wrapped, CONTEXT),
                lambda: provider.wrap(key_ref, KEK, CONTEXT),
                lambda: provider.health(key_ref),
                lambda: provider.make_key(2),
            ):
                with pytest.raises(KeyProviderRefusedError):
                    ask()

    def test_a_wrong_key_that_the_service_returns_is_found(
        self, prepared: tuple[KeyProvider, str, bytes], service: Breakable
    ) -> None:
        provider, key_ref, wrapped = prepared
        with service.lying():
            with pytest.raises(WrapError):
                provider.unwrap(key_ref, wrapped, CONTEXT)
            with pytest.raises((WrapError, KeyProviderError)):
                provider.health(key_ref)

    @pytest.mark.parametrize("other", sorted(OTHER_CONTEXTS))
    def test_another_context_opens_nothing_where_the_service_binds_none(
        self, make: Make, service: Breakable, other: str
    ) -> None:
        with service.careless():
            provider = make()
            key_ref = provider.make_key(1)
            wrapped = provider.wrap(key_ref, KEK, CONTEXT)
            assert provider.unwrap(key_ref, wrapped, CONTEXT) == KEK
            with pytest.raises(WrapError):
                provider.unwrap(key_ref, wrapped, OTHER_CONTEXTS[other])
