"""From a key provider's URL to the provider. A library is imported only where its provider is named.

Nothing is asked of a service here: a process starts while its key service is away, and says so in `/readyz`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from auditvault.core.crypto.keywrap import KeyProvider
from auditvault.vault.providers.errors import KeyProviderLibraryError
from auditvault.vault.providers.file import FileKeyProvider
from auditvault.vault.providers.place import ProviderPlace, Scheme, parse_place
from auditvault.vault.providers.service import BoxedKeyProvider, KeyService


def open_provider(url: str) -> KeyProvider:
    """The provider of a URL.

    Raises KeyProviderUrlError, KeyProviderLibraryError, KeyProviderSecretError, or for a file a RootKeyError.
    """
    place = parse_place(url)
    if place.scheme == "file":
        return FileKeyProvider(Path(place.path))
    extra, make = _SERVICES[place.scheme]
    try:
        service = make(place)
    except ImportError as error:
        raise KeyProviderLibraryError(
            f"The key provider {place.scheme} needs a library that is not installed ({error.name}):"
            f" pip install 'auditvault[{extra}]'."
        ) from error
    return BoxedKeyProvider(service)


def _transit(place: ProviderPlace) -> KeyService:
    from auditvault.vault.providers.transit import TransitService

    return TransitService(place)


def _aws(place: ProviderPlace) -> KeyService:
    from auditvault.vault.providers.aws import AwsService

    return AwsService(place)


def _gcp(place: ProviderPlace) -> KeyService:
    from auditvault.vault.providers.gcp import GcpService

    return GcpService(place)


def _azure(place: ProviderPlace) -> KeyService:
    from auditvault.vault.providers.azure import AzureService

    return AzureService(place)


def _pkcs11(place: ProviderPlace) -> KeyService:
    from auditvault.vault.providers.pkcs11 import Pkcs11Service

    return Pkcs11Service(place)


_SERVICES: dict[Scheme, tuple[str, Callable[[ProviderPlace], KeyService]]] = {
    "transit": ("transit", _transit),
    "aws-kms": ("aws", _aws),
    "gcp-kms": ("gcp", _gcp),
    "azure-keyvault": ("azure", _azure),
    "pkcs11": ("pkcs11", _pkcs11),
}
