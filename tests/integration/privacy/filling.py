"""Rows of the privacy tables, by hand, for tests that look at every table."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4


def fill_holds(connection: Any, tenant_id: UUID) -> None:
    """A hold that was released: one in force would refuse what tests take apart."""
    hold_id = uuid4()
    connection.execute(
        "INSERT INTO legal_hold VALUES (%(tenant)s, %(id)s, 'tenant', '{}', %(digest)s, NULL, NULL, NULL, 'CASE-1',"
        " %(id)s, %(id)s, now(), %(id)s, now(), now(), %(id)s)",
        {"tenant": tenant_id, "id": hold_id, "digest": bytes(32)},
    )
    connection.execute(
        "INSERT INTO legal_hold_member VALUES (%s, %s, %s)", (tenant_id, hold_id, uuid4())
    )
    connection.execute(
        "INSERT INTO legal_case_record VALUES (%s, 'CASE-1', %s)", (tenant_id, uuid4())
    )


def fill_requests(connection: Any, tenant_id: UUID) -> None:
    """A request that has come in."""
    request_id = uuid4()
    connection.execute(
        "INSERT INTO privacy_request VALUES (%(tenant)s, %(id)s, 'access', 'gdpr', '1', now(), NULL, now(), NULL,"
        " now(), NULL, NULL, 'received', 0, ARRAY[%(id)s::uuid], false, NULL, NULL, NULL, false, false)",
        {"tenant": tenant_id, "id": request_id},
    )
    connection.execute(
        "INSERT INTO privacy_request_tag VALUES (%s, %s, 'user', %s, 1)",
        (tenant_id, request_id, bytes(32)),
    )
    connection.execute(
        "INSERT INTO privacy_request_step VALUES"
        " (%s, %s, 0, 'receive', NULL, 'received', 'user:x', %s, now())",
        (tenant_id, request_id, uuid4()),
    )
    connection.execute(
        "INSERT INTO privacy_restriction SELECT %s, %s, subject_id, now() FROM vault_subject"
        " WHERE tenant_id = %s LIMIT 1",
        (tenant_id, request_id, tenant_id),
    )
    connection.execute(
        "INSERT INTO privacy_ruling VALUES (%s, %s, 'upheld', NULL, %s, %s, now())",
        (tenant_id, request_id, uuid4(), uuid4()),
    )


def fill_erasing(connection: Any, tenant_id: UUID) -> None:
    """A request that was carried out, with what a certified one has no list of any more."""
    request_id, listing_id = uuid4(), uuid4()
    values = {"tenant": tenant_id, "id": request_id, "listing": listing_id, "digest": bytes(32)}
    connection.execute("SET session_replication_role = replica")
    for statement in (
        "INSERT INTO privacy_request_region_tag VALUES (%(tenant)s, %(id)s, 'us', 'user', %(digest)s, 1)",
        "INSERT INTO privacy_request_told VALUES (%(tenant)s, %(id)s, now(), 50)",
        "INSERT INTO privacy_manifest VALUES (%(tenant)s, %(id)s, sha256('{}'), '{}', now())",
        "INSERT INTO privacy_listing VALUES (%(tenant)s, %(listing)s, %(id)s, 'eu', now())",
        "INSERT INTO privacy_listing_object VALUES (%(tenant)s, %(listing)s, %(id)s, %(digest)s)",
        (
            "INSERT INTO privacy_part (tenant_id, request_id, home, manifest, state)"
            " VALUES (%(tenant)s, %(id)s, 'eu', %(digest)s, 'held')"
        ),
        "INSERT INTO privacy_certificate VALUES (%(tenant)s, %(id)s, %(id)s, 'x', now())",
        "INSERT INTO privacy_package_order VALUES (%(tenant)s, %(id)s, 'x', NULL, %(id)s, now())",
        (
            "INSERT INTO privacy_package (tenant_id, request_id, home, manifest, ordered_by)"
            " VALUES (%(tenant)s, %(id)s, 'eu', %(digest)s, %(id)s)"
        ),
        (
            "INSERT INTO privacy_package_link (tenant_id, link_id, request_id, secret_hash, made_by, expires_at)"
            " VALUES (%(tenant)s, %(listing)s, %(id)s, %(digest)s, %(id)s, now())"
        ),
    ):
        connection.execute(statement, values)
    connection.execute("SET session_replication_role = origin")


def fill_retention(connection: Any, tenant_id: UUID) -> None:
    """A policy that was approved long ago, and a run under it that waits."""
    connection.execute(
        "INSERT INTO retention_policy VALUES (%s, 1, '{}', NULL, %s, now() - interval '8 days', now(), %s, now())",
        (tenant_id, uuid4(), uuid4()),
    )
    run = (tenant_id, uuid4())
    connection.execute(
        "INSERT INTO retention_run (tenant_id, run_id, policy, version, as_of, plan, digest, due, shared, paused_at)"
        " VALUES (%s, %s, %s, 1, current_date, '{}', %s, 1, 0, now())",
        (*run, bytes(32), bytes(32)),
    )
    connection.execute(
        "INSERT INTO retention_run_item (tenant_id, run_id, object_id) VALUES (%s, %s, %s)",
        (*run, uuid4()),
    )
