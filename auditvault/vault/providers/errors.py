"""What every key provider can fail with, beside what `auditvault.core.crypto.keywrap` names.

A message names what an operator has to look at. It never holds what a service answered, which may repeat a credential
or an address with one.
"""

from __future__ import annotations

from typing import ClassVar

from auditvault.core.crypto.keywrap import KeyProviderError


class KeyProviderUrlError(KeyProviderError):
    """The URL of a key provider does not have the documented form; the message never repeats it."""

    code: ClassVar[str] = "key_provider_url_invalid"


class KeyProviderLibraryError(KeyProviderError):
    """The library that speaks to the provider is not installed."""

    code: ClassVar[str] = "key_provider_library_missing"


class KeyProviderSecretError(KeyProviderError):
    """The file with what opens the provider is missing, empty, or may be read by others."""

    code: ClassVar[str] = "key_provider_secret_unusable"


class KeyProviderRefusedError(KeyProviderError):
    """The provider answers and does not let us: credentials, a policy, a key that was disabled."""

    code: ClassVar[str] = "key_provider_refused"


class KeyProviderUnusableError(KeyProviderError):
    """The provider is not set up as it must be, or answered what it never should."""

    code: ClassVar[str] = "key_provider_unusable"


class RootKeyUnfitError(KeyProviderError):
    """There is a key of that name, of another kind than auditvault makes."""

    code: ClassVar[str] = "root_key_unfit"
