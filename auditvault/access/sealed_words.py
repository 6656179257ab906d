"""Words that were sealed with an admin record: why a glass was broken, why something is held, what somebody asks.

They may name anybody, so they are content: shown to whoever works on the matter and proved a second factor, once that
is recorded. Which matter it is says who may, so the caller of `reveal_words` has checked that.

1. The look is recorded and committed.           Crash: a look that is recorded and did not happen.
2. The words are opened, in one transaction.     Crash: the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.roles import AccessDeniedError
from auditvault.core.tlog.canonical import JsonValue, parse_canonical
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.vault.erasures.pending import refuse_while_restore_pending
from auditvault.vault.opening import ContentGoneError, open_stored, readable_by_id

_MEMBERS = ("words", "reason")


class WordsNotFoundError(AuditvaultError):
    """Nobody wrote words there, or they are gone."""

    code = "words_not_found"


def sealed_with(
    connection: psycopg.Connection[Any], record_ids: Sequence[UUID]
) -> dict[UUID, UUID]:
    """Admin record -> the object in which its words are sealed, for those that have some."""
    rows = connection.execute(
        "SELECT record_id, header FROM admin_event WHERE record_id = ANY(%s)", (list(record_ids),)
    ).fetchall()
    found = {}
    for record_id, header in rows:
        said = parse_canonical(bytes(header))
        details: Any = said.get("details") if isinstance(said, dict) else None
        for member in _MEMBERS:
            sealed = details.get(member) if isinstance(details, dict) else None
            if isinstance(sealed, dict):
                found[record_id] = UUID(str(sealed["object"]))
    return found


def reveal_words(
    *,
    credential: Credential,
    region: str,
    object_ids: Sequence[UUID],
    about: Mapping[str, JsonValue],
    now: datetime,
) -> dict[UUID, str]:
    """What is sealed in these objects, by their ids; what is gone is not among them. `about` names the matter.

    Raises:
        HumanRequiredError, SecondFactorRequiredError, AccessDeniedError: the caller may not.
        WordsNotFoundError: there is nothing to look at; nothing is recorded.
        AccessNotRecordedError, RestorePendingError: nothing was shown.
    """
    credential.require_strong(now)
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")
    if not object_ids:
        raise WordsNotFoundError("Nobody wrote any words there.")
    record_act(
        region=region,
        tenant_id=credential.tenant_id,
        act=RecordedAct(
            actor=credential.actor,
            actor_role=None,
            action="read_words",
            outcome="granted",
            details={**about, "objects": [str(each) for each in object_ids]},
        ),
        now=now,
    )
    return _open(region, credential.tenant_id, object_ids)


def _open(region: str, tenant_id: UUID, object_ids: Sequence[UUID]) -> dict[UUID, str]:
    opened = {}
    with tenant_scope(region_alias(region), tenant_id, snapshot=True) as connection:
        permit = refuse_while_restore_pending(connection, region)
        for object_id, stored in readable_by_id(connection, object_ids).items():
            try:
                found = open_stored(permit=permit, tenant_id=tenant_id, stored=stored)
            except ContentGoneError:
                continue
            opened[object_id] = found.content.decode()
    return opened
