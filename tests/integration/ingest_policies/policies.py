"""Sets payload policies as the operator does."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

OPERATOR = UUID(int=0)


def document(default: dict[str, Any], **features: dict[str, Any]) -> bytes:
    """A policy with these rules."""
    members = {
        "v": "auditvault/payload-policy/1",
        "text": "Decided in a test, for its own tenant.",
        "default": default,
        "features": features,
    }
    return json.dumps(members).encode()


def set_policy(
    tenant_id: UUID, default: dict[str, Any], *, region: str = "eu", **features: dict[str, Any]
) -> None:
    """Bring a policy into force for the tenant."""
    from auditvault.ingest.policies.services import set_policy as set_document

    set_document(region=region, tenant_id=tenant_id, document=document(default, **features))


KEEP_ALL = {"keep": "all"}
HASH = {"keep": "hash"}
NONE_OF_THEM = {"keep": "sample", "sample_per_10000": 0}
HALF_OF_THEM = {"keep": "sample", "sample_per_10000": 5000}
