"""AWS KMS: boto3 itself, over HTTP, against a stand-in whose answers botocore's model of the service has checked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from auditvault.core.crypto.keywrap import (
    KeyProvider,
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    WrapKeyMismatchError,
)
from auditvault.vault.providers.errors import KeyProviderRefusedError, RootKeyUnfitError
from auditvault.vault.providers.opening import open_provider
from tests.integration.vault_providers.contract import CONTEXT, KEK, Make, RemoteContract
from tests.integration.vault_providers.fake_kms import REGION, FakeKms


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKms]:
    kms = FakeKms()
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms.server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-this-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-word")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield kms
    kms.server.stop()


@pytest.fixture
def make(service: FakeKms) -> Make:
    return lambda: open_provider(f"aws-kms://{REGION}/av-eu")


@pytest.fixture
def provider(make: Make) -> KeyProvider:
    return make()


class TestAws(RemoteContract):
    DESTROYED_AT_ONCE = False


def test_every_call_names_the_key_and_binds_a_digest(
    provider: KeyProvider, service: FakeKms
) -> None:
    key_ref = provider.make_key(1)
    provider.unwrap(key_ref, provider.wrap(key_ref, KEK, CONTEXT), CONTEXT)
    asked = [members for name, members in service.calls if name in {"Encrypt", "Decrypt"}]
    assert [members["KeyId"] for members in asked] == [key_ref.removeprefix("aws-kms:")] * 2
    contexts = [members["EncryptionContext"] for members in asked]
    assert contexts[0] == contexts[1]
    assert [len(value) for value in contexts[0].values()] == [64]


def test_a_key_is_tagged_and_waits_the_shortest_time(
    provider: KeyProvider, service: FakeKms
) -> None:
    provider.destroy(provider.make_key(1))
    said = dict(service.calls)
    assert said["CreateKey"]["Tags"] == [{"TagKey": "auditvault-key", "TagValue": "av-eu-e1"}]
    assert said["ScheduleKeyDeletion"]["PendingWindowInDays"] == 7


def test_the_second_of_two_that_made_a_key_has_its_own_deleted(
    make: Make, service: FakeKms, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, late = make(), make()
    create = service._CreateAlias

    def somebody_is_first(**members: str) -> dict[str, object]:
        monkeypatch.setattr(service, "_CreateAlias", create)
        first.make_key(1)
        return create(**members)

    monkeypatch.setattr(service, "_CreateAlias", somebody_is_first)
    assert late.make_key(1) == first.make_key(1)
    states = sorted(key["KeyState"] for key in service.keys.values())
    assert states == ["Enabled", "PendingDeletion"]


def test_a_key_whose_wait_is_over_is_destroyed_for_good(
    provider: KeyProvider, service: FakeKms
) -> None:
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    provider.destroy(key_ref)
    service.forget(key_ref.removeprefix("aws-kms:"))
    assert provider.destroy(key_ref) is None
    with pytest.raises(KeyRefUnknownError):
        provider.unwrap(key_ref, wrapped, CONTEXT)
    # The name is free again; the reference is another.
    assert provider.make_key(1) != key_ref


def test_a_ciphertext_of_another_key_is_a_mismatch(provider: KeyProvider) -> None:
    first, second = provider.make_key(1), provider.make_key(2)
    with pytest.raises(WrapKeyMismatchError):
        provider.unwrap(second, provider.wrap(first, KEK, CONTEXT), CONTEXT)


def test_a_key_for_signing_is_not_taken(provider: KeyProvider, service: FakeKms) -> None:
    made = service._CreateKey(KeySpec="RSA_3072", KeyUsage="SIGN_VERIFY")
    service._CreateAlias("alias/av-eu-e1", made["KeyMetadata"]["KeyId"])
    with pytest.raises(RootKeyUnfitError):
        provider.make_key(1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("KMSInternalException", KeyProviderUnavailableError),
        ("DependencyTimeoutException", KeyProviderUnavailableError),
        ("DisabledException", KeyProviderRefusedError),
        ("ExpiredTokenException", KeyProviderRefusedError),
        ("UnrecognizedClientException", KeyProviderRefusedError),
    ],
)
def test_what_kms_says_becomes_ours_without_its_message(
    provider: KeyProvider, service: FakeKms, code: str, expected: type[Exception]
) -> None:
    key_ref = provider.make_key(1)
    with service.failing(code), pytest.raises(expected) as failed:
        provider.wrap(key_ref, KEK, CONTEXT)
    assert code in str(failed.value)
    assert "secret-word" not in str(failed.value)


def test_without_credentials_it_is_said_so(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    with pytest.raises(KeyProviderRefusedError, match="no credentials"):
        make().make_key(1)
