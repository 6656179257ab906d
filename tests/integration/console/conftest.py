"""People who look at the console, and small traces for them to find."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

NOW_NS = time.time_ns()


def span(
    trace_id: str, number: int = 1, *, parent: int | None = None, **attributes: str | int
) -> dict[str, Any]:
    """A span of OTLP/JSON: `number` names it in its trace; `name` and `status` are not attributes."""
    made: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": f"{number:016x}",
        "name": str(attributes.pop("name", f"step {number}")),
        "startTimeUnixNano": str(NOW_NS + number * 1_000_000),
        "endTimeUnixNano": str(NOW_NS + number * 1_000_000 + 500_000),
        "status": {"code": int(attributes.pop("status", 1))},
        "attributes": [
            {
                "key": key.replace("__", "."),
                "value": {"intValue": value} if isinstance(value, int) else {"stringValue": value},
            }
            for key, value in attributes.items()
        ],
    }
    if parent is not None:
        made["parentSpanId"] = f"{parent:016x}"
    return made


@pytest.fixture
def send(client: Client, tenant) -> Callable[..., None]:
    """`send(span, …, service=…, region=…)` records spans for the test's tenant."""

    def record(*spans: dict[str, Any], service: str = "shop", region: str = "eu") -> None:
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}
        answer = client.post(
            "/v1/traces",
            data=json.dumps(body),
            content_type="application/json",
            headers=tenant.headers("ingest", regions=(region,)),
        )
        assert answer.status_code == 200, answer.content
        assert json.loads(answer.content) == {}

    return record


@pytest.fixture
def trace_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def make_person(service) -> Callable[..., Any]:
    """`make_person({"<tenant>.<region>": "auditor", …})` is a member of staff with these roles."""
    from auditvault.access.models import User
    from auditvault.access.people import grant_role

    def make(roles: dict[str, str] | None = None, **fields: Any) -> User:
        person = User.objects.create_user(username=f"p-{uuid.uuid4().hex[:20]}", **fields)
        for place, role in (roles or {}).items():
            slug, region = place.split(".")
            # An outsider's role has an end.
            ends_at = datetime.now(UTC) + timedelta(days=1) if role == "examiner" else None
            grant_role(
                username=person.username,
                tenant_slug=slug,
                region=region,
                role=role,
                ends_at=ends_at,
            )
        return person

    return make


@pytest.fixture
def signed_in(make_person) -> Callable[..., Client]:
    """`signed_in({"<tenant>.<region>": "auditor", …})` is that person's browser."""

    def sign_in(roles: dict[str, str] | None = None, **fields: Any) -> Client:
        browser = Client()
        browser.force_login(
            make_person(roles, **fields), backend="django.contrib.auth.backends.ModelBackend"
        )
        return browser

    return sign_in


@pytest.fixture
def auditor(signed_in, tenant) -> Client:
    """The browser of an auditor of the test's tenant in region eu."""
    return signed_in({f"{tenant.slug}.eu": "auditor"})
