"""From the bytes on the wire to the bytes of one OTLP request.

Content types, content encodings, and a bounded gunzip.

OTLP/HTTP: protobuf and JSON are told apart by Content-Type alone and the answer mirrors it; `none`
and gzip must be taken; the limit on the body's size holds after decompression. It is enforced while
inflating, so a bomb costs its limit and no more.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from auditvault.core.errors import AuditvaultError
from auditvault.ingest.otlp.reading import OtlpDecodeError

Encoding = Literal["protobuf", "json"]

MAX_BODY_BYTES: Final = 20 * 1024 * 1024
"""After decompression: what the OTLP specification recommends for HTTP.

Also the limit of the bytes on the wire.
"""
CONTENT_TYPES: Final[dict[Encoding, str]] = {
    "protobuf": "application/x-protobuf",
    "json": "application/json",
}
_ENCODINGS: Final[dict[str, Encoding]] = {value: key for key, value in CONTENT_TYPES.items()}
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class UnsupportedEncodingError(AuditvaultError):
    """The Content-Type or the Content-Encoding is not one that OTLP/HTTP knows (415)."""

    code = "unsupported_encoding"


class BodyTooLargeError(AuditvaultError):
    """The body is larger than the limit, on the wire or after decompression (413).

    The sender must not retry.
    """

    code = "body_too_large"


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """How one request is packed."""

    encoding: Encoding
    gzipped: bool

    @property
    def content_type(self) -> str:
        """The answer's Content-Type, which mirrors the request's."""
        return CONTENT_TYPES[self.encoding]


def negotiate(content_type: str | None, content_encoding: str | None) -> Framing:
    """Read the two headers of a request.

    Parameters such as charset are ignored, names have any case.

    Raises UnsupportedEncodingError.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    encoding = _ENCODINGS.get(media_type)
    if encoding is None:
        raise UnsupportedEncodingError(
            "Content-Type must be application/x-protobuf or application/json"
        )
    coding = (content_encoding or "").strip().lower()
    if coding not in {"", "none", "identity", "gzip"}:
        raise UnsupportedEncodingError("Content-Encoding must be gzip or absent")
    return Framing(encoding=encoding, gzipped=coding == "gzip")


def read_body(
    chunks: Iterable[bytes], *, gzipped: bool, limit_bytes: int = MAX_BODY_BYTES
) -> bytes:
    """Read a whole body from its chunks, of any sizes, and unpack it.

    Never holds more than `limit_bytes` of output and one chunk of input. Raises BodyTooLargeError
    as soon as either side passes the limit, OtlpDecodeError for gzip that is broken, cut off or
    followed by something else.
    """
    inflater = _Inflater(limit_bytes) if gzipped else None
    parts: list[bytes] = []
    wire_bytes = 0
    for chunk in chunks:
        wire_bytes += len(chunk)
        if wire_bytes > limit_bytes:
            raise BodyTooLargeError(f"the body is larger than {limit_bytes} bytes")
        if inflater is None:
            parts.append(chunk)
        else:
            parts.extend(inflater.feed(chunk))
    if inflater is not None:
        inflater.finish(wire_bytes)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Inflater:
    """Gunzips members one after another (RFC 1952 §2.2) and counts what comes out."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._limit_bytes = limit_bytes
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Inflate one chunk; raises BodyTooLargeError or OtlpDecodeError."""
        parts: list[bytes] = []
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                part = self._member.decompress(chunk, self._left + 1)
            except zlib.error as error:
                raise OtlpDecodeError("the body is not gzip") from error
            self._left -= len(part)
            if self._left < 0:
                raise BodyTooLargeError(
                    f"the unpacked body is larger than {self._limit_bytes} bytes"
                )
            parts.append(part)
            chunk = self._member.unused_data
        return parts

    def finish(self, wire_bytes: int) -> None:
        """Check that the last member is whole; raises OtlpDecodeError.

        An empty body is an empty request.
        """
        if wire_bytes and not self._member.eof:
            raise OtlpDecodeError("the gzip body is cut off")
