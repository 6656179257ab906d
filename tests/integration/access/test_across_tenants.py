"""What belongs to another tenant looks like what is not there: every operation, whatever it is asked with.

Each operation of the schema is asked by tenant A with each role that may, once for things of tenant B and once for what
is nobody's, in its path, its query and its body. The answers must be the same to the byte, tell nothing of B, leave B's
access log as it was, and leave a record or a count with A.
"""

from __future__ import annotations

import copy

import pytest

from auditvault.core.policy.roles import ALLOWED, Act, Role
from tests.conftest import make_tenant
from tests.integration.access.operations import form_at, members, operations
from tests.integration.access.samples import (
    PLAIN,
    REFERENCES,
    WORDS,
    UnknownNameError,
    able,
    ask,
    body_of,
    make_world,
    nobodys,
    own,
    owner,
    values_of,
)
from tests.integration.ledger.superuser import count, superuser

# What varies from one answer to the next by itself.
VARYING = {"Date", "Server"}
# For the one who asked alone.
FOR_WHO_ASKED = ("/withdraw", "/end", "/across", "/cancel", "/file")
_made = []


@pytest.fixture
def theirs(client, service, cluster, run_signer):
    """Everything that tenant B has. Made once."""
    if not _made:
        _made.append(make_world(client, make_tenant(), cluster, run_signer))
    return _made[0]


def questions(world):
    """Each operation that refers to something, with B's thing and with nobody's in one place."""
    for operation in operations():
        if operation.is_page or operation.demand.who == "anybody":
            continue
        for place in references(operation):
            both = [asked(operation, world, place, pick) for pick in (theirs_of(world), nobodys)]
            yield operation, place, both


def theirs_of(world):
    return lambda name: own(world, name)


def references(operation):
    """Where the operation takes what refers to something: `("path", "trace_id")` or a place in its body."""
    for name in (*operation.path_names, *operation.query_names):
        if name in REFERENCES:
            yield ("asked", name)
    for place in members(operation.body) if operation.body else ():
        if place[-1] in REFERENCES:
            yield ("body", *place)


def asked(operation, world, place, pick):
    """Values and body, where the thing at `place` is what `pick` says and all else is B's own."""
    values = values_of(operation, world)
    body = copy.deepcopy(body_of(operation))
    where, *names = place
    if where == "asked":
        return values | {names[0]: pick(names[0])}, body
    inner = body
    for name in names[:-1]:
        inner = inner.setdefault(name, {})
    inner[names[-1]] = pick(names[-1])
    return values, body


def readers(operation):
    return [
        role
        for role in Role
        if not operation.demand.acts or ALLOWED[role].intersection(operation.demand.acts)
    ]


def seen(answer):
    headers = {name: value for name, value in answer.items() if name not in VARYING}
    return answer.status_code, headers, answer.content


def test_every_parameter_and_member_is_one_whose_meaning_is_known(service):
    unknown = []
    for operation in operations():
        names = {*operation.path_names, *operation.query_names} if not operation.is_page else set()
        unknown += [(operation.name, name) for name in names - set(REFERENCES) - set(PLAIN)]
        for place in members(operation.body) if operation.body else ():
            form = form_at(operation.body, place)
            free = form.get("type") in {"string", None, "object"} and "enum" not in form
            if free and place[-1] not in {*REFERENCES, *PLAIN, *WORDS}:
                unknown.append((operation.name, ".".join(place)))

    assert unknown == [], "say in tests/integration/access/samples.py what these lead to"


def test_a_name_that_is_not_known_is_said(theirs):
    with pytest.raises(UnknownNameError, match="'grant_of_nobody'"):
        own(theirs, "grant_of_nobody")


def test_another_tenants_things_look_like_what_is_nobodys(client, tenant, theirs):
    different, told = {}, {}
    for operation, place, both in questions(theirs):
        for role in readers(operation):
            headers = able(tenant, operation, role)
            answers = [ask(client, operation, values, headers, body) for values, body in both]
            found = (operation.name, place, role.value)
            if seen(answers[0]) != seen(answers[1]):
                different[found] = [seen(answer) for answer in answers]
            said = answers[0].content.decode(errors="replace")
            if any(text in said for text in theirs.owns()):
                told[found] = said

    assert different == {}
    assert told == {}


def test_the_owner_finds_them(client, theirs):
    """So that the test above compares what is there with what is not."""
    missed = {}
    for operation, place, (own_things, nobodys_things) in questions(theirs):
        if operation.path.endswith(FOR_WHO_ASKED) or place == ("body", "approval_id"):
            continue
        role = owner(operation, readers(operation))
        answers = [
            ask(client, operation, values, able(theirs.tenant, operation, role), body)
            for values, body in (own_things, nobodys_things)
        ]
        # A step that cannot be taken from where a thing is (409) tells its owner that it is there.
        # So does one that looked for the approval that goes with it.
        is_found = answers[0].status_code < 300 or answers[0].status_code == 409
        is_found = is_found or b'"approval_not_found"' in answers[0].content
        if not is_found or answers[0].content == answers[1].content:
            missed[operation.name, place] = answers[0].status_code, answers[0].content

    assert missed == {}


def traces_of(cluster, tenant_id):
    """How many access records the tenant has, and how much was counted instead."""
    with superuser(cluster, "region_eu") as connection:
        recorded = count(connection, "access_event", tenant_id)
        row = connection.execute(
            "SELECT coalesce(sum(used), 0)::int FROM access_window WHERE tenant_id = %s",
            (tenant_id,),
        ).fetchone()
    return recorded, row[0]


def test_every_try_leaves_a_trace_with_who_tried_and_none_with_whose_it_was(
    client, tenant, theirs, cluster
):
    untraced = []
    before_theirs = traces_of(cluster, theirs.tenant.tenant_id)
    for operation, place, ((values, body), _) in questions(theirs):
        if operation.demand.acts == (Act.APPEND,):
            continue
        role = readers(operation)[-1]
        headers = able(tenant, operation, role)
        before = traces_of(cluster, tenant.tenant_id)
        ask(client, operation, values, headers, body)
        if traces_of(cluster, tenant.tenant_id) == before:
            untraced.append((operation.name, place))

    assert untraced == []
    assert traces_of(cluster, theirs.tenant.tenant_id) == before_theirs
