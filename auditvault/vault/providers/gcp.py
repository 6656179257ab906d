"""Root keys in Google Cloud KMS, a CryptoKey for each epoch with one version in it.

Rules kept: docs/spec/keys.md section 3. A version can be destroyed and a CryptoKey cannot: its empty shell stays, and
no key is made twice under one name. Both sides check CRC-32C sums of what went over the wire. Credentials are the
library's to find.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud import kms_v1

from auditvault.core.crypto.keywrap import (
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapNotAuthenticError,
)
from auditvault.vault.providers.crc32c import crc32c
from auditvault.vault.providers.errors import (
    KeyProviderRefusedError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.place import ProviderPlace
from auditvault.vault.providers.service import ANSWER_SECONDS, PerProcess, epoch_name

DESTRUCTION_WAIT = timedelta(days=7)
"""How long a version waits to be destroyed; Google allows 1 to 120 days, and takes 30 where nothing is said."""

_State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
_GONE = frozenset({_State.DESTROY_SCHEDULED, _State.DESTROYED})
_LEVELS = {
    "software": kms_v1.ProtectionLevel.SOFTWARE,
    "hsm": kms_v1.ProtectionLevel.HSM,
}
_ASKED: dict[str, Any] = {"timeout": float(ANSWER_SECONDS), "retry": None}


class GcpService:
    """Encrypts under CryptoKeys named `NAME-e<epoch>` of one key ring."""

    LABEL: ClassVar[bytes] = b"auditvault/gcp-kms-provider/1"

    def __init__(
        self,
        place: ProviderPlace,
        client: Callable[[], Any] = kms_v1.KeyManagementServiceClient,
    ) -> None:
        self._place = place
        self._ref = re.compile(
            re.escape(f"gcp-kms:{place.path}/cryptoKeys/{place.name}-e") + r"[1-9][0-9]{0,9}"
        )
        self._client: PerProcess[Any] = PerProcess(client)

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider`. Making is one request, which the service refuses where there is such a key."""
        name = epoch_name(self._place.name, epoch)
        path = f"{self._place.path}/cryptoKeys/{name}"
        try:
            with self._asked() as client:
                made = client.get_crypto_key(request={"name": path}, **_ASKED)
        except KeyRefUnknownError:
            made = self._made(name, path)
        if made.purpose != kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT:
            raise RootKeyUnfitError(f"The key {name} is not for symmetric encryption.")
        if made.primary.state in _GONE:
            raise RootKeyDestroyedError(f"The key {name} was destroyed, or waits to be.")
        return f"gcp-kms:{path}"

    def encrypt(self, key_ref: str, inner_key: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`."""
        path = self._path(key_ref)
        with self._asked(path) as client:
            answer = client.encrypt(
                request={
                    "name": path,
                    "plaintext": inner_key,
                    "plaintext_crc32c": crc32c(inner_key),
                    "additional_authenticated_data": bound_to,
                    "additional_authenticated_data_crc32c": crc32c(bound_to),
                },
                **_ASKED,
            )
        if not answer.name.startswith(f"{path}/cryptoKeyVersions/"):
            raise KeyProviderUnusableError("Cloud KMS encrypted under another key than was named.")
        if not (
            answer.verified_plaintext_crc32c
            and answer.verified_additional_authenticated_data_crc32c
            and answer.ciphertext_crc32c == crc32c(answer.ciphertext)
        ):
            raise _damaged()
        return bytes(answer.ciphertext)

    def decrypt(self, key_ref: str, outer: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`."""
        path = self._path(key_ref)
        with self._asked(path) as client:
            answer = client.decrypt(
                request={
                    "name": path,
                    "ciphertext": outer,
                    "ciphertext_crc32c": crc32c(outer),
                    "additional_authenticated_data": bound_to,
                    "additional_authenticated_data_crc32c": crc32c(bound_to),
                },
                **_ASKED,
            )
        if answer.plaintext_crc32c != crc32c(answer.plaintext):
            raise _damaged()
        return bytes(answer.plaintext)

    def destroy(self, key_ref: str) -> datetime | None:
        """As `KeyProvider`: every version, where somebody rotated the key; the last one says when.

        A crash in between is taken up by asking again: what waits already is left alone.
        """
        path = self._path(key_ref)
        with self._asked() as client:
            versions = list(client.list_crypto_key_versions(request={"parent": path}, **_ASKED))
        times = [self._destroyed(version) for version in versions]
        return max((at for at in times if at is not None), default=None)

    def _destroyed(self, version: Any) -> datetime | None:
        if version.state not in _GONE:
            with self._asked() as client:
                version = client.destroy_crypto_key_version(
                    request={"name": version.name}, **_ASKED
                )
        if version.state == _State.DESTROYED:
            return None
        seconds = version.destroy_time.timestamp()
        return datetime.fromtimestamp(seconds, UTC)

    def _made(self, name: str, path: str) -> Any:
        level = _LEVELS[self._place.options.get("protection", "software")]
        key = {
            "purpose": kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT,
            "version_template": {
                "protection_level": level,
                "algorithm": kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION,
            },
            "destroy_scheduled_duration": DESTRUCTION_WAIT,
            "labels": {"auditvault": "root-key"},
        }
        request = {"parent": self._place.path, "crypto_key_id": name, "crypto_key": key}
        try:
            with self._asked() as client:
                return client.create_crypto_key(request=request, **_ASKED)
        except KeyRefUnknownError as error:
            raise KeyProviderUnusableError(f"There is no key ring {self._place.path}.") from error
        except exceptions.AlreadyExists:  # somebody else was first
            with self._asked() as client:
                return client.get_crypto_key(request={"name": path}, **_ASKED)

    def _path(self, key_ref: str) -> str:
        if not self._ref.fullmatch(key_ref):
            raise KeyRefUnknownError(f"The reference names no key of the ring {self._place.path}.")
        return key_ref.removeprefix("gcp-kms:")

    @contextmanager
    def _asked(self, path: str = "") -> Iterator[Any]:
        """The client; a key that is not usable is looked at, so that the error says why."""
        try:
            with _translated():
                yield self._client.get()
        except _PreconditionError as error:
            if path and self._is_gone(path):
                raise RootKeyDestroyedError("The key was destroyed, or waits to be.") from error
            raise KeyProviderRefusedError("The key is disabled, or not to be used.") from error

    def _is_gone(self, path: str) -> bool:
        try:
            with _translated():
                found = self._client.get().get_crypto_key(request={"name": path}, **_ASKED)
        except _PreconditionError:
            return False
        return found.primary.state in _GONE


class _PreconditionError(Exception):
    """The key is not in a state to do this."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exceptions.AlreadyExists:
        raise
    except exceptions.NotFound as error:
        raise KeyRefUnknownError("Cloud KMS knows no such key.") from error
    except exceptions.FailedPrecondition as error:
        raise _PreconditionError from error
    except exceptions.InvalidArgument as error:
        raise WrapNotAuthenticError("Cloud KMS refuses the ciphertext") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise KeyProviderRefusedError(
            f"Cloud KMS refuses us ({type(error).__name__}): look at credentials and roles."
        ) from error
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError) as error:
        raise KeyProviderUnavailableError(
            f"Cloud KMS cannot answer now ({type(error).__name__})."
        ) from error
    except auth_exceptions.TransportError as error:
        raise KeyProviderUnavailableError("Google's sign-in does not answer.") from error
    except auth_exceptions.GoogleAuthError as error:
        raise KeyProviderRefusedError(
            f"There are no usable credentials for Cloud KMS ({type(error).__name__})."
        ) from error
    except exceptions.GoogleAPIError as error:
        raise KeyProviderUnusableError(
            f"Cloud KMS answered with something else ({type(error).__name__})."
        ) from error


def _damaged() -> KeyProviderUnavailableError:
    return KeyProviderUnavailableError(
        "What went to Cloud KMS or came back was damaged on the way."
    )
