"""Giving a file out to whoever brings the code of a link: once, and each try recorded.

Who brings no link of ours learns as much as who brings one that is used, over its time, or has a wrong secret: nothing.
The try is recorded in the tenant's access log where the link is one of a tenant's; of anything else there is nobody to
record it for. The file is read first and given out after its record is committed, with which the link is used up: a
crash in between costs a link, of which another can be made.
"""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.conf import settings

from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.packages.store import File, PackageNotFoundError, called, file_behind

_CODE = re.compile(r"([a-z][a-z0-9_]{0,30})\.([0-9a-f]{32})\.([0-9a-f]{64})")
_NIL = UUID(int=0)


class _Brought(NamedTuple):
    region: str
    link_id: UUID
    digest: bytes


def redeem(*, code: str, now: datetime) -> File:
    """The file behind a code, and the code is used up.

    Raises:
        PackageNotFoundError: nothing is given out, for whatever reason.
        AccessNotRecordedError: it could not be recorded, so nothing is given out.
    """
    brought = _read(code)
    tenant_id = _tenant_of(brought)
    with tenant_scope(region_alias(brought.region), tenant_id) as connection:
        found = file_behind(connection, brought.link_id)

    def also(connection: psycopg.Connection[Any], _record_id: UUID) -> None:
        if found is None or not called(
            connection,
            "SELECT privacy_package_redeem(%s, %s)",
            brought.link_id,
            brought.digest,
        ):
            raise _nothing()

    try:
        record_act(
            region=brought.region,
            tenant_id=tenant_id,
            act=_act(brought, "granted"),
            now=now,
            also=also,
        )
    except PackageNotFoundError:
        record_act(region=brought.region, tenant_id=tenant_id, act=_act(brought, "denied"), now=now)
        raise
    if found is None:
        raise _nothing()
    return found


def _read(code: str) -> _Brought:
    match = _CODE.fullmatch(code.strip())
    if match is None or match[1] not in settings.REGIONS:
        raise _nothing()
    return _Brought(match[1], UUID(match[2]), sha256(bytes.fromhex(match[3])).digest())


def _tenant_of(brought: _Brought) -> UUID:
    with tenant_scope(region_alias(brought.region), _NIL) as connection:
        found = called(connection, "SELECT privacy_package_link_tenant(%s)", brought.link_id)
    if not isinstance(found, UUID):
        raise _nothing()
    return found


def _act(brought: _Brought, outcome: Any) -> RecordedAct:
    details = {"link": str(brought.link_id)}
    if outcome == "denied":
        details["code"] = PackageNotFoundError.code
    return RecordedAct(
        actor="link", actor_role=None, action="fetch_package", outcome=outcome, details={**details}
    )


def _nothing() -> PackageNotFoundError:
    return PackageNotFoundError("There is no package under this code, or not any more.")
