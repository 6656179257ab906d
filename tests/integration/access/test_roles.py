"""Which role may do what: every operation of the service, asked with every role and compared with what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditvault.core.policy.roles import ALLOWED, Role
from auditvault.core.policy.second_factor import NEED_SECOND_FACTOR
from tests.integration.access.matrix import page
from tests.integration.access.operations import operations, schema
from tests.integration.access.samples import ask, make_world, owner, values_of
from tests.staff import make_person

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/endpoint-matrix.md"
ROLES = tuple(Role)
# Refused for what is looked at after the role.
GOES_FURTHER = {
    "grant_missing",
    "every_region_required",
    "operation_denied",
    "approval_own",
    "approval_not_yours",
}
_made = []


@pytest.fixture
def world(client, tenant, cluster, run_signer):
    """Made once."""
    if not _made:
        _made.append(make_world(client, tenant, cluster, run_signer))
    return _made[0]


@pytest.fixture
def token_of(world, service):
    """`token_of(role, human=True, strong=True)` are headers with a live token, of a machine or a person."""
    people = {}

    def make(role, *, human=False, strong=False):
        if not human:
            return world.tenant.headers(role.value)
        if role not in people:
            people[role] = make_person(world.tenant, role.value)
        return people[role].headers(role.value, strong=strong)

    return make


def outcome(answer):
    """The code of a refusal to the caller as such; `answered` for everything else that works."""
    if answer.status_code not in {401, 403} or _code(answer) in GOES_FURTHER:
        works = answer.status_code < 500 and answer.status_code != 405
        return "answered" if works else str(answer.status_code)
    return _code(answer)


def _code(answer):
    if answer["Content-Type"] == "application/x-protobuf":
        return {401: "token_invalid", 403: "access_denied"}[answer.status_code]
    return answer.json()["code"]


def expected(demand, role, *, human=False, strong=False):
    """What the declaration says that the outcome is."""
    if demand.who == "session":
        return "human_required"  # only tokens are tried here
    if demand.acts and not ALLOWED[role].intersection(demand.acts):
        return "access_denied"
    if demand.who in {"human", "second_factor"} and not human:
        return "human_required"
    own = ALLOWED[role].intersection(demand.acts)
    if demand.who == "human" and not strong and own and own <= NEED_SECOND_FACTOR:
        return "second_factor_required"
    if demand.who == "second_factor" and not strong:
        return "second_factor_required"
    return "answered"


def kinds(demand):
    """What tokens to ask with: a machine's, and where it makes a difference a person's, and a person's proved twice."""
    yield {}
    if demand.who in {"human", "second_factor", "session"}:
        yield {"human": True}
        yield {"human": True, "strong": True}


def machine_operations():
    return [found for found in operations() if not found.is_page]


def test_every_role_may_do_what_is_declared_and_no_more(client, world, token_of):
    seen, declared = {}, {}
    for operation in machine_operations():
        if operation.demand.who == "anybody":
            continue
        values = values_of(operation, world)
        for role in ROLES:
            for kind in kinds(operation.demand):
                if kind and role is Role.INGEST:
                    continue  # for machines alone
                asked = (operation.name, role.value, *kind)
                seen[asked] = outcome(ask(client, operation, values, token_of(role, **kind)))
                declared[asked] = expected(operation.demand, role, **kind)

    assert {asked: said for asked, said in seen.items() if said != declared[asked]} == {}


def test_whoever_may_gets_the_thing_where_a_sample_is_complete(client, tenant, cluster, run_signer):
    """So that `answered` above is more than a malformed request. In a world in which nobody did anything yet."""
    world = make_world(client, tenant, cluster, run_signer)
    seen = {}
    for operation in machine_operations():
        if operation.method == "GET" and operation.demand.who == "caller":
            may = [r for r in ROLES if ALLOWED[r].intersection(operation.demand.acts)]
            role = owner(operation, may)
            headers = world.tenant.headers(role.value)
            answer = ask(client, operation, values_of(operation, world), headers)
            seen[operation.name] = answer.status_code

    assert {name: status for name, status in seen.items() if status != 200} == {}


def test_what_is_not_open_to_anybody_needs_a_token(client, world):
    seen = {}
    for operation in machine_operations():
        answer = ask(client, operation, values_of(operation, world), {})
        seen[operation.name] = (answer.status_code, answer.get("WWW-Authenticate"))

    # Whoever brings no code has not asked for anything yet.
    incomplete = {"POST /api/v1/privacy/packages/fetch": (400, None)}
    assert (
        seen
        == {
            operation.name: (200, None) if operation.demand.who == "anybody" else (401, "Bearer")
            for operation in machine_operations()
        }
        | incomplete
    )


def test_an_operation_is_for_the_tokens_regions_alone(client, world):
    seen = {}
    for operation in machine_operations():
        if operation.demand.who != "caller":
            continue
        role = next(r for r in ROLES if ALLOWED[r].intersection(operation.demand.acts))
        headers = world.tenant.headers(role.value) | {"Auditvault-Region": "us"}
        answer = ask(client, operation, values_of(operation, world), headers)
        seen[operation.name] = answer.status_code

    assert set(seen.values()) == {403}, seen


def test_a_token_of_two_regions_must_name_one(client, world):
    seen = {}
    for operation in machine_operations():
        if operation.demand.who != "caller" or operation.path.startswith("/tlog/"):
            continue
        role = next(r for r in ROLES if ALLOWED[r].intersection(operation.demand.acts))
        headers = world.tenant.headers(role.value, regions=("eu", "us"))
        answer = ask(client, operation, values_of(operation, world), headers)
        seen[operation.name] = answer.status_code

    assert set(seen.values()) == {400}, seen


def test_every_view_says_who_may_call_it(service):
    from auditvault.api.checks import views_without_demands

    assert views_without_demands(None) == []


def test_a_view_that_says_nothing_is_found(service):
    from django.test import override_settings

    from auditvault.api.checks import views_without_demands

    with override_settings(ROOT_URLCONF="tests.integration.access.undeclared_urls"):
        found = views_without_demands(None)

    assert [(error.id, "/bare" in error.msg) for error in found] == [("auditvault.E001", True)]


def test_a_method_that_is_not_declared_is_not_answered(client, tenant):
    from django.test import override_settings

    with override_settings(ROOT_URLCONF="tests.integration.access.undeclared_urls"):
        answer = client.post("/half", headers=tenant.headers("viewer"))

    assert answer.status_code == 405


def test_the_schema_has_every_operation_of_the_machine_interface(service):
    described = {
        (path, method.upper())
        for path, item in schema()["paths"].items()
        for method in item
        if method != "parameters"
    }

    assert described == {(o.path, o.method) for o in machine_operations()} - {
        ("/api/schema/", "GET")
    }


def test_the_page_of_the_matrix_is_what_is_declared(service):
    assert PAGE.read_text(encoding="utf-8") == page()


def test_a_sender_gets_the_proof_and_not_the_header(client, world):
    path = f"/api/v1/receipts/{world.interaction_id}"
    answer = client.get(path, headers=world.tenant.headers("ingest")).json()

    assert answer["checkpoint"]
    assert not {"header", "opening"} & set(answer)
