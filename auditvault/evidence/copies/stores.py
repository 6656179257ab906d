"""The store that a region's settings name."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from auditvault.evidence.copies.place import Place
from auditvault.evidence.copies.services import Target
from auditvault.evidence.copies.store import DirectoryStore, Store, StoreUnusableError
from auditvault.evidence.verification import read_log_keys


def region_place(region: str) -> Place | None:
    """Where the region's copies go; None where nowhere."""
    url = settings.COPIES_URLS.get(region, "")
    return Place.parse(url) if url else None


def region_target(region: str, now: datetime | None = None) -> Target | None:
    """The region's store, opened; with `now`, what is put is locked from then on where the settings say so.

    Raises StoreUnusableError, VerificationUnavailableError where the signer's public keys cannot be read.
    """
    place = region_place(region)
    if place is None:
        return None
    return Target(
        region=region,
        store=_open(place, now),
        digest=place.digest,
        keys=read_log_keys(Path(settings.LOG_VKEYS_FILE)),
    )


def _open(place: Place, now: datetime | None) -> Store:
    if place.scheme == "file":
        return DirectoryStore(Path(place.prefix))
    try:
        from auditvault.evidence.copies.object_store import open_object_store
    except ImportError as error:
        message = "Copies in a cloud store need the extra: pip install 'auditvault[copies]'."
        raise StoreUnusableError(message) from error
    days = settings.COPIES_LOCK_DAYS
    until = now + timedelta(days=days) if now is not None and days else None
    return open_object_store(place, lock_mode=settings.COPIES_LOCK_MODE, lock_until=until)
