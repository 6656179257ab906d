"""A tenant with something of every kind, and what parameters are called that lead to it.

Whoever adds an endpoint whose parameters have new names says here what they lead to; the tests that ask every operation
fail until then.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from auditvault.core.policy.manifest import Manifest, RegionFound, objects_digest
from auditvault.core.policy.roles import Role
from tests.integration.access.operations import Operation
from tests.integration.ingest.sending import chat, headers_of, protobuf_of, record
from tests.integration.ledger.superuser import log_number, superuser
from tests.integration.vault.looking import PURPOSE
from tests.own_key import own_certificate
from tests.staff import live_grant, make_person, open_request, recorded_basis

# What refers to something of a tenant's, wherever it is named: in a path, a query or a body.
# name -> (the attribute of `World` that has it, what has the same form and is nobody's)
REFERENCES: dict[str, tuple[str, Any]] = {
    "trace_id": ("trace_id", "0123456789abcdef0123456789abcdef"),
    "interaction_id": ("interaction_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "log_id": ("log_id", 2**31 - 1),
    "log": ("log", "5b2a4b3a-9a3f-4d0e-8f43-1d3a7f5c9f10"),
    "content_hash": ("content_hash", "sha256:" + "1" * 64),
    "user": ("user", "nobody-at-all"),
    "person": ("person", "5b2a4b3a-9a3f-4d0e-8f43-1d3a7f5c9f11"),
    "token": ("token_id", "0123456789ab"),
    "review_id": ("review_id", "01a20b04-4699-7f93-8be8-716ef9b10def"),
    "approval_id": ("approval_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "grant_id": ("grant_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "break_glass_id": ("break_glass_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "basis_id": ("basis_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "export_id": ("export_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "request_id": ("request_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "follow_up": ("request_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "hold_id": ("hold_id", "01a20b04-4699-7f93-8be8-716ef9b10dee"),
    "custodian": ("lawyer", "5b2a4b3a-9a3f-4d0e-8f43-1d3a7f5c9f11"),
}
# What refers to nothing by itself, with a value that fits.
PLAIN: dict[str, Any] = {
    "tile": "0/000.p/1",
    "bundle": "000.p/1",
    "start": 0,
    "end": 1,
    "index": 0,
    "size": 1,
    "from": 1,
    "to": 1,
    "format": "json",
    "recorded_from": "2026-01-01T00:00:00Z",
    "recorded_before": "2199-01-01T00:00:00Z",
    "actor": "token:000000000000",
    "action": "search",
    "outcome": "granted",
    "purpose_code": "INCIDENT",
    "case": "INC-1",
    "role": "viewer",
    "target": "tag:" + "0" * 64,
    "limit": 1,
    # Before every record: a place in an order, which opens nothing.
    "cursor": "AAAAAAAAcACAAAAAAAAAAA",
    "lang": "en",
    # A passkey of one's own, and a provider that this site has not.
    "pk": 1,
    # A path of SCIM's that is none.
    "rest": "nowhere",
    # One of SCIM's resource types, and an account that a client did not make.
    "scim_id": "5b2a4b3a-9a3f-4d0e-8f43-1d3a7f5c9f12",
    "name": "User",
    "provider_id": "nowhere",
    # Places in the order of the tenant's own people.
    "after": "00000000-0000-0000-0000-000000000000",
    # A name among the caller's own tenant's: it leads to nobody else's.
    "own_role": "helper",
    "open": "false",
    "overdue": "false",
    # Of requests: vocabularies, and an instant.
    "kind": "erasure",
    "state": "received",
    "due_before": "2199-01-01T00:00:00Z",
}
# Members of bodies that refer to nothing: vocabularies, times, numbers, reasons in words.
WORDS = frozenset(
    {
        "started_from", "started_before", "operation", "status", "provider", "model", "service", "environment",
        "feature", "error_type", "min_total_tokens", "limit", "representation", "purpose", "code", "case", "reason",
        "resourceSpans",
        "role", "ends_at", "name", "acts", "regions", "roles", "lifetime_seconds", "description", "overlap_seconds",
        # Of a person's own token.
        "hours",
        # Names of persons: as `user`, which stands for them.
        "session", "email", "phone", "identifier", "kind", "value",
        # Given out by this service for a search; it is a place in an order, and opens nothing.
        "cursor",
        # Of a report: its name, its filters, and why staff are named in it.
        "filters", "format", "staff_names",
        # Of a review.
        "quarter", "list_sha256", "decisions", "line", "decision",
        # Of the review of a break-glass.
        "verdict",
        # Of a request about a person's data: the law's limits, days that count, what somebody says; a digest.
        "regime", "custom", "version", "legal_order", "citation", "answer", "extended", "acknowledge_business_days",
        "rolls_over", "received_at", "calendar", "country", "subdivision", "zone", "words", "manifest", "ruling",
        "identifiers", "confirmed_subjects",
        # Of a legal hold: the day on which somebody looks at it again.
        "review_on",
        # Of a transfer: another region of the tenant's own; hashes, looked for among what the tenant has there.
        "region", "contents", "reference", "to_region", "valid_from", "valid_until",
        # What is to be approved: looked at by a human, and covering nothing but what is the asker's tenant's.
        "certificate",
        "plan", "scope", "query", "codes", "traces", "records", "subjects", "recorded_from", "recorded_before",
        "cases", "before",
    }
)  # fmt: skip
# Words that a step may need, and a request that is complete but for its identifiers.
REASONS = {"words": "It was found that nobody was meant by this."}
CLONE = {
    "kind": "access",
    "regime": "gdpr",
    "calendar": {"country": "DE", "zone": "Europe/Berlin"},
}
# A review of nobody's rights.
NO_LINES = b'{"lines":[]}'
# Of no tenant: whose it is stands in it.
PLAN = (
    '{"operation":"bulk_export","parameters":{},"region":"eu",'
    '"tenant":"00000000-0000-0000-0000-00000000000a","v":"auditvault/plan/1"}'
)
EXPORT = {
    "started_from": "2020-01-01T00:00:00Z",
    "started_before": "2035-01-01T00:00:00Z",
    "certificate": own_certificate()[1],
}
# A body that is complete, where `{}` is not.
BODIES: dict[str, Any] = {
    "/api/v1/access/tokens/mine": {"roles": ["viewer"]},
    "/api/v1/access/reviews/{review_id}/sign-off": {
        "list_sha256": sha256(NO_LINES).hexdigest(),
        "decisions": [],
    },
    "/api/v1/evidence/exports": EXPORT,
    "/api/v1/evidence/exports/plan": EXPORT,
    "/api/v1/privacy/requests": CLONE
    | {"identifiers": [{"kind": "user", "value": "nobody-at-all"}]},
    "/api/v1/privacy/requests/{request_id}/clone": CLONE,
    "/api/v1/privacy/requests/{request_id}/extend": REASONS,
    "/api/v1/privacy/requests/{request_id}/refuse": REASONS,
    "/api/v1/privacy/requests/{request_id}/lift": REASONS,
    "/api/v1/privacy/requests/{request_id}/rule": REASONS | {"ruling": "upheld"},
    "/api/v1/privacy/requests/{request_id}/approve": {"manifest": "0" * 64},
    "/api/v1/privacy/holds": {
        "scope": {"kind": "case", "cases": ["CASE-1"]},
        "reference": "CASE-1",
        "reason": PURPOSE["reason"],
        "custodian": "5b2a4b3a-9a3f-4d0e-8f43-1d3a7f5c9f11",
        "review_on": "2199-01-01",
    },
    "/api/v1/privacy/holds/{hold_id}/release": {
        "approval_id": "01a20b04-4699-7f93-8be8-716ef9b10dee"
    },
    "/api/v1/privacy/cases/records": {
        "case": "CASE-1",
        "records": ["01a20b04-4699-7f93-8be8-716ef9b10dee"],
    },
    "/api/v1/access/approvals": {"plan": PLAN, "case": "INC-1"},
    "/api/v1/access/grants": {"case": "INC-1", "codes": ["INCIDENT"], "scope": {"query": {}}},
    "/api/v1/access/break-glass": {"case": "INC-1", "reason": PURPOSE["reason"]},
    "/api/v1/access/break-glass/{break_glass_id}/review": {"verdict": "justified", "case": "REV-1"},
    "/api/v1/resolve": {"content_hash": "sha256:" + "0" * 64, "purpose": PURPOSE},
    "/api/v1/resolve/across": {
        "region": "us",
        "approval_id": "01a20b04-4699-7f93-8be8-716ef9b10dee",
        "purpose": PURPOSE,
    },
    "/api/v1/resolve/across/requests": {
        "region": "us",
        "contents": ["tag:" + "0" * 64],
        "code": "INCIDENT",
        "case": "INC-1",
    },
    "/api/v1/access/transfer-bases": {
        "kind": "derogation",
        "reference": "TIA/1",
        "to_region": "us",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2199-01-01T00:00:00Z",
    },
    "/api/v1/access/people/{person}/roles": {"role": "viewer", "case": "INC-1"},
    "/api/v1/access/tokens/{token}/rotate": {"overlap_seconds": 60},
}


class UnknownNameError(Exception):
    """An operation takes something that no table here knows."""


@dataclass(frozen=True)
class World:
    """A tenant and one thing of each kind that it has in region eu."""

    tenant: Any
    trace_id: str
    interaction_id: str
    log_id: int
    log: str
    content_hash: str
    user: str
    person: str
    token_id: str
    review_id: str
    approval_id: str
    grant_id: str
    break_glass_id: str
    basis_id: str
    export_id: str
    request_id: str
    hold_id: str
    lawyer: str

    def owns(self) -> set[str]:
        """Texts that must not reach anybody else."""
        return {
            self.trace_id,
            self.interaction_id,
            self.log,
            self.user,
            self.person,
            self.token_id,
            self.review_id,
            self.tenant.slug,
            str(self.tenant.tenant_id),
            self.said,
            self.approval_id,
            self.grant_id,
            self.break_glass_id,
            self.basis_id,
            self.export_id,
            self.request_id,
            self.hold_id,
            self.lawyer,
        }

    @property
    def said(self) -> str:
        return f"said by {self.user}"


def make_world(client: Any, tenant: Any, cluster: Any, run_signer: Any) -> World:
    """Record, sign and look up."""
    user = f"user-{uuid.uuid4().hex}"
    span = chat(f"said by {user}", user=user)
    record(client, tenant, span)
    (header,) = headers_of(client, tenant)
    run_signer()
    with superuser(cluster, "region_eu") as connection:
        log_id = log_number(connection, tenant.tenant_id, "interactions")
        (origin, tag) = connection.execute(
            "SELECT origin, (SELECT tag FROM vault_object o WHERE o.tenant_id = l.tenant_id"
            " AND o.role = 'input_messages') FROM ledger_log l WHERE log_id = %s",
            (log_id,),
        ).fetchone()
        review_id = uuid.uuid4()
        connection.execute(
            "INSERT INTO access_review VALUES (%s, %s, '2025-Q4', now(), %s, 'user:made', %s, %s)",
            (tenant.tenant_id, review_id, uuid.uuid4(), NO_LINES, sha256(NO_LINES).digest()),
        )
        break_glass_id = uuid.uuid4()
        connection.execute(
            "INSERT INTO access_break_glass (tenant_id, break_glass_id, record_id, human_id, holder, case_ref,"
            " opened_at, expires_at, due_at) VALUES (%s, %s, %s, %s, 'user:made', 'INC-1', now() - interval '2 hours',"
            " now() - interval '1 hour', now() + interval '1 day')",
            (tenant.tenant_id, break_glass_id, uuid.uuid4(), uuid.uuid4()),
        )
    asker, officer = make_person(tenant, "investigator"), make_person(tenant, "privacy_officer")
    lawyer = make_person(tenant, "legal")
    return World(
        tenant=tenant,
        approval_id=open_request(asker),
        grant_id=str(live_grant(asker, officer)),
        basis_id=recorded_basis(officer),
        trace_id=span.trace_id.hex(),
        interaction_id=header["id"],
        log_id=log_id,
        log=origin.rpartition("/")[2],
        content_hash=f"tag:{tag.hex()}",
        user=user,
        person=str(make_person(tenant, "viewer").user.public_id),
        token_id=tenant.token("ingest", "platform").split("_")[1],
        review_id=str(review_id),
        break_glass_id=str(break_glass_id),
        export_id=an_export(tenant),
        request_id=a_privacy_request(tenant, user, cluster),
        hold_id=a_hold(tenant, lawyer),
        lawyer=str(lawyer.human),
    )


def an_export(tenant: Any) -> str:
    """What somebody asked for and nobody has made yet; its id."""
    from auditvault.evidence.exports.services import Wanted, ask

    wanted = Wanted(
        started_from=datetime(2020, 1, 1, tzinfo=UTC),
        started_before=datetime(2035, 1, 1, tzinfo=UTC),
        certificate=EXPORT["certificate"],
    )
    asker = make_person(tenant, "viewer").signed_in()
    return str(ask(credential=asker, region="eu", wanted=wanted, now=datetime.now(UTC)))


def a_privacy_request(tenant: Any, user: str, cluster: Any) -> str:
    """What somebody asked for about a person, just taken in; with a manifest and a certificate all the same. Its id."""
    from auditvault.core.policy.erasure import Kind
    from auditvault.privacy.requests.services import Calendar, NewRequest, receive_request

    now = datetime.now(UTC)
    asked = NewRequest(
        kind=Kind.ACCESS,
        regime="gdpr",
        identifiers=(("user", user),),
        received_at=now,
        calendar=Calendar(country="DE", zone="Europe/Berlin"),
        words=REASONS["words"],
    )
    operator = make_person(tenant, "privacy_operator").signed_in()
    record = receive_request(region="eu", credential=operator, asked=asked, now=now)
    found = RegionFound(
        region="eu",
        listing_id=record.request_id,
        subject_ids=(),
        objects=0,
        objects_digest=objects_digest(()),
        records=0,
        names=0,
        keys=0,
        hold_ids=(),
    )
    body = Manifest(
        request_id=record.request_id,
        tenant_id=tenant.tenant_id,
        kind=Kind.ACCESS,
        regions=(found,),
    ).to_bytes()
    where = {"tenant": tenant.tenant_id, "id": record.request_id, "body": body}
    with superuser(cluster, "region_eu") as connection:
        connection.execute("SET session_replication_role = replica")  # what only steps write
        for statement in (
            "UPDATE privacy_request SET manifest = sha256(%(body)s) WHERE request_id = %(id)s",
            "INSERT INTO privacy_manifest VALUES (%(tenant)s, %(id)s, sha256(%(body)s), %(body)s, now())",
            "INSERT INTO privacy_certificate VALUES (%(tenant)s, %(id)s, %(id)s, %(body)s, now())",
            # As if the glass had been broken with these words.
            (
                "UPDATE access_break_glass AS b SET record_id = s.record_id FROM privacy_request_step AS s"
                " WHERE b.tenant_id = %(tenant)s AND s.tenant_id = b.tenant_id AND s.request_id = %(id)s"
            ),
        ):
            connection.execute(statement, where)
    return str(record.request_id)


def a_hold(tenant: Any, lawyer: Any) -> str:
    """A legal hold on a case to which nothing was put; its id."""
    from auditvault.core.policy.holds import CaseScope
    from auditvault.privacy.holds.services import NewHold, place_hold

    now = datetime.now(UTC)
    wanted = NewHold(
        scope=CaseScope(cases=frozenset({"CASE-0"})),
        reference="CASE-0",
        reason=PURPOSE["reason"],
        custodian=lawyer.human,
        review_on=now.date() + timedelta(days=90),
    )
    placed = place_hold(region="eu", credential=lawyer.signed_in(), wanted=wanted, now=now)
    return str(placed.hold_id)


def own(world: World, name: str) -> Any:
    """The world's thing that a parameter of that name leads to; raises UnknownNameError."""
    if name in REFERENCES:
        return getattr(world, REFERENCES[name][0])
    return plain(name)


