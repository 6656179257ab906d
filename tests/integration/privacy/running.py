"""A tenant with contents that are past their time, and whoever carries its retention runs out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.integration.ingest.sending import protobuf_of
from tests.integration.ledger.superuser import log_number, superuser
from tests.integration.privacy.retaining import document

DAY = timedelta(days=1)
LONG_AGO = 100 * DAY


class Runs:
    """What is recorded long ago, under a policy, and runs."""

    def __init__(self, cluster: Any, tenant: Any) -> None:
        self.cluster = cluster
        self.tenant = tenant

    def record(self, *spans: Any, ago: timedelta = LONG_AGO) -> list[UUID]:
        """Record spans as if they had come so long ago; the ids of their records."""
        from auditvault.ingest.otlp.traces import decode_traces
        from auditvault.ingest.services import ingest

        decoded = decode_traces(protobuf_of(*spans), "protobuf")
        done = ingest(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            source="token:made",
            interactions=decoded.interactions,
            received_at=datetime.now(UTC) - ago,
        )
        return [UUID(bytes=raw) for raw in done.record_ids]

    def policy(
        self, keep: str = "P90D", *, version: int = 1, since: timedelta = DAY, **more: Any
    ) -> bytes:
        """A policy that has been in force for a day, or as long as said."""
        data = document(keep, **more)
        self.change(
            "INSERT INTO retention_policy VALUES (%s, %s, %s, NULL, %s, now() - interval '9 days',"
            " now() - %s, %s)",
            self.tenant.tenant_id,
            version,
            data,
            uuid4(),
            since,
            uuid4(),
        )
        return data

    def witness(self, at: datetime | None = None) -> None:
        """A witness has said what time it is."""
        with superuser(self.cluster, "region_eu") as connection:
            number = log_number(connection, self.tenant.tenant_id, "interactions")
            connection.execute(
                "INSERT INTO ledger_cosignature VALUES (%s, %s, 1, %s, %s, %s, '-')",
                (self.tenant.tenant_id, number, bytes(32), bytes(32), at or datetime.now(UTC)),
            )

    def change(self, statement: str, *values: Any) -> None:
        """As whoever owns the server."""
        with superuser(self.cluster, "region_eu") as connection:
            connection.execute(statement, values)

    def start(self, now: datetime | None = None) -> Any:
        from auditvault.privacy.retention.running import start_run

        return start_run(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            now=now or datetime.now(UTC),
            actor="token:made",
        )

    def go_on(self, run_id: UUID, now: datetime | None = None, **limits: Any) -> Any:
        from auditvault.privacy.retention.running import go_on

        return go_on(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            run_id=run_id,
            now=now or datetime.now(UTC),
            **limits,
        )

    def run(self) -> Any:
        """A whole run."""
        return self.go_on(self.start().run_id)

    def pause(self, run_id: UUID, *, is_paused: bool = True) -> Any:
        from auditvault.privacy.retention.running import pause_run

        return pause_run(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            run_id=run_id,
            actor="token:made",
            is_paused=is_paused,
        )

    def contents(self) -> list[UUID]:
        """Contents of people that are there, in the order of their ids."""
        with superuser(self.cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT o.object_id FROM vault_object AS o JOIN vault_subject AS s USING (tenant_id, subject_id)"
                " WHERE o.tenant_id = %s AND s.kind <> 'tenant' ORDER BY 1",
                (self.tenant.tenant_id,),
            ).fetchall()
        return [row[0] for row in rows]

    def entries(self, action: str) -> list[dict[str, Any]]:
        """What the tenant's admin log says of its runs."""
        from auditvault.core.tlog.canonical import parse_canonical

        with superuser(self.cluster, "region_eu") as connection:
            rows = connection.execute(
                "SELECT header FROM admin_event WHERE tenant_id = %s AND action = %s ORDER BY record_id",
                (self.tenant.tenant_id, action),
            ).fetchall()
        found: list[Any] = [parse_canonical(bytes(header)) for (header,) in rows]
        return [each["details"] for each in found]
