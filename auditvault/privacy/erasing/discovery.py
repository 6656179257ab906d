"""What there is of the person that a request is about, in each region that it was asked for.

Found by the request's keyed tags and by who is one person with whoever they lead to. Nothing is opened. Who else speaks
in the same traces is shown, and what of others names the person, for somebody to decide on: who is the same is merged,
and looked for again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.ledger.scope import RegionUnavailableError, region_alias, tenant_scope
from auditvault.privacy.erasing.store import holds_over
from auditvault.privacy.looking import record_look
from auditvault.privacy.requests.store import (
    RequestRecord,
    Tag,
    region_tags_of,
    request_of,
    tags_of,
)
from auditvault.vault.finding import Found, count_found, people_named
from auditvault.vault.mentions import Mention, mentions_of
from auditvault.vault.merging import names_of_group

MOST_NEIGHBOURS = 100
MOST_MENTIONS = 100
_MOST_RECORDS = 1000
# Whoever else has a content or a record in a trace of theirs. The tenant's own is everybody's neighbour.
_NEIGHBOURS = """
WITH own AS (
    SELECT record_id FROM (
        SELECT record_id FROM vault_object WHERE subject_id = ANY(%(who)s)
        UNION SELECT record_id FROM vault_record WHERE subject_id = ANY(%(who)s)
    ) AS of_theirs ORDER BY record_id DESC LIMIT %(records)s
), beside AS (
    SELECT DISTINCT other.record_id FROM own JOIN traces_header AS mine USING (record_id)
    JOIN traces_header AS other ON other.tenant_id = mine.tenant_id AND other.trace_id = mine.trace_id
)
SELECT DISTINCT s.subject_id FROM beside
JOIN (SELECT record_id, subject_id FROM vault_object UNION ALL SELECT record_id, subject_id FROM vault_record) AS theirs
    USING (record_id)
JOIN vault_subject AS s USING (subject_id)
WHERE s.kind <> 'tenant' AND s.state IN ('active', 'restricted') AND s.subject_id <> ALL(%(who)s)
ORDER BY s.subject_id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionDiscovery:
    """What one region has."""

    region: str
    found: Found
    hold_ids: list[UUID]
    """Legal holds that cover something of it."""
    neighbours: list[UUID]
    """Subjects who share a trace with the person, at most 100, ascending. They are not part of what was found."""
    mentions: list[Mention]
    """Contents of others that name the person, at most 100, newest first. Nor are they: somebody decides on each."""


def discover(
    *, region: str, credential: Credential, request_id: UUID, now: datetime
) -> list[RegionDiscovery]:
    """Look for the person in each of the request's regions; the regions ascending. Nothing is written but the look.

    Raises RequestNotFoundError, AccessNotRecordedError, RegionUnavailableError, or what a region's database raises.
    """
    record_look(credential=credential, region=region, now=now)
    _, naming = request_and_names(region, credential.tenant_id, request_id)
    check_regions(credential, naming)
    found = []
    for each, tags in naming.items():
        with tenant_scope(region_alias(each), credential.tenant_id, snapshot=True) as connection:
            there, hold_ids = look_for(connection, each, credential.tenant_id, tags)
            found.append(
                RegionDiscovery(
                    region=each,
                    found=there,
                    hold_ids=hold_ids,
                    neighbours=_neighbours(connection, list(there.subject_ids)),
                    mentions=_mentions(connection, named(tags), list(there.subject_ids)),
                )
            )
    return found


def look_for(
    connection: psycopg.Connection[Any], region: str, tenant_id: UUID, tags: list[Tag]
) -> tuple[Found, list[UUID]]:
    """Whom the tags lead to in one region and what there is of them, and the holds over it; in the caller's scope."""
    people = people_named(connection, tenant_id, named(tags))
    return count_found(connection, region, tenant_id, people), holds_over(connection, people)


def request_and_names(
    region: str, tenant_id: UUID, request_id: UUID
) -> tuple[RequestRecord, Mapping[str, list[Tag]]]:
    """The request, and what names the person in each region, ascending; raises RequestNotFoundError."""
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record = request_of(connection, request_id)
        naming = {region: tags_of(connection, request_id)} | region_tags_of(connection, request_id)
    return record, dict(sorted(naming.items()))


def check_regions(credential: Credential, naming: Mapping[str, list[Tag]]) -> None:
    """Raise RegionUnavailableError where the caller has no rights in one of the regions."""
    if not naming.keys() <= set(credential.regions):
        raise RegionUnavailableError(
            "The caller has no rights in one of the regions that the request is about."
        )


def named(tags: Sequence[Tag]) -> list[tuple[str, bytes]]:
    """Kind and tag, as the vault knows them."""
    return [(tag.kind, tag.tag) for tag in tags]


def _neighbours(connection: psycopg.Connection[Any], people: list[UUID]) -> list[UUID]:
    if not people:
        return []
    wanted = {"who": people, "records": _MOST_RECORDS, "most": MOST_NEIGHBOURS}
    return [row[0] for row in connection.execute(_NEIGHBOURS, wanted).fetchall()]


def _mentions(
    connection: psycopg.Connection[Any], tags: list[tuple[str, bytes]], people: list[UUID]
) -> list[Mention]:
    """By what the request names the person by, and by whatever else leads to them."""
    names = {*tags, *names_of_group(connection, people)}
    return mentions_of(connection, sorted(names), without=people, most=MOST_MENTIONS)
