"""The file that a person gets of their data: a ZIP with JSON for machines, a page for people, and the hashes of both.

The form is that of docs/spec/subject-package.md. Pure: whoever makes one finds, opens and redacts. The same values give
the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from auditvault.core.packages.page import page
from auditvault.core.tlog.canonical import JsonValue

PACKAGE_VERSION = "auditvault/subject-package/1"
LeftOut = Literal["erased", "gone", "hash_only", "not_examined", "too_large"]
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""What a ZIP file calls no time."""
_README = """This is a copy of what is recorded about you.

index.html     for reading: open it in any browser. It loads nothing and runs nothing.
data.json      the same for machines; members as in docs/spec/subject-package.schema.json of auditvault.
manifest.json  the SHA-256 of each of these files.

What personal data was found in a text and is not known to be yours is replaced, such as <EMAIL_ADDRESS_1>: it may be
somebody else's. The same number stands for the same value throughout. What is left out of this copy is listed with the
reason. If something is missing or wrong, say so to whoever gave you this file.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One content, as it is given to the person."""

    object_id: str
    record_id: str
    role: str
    text: str | None = field(repr=False)
    """With what is not known to be the person's own replaced; None where it is left out."""
    left_out: LeftOut | None = None
    replaced: int = 0
    """Places in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Everything that one region gives out for one request."""

    request_id: str
    kind: Literal["access", "portability"]
    region: str
    made_at: str
    """RFC 3339, UTC."""
    records: Sequence[dict[str, JsonValue]]
    """Headers, oldest first."""
    contents: Sequence[Content] = field(repr=False)
    looks: Sequence[dict[str, JsonValue]]
    """When, why and in which role somebody looked, newest first; nobody is named."""

    def members(self) -> dict[str, JsonValue]:
        """As `data.json` has it."""
        return {
            "v": PACKAGE_VERSION,
            "request": self.request_id,
            "kind": self.kind,
            "region": self.region,
            "made_at": self.made_at,
            "records": [*self.records],
            "contents": [_content(each) for each in self.contents],
            "looks": [*self.looks],
        }


def zipped(package: Package) -> bytes:
    """The file, not yet encrypted."""
    members = package.members()
    files = {
        "README.txt": _README.encode(),
        "data.json": _json(members),
        "index.html": page(members).encode(),
    }
    manifest: dict[str, JsonValue] = {
        "v": PACKAGE_VERSION,
        "request": package.request_id,
        "region": package.region,
        "files": {name: sha256(body).hexdigest() for name, body in files.items()},
    }
    files["manifest.json"] = _json(manifest)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, body in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), body, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _json(members: dict[str, JsonValue]) -> bytes:
    return json.dumps(members, ensure_ascii=False, indent=2).encode()


def _content(content: Content) -> dict[str, JsonValue]:
    return {
        "object": content.object_id,
        "record": content.record_id,
        "role": content.role,
        "text": content.text,
        "left_out": content.left_out,
        "replaced": content.replaced,
    }
