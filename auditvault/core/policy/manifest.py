"""The manifest of a request: what discovery found of a person, frozen before anybody assesses or approves it.

The form is that of docs/spec/manifest.md. It holds ids, counts and digests: what names the person is in the request, as
keyed tags. Its SHA-256 is what is frozen, approved and carried out. Pure: whoever makes one looks in the regions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.erasure import Kind
from auditvault.core.tlog.canonical import (
    CanonicalFormError,
    JsonValue,
    canonical_bytes,
    parse_canonical,
)

MANIFEST_VERSION = "auditvault/manifest/1"
MAX_REGIONS = 100
MAX_SUBJECTS = 20_000
"""Of one region: 20 identifiers that each lead to a person of 1,000 subjects."""

_REGION = re.compile(r"[a-z][a-z0-9_]{0,30}")
_MEMBERS = {"v", "request", "tenant", "kind", "regions", "recipients"}
_PART_MEMBERS = {
    "region", "listing", "subjects", "objects", "objects_digest", "records", "names", "keys", "holds",
}  # fmt: skip


class ManifestError(AuditvaultError):
    """Bytes are no manifest, or one that contradicts itself."""

    code: ClassVar[str] = "manifest_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionFound:
    """What was found in one region."""

    region: str
    listing_id: UUID
    """Under which the region keeps the list of the objects, until the request is certified."""
    subject_ids: tuple[UUID, ...]
    """Ascending: everybody that the identifiers lead to, and whoever is one person with them."""
    objects: int
    objects_digest: bytes
    """SHA-256 over the ids of the objects, ascending, 16 bytes each."""
    records: int
    """Headers that are theirs."""
    names: int
    """Tagged identifiers that lead to them."""
    keys: int
    hold_ids: tuple[UUID, ...]
    """Legal holds that covered something of theirs, ascending. What is held when it is carried out decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What one request is about, in every region that it was asked for."""

    request_id: UUID
    tenant_id: UUID
    kind: Kind
    regions: tuple[RegionFound, ...]
    """Ascending by name; those where nothing was found as well."""
    recipient_ids: tuple[UUID, ...] = ()
    """Whom the tenant gave the data to, and tells: ascending."""

    def to_bytes(self) -> bytes:
        """Its canonical JSON; raises ManifestError."""
        data = canonical_bytes(self._members())
        read_manifest(data)
        return data

    @property
    def objects(self) -> int:
        """Of all regions."""
        return sum(part.objects for part in self.regions)

    @property
    def subjects(self) -> int:
        """Of all regions; the same person has one in each."""
        return sum(len(part.subject_ids) for part in self.regions)

    def part(self, region: str) -> RegionFound:
        """What was found there; raises ManifestError where it was not asked for there."""
        for part in self.regions:
            if part.region == region:
                return part
        raise ManifestError("the manifest does not name this region")

    def _members(self) -> dict[str, JsonValue]:
        return {
            "v": MANIFEST_VERSION,
            "request": str(self.request_id),
            "tenant": str(self.tenant_id),
            "kind": self.kind.value,
            "regions": [_part_members(part) for part in self.regions],
            "recipients": [str(each) for each in self.recipient_ids],
        }


def manifest_digest(data: bytes) -> bytes:
    """What is frozen, approved and carried out."""
    return sha256(data).digest()


def objects_digest(object_ids: Iterable[UUID]) -> bytes:
    """The digest of a region's objects."""
    return sha256(b"".join(each.bytes for each in sorted(object_ids))).digest()


def read_manifest(data: bytes) -> Manifest:
    """Return the manifest in `data`; raises ManifestError."""
    try:
        members = _object(parse_canonical(data), _MEMBERS)
        if members["v"] != MANIFEST_VERSION:
            raise ManifestError("not a manifest of version 1")
        manifest = Manifest(
            request_id=_id(members["request"]),
            tenant_id=_id(members["tenant"]),
            kind=Kind(members["kind"]),
            regions=tuple(map(_part, _list(members["regions"], MAX_REGIONS))),
            recipient_ids=_ids(members["recipients"], 1000),
        )
    except (CanonicalFormError, ValueError, TypeError) as error:
        raise ManifestError("no manifest") from error
    names = [part.region for part in manifest.regions]
    if not names or names != sorted(set(names)):
        raise ManifestError("regions are ascending, each once, and at least one")
    return manifest


def _part_members(part: RegionFound) -> dict[str, JsonValue]:
    return {
        "region": part.region,
        "listing": str(part.listing_id),
        "subjects": [str(each) for each in part.subject_ids],
        "objects": part.objects,
        "objects_digest": part.objects_digest.hex(),
        "records": part.records,
        "names": part.names,
        "keys": part.keys,
        "holds": [str(each) for each in part.hold_ids],
    }


def _part(value: Any) -> RegionFound:
    members = _object(value, _PART_MEMBERS)
    if not isinstance(members["region"], str) or not _REGION.fullmatch(members["region"]):
        raise ManifestError("a region's name is a word")
    digest = bytes.fromhex(members["objects_digest"])
    if len(digest) != sha256().digest_size or digest.hex() != members["objects_digest"]:
        raise ManifestError("a digest is SHA-256 in lower-case hex")
    return RegionFound(
        region=members["region"],
        listing_id=_id(members["listing"]),
        subject_ids=_ids(members["subjects"], MAX_SUBJECTS),
        objects=_number(members["objects"]),
        objects_digest=digest,
        records=_number(members["records"]),
        names=_number(members["names"]),
        keys=_number(members["keys"]),
        hold_ids=_ids(members["holds"], MAX_SUBJECTS),
    )


def _object(value: Any, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise ManifestError("an object with exactly its members is meant")
    return value


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ManifestError(f"a list of at most {most} is meant")
    return value


def _id(value: Any) -> UUID:
    if not isinstance(value, str):
        raise ManifestError("an id is a text")
    found = UUID(value)
    if str(found) != value:
        raise ManifestError("an id is a UUID in lower case")
    return found


def _ids(value: Any, most: int) -> tuple[UUID, ...]:
    found = tuple(map(_id, _list(value, most)))
    if list(found) != sorted(set(found)):
        raise ManifestError("ids are ascending, each once")
    return found


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ManifestError("a number is an integer from 0 on")
    return value
