"""Reading JSON requests, and tables: bounded in size, and in depth.

Django's own limit does not hold for a body that a parser reads as a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, FormParser, JSONParser

from auditvault.ingest.otlp.framing import BodyTooLargeError

MAX_BODY_BYTES = 1024 * 1024


class BoundedJSONParser(JSONParser):
    """JSON of at most MAX_BODY_BYTES, nested no deeper than the decoder can follow."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The parsed body; raises BodyTooLargeError or ParseError."""
        data = stream.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        try:
            return super().parse(BytesIO(data), media_type, parser_context)
        except RecursionError:
            raise ParseError from None  # its frames hold the body


class BoundedFormParser(FormParser):
    """Members of a page's form, of at most MAX_BODY_BYTES."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The members, of a name that comes twice the last; raises BodyTooLargeError."""
        data: bytes = stream.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        return super().parse(BytesIO(data), media_type, parser_context).dict()


class BoundedCSVParser(BaseParser):
    """The bytes of a table of at most MAX_BODY_BYTES; the room that it is for reads them."""

    media_type = "text/csv"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,  # noqa: ARG002
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """The body; raises BodyTooLargeError."""
        data: bytes = stream.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"The body is larger than {MAX_BODY_BYTES} bytes.")
        return data
