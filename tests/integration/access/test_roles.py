"""Which role may do what over the API, and that what belongs to others looks like what is not there."""

from __future__ import annotations

from uuid import uuid4

import pytest

from auditvault.core.policy.roles import Role
from tests.integration.ingest.sending import chat, headers_of, post, protobuf_of, record, send
from tests.integration.ledger.superuser import log_number, superuser
from tests.integration.vault.looking import PURPOSE, resolve, revealed

ROLES = tuple(role.value for role in Role)
HASH = "sha256:" + "0" * 64
LOOK = {"content_hash": HASH, "purpose": PURPOSE}
WITHOUT_HEADERS = {"ingest", "key_custodian", "security_admin", "log_admin", "platform"}
READERS = set(ROLES) - WITHOUT_HEADERS
LOG_READERS = {"auditor", "examiner", "log_admin"}

ENDPOINTS = {
    "send traces": ("POST", "/v1/traces", {"ingest"}),
    "search": ("POST", "/api/v1/traces/search", READERS),
    "trace": ("GET", "/api/v1/traces/{trace}", READERS),
    "resolve": ("POST", "/api/v1/resolve", {"investigator"}),
    "receipt": ("GET", "/api/v1/receipts/{record}", READERS | {"ingest"}),
    "logs": ("GET", "/api/v1/logs", LOG_READERS),
    "checkpoint": ("GET", "/api/v1/logs/{log}/checkpoint", LOG_READERS),
    "entries": ("GET", "/api/v1/logs/{log}/entries?start=0&end=1", LOG_READERS),
    "inclusion": ("GET", "/api/v1/logs/{log}/proof/inclusion?index=0&size=1", LOG_READERS),
    "consistency": ("GET", "/api/v1/logs/{log}/proof/consistency?from=1&to=1", LOG_READERS),
}


def allowed(name):
    """A role that may ask there."""
    return min(ENDPOINTS[name][2] - {"ingest"} or {"ingest"})


BODIES = {"search": {}, "resolve": LOOK}


_made = []


@pytest.fixture
def recorder(client, tenant, cluster, run_signer):
    """A tenant with a recorded and signed trace, and what the paths to it are filled with. Made once."""
    if not _made:
        span = chat("hello")
        record(client, tenant, span)
        run_signer()
        (header,) = headers_of(client, tenant)
        with superuser(cluster, "region_eu") as connection:
            log = log_number(connection, tenant.tenant_id, "interactions")
        places = {"trace": span.trace_id.hex(), "record": header["id"], "log": log}
        _made.append((tenant, places))
    return _made[0][0]


@pytest.fixture
def places(recorder):
    return _made[0][1]


def ask(client, name, places, headers):
    method, path, _ = ENDPOINTS[name]
    path = path.format(**places)
    if name == "send traces":
        return client.post(
            path, protobuf_of(chat()), content_type="application/x-protobuf", headers=headers
        )
    if method == "POST":
        return post(client, path, BODIES[name], headers)
    return client.get(path, headers=headers)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_is_for_its_roles_alone(client, recorder, places, name, role):
    answer = ask(client, name, places, recorder.headers(role))
    expected = {200, 404} if name == "resolve" else {200}
    assert answer.status_code in (expected if role in ENDPOINTS[name][2] else {403})


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_needs_a_token(client, places, name):
    answer = ask(client, name, places, {})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if name != "send traces"])
def test_an_endpoint_is_for_the_tokens_region_alone(client, recorder, places, name):
    headers = recorder.headers(allowed(name)) | {"Auditvault-Region": "us"}
    answer = ask(client, name, places, headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "region_denied")


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if name != "send traces"])
def test_a_token_for_two_regions_must_name_one(client, recorder, places, name):
    answer = ask(client, name, places, recorder.headers(allowed(name), regions=("eu", "us")))
    assert (answer.status_code, answer.json()["code"]) == (400, "region_required")


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if name != "send traces"])
def test_a_refusal_is_a_problem_document(client, places, name):
    answer = ask(client, name, places, {})
    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert (body["status"], body["code"]) == (401, "token_invalid")
    assert body["type"].endswith(body["code"])


def test_a_sender_gets_the_proof_and_not_the_header(client, recorder, places):
    answer = ask(client, "receipt", places, recorder.headers("ingest")).json()
    assert answer["checkpoint"]
    assert not {"header", "opening"} & set(answer)


def missing(places):
    """The same paths to what nobody has."""
    return {"trace": uuid4().hex, "record": str(uuid4()), "log": 2**31 - 1}


@pytest.mark.parametrize("name", [n for n, found in ENDPOINTS.items() if "{" in found[1]])
def test_another_tenants_things_look_like_missing_ones(client, other_tenant, places, name):
    record(client, other_tenant, chat("hello"))
    headers = other_tenant.headers(allowed(name))
    theirs, nobodys = (ask(client, name, of, headers) for of in (places, missing(places)))
    assert theirs.status_code == 404
    assert (theirs.status_code, theirs.content) == (nobodys.status_code, nobodys.content)


def test_another_tenants_hash_looks_like_a_missing_one(client, tenant, other_tenant):
    record(client, tenant, chat("a secret"))
    theirs, nobodys = (resolve(client, other_tenant, text) for text in ("a secret", "never said"))
    assert theirs.status_code == 404
    assert theirs.content == nobodys.content


def test_another_tenants_tag_looks_like_a_missing_one(client, tenant, other_tenant, cluster):
    record(client, tenant, chat("a secret"))
    with superuser(cluster, "region_eu") as connection:
        tag = connection.execute(
            "SELECT tag FROM vault_object WHERE tenant_id = %s AND role = 'input_messages'",
            (tenant.tenant_id,),
        ).fetchone()[0]
    body = {"content_hash": f"tag:{tag.hex()}", "purpose": PURPOSE}
    own, others = (
        post(client, "/api/v1/resolve", body, of.headers("investigator"))
        for of in (tenant, other_tenant)
    )
    assert revealed(own) == ["a secret"]
    assert revealed(others) == []


def test_what_is_in_another_region_looks_like_a_missing_one(client, tenant):
    headers = tenant.headers("ingest", regions=("us",))
    send(client, tenant, protobuf_of(chat("a secret")), headers=headers)
    assert revealed(resolve(client, tenant, "a secret")) == []


@pytest.mark.parametrize(
    "trace_id", ["", "x" * 32, "ab" * 15, "ab" * 17, "a b " * 8, "é" * 32, "%00"]
)
def test_a_trace_id_that_is_none_is_404(client, tenant, trace_id):
    answer = client.get(f"/api/v1/traces/{trace_id}", headers=tenant.headers("engineer"))
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
@pytest.mark.parametrize("path", ["/api/v1/resolve", "/api/v1/traces/search"])
def test_another_method_is_405(client, tenant, path, method):
    answer = getattr(client, method)(path, headers=tenant.headers("investigator"))
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/api/v1/receipts/not-an-id", "/api/v1/logs/x/entries"]
)
def test_an_unknown_path_is_404(client, service, path):
    assert client.get(path).status_code == 404
