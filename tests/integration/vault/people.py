"""Sends people's names, and looks at what became of them as the database's owner does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.integration.ingest.sending import chat, headers_of, record
from tests.integration.ledger.superuser import superuser


def named(prompt: str = "hello", **names: str) -> Any:
    """A chat span with these names: user, session, email, phone, or a kind of the tenant's own."""
    own = {"user", "session"}
    keys = {"email": "user.email", "phone": "user.phone"}
    attributes = {
        keys.get(kind, f"auditvault.identifier.{kind}"): value
        for kind, value in names.items()
        if kind not in own
    }
    given = {kind: value for kind, value in names.items() if kind in own}
    return chat(prompt, attributes=attributes, **given)


def spans_of(client: Any, tenant: Any, **filters: Any) -> set[str]:
    """Ids of the spans that a search finds."""
    return {header["span_id"] for header in headers_of(client, tenant, **filters)}


def sent(client: Any, tenant: Any, *spans: Any) -> list[str]:
    """Send spans in one request; their ids."""
    record(client, tenant, *spans)
    return [span.span_id.hex() for span in spans]


def identifiers(cluster: Any, tenant: Any) -> list[tuple[str, UUID]]:
    """Kind and subject of each identifier of the tenant, by kind."""
    with superuser(cluster, "region_eu") as connection:
        return connection.execute(
            "SELECT kind, subject_id FROM vault_identifier WHERE tenant_id = %s ORDER BY 1, 2",
            (tenant.tenant_id,),
        ).fetchall()


def subjects(cluster: Any, tenant: Any) -> list[UUID]:
    """The tenant's subjects but its own, oldest first."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind <> 'tenant'"
            " ORDER BY created_at, subject_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [row[0] for row in rows]


def own_subject(cluster: Any, tenant: Any) -> UUID:
    """The tenant's own subject."""
    with superuser(cluster, "region_eu") as connection:
        row = connection.execute(
            "SELECT subject_id FROM vault_subject WHERE tenant_id = %s AND kind = 'tenant'",
            (tenant.tenant_id,),
        ).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def set_state(cluster: Any, subject_id: UUID, state: str) -> None:
    """Restrict or erase one subject."""
    with superuser(cluster, "region_eu") as connection:
        connection.execute(
            "UPDATE vault_subject SET state = %s WHERE subject_id = %s", (state, subject_id)
        )


def admin_events(cluster: Any, tenant: Any) -> list[tuple[str, bytes]]:
    """Action and header of each record of the tenant's admin log, oldest first."""
    with superuser(cluster, "region_eu") as connection:
        rows = connection.execute(
            "SELECT action, header FROM admin_event WHERE tenant_id = %s ORDER BY record_id",
            (tenant.tenant_id,),
        ).fetchall()
    return [(action, bytes(header)) for action, header in rows]


def people(client: Any, tenant: Any, cluster: Any, *users: str) -> list[UUID]:
    """One new subject for each user, in this order."""
    made: list[UUID] = []
    for user in users:
        record(client, tenant, named(f"I am {user}", user=user))
        made += [one for one in subjects(cluster, tenant) if one not in made]
    return made
