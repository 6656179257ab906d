"""Freezing what was found: a list of objects in each region, and one manifest that names them all.

Order, and what a crash leaves behind:

1. In each region, one transaction: the list of objects, an older one of the request forgotten.  Crash: lists that no
   manifest names. The next freezing forgets them; so does the sweep of `driving`.
2. Where the request is kept, one transaction: the request is scoped, the manifest stored, the entry.  Crash: as before
   it, or all of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7
from auditvault.core.policy.erasure import Action, RequestMoveError
from auditvault.core.policy.manifest import Manifest, RegionFound, manifest_digest
from auditvault.core.policy.roles import Act
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.privacy.erasing.discovery import check_regions, look_for, request_and_names
from auditvault.privacy.erasing.noticing import recipients
from auditvault.privacy.erasing.store import insert_manifest, list_objects
from auditvault.privacy.requests.services import move_request
from auditvault.privacy.requests.store import RequestRecord, Tag

MANY_SUBJECTS = 50
"""More than a person is likely to have: somebody confirms the number."""


class ManifestUnconfirmedError(AuditvaultError):
    """So many subjects were found that somebody has to say the number."""

    code: ClassVar[str] = "manifest_unconfirmed"


def freeze(
    *,
    region: str,
    credential: Credential,
    request_id: UUID,
    confirmed_subjects: int | None,
    now: datetime,
    words: str | None = None,
) -> RequestRecord:
    """Find the person again, in every region of the request, and freeze what is found.

    `confirmed_subjects` is needed where more than 50 subjects are found in a region, and is how many in all.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, RegionUnavailableError: the caller may not.
        RequestNotFoundError, RequestMoveError, RequestOvertakenError: nothing was frozen.
        ManifestUnconfirmedError: look at what was found, and say how many subjects there are.
    """
    credential.role_for(Act.PREPARE_ERASURE)
    credential.require_human()
    record, naming = request_and_names(region, credential.tenant_id, request_id)
    if Action.FREEZE not in {edge.action for edge in record.request.actions()}:
        raise RequestMoveError(f"A request that is {record.request.state.value} cannot freeze.")
    check_regions(credential, naming)
    manifest = Manifest(
        request_id=request_id,
        tenant_id=credential.tenant_id,
        kind=record.request.kind,
        regions=tuple(
            _listed(each, region, credential.tenant_id, request_id, tags, now)
            for each, tags in naming.items()
        ),
        recipient_ids=recipients(record, region),
    )
    _check_confirmed(manifest, confirmed_subjects)
    body = manifest.to_bytes()

    def store(connection: psycopg.Connection[Any], _moved: RequestRecord) -> None:
        insert_manifest(connection, credential.tenant_id, request_id, body)

    return move_request(
        region=region,
        credential=credential,
        request_id=request_id,
        action=Action.FREEZE,
        manifest=manifest_digest(body),
        words=words,
        now=now,
        also=store,
    )


def _listed(
    region: str, home: str, tenant_id: UUID, request_id: UUID, tags: list[Tag], now: datetime
) -> RegionFound:
    listing_id = uuid7(now)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        found, hold_ids = look_for(connection, region, tenant_id, tags)
        objects, digest = list_objects(
            connection,
            listing_id=listing_id,
            request_id=request_id,
            home=home,
            subjects=found.subject_ids,
        )
        return RegionFound(
            region=region,
            listing_id=listing_id,
            subject_ids=found.subject_ids,
            objects=objects,
            objects_digest=digest,
            records=found.records,
            names=found.names,
            keys=found.keys,
            hold_ids=tuple(hold_ids),
        )


def _check_confirmed(manifest: Manifest, confirmed: int | None) -> None:
    if confirmed is not None and confirmed != manifest.subjects:
        raise ManifestUnconfirmedError(
            f"There are {manifest.subjects} subjects, not {confirmed}. Look at what was found again."
        )
    if confirmed is None and any(
        len(part.subject_ids) > MANY_SUBJECTS for part in manifest.regions
    ):
        raise ManifestUnconfirmedError(
            f"There are {manifest.subjects} subjects, more than a person is likely to have. Look at what was found,"
            " and give the number in `confirmed_subjects`."
        )
