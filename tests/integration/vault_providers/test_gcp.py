"""Google Cloud KMS: Google's own client, over gRPC, against a stand-in of the service's messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest
from google.cloud import kms_v1

from auditvault.core.crypto.keywrap import KeyProvider, KeyProviderUnavailableError
from auditvault.vault.providers.errors import (
    KeyProviderRefusedError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.gcp import GcpService
from auditvault.vault.providers.place import parse_place
from auditvault.vault.providers.service import BoxedKeyProvider
from tests.integration.vault_providers.contract import CONTEXT, KEK, Make, RemoteContract
from tests.integration.vault_providers.fake_cloud_kms import RING, FakeCloudKms


@pytest.fixture
def service() -> Iterator[FakeCloudKms]:
    kms = FakeCloudKms()
    yield kms
    kms.stop()


def provider_of(service: FakeCloudKms, url: str) -> KeyProvider:
    return BoxedKeyProvider(GcpService(parse_place(url), service.client))


@pytest.fixture
def make(service: FakeCloudKms) -> Make:
    return lambda: provider_of(service, f"gcp-kms://{RING}/av-eu")


@pytest.fixture
def provider(make: Make) -> KeyProvider:
    return make()


class TestGcp(RemoteContract):
    DESTROYED_AT_ONCE = False


@pytest.mark.parametrize("member", ["plaintext", "context", "ciphertext"])
def test_a_transfer_that_was_damaged_wraps_nothing(
    provider: KeyProvider, service: FakeCloudKms, member: str
) -> None:
    key_ref = provider.make_key(1)
    service.damage = member
    with pytest.raises(KeyProviderUnavailableError, match="damaged"):
        provider.wrap(key_ref, KEK, CONTEXT)


def test_an_answer_that_was_damaged_opens_nothing(
    provider: KeyProvider, service: FakeCloudKms
) -> None:
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    service.damage = "answer"
    with pytest.raises(KeyProviderUnavailableError, match="damaged"):
        provider.unwrap(key_ref, wrapped, CONTEXT)


@pytest.mark.parametrize("level", ["SOFTWARE", "HSM"])
def test_a_key_is_made_as_the_place_says(service: FakeCloudKms, level: str) -> None:
    provider = provider_of(service, f"gcp-kms://{RING}/av-eu?protection={level.lower()}")
    provider.make_key(1)
    (key,) = service.created
    assert key.version_template.protection_level.name == level
    assert key.destroy_scheduled_duration == timedelta(days=7)
    assert not key.rotation_period


def test_a_key_whose_wait_is_over_is_destroyed_for_good(
    provider: KeyProvider, service: FakeCloudKms
) -> None:
    key_ref = provider.make_key(1)
    assert provider.destroy(key_ref) is not None
    service.end_the_wait()
    assert provider.destroy(key_ref) is None


def test_a_key_ring_that_is_not_there_is_named(service: FakeCloudKms) -> None:
    elsewhere = RING.replace("audit", "nowhere")
    with pytest.raises(KeyProviderUnusableError, match="nowhere"):
        provider_of(service, f"gcp-kms://{elsewhere}/av-eu").make_key(1)


def test_a_key_for_signing_is_not_taken(provider: KeyProvider, service: FakeCloudKms) -> None:
    name = f"{RING}/cryptoKeys/av-eu-e1"
    purpose = kms_v1.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN
    service.keys[name] = kms_v1.CryptoKey(name=name, purpose=purpose)
    with pytest.raises(RootKeyUnfitError):
        provider.make_key(1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, KeyProviderRefusedError),
        (grpc.StatusCode.FAILED_PRECONDITION, KeyProviderRefusedError),
        (grpc.StatusCode.INTERNAL, KeyProviderUnavailableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, KeyProviderUnavailableError),
        (grpc.StatusCode.DATA_LOSS, KeyProviderUnavailableError),
        (grpc.StatusCode.CANCELLED, KeyProviderUnusableError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_the_service_says_becomes_ours_without_its_message(
    provider: KeyProvider, service: FakeCloudKms, code: grpc.StatusCode, expected: type[Exception]
) -> None:
    key_ref = provider.make_key(1)
    with service.failing(code), pytest.raises(expected) as failed:
        provider.wrap(key_ref, KEK, CONTEXT)
    assert "secret-word" not in str(failed.value)
