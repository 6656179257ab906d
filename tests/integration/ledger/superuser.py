"""What only the database's owner can do: look at everything, age rows, tamper, and put things back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# In an order that foreign keys do not mind, though they are off while tampering.
TENANT_TABLES = (
    "ledger_log",
    "ledger_head",
    "ledger_entry",
    "ledger_tile",
    "ledger_checkpoint",
    "ledger_cosignature",
    "ledger_prune",
    "ledger_pruned",
    "traces_header",
    "access_event",
    "admin_event",
    "vault_subject",
    "vault_identifier",
    "vault_object",
    "vault_piece",
    "vault_record",
    "vault_tag_alias",
    "vault_erasure",
    "vault_identifier_kind",
    "vault_subject_link",
    "vault_scan",
    "vault_detector",
    "vault_rendering",
    "vault_placeholder",
    "vault_mention",
    "legal_hold",
    "legal_hold_member",
    "legal_case_record",
    "privacy_request",
    "privacy_request_tag",
    "privacy_request_step",
    "privacy_request_region_tag",
    "privacy_request_told",
    "privacy_manifest",
    "privacy_listing",
    "privacy_listing_object",
    "privacy_part",
    "privacy_certificate",
    "privacy_package_order",
    "privacy_package",
    "privacy_package_link",
    "privacy_restriction",
    "privacy_ruling",
    "retention_policy",
    "retention_run",
    "retention_run_item",
    "payload_policy",
    "lookup_use",
    "access_approval",
    "access_review",
    "access_review_sign_off",
    "access_alert",
    "access_alert_delivery",
    "access_window",
    "access_grant",
    "access_grant_use",
    "access_break_glass",
    "access_break_glass_look",
    "access_break_glass_told",
    "transfer_basis",
    "transfer_basis_end",
    "look_count",
    "look_subject",
    "look_alerted",
    "look_limit",
    "evidence_export",
    "evidence_export_part",
)


@contextmanager
def superuser(cluster: Any, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to one database; each statement commits."""
    found = conninfo_to_dict(cluster.postgres.superuser_dsn) | {"dbname": database}
    with psycopg.connect(make_conninfo(**found), autocommit=True) as connection:  # type: ignore[arg-type]
        yield connection


@contextmanager
def tampering(cluster: Any, tenant_id: UUID, database: str = "region_eu") -> Iterator[Any]:
    """A superuser's connection with triggers off; afterwards the tenant's rows are as they were."""
    with superuser(cluster, database) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in TENANT_TABLES:
            connection.execute(
                f"CREATE TEMP TABLE saved_{table} AS SELECT * FROM {table} WHERE tenant_id = '{tenant_id}'"
            )
        try:
            yield connection
        finally:
            for table in TENANT_TABLES:
                connection.execute(f"DELETE FROM {table} WHERE tenant_id = %s", (tenant_id,))
                connection.execute(
                    f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM saved_{table}"
                )


def counts(cluster: Any, tenant_id: UUID, database: str = "region_eu") -> dict[str, int]:
    """Rows that the tenant has in each table of a region."""
    each = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM {table} WHERE tenant_id = '{tenant_id}'"
        for table in TENANT_TABLES
    )
    with superuser(cluster, database) as connection:
        return dict(connection.execute(each).fetchall())


def count(connection: psycopg.Connection[Any], table: str, tenant_id: UUID) -> int:
    """Rows that the tenant has in one table."""
    row = connection.execute(
        f"SELECT count(*) FROM {table} WHERE tenant_id = %s", (tenant_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def log_number(connection: psycopg.Connection[Any], tenant_id: UUID, kind: str) -> int:
    """The log's number inside its database."""
    row = connection.execute(
        "SELECT log_id FROM ledger_log WHERE tenant_id = %s AND kind = %s", (tenant_id, kind)
    ).fetchone()
    assert row is not None
    return int(row[0])
