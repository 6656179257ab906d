"""Azure Key Vault: the SDK itself, behind its own HTTP transport, against a stand-in of the service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from auditvault.core.crypto.keywrap import KeyProvider, WrapNotAuthenticError
from auditvault.vault.providers.azure import AzureService
from auditvault.vault.providers.box import close_box
from auditvault.vault.providers.errors import KeyProviderRefusedError, RootKeyUnfitError
from auditvault.vault.providers.place import parse_place
from auditvault.vault.providers.service import BoxedKeyProvider
from tests.integration.vault_providers.contract import CONTEXT, KEK, Make, RemoteContract
from tests.integration.vault_providers.fake_keyvault import (
    HOST,
    Credential,
    FakeKeyVault,
    Transport,
)


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[FakeKeyVault]:
    """Its keys are old enough to use at once, but for the tests of two that meet: they need the real times."""
    vault = FakeKeyVault(may_purge=False)
    if "at_once" not in request.node.originalname:
        vault.aged_seconds = 3
    yield vault
    vault.server.stop()


def provider_of(service: FakeKeyVault, kind: str, credential: Any = Credential) -> KeyProvider:
    place = parse_place(f"azure-keyvault://{HOST}/av-eu?kind={kind}")
    return BoxedKeyProvider(AzureService(place, credential, partial(Transport, service.server.url)))


class TestKeyVault(RemoteContract):
    """RSA keys, and a vault with purge protection."""

    DESTROYED_AT_ONCE = False

    @pytest.fixture
    def make(self, service: FakeKeyVault) -> Make:
        return lambda: provider_of(service, "rsa")


class TestManagedHsm(RemoteContract):
    """AES keys, and a vault with purge protection."""

    DESTROYED_AT_ONCE = False

    @pytest.fixture
    def make(self, service: FakeKeyVault) -> Make:
        return lambda: provider_of(service, "oct-hsm")


@pytest.fixture
def provider(service: FakeKeyVault) -> KeyProvider:
    return provider_of(service, "rsa")


def test_a_key_is_purged_where_the_vault_lets_us(
    provider: KeyProvider, service: FakeKeyVault
) -> None:
    service.may_purge = True
    key_ref = provider.make_key(1)
    assert provider.destroy(key_ref) is None
    assert (service.live, service.deleted) == ({}, {})
    # The name is free again; the reference is another.
    assert provider.make_key(1) != key_ref


def test_a_deleted_key_is_purged_by_asking_again(
    provider: KeyProvider, service: FakeKeyVault
) -> None:
    key_ref = provider.make_key(1)
    assert provider.destroy(key_ref) is not None
    service.may_purge = True
    assert provider.destroy(key_ref) is None
    assert service.deleted == {}


def test_whoever_has_the_public_key_can_wrap_nothing(
    provider: KeyProvider, service: FakeKeyVault
) -> None:
    key_ref = provider.make_key(1)
    ((key,),) = [found.values() for found in service.live.values()]
    inner_key = os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    outer = key["secret"].public_key().encrypt(inner_key, oaep) + bytes(384)
    forged = close_box(
        label=AzureService.LABEL,
        key_ref=key_ref,
        context=CONTEXT,
        inner_key=inner_key,
        outer=outer,
        secret=KEK,
    )
    with pytest.raises(WrapNotAuthenticError, match="not signed"):
        provider.unwrap(key_ref, forged, CONTEXT)


def test_a_key_of_another_kind_is_not_taken(service: FakeKeyVault) -> None:
    provider_of(service, "rsa").make_key(1)
    with pytest.raises(RootKeyUnfitError):
        provider_of(service, "oct-hsm").make_key(1)


class Refused:
    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        raise ClientAuthenticationError("with a secret-word")


def test_credentials_that_are_refused_are_said_so(service: FakeKeyVault) -> None:
    with pytest.raises(KeyProviderRefusedError) as failed:
        provider_of(service, "rsa", Refused).make_key(1)
    assert "secret-word" not in str(failed.value)
