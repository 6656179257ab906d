"""Root keys in Azure Key Vault or a Managed HSM, a key for each epoch.

Rules kept: docs/spec/keys.md section 3. A Managed HSM wraps with AES (`A256KW`). Key Vault has RSA keys only, and
whoever reads a public key can wrap with it: there the ciphertext is also signed by the same key, which only the vault
can do. Neither binds a context, so the signature and the box do. Credentials are azure-identity's to find.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, ClassVar

from azure.core import exceptions
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.identity import CredentialUnavailableError, DefaultAzureCredential
from azure.keyvault.keys import KeyClient, KeyProperties, KeyType, KeyVaultKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from auditvault.core.crypto.keywrap import (
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapNotAuthenticError,
)
from auditvault.vault.providers.errors import (
    KeyProviderRefusedError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.place import ProviderPlace
from auditvault.vault.providers.service import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    PerProcess,
    epoch_name,
)

_RSA_BITS = 3072
_RSA_BYTES = _RSA_BITS // 8
_AES_BITS = 256
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
_TYPES = {
    "rsa": (KeyType.rsa, KeyType.rsa_hsm),
    "rsa-hsm": (KeyType.rsa_hsm,),
    "oct-hsm": (KeyType.oct_hsm,),
}
_HSM_HOST = ".managedhsm.azure.net"
# A transport takes these when it is made, and a client does not hand them on to one that it is given.
_BOUNDS: dict[str, Any] = {"connection_timeout": CONNECT_SECONDS, "read_timeout": ANSWER_SECONDS}
# The library would sleep as long as the service says.
_NO_RETRIES: dict[str, Any] = {"retry_total": 0}
# A key whose second is over by now, seen by a clock that is a second off, has no rival.
_SETTLED_AFTER = timedelta(seconds=2)
_SETTLING_LOOKS = 10


def _names(versions: list[KeyProperties]) -> list[str]:
    return [str(each.version) for each in versions]


def _default_credential() -> DefaultAzureCredential:
    return DefaultAzureCredential(**_BOUNDS, **_NO_RETRIES)


class AzureService:
    """Wraps under keys named `NAME-e<epoch>` of one vault."""

    LABEL: ClassVar[bytes] = b"auditvault/azure-keyvault-provider/1"

    def __init__(
        self,
        place: ProviderPlace,
        credential: Callable[[], Any] = _default_credential,
        transport: Callable[..., Any] = RequestsTransport,
    ) -> None:
        self._place = place
        default = "oct-hsm" if place.host.endswith(_HSM_HOST) else "rsa"
        self._kind = place.options.get("kind", default)
        self._transport = transport
        self._credential = credential
        self._client: PerProcess[KeyClient] = PerProcess(self._made_client)
        self._ref = re.compile(
            re.escape(f"azure-keyvault:{place.host}/{place.name}-e")
            + r"([1-9][0-9]{0,9})/([0-9a-f]{32})"
        )

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider`: the oldest version of the name is the epoch's key.

        The service would make a second version for whoever comes second, or crashed and comes again, so it is
        looked for before and after. Its times are whole seconds: which of two is the oldest is plain, and the same
        for everybody, once the second in which the first was made is over.
        """
        name = epoch_name(self._place.name, epoch)
        if not self._versions(name):
            self._refuse_deleted(name)
            self._make(name)
        versions = self._settled_versions(name)
        if not versions:
            raise KeyProviderUnavailableError(f"Key Vault does not show the new key {name} yet.")
        key = self._key(name, versions[0])
        if key.key_type not in _TYPES[self._kind]:
            raise RootKeyUnfitError(f"The key {name} is not of the kind {self._kind}.")
        return f"azure-keyvault:{self._place.host}/{name}/{versions[0]}"

    def encrypt(self, key_ref: str, inner_key: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`: the wrapped key, and for RSA the signature behind it."""
        name, version = self._named(key_ref)
        wrapped = self._use(name, version, "wrapkey", self._algorithm(), inner_key)
        if self._kind == "oct-hsm":
            return wrapped
        return wrapped + self._use(name, version, "sign", "PS256", _signed(bound_to, wrapped))

    def decrypt(self, key_ref: str, outer: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`. A signature that is not the vault's is refused before anything is unwrapped."""
        name, version = self._named(key_ref)
        wrapped = outer
        if self._kind != "oct-hsm":
            if len(outer) != 2 * _RSA_BYTES:
                raise WrapNotAuthenticError("not what Key Vault gives back")
            wrapped, signature = outer[:_RSA_BYTES], outer[_RSA_BYTES:]
            self._check(name, version, signature, _signed(bound_to, wrapped))
        return self._use(name, version, "unwrapkey", self._algorithm(), wrapped)

    def destroy(self, key_ref: str) -> datetime | None:
        """As `KeyProvider`: deletes, then purges where the vault lets us; otherwise says when it will be purged.

        A crash in between leaves a deleted key, which opens nothing and is purged by asking again.
        """
        name, version = self._named(key_ref)
        if version in self._versions(name):
            with _translated():
                self._client.get().begin_delete_key(name)
        deleted = self._deleted(name)
        if deleted is None:
            return None
        try:
            with _translated():
                self._client.get().purge_deleted_key(name)
        except (KeyProviderRefusedError, _ConflictError):
            at = deleted.scheduled_purge_date  # purge protection, no right to purge, or still at it
            return None if at is None else at.astimezone(UTC)
        except KeyRefUnknownError:
            return None  # somebody else purged it
        return None

    def _make(self, name: str) -> None:
        client, tags = self._client.get(), {"auditvault": "root-key"}
        try:
            with _translated():
                if self._kind == "oct-hsm":
                    client.create_oct_key(
                        name,
                        size=_AES_BITS,
                        hardware_protected=True,
                        key_operations=["wrapKey", "unwrapKey"],
                        tags=tags,
                    )
                else:
                    client.create_rsa_key(
                        name,
                        size=_RSA_BITS,
                        hardware_protected=self._kind == "rsa-hsm",
                        key_operations=["wrapKey", "unwrapKey", "sign", "verify"],
                        tags=tags,
                    )
        except _ConflictError as error:
            raise RootKeyDestroyedError(f"The key {name} was deleted.") from error

    def _settled_versions(self, name: str) -> list[str]:
        """The versions, once none can come before the first any more; waits a second or two at most."""
        found = self._properties(name)
        for _ in range(_SETTLING_LOOKS):
            made_at = found[0].created_on if found else None
            if made_at is None or datetime.now(UTC) - made_at >= _SETTLED_AFTER:
                break
            time.sleep(_SETTLED_AFTER.total_seconds() / _SETTLING_LOOKS)
            found = self._properties(name)
        return _names(found)

    def _versions(self, name: str) -> list[str]:
        """The versions of a name, oldest first; none where there is no such key."""
        return _names(self._properties(name))

    def _properties(self, name: str) -> list[KeyProperties]:
        try:
            with _translated():
                found = list(self._client.get().list_properties_of_key_versions(name))
        except KeyRefUnknownError:
            return []
        return sorted(found, key=lambda each: (each.created_on, each.version))

    def _use(self, name: str, version: str, act: str, algorithm: str, value: bytes) -> bytes:
        """Let the service use the key.

        Asked for by its REST name: the SDK's CryptographyClient (4.11) takes an oct-HSM key, whose bytes nobody sees,
        for a local one of random bytes, and would wrap under that.
        """
        text = base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
        request = HttpRequest(
            "POST", f"keys/{name}/{version}/{act}", json={"alg": algorithm, "value": text}
        )
        try:
            with _translated():
                answer = self._client.get().send_request(request)
                answer.raise_for_status()
                found = answer.json()["value"]
            return base64.urlsafe_b64decode(found + "=" * (-len(found) % 4))
        except KeyRefUnknownError:
            self._refuse_deleted(name)
            raise
        except (KeyError, TypeError, ValueError):
            raise KeyProviderUnusableError(
                "Azure Key Vault answered with something else."
            ) from None

    def _check(self, name: str, version: str, signature: bytes, digest: bytes) -> None:
        """Check the service's signature with the public key that it gives out."""
        try:
            key: Any = self._key(name, version).key
        except KeyRefUnknownError:
            self._refuse_deleted(name)
            raise
        numbers = (int.from_bytes(part, "big") for part in (key.e, key.n))
        try:
            RSAPublicNumbers(*numbers).public_key().verify(
                signature, digest, _PSS, utils.Prehashed(hashes.SHA256())
            )
        except InvalidSignature as error:
            raise WrapNotAuthenticError("not signed by the key, or for another context") from error

    def _key(self, name: str, version: str) -> KeyVaultKey:
        with _translated():
            return self._client.get().get_key(name, version)

    def _refuse_deleted(self, name: str) -> None:
        if self._deleted(name) is not None:
            raise RootKeyDestroyedError(f"The key {name} was deleted.")

    def _deleted(self, name: str) -> Any:
        try:
            with _translated():
                return self._client.get().get_deleted_key(name)
        except KeyRefUnknownError:
            return None

    def _named(self, key_ref: str) -> tuple[str, str]:
        match = self._ref.fullmatch(key_ref)
        if match is None:
            raise KeyRefUnknownError(f"The reference names no key of {self._place.host}.")
        return epoch_name(self._place.name, int(match[1])), match[2]

    def _algorithm(self) -> str:
        return "A256KW" if self._kind == "oct-hsm" else "RSA-OAEP-256"

    def _made_client(self) -> KeyClient:
        url, transport = f"https://{self._place.host}", self._transport(**_BOUNDS)
        return KeyClient(url, self._credential(), transport=transport, **_NO_RETRIES)


class _ConflictError(Exception):
    """409: the name is taken by a deleted key, or deletion is under way."""


def _signed(bound_to: bytes, wrapped: bytes) -> bytes:
    """What the vault signs: both parts have fixed lengths."""
    return hashlib.sha256(b"auditvault/azure-keyvault-signature/1" + bound_to + wrapped).digest()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except CredentialUnavailableError as error:
        raise KeyProviderRefusedError("There are no credentials for Azure Key Vault.") from error
    except exceptions.ClientAuthenticationError as error:
        raise KeyProviderRefusedError("Azure refuses the credentials for Key Vault.") from error
    except exceptions.HttpResponseError as error:
        raise _of_answer(error) from error
    except (exceptions.ServiceRequestError, exceptions.ServiceResponseError) as error:
        raise KeyProviderUnavailableError(
            f"Azure Key Vault does not answer ({type(error).__name__})."
        ) from error
    except exceptions.AzureError as error:
        raise KeyProviderUnusableError(
            f"Azure Key Vault answered with something else ({type(error).__name__})."
        ) from error


def _of_answer(error: exceptions.HttpResponseError) -> Exception:
    status = error.status_code or 0
    if status == HTTPStatus.NOT_FOUND:
        return KeyRefUnknownError("Azure Key Vault knows no such key.")
    if status == HTTPStatus.CONFLICT:
        return _ConflictError()
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return KeyProviderRefusedError(
            "Azure Key Vault refuses us: look at the credentials' role, and whether the key is enabled."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return KeyProviderUnavailableError(f"Azure Key Vault cannot answer now ({status}).")
    if status == HTTPStatus.BAD_REQUEST:
        return WrapNotAuthenticError("Azure Key Vault refuses the ciphertext")
    return KeyProviderUnusableError(f"Azure Key Vault answered with something else ({status}).")
