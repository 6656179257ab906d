"""Requests that `POST /v1/traces` refuses: a google.rpc.Status in the request's encoding, and no row written."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime, timedelta

import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.integration.ingest.sending import (
    JSON,
    PROTOBUF,
    chat,
    json_of,
    protobuf_of,
    send,
    zipped,
)
from tests.integration.ledger.superuser import counts

LIMIT = 20 * 1024 * 1024
GZIP = {"Content-Encoding": "gzip"}
BUILDERS = {PROTOBUF: protobuf_of, JSON: json_of}
both_encodings = pytest.mark.parametrize("content_type", [PROTOBUF, JSON])


@pytest.fixture(autouse=True)
def nothing_is_written(tenant, cluster):
    """Holds for every refusal, but that it is recorded who was refused."""
    before = counts(cluster, tenant.tenant_id)
    yield
    after = counts(cluster, tenant.tenant_id)
    if after["access_event"] != before["access_event"]:
        recorded = {"access_event", "access_window", "ledger_log", "ledger_head", "ledger_entry"}
        before |= {table: before[table] + 1 for table in recorded}
    assert after == before


def status_of(answer):
    """HTTP status, and code and message of the google.rpc.Status that the body must be."""
    if answer["Content-Type"] == JSON:
        found = json.loads(answer.content)
        code, message = found["code"], found["message"]
    else:
        assert answer["Content-Type"] == PROTOBUF
        parsed = status_pb2.Status.FromString(answer.content)
        code, message = parsed.code, parsed.message
    assert message
    return answer.status_code, code


@both_encodings
@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"{", b"[]", b"null", b'"a"', b"\x0a\x05ab"])
def test_a_body_that_cannot_be_decoded_is_400(client, tenant, content_type, body):
    assert status_of(send(client, tenant, body, content_type)) == (400, 3)


def test_a_400_in_protobuf_names_the_bad_field(client, tenant):
    answer = send(client, tenant, b"\xff\xff\xff")
    (detail,) = status_pb2.Status.FromString(answer.content).details
    bad_request = error_details_pb2.BadRequest()
    assert detail.Unpack(bad_request)
    assert [violation.field for violation in bad_request.field_violations] == ["body"]


def test_a_400_in_json_names_the_bad_field(client, tenant):
    (detail,) = json.loads(send(client, tenant, b"{", JSON).content)["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [violation["field"] for violation in detail["fieldViolations"]] == ["body"]


def test_a_refusal_does_not_repeat_what_was_sent(client, tenant):
    answer = send(client, tenant, b'{"resourceSpans": "CANARY-7f3a"}', JSON)
    assert answer.status_code == 400
    assert b"CANARY" not in answer.content


@both_encodings
def test_a_body_that_is_not_gzip_is_400(client, tenant, content_type):
    body = BUILDERS[content_type](chat("hello"))
    assert status_of(send(client, tenant, body, content_type, headers=GZIP)) == (400, 3)


@both_encodings
@pytest.mark.parametrize("cut", [1, 8, 40])
def test_gzip_that_is_cut_off_is_400(client, tenant, content_type, cut):
    body = zipped(BUILDERS[content_type](chat("hello")))[:-cut]
    assert status_of(send(client, tenant, body, content_type, headers=GZIP)) == (400, 3)


@both_encodings
def test_gzip_followed_by_something_else_is_400(client, tenant, content_type):
    body = zipped(BUILDERS[content_type](chat("hello"))) + b"tail"
    assert status_of(send(client, tenant, body, content_type, headers=GZIP)) == (400, 3)


@both_encodings
def test_a_damaged_gzip_is_400(client, tenant, content_type):
    body = bytearray(zipped(BUILDERS[content_type](chat("hello"))))
    body[-5] ^= 1
    assert status_of(send(client, tenant, bytes(body), content_type, headers=GZIP)) == (400, 3)


@both_encodings
def test_a_body_over_the_limit_is_413(client, tenant, content_type):
    body = BUILDERS[content_type](chat("x" * LIMIT))
    assert status_of(send(client, tenant, body, content_type)) == (413, 8)


@both_encodings
def test_a_body_over_the_limit_after_inflating_is_413(client, tenant, content_type):
    body = zipped(BUILDERS[content_type](chat("x" * LIMIT)))
    assert status_of(send(client, tenant, body, content_type, headers=GZIP)) == (413, 8)


def test_a_gzip_bomb_is_413_and_costs_no_more_than_the_limit(client, tenant):
    member = zipped(bytes(8 * LIMIT))
    bomb = member * (LIMIT // len(member) - 1)  # 19 MiB on the wire, 18 GiB inflated
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert status_of(send(client, tenant, bomb, headers=GZIP)) == (413, 8)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib * 1024 < 4 * LIMIT


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/octet-stream", "application/protobuf", "", "multipart/form-data"],
)
def test_another_content_type_is_415(client, tenant, content_type):
    assert status_of(send(client, tenant, protobuf_of(chat("hello")), content_type)) == (415, 3)


@both_encodings
@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_another_content_encoding_is_415(client, tenant, content_type, coding):
    headers = {"Content-Encoding": coding}
    body = BUILDERS[content_type](chat("hello"))
    assert status_of(send(client, tenant, body, content_type, headers=headers)) == (415, 3)


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "options"])
def test_another_method_is_405_and_says_which_one_is_right(client, tenant, method):
    answer = getattr(client, method)("/v1/traces", headers=tenant.headers("ingest"))
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@both_encodings
def test_a_405_is_in_the_encoding_of_the_request(client, tenant, content_type):
    headers = tenant.headers("ingest")
    answer = client.put("/v1/traces", data=b"x", content_type=content_type, headers=headers)
    assert answer["Content-Type"] == content_type
    assert status_of(answer) == (405, 12)


@both_encodings
@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic abc", "Bearer av_000000000000_x", "Bearer av__", "av_x_y"],
)
def test_a_request_without_a_live_token_is_401(client, tenant, content_type, authorization):
    headers = {"Authorization": authorization}
    body = BUILDERS[content_type](chat("hello"))
    answer = send(client, tenant, body, content_type, headers=headers)
    assert (*status_of(answer), answer["WWW-Authenticate"]) == (401, 16, "Bearer")


def new_token(tenant, lifetime=timedelta(hours=1)):
    from auditvault.access.tokens import create_token

    return create_token(
        tenant_slug=tenant.slug,
        regions=("eu",),
        roles=("ingest",),
        lifetime=lifetime,
        now=datetime.now(UTC) - timedelta(minutes=30),
    )


@both_encodings
def test_an_expired_token_is_401(client, tenant, content_type):
    headers = {"Authorization": f"Bearer {new_token(tenant, timedelta(minutes=29))}"}
    body = BUILDERS[content_type](chat("hello"))
    assert status_of(send(client, tenant, body, content_type, headers=headers)) == (401, 16)


@both_encodings
def test_a_revoked_token_is_401(client, tenant, content_type):
    from auditvault.access.tokens import revoke_token

    token = new_token(tenant)
    revoke_token(token.split("_")[1], now=datetime.now(UTC))
    body = BUILDERS[content_type](chat("hello"))
    headers = {"Authorization": f"Bearer {token}"}
    assert status_of(send(client, tenant, body, content_type, headers=headers)) == (401, 16)


def test_a_right_id_with_a_wrong_secret_is_401(client, tenant):
    headers = {"Authorization": f"Bearer {new_token(tenant)}x"}
    assert status_of(send(client, tenant, protobuf_of(chat("hello")), headers=headers)) == (401, 16)


@both_encodings
@pytest.mark.parametrize("role", ["engineer", "investigator", "auditor"])
def test_a_token_without_the_ingest_role_is_403(client, tenant, content_type, role):
    body = BUILDERS[content_type](chat("hello"))
    answer = send(client, tenant, body, content_type, headers=tenant.headers(role))
    assert status_of(answer) == (403, 7)


@both_encodings
@pytest.mark.parametrize("region", ["us", "EU", "no-such-region", "../eu"])
def test_a_region_that_the_token_is_not_for_is_403(client, tenant, content_type, region):
    body = BUILDERS[content_type](chat("hello"))
    headers = {"Auditvault-Region": region}
    assert status_of(send(client, tenant, body, content_type, headers=headers)) == (403, 7)


def test_a_token_for_two_regions_must_name_one(client, tenant):
    headers = tenant.headers("ingest", regions=("eu", "us"))
    assert status_of(send(client, tenant, protobuf_of(chat("hello")), headers=headers)) == (400, 3)
