"""The key provider that settings name for a region, and how it is.

A provider is opened when a process starts (`open_all`), so that a key file with a wrong mode, a missing library or a
broken URL stops the start; a service is not asked then. How a provider is, is asked at most every `HEALTH_SECONDS`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from auditvault.core.crypto.keywrap import KeyProvider, KeyProviderError
from auditvault.core.errors import AuditvaultError
from auditvault.vault.providers.opening import open_provider

HEALTH_SECONDS = 30
"""How long an answer about a provider's health is handed out again."""

log = logging.getLogger("auditvault.vault")
_opened: dict[str, tuple[str, KeyProvider]] = {}
_health: dict[str, tuple[str, float, str]] = {}  # of which key, when, and what was said
_asking = threading.Lock()


class KeyProviderMissingError(KeyProviderError):
    """This process has no key provider for the region: it opens and seals nothing there."""

    code = "key_provider_missing"


def has_provider(region: str) -> bool:
    """Whether this process may open the region's contents."""
    return bool(settings.KEY_PROVIDERS.get(region))


def provider_of(region: str) -> KeyProvider:
    """This process's provider of a region; raises a KeyProviderError where there is none or it cannot be opened."""
    url = settings.KEY_PROVIDERS.get(region, "")
    if not url:
        raise KeyProviderMissingError(
            f"This process has no key provider for {region}: set AUDITVAULT_KEY_PROVIDER_{region.upper()}."
        )
    opened = _opened.get(region)
    if opened is None or opened[0] != url:
        _opened[region] = opened = (url, open_provider(url))
    return opened[1]


def open_all() -> None:
    """Open every provider that settings name; raises ImproperlyConfigured, which stops the start."""
    for region in settings.REGIONS:
        if has_provider(region):
            try:
                provider_of(region)
            except KeyProviderError as error:
                raise ImproperlyConfigured(
                    f"The key provider of {region} cannot be used ({error.code}): {error.message}"
                ) from error


def health_of(region: str, key_ref: str, *, monotonic: Callable[[], float] = time.monotonic) -> str:
    """`ok`, or the code of what is wrong with the provider, at most `HEALTH_SECONDS` old.

    One probe at a time asks; whoever comes meanwhile waits for its answer, so that nobody can hammer a key service.
    """
    with _asking:
        known = _health.get(region)
        if known is None or known[0] != key_ref or monotonic() - known[1] >= HEALTH_SECONDS:
            known = (key_ref, monotonic(), _asked(region, key_ref))
            _health[region] = known
        return known[2]


def _asked(region: str, key_ref: str) -> str:
    try:
        provider_of(region).health(key_ref)
    except AuditvaultError as error:
        log.warning("the key provider of %s is not well: %s", region, error.code, exc_info=error)
        return error.code
    return "ok"
