"""Where a region's copies go, as a URL says: `file:///dir`, `s3://bucket/prefix`, `gs://…`, `az://container/prefix`."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A URL, read. Its form was checked when the settings were read; it holds no credentials."""

    scheme: str
    bucket: str
    """Empty for a directory."""
    prefix: str
    """Without slashes around; the path of a directory."""
    region: str
    """Of S3; empty where the environment says it."""
    endpoint: str
    """Of a store that is not Amazon's; empty for Amazon's."""
    digest: bytes
    """Under which progress is kept: another place is another store."""

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read `settings.COPIES_URLS`."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        path = unquote(parts.path)
        return cls(
            scheme=parts.scheme,
            bucket=parts.netloc,
            prefix=path if parts.scheme == "file" else path.strip("/"),
            region=query.get("region", ""),
            endpoint=query.get("endpoint", ""),
            digest=sha256(url.encode()).digest(),
        )
