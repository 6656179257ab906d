"""The OpenAPI description, held against the service by a tool of others': schemathesis.

Each operation is asked with requests that fit its description and with some that do not, in this process, with every
role in turn. No answer may be a 5xx, nor have a status, a type or a form that the description does not have.
"""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from auditvault.core.policy.roles import ALLOWED, Role
from tests.integration.access.operations import operations, schema
from tests.integration.access.samples import REFERENCES, able, make_world, own

EXAMPLES = 8
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_made = []


@pytest.fixture
def world(client, tenant, cluster, run_signer):
    """Made once."""
    if not _made:
        _made.append(make_world(client, tenant, cluster, run_signer))
    return _made[0]


@pytest.fixture
def described(service):
    """The description, as schemathesis has it, with the service behind it."""
    from django.core.wsgi import get_wsgi_application

    found = openapi.from_dict(schema())
    found.app = get_wsgi_application()
    return found


@pytest.fixture(autouse=True)
def lookups_without_limit(service):
    """A limit's 429 is documented, and would hide everything that comes after it."""
    from django.test import override_settings

    with override_settings(LOOKUPS_PER_CALLER=10**6, LOOKUPS_PER_TENANT=10**6):
        yield


def by_name():
    return {operation.name: operation for operation in operations()}


def tokens(world, operation):
    """Headers, one after the other for ever: a role that may first of all, and after it each of the others."""
    acts = operation.demand.acts
    allowed = [role for role in Role if not acts or ALLOWED[role].intersection(acts)]
    for other in cycle([*Role, None]):
        yield able(world.tenant, operation, allowed[0])
        yield world.tenant.headers(other.value) if other else {}


def examples(strategy):
    """The same few requests at each run."""
    found = []

    @seed(20261125)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def collect(case):
        found.append(case)

    collect()
    return found


def ask_all(described, world, mode, *, known, checks):
    """Ask every operation; with `known`, what its path names are things that there are. Returns what was wrong."""
    wrong, asked = {}, {}
    for found in described.get_all_operations():
        operation = found.ok()
        name = f"{operation.method.upper()} {operation.path}"
        ours = by_name()[name]
        if mode is GenerationMode.NEGATIVE and not (
            ours.path_names or ours.query_names or ours.body
        ):
            continue
        if known and not set(ours.path_names) & set(REFERENCES):
            continue
        path = {each: own(world, each) for each in ours.path_names} if known else None
        headers = tokens(world, ours)
        for case in examples(operation.as_strategy(mode, path_parameters=path)):
            for _ in range(2):
                answer = case.call(headers=next(headers))
                asked.setdefault(name, set()).add(answer.status_code)
                try:
                    case.validate_response(answer, checks=checks)
                except Exception as error:  # noqa: BLE001  # collected, and shown together
                    wrong.setdefault(name, str(error))
    return wrong, asked


def test_requests_that_fit_the_description_are_answered_as_it_says(described, world):
    wrong, asked = ask_all(described, world, GenerationMode.POSITIVE, known=False, checks=CHECKS)

    assert wrong == {}
    assert asked.keys() == {o.name for o in operations() if o.described}


def test_requests_for_what_is_there_are_answered_as_it_says(described, world):
    wrong, asked = ask_all(described, world, GenerationMode.POSITIVE, known=True, checks=CHECKS)

    assert wrong == {}
    works = {200, 201, 204}
    assert {name for name, statuses in asked.items() if not works & set(statuses)} <= {
        # Their paths have a part that only some words fit.
        "GET /api/v1/logs/{log_id}/proof/consistency",
        "GET /api/v1/logs/{log_id}/proof/inclusion",
        # A token is rotated once, and by then another question has.
        "POST /api/v1/access/tokens/{token}/rotate",
        # A role that there is, which the person may have.
        "POST /api/v1/access/people/{person}/roles",
        "DELETE /api/v1/access/people/{person}/roles",
        # For the one human who asked, opened or was given it, and some of it once.
        "POST /api/v1/access/grants/{grant_id}/revoke",
        "POST /api/v1/access/approvals/{approval_id}/approve",
        "POST /api/v1/access/approvals/{approval_id}/refuse",
        "POST /api/v1/access/approvals/{approval_id}/withdraw",
        "POST /api/v1/access/break-glass",
        "POST /api/v1/access/break-glass/{break_glass_id}/end",
        "POST /api/v1/access/break-glass/{break_glass_id}/review",
        "POST /api/v1/access/break-glass/{break_glass_id}/reason",
        "POST /api/v1/access/reviews/{review_id}/sign-off",
        "GET /api/v1/evidence/exports/{export_id}",
        "GET /api/v1/evidence/exports/{export_id}/file",
        "POST /api/v1/evidence/exports/{export_id}/cancel",
        "POST /api/v1/access/transfer-bases/{basis_id}/end",
        "POST /api/v1/resolve/across",
        "POST /api/v1/resolve/across/requests",
        # Steps of a request follow from where it is; a country and a time zone are two that there are.
        "POST /api/v1/privacy/requests/{request_id}/ask-identity",
        "POST /api/v1/privacy/requests/{request_id}/verify-identity",
        "POST /api/v1/privacy/requests/{request_id}/freeze",
        "POST /api/v1/privacy/requests/{request_id}/rescope",
        "POST /api/v1/privacy/requests/{request_id}/assess",
        "POST /api/v1/privacy/requests/{request_id}/ask-approval",
        "POST /api/v1/privacy/requests/{request_id}/withdraw",
        "POST /api/v1/privacy/requests/{request_id}/mark-duplicate",
        "POST /api/v1/privacy/requests/{request_id}/close",
        "POST /api/v1/privacy/requests/{request_id}/approve",
        "POST /api/v1/privacy/requests/{request_id}/refuse",
        "POST /api/v1/privacy/requests/{request_id}/lift",
        "POST /api/v1/privacy/requests/{request_id}/rule",
        # A package is ordered once, for what is approved; a link leads to one that is made; a code is random.
        "POST /api/v1/privacy/requests/{request_id}/packages",
        "POST /api/v1/privacy/requests/{request_id}/packages/link",
        "POST /api/v1/privacy/packages/fetch",
        "POST /api/v1/privacy/requests/{request_id}/extend",
        "POST /api/v1/privacy/requests/{request_id}/words",
        "POST /api/v1/privacy/requests",
        "POST /api/v1/privacy/requests/{request_id}/clone",
        # A hold has a custodian who may have one, and is released with an approval.
        "POST /api/v1/privacy/holds",
        "POST /api/v1/privacy/holds/{hold_id}/release",
    }


def test_requests_that_do_not_fit_are_refused_as_it_says(described, world):
    checks = [*CHECKS, negative_data_rejection]
    wrong, _ = ask_all(described, world, GenerationMode.NEGATIVE, known=False, checks=checks)

    assert wrong == {}
