"""Copies in Amazon S3 and what speaks like it, Google Cloud Storage and Azure, through obstore (ADR 14).

Imported where such a store is configured, and by nobody else: obstore is the optional extra `copies`. Credentials come
from the environment or the machine's role, as obstore finds them. What an error says is never shown: a store's
answer may name an access key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from auditvault.evidence.copies.place import Place
from auditvault.evidence.copies.store import (
    CopyStoreError,
    ObjectExistsError,
    ObjectMissingError,
    StoreDeniedError,
    StoreUnavailableError,
    StoreUnusableError,
)

if TYPE_CHECKING:
    # Stubs only: they cannot be imported when the program runs.
    from obstore.store import ClientConfig, RetryConfig, S3Config

_AnyStore = S3Store | GCSStore | AzureStore
_RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
_TIMEOUT = timedelta(seconds=30)
_CONNECT_TIMEOUT = timedelta(seconds=5)
_DENIED = (PermissionDeniedError, UnauthenticatedError)


class ObjectStore:
    """A bucket or container, from a prefix on; as `store.Store`."""

    PAGE: ClassVar[int] = 1000

    def __init__(self, reader: _AnyStore, writer: _AnyStore) -> None:
        self._reader = reader
        self._writer = writer

    def create(self, name: str, data: bytes) -> None:
        """As `Store`. A second attempt of its own that meets the first one's object ends as `ObjectExistsError`."""
        with _translated(name):
            obstore.put(self._writer, name, data, mode="create", use_multipart=False)

    def read(self, name: str, limit: int) -> bytes:
        """As `Store`."""
        with _translated(name):
            found = obstore.get(self._reader, name)
            size = found.meta["size"]
            if size <= limit:
                return bytes(found.bytes())
            return bytes(obstore.get_range(self._reader, name, start=0, end=limit + 1))

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """As `Store`, a page at a time."""
        offset = f"{folder}/{after}" if after else None
        with _translated(folder):
            for page in obstore.list(self._reader, folder, offset=offset, chunk_size=self.PAGE):
                for each in page:
                    name = each["path"].removeprefix(f"{folder}/")
                    if "/" not in name:
                        yield name

    def folders(self, folder: str) -> list[str]:
        """As `Store`."""
        with _translated(folder):
            found = obstore.list_with_delimiter(self._reader, folder)["common_prefixes"]
        return sorted(each.rpartition("/")[2] for each in found)


def open_object_store(
    place: Place, *, lock_mode: str = "", lock_until: datetime | None = None
) -> ObjectStore:
    """The store of an s3://, gs:// or az:// place; with `lock_until`, each object of S3 is locked so long.

    Raises StoreUnusableError.
    """
    client: ClientConfig = {"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT}
    try:
        if place.scheme == "s3":
            return _s3(place, client, lock_mode, lock_until)
        made: _AnyStore
        kind = GCSStore if place.scheme == "gs" else AzureStore
        made = kind(place.bucket, prefix=place.prefix, client_options=client, retry_config=_RETRIES)
        return ObjectStore(made, made)
    except BaseError as error:
        message = (
            "The store of the copies cannot be opened; its account or credentials are not set."
        )
        raise StoreUnusableError(f"{message} ({type(error).__name__})") from None


def _s3(
    place: Place, client: ClientConfig, lock_mode: str, lock_until: datetime | None
) -> ObjectStore:
    """S3: headers of locks are for what writes; a read with them would be refused."""
    # Where a bucket locks objects, S3 refuses a put without a checksum.
    config: S3Config = {"checksum_algorithm": "SHA256"}
    if place.region:
        config["region"] = place.region
    if place.endpoint:
        config["endpoint"] = place.endpoint
        client["allow_http"] = place.endpoint.startswith("http://")
    writing: ClientConfig = {**client}
    if lock_until is not None:
        writing["default_headers"] = {
            "x-amz-object-lock-mode": lock_mode,
            "x-amz-object-lock-retain-until-date": lock_until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    reader, writer = (
        S3Store(
            place.bucket,
            prefix=place.prefix,
            config=config,
            client_options=options,
            retry_config=_RETRIES,
        )
        for options in (client, writing)
    )
    return ObjectStore(reader, writer)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """What obstore raises, as ours, without their text and without what they came from."""
    try:
        yield
    except AlreadyExistsError:
        raise ObjectExistsError(f"{name} is in the store.") from None
    except (FileNotFoundError, NotFoundError):
        raise ObjectMissingError(f"{name} is not in the store.") from None
    except _DENIED:
        raise StoreDeniedError("The store refuses the credentials.") from None
    except BaseError as error:
        raise _failed(error) from None


def _failed(error: BaseError) -> CopyStoreError:
    # A refused listing has no class of its own.
    if "403 Forbidden" in str(error) or "401 Unauthorized" in str(error):
        return StoreDeniedError("The store refuses the credentials.")
    return StoreUnavailableError(
        f"The store does not answer with success ({type(error).__name__})."
    )
