"""Keyed tags: how a row is found by somebody who holds a hash or an identifier, and by nobody else.

Rules kept: docs/spec/envelope.md section 5. One secret of a tenant in a region gives two keys; a
tag is a full HMAC-SHA-256. Normalising identifiers, so that equal people give equal values,
limiting how often somebody may ask, and keeping the secret are left to the callers.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import ClassVar

from auditvault.core.crypto.keywrap import (
    SECRET_SIZE,
    Id,
    derive_key_and_commitment,
    id_bytes,
    length_prefixed,
    region_bytes,
)
from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.mac import FixedKeyMac

TAG_SIZE = 32
"""Bytes of a tag."""

_LABEL = b"auditvault/tags/1"
_SHA256_SIZE = 32
_KIND = re.compile(r"[a-z_]{1,64}")


class TagError(AuditvaultError):
    """No tag can be made from these values."""

    code: ClassVar[str] = "tag_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class TenantTagKeys:
    """The two tag keys of one version of one tenant's tag secret in one region."""

    lookup_key: bytes = field(repr=False)
    """Key of the tags of contents, 32 bytes."""
    identifier_key: bytes = field(repr=False)
    """Key of the tags of identifiers, 32 bytes."""
    _lookup: FixedKeyMac = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lookup", FixedKeyMac(self.lookup_key))

    @classmethod
    def derive(cls, secret: bytes, region: str, tenant_id: Id) -> TenantTagKeys:
        """Derive both keys from the 32-byte tag secret.

        Raises TagError for a secret of another size and CryptoContextError for a region or tenant
        id that is none.
        """
        if len(secret) != SECRET_SIZE:
            raise TagError("a tag secret is 32 bytes")
        info = (
            length_prefixed(_LABEL)
            + length_prefixed(region_bytes(region))
            + length_prefixed(id_bytes(tenant_id))
        )
        lookup_key, identifier_key = derive_key_and_commitment(secret, b"", info)
        return cls(lookup_key=lookup_key, identifier_key=identifier_key)

    def lookup_tag(self, content_sha256: bytes) -> bytes:
        """Return the 32-byte tag of the content with this SHA-256.

        Raises TagError for a value that is not 32 bytes.
        """
        if len(content_sha256) != _SHA256_SIZE:
            raise TagError("a SHA-256 is 32 bytes")
        return self._lookup.digest(content_sha256)

    def identifier_tag(self, kind: str, value: str) -> bytes:
        """Return the 32-byte tag of an identifier that the caller has normalised.

        `kind` is 1 to 64 characters of `a-z _`; `value` is any Unicode text that is not empty.
        Raises TagError otherwise; the message does not repeat the value.
        """
        if not _KIND.fullmatch(kind):
            raise TagError("a kind is 1 to 64 characters of a-z _")
        message = length_prefixed(kind.encode("ascii")) + length_prefixed(_text(value))
        return hmac.digest(self.identifier_key, message, "sha256")


def _text(value: str) -> bytes:
    if not value:
        raise TagError("an identifier is not empty")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        # The cause is dropped: it would carry the identifier.
        raise TagError("an identifier holds a lone surrogate") from None
