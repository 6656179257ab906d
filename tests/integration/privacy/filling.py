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
