"""A forger who owns the database and has stolen the signer's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def sign_anew(connection: Any, log: Any) -> None:
    """Sign the log's head with the stolen key, as a forger would, without asking the signer's memory."""
    from django.conf import settings

    from auditvault.core.tlog.checkpoint import Checkpoint
    from auditvault.core.tlog.note import NoteSigner, sign_note
    from auditvault.ledger.selectors import head
    from auditvault.ledger.signer_keys import load_signing_key

    now = head(connection, log)
    signer = NoteSigner(log.origin, load_signing_key(Path(settings.SIGNER_KEY_FILE)).private)
    body = Checkpoint(origin=log.origin, size=now.size, root=now.root).body()
    connection.execute(
        "INSERT INTO ledger_checkpoint (tenant_id, log_id, size, root, note, signed_at)"
        " VALUES (%s, %s, %s, %s, %s, now())",
        (log.tenant_id, log.log_id, now.size, now.root, sign_note(body, [signer])),
    )