def nobodys(name: str) -> Any:
    """What has the form of such a thing and is nobody's; raises UnknownNameError."""
    return REFERENCES[name][1] if name in REFERENCES else plain(name)


def plain(name: str) -> Any:
    """A value for what refers to nothing; raises UnknownNameError."""
    if name not in PLAIN:
        raise UnknownNameError(
            f"Nothing here knows the parameter {name!r}: say in tests/integration/access/samples.py what it leads to."
        )
    return PLAIN[name]


def ask(
    client: Any,
    operation: Operation,
    values: dict[str, Any],
    headers: dict[str, str],
    body: dict[str, Any] | None = None,
) -> Any:
    """The answer to the operation, with `values` for its path and query, and a body where it takes one."""
    path = operation.path.format(**{name: values[name] for name in operation.path_names})
    query = "&".join(f"{name}={values[name]}" for name in operation.query_names)
    if operation.path == "/v1/traces":
        data, content_type = protobuf_of(chat()), "application/x-protobuf"
    else:
        data, content_type = (
            json.dumps(body_of(operation) if body is None else body),
            "application/json",
        )
    path = f"{path}?{query}" if query else path
    if operation.method == "GET":
        return client.get(path, headers=headers)
    return client.generic(operation.method, path, data, content_type=content_type, headers=headers)


