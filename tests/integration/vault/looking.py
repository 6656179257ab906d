"""Looks at content as an investigator does."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.integration.ingest.sending import post

PURPOSE = {"code": "INCIDENT", "case": "INC-1", "reason": "A customer complains about an answer"}


def resolve(client: Any, tenant: Any, content: str, *, role: str | None = None) -> Any:
    """The answer to a look at what has this content's SHA-256."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    return resolve_hash(client, tenant, f"sha256:{digest}", role=role)


def resolve_hash(client: Any, tenant: Any, content_hash: str, *, role: str | None = None) -> Any:
    """The answer to a look at this hash: of somebody who may, or of a machine with a role."""
    body = {"content_hash": content_hash, "purpose": PURPOSE}
    return post(client, "/api/v1/resolve", body, tenant.headers(role) if role else tenant.cleared())


def revealed(answer: Any) -> list[str]:
    """The contents in clear; empty where nothing was revealed, which must be a 404 and repeat nothing."""
    if answer.status_code != 200:
        assert (answer.status_code, answer.json()["code"]) == (404, "content_not_found")
        assert "contents" not in answer.json()
        return []
    return [item["content"] for item in answer.json()["contents"]]


def forget_keys(monkeypatch: Any) -> None:
    """Go on as a process that has just started: no key and no shared content is cached."""
    from auditvault.vault import sealing
    from auditvault.vault.keyring import services
    from auditvault.vault.keyring.cache import KeyCache

    monkeypatch.setattr(services, "_keyrings", {})
    monkeypatch.setattr(sealing, "_shared", KeyCache())
