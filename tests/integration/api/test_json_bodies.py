"""JSON endpoints read no more than they must, whoever sends it."""

from __future__ import annotations

import pytest

PATHS = ["/api/v1/traces/search", "/api/v1/resolve"]


def post(client, tenant, path, body):
    return client.post(
        path, data=body, content_type="application/json", headers=tenant.headers("investigator")
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_body_of_more_than_a_mebibyte_is_refused(client, tenant, path):
    answer = post(client, tenant, path, b'{"model": "' + b"x" * 2**20 + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_nested_too_deep_is_refused(client, tenant, path):
    answer = post(client, tenant, path, b"[" * 100_000 + b"]" * 100_000)
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[]", b"null", b'{"model": NaN}', b"{}{}"])
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_no_json_object_is_refused(client, tenant, path, body):
    answer = post(client, tenant, path, body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