def body_of(operation: Operation) -> dict[str, Any]:
    """A body that the operation takes, as far as these tables know one."""
    found: dict[str, Any] = BODIES.get(operation.path, {})
    return found


def values_of(operation: Operation, world: World) -> dict[str, Any]:
    """The world's own things for the operation's path and query; raises UnknownNameError."""
    return {name: own(world, name) for name in (*operation.path_names, *operation.query_names)}


_people: dict[tuple[str, str], dict[str, str]] = {}


def able(tenant: Any, operation: Operation, role: Role) -> dict[str, str]:
    """Headers of somebody of the role who has what the operation takes on top: a second factor, a grant."""
    if operation.demand.who not in {"human", "second_factor"}:
        found: dict[str, str] = tenant.headers(role.value)
        return found
    asked = (tenant.slug, role.value)
    if asked not in _people:
        is_investigator = role is Role.INVESTIGATOR
        if is_investigator:
            _people[asked] = tenant.cleared()
        else:
            # Some acts take the right in each of the tenant's regions.
            person = make_person(tenant, role.value, regions=tenant.regions)
            _people[asked] = person.headers(role.value) | {"Auditvault-Region": "eu"}
    return _people[asked]


def owner(operation: Operation, roles: Sequence[Role]) -> Role:
    """Of roles that may ask, one whose people see the tenant's own thing, and not only what they asked for."""
    about_staff = operation.path.startswith(("/api/v1/access/", "/api/v1/evidence/exports/{"))
    for role in (Role.AUDITOR, Role.PRIVACY_OFFICER) if about_staff else ():
        if role in roles:
            return role
    return next(role for role in roles if role is not Role.INGEST)
