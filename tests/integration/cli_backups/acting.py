"""What somebody does to the service of a cluster of its own, as a process that has just started.

`python -m tests.integration.cli_backups.acting record SLUG TEXT…` records an interaction for each text;
`… resolve SLUG TEXT…` looks for each, and prints the answers as a JSON list of [status, contents];
`… erase SLUG TEXT…` destroys what belongs to those who sent them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4


def main(action: str, slug: str, texts: Sequence[str]) -> None:
    """Do it, and print what came of it."""
    import django

    django.setup()
    from django.test import Client
    from django.test.utils import setup_test_environment

    setup_test_environment()
    tenant = _tenant(slug)
    if action == "record":
        from tests.integration.ingest.sending import chat, record

        record(Client(), tenant, *[chat(text, user=f"user of {text}") for text in texts])
        return
    if action == "erase":
        _erase(tenant, texts)
        return
    from tests.integration.vault.looking import resolve

    print(json.dumps([_answer(resolve(Client(), tenant, text)) for text in texts]))


def _erase(tenant: Any, texts: Sequence[str]) -> None:
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.services import lookup_tag
    from auditvault.vault.shred import destroy

    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    tags = [
        lookup_tag(region="eu", tenant_id=tenant.tenant_id, content_sha256=digest)
        for digest in digests
    ]
    with tenant_scope(region_alias("eu"), tenant.tenant_id) as connection:
        rows = connection.execute(
            "SELECT DISTINCT subject_id FROM vault_object WHERE tag = ANY(%s)", (tags,)
        ).fetchall()
    destroy(
        region="eu",
        tenant_id=tenant.tenant_id,
        subjects=[row[0] for row in rows],
        reference=uuid4(),
        at=datetime.now(UTC),
    )


def _answer(response: Any) -> list[Any]:
    found = response.json() if response.status_code == 200 else {"contents": []}
    return [response.status_code, [item["content"] for item in found["contents"]]]


def _tenant(slug: str) -> Any:
    from auditvault.access.tenants import create_tenant
    from tests.conftest import TestTenant

    # A name that is there already is the same tenant.
    made = create_tenant(slug=slug, name=slug, regions=("eu",), served=("eu",))
    return TestTenant(tenant_id=made.tenant_id, slug=slug, regions=("eu",))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
