"""Ordering a copy, once its request is approved, and giving out the way to it.

Two people: whoever orders it may know the passphrase, and whoever makes the link cannot be the same human. So nobody of
the staff has by themselves both the file and what opens it.

Ordering is one transaction, with its entry; so is making a link. A crash before the commit leaves nothing, and after it
a passphrase or a link that nobody has seen: another link can be made, another passphrase takes another request.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import psycopg

from auditvault.access.credentials import Credential
from auditvault.core.crypto.cms import read_certificate
from auditvault.core.errors import AuditvaultError
from auditvault.core.ids import uuid7
from auditvault.core.policy.approvals import OwnApprovalError
from auditvault.core.policy.erasure import Kind, RequestMoveError
from auditvault.core.policy.roles import Act
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.privacy.packages.keys import make_key
from auditvault.privacy.packages.store import called, package_of
from auditvault.privacy.requests.services import entitled
from auditvault.privacy.requests.store import request_of

ENTRY_TYPE_ORDERED = "package.ordered"
ENTRY_TYPE_LINKED = "package.linked"
COPIES = frozenset({Kind.ACCESS, Kind.PORTABILITY})
LINK_HOURS = 72
_SECRET_BYTES = 32


class PackageNotReadyError(AuditvaultError):
    """There is no file to lead to: not made yet, or forgotten."""

    code = "package_not_ready"


@dataclass(frozen=True, slots=True)
class Link:
    """A way to a file. `code` is shown this once."""

    code: str = field(repr=False)
    expires_at: datetime


def order_package(
    *,
    region: str,
    credential: Credential,
    request_id: UUID,
    certificate: str | None,
    now: datetime,
) -> str | None:
    """Order the copy that an approved request asks for; the passphrase, where the service makes the key.

    `certificate` is the person's own (PEM, RSA); None has a key made.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, RegionUnavailableError: the caller may not.
        RequestNotFoundError, CertificateError: nothing was ordered.
        RequestMoveError: the request is for no copy, is not approved, or has its order already.
    """
    by = entitled(region, credential, Act.APPROVE_ERASURE)
    made = None if certificate else make_key(now)
    body = made.certificate if made else read_certificate(certificate or "")
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        request_of(connection, request_id)
        try:
            connection.execute(
                "INSERT INTO privacy_package_order (tenant_id, request_id, certificate, locked_key, ordered_by)"
                " VALUES (%s, %s, %s, %s, %s)",
                (credential.tenant_id, request_id, body, made.locked if made else None, by.human),
            )
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UniqueViolation) as error:
            raise RequestMoveError(
                "A package is ordered once, for a request for access or portability that is scheduled."
            ) from error
        record_in(
            connection,
            log,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_ORDERED,
            details={
                "request": str(request_id),
                "actor": credential.actor,
                "certificate": sha256(body).hexdigest(),
                "key": "made" if made else "given",
            },
        )
    return made.passphrase if made else None


def make_link(*, region: str, credential: Credential, request_id: UUID, now: datetime) -> Link:
    """Make the way to the region's file, for once and for 72 hours; older ones lead nowhere from then on.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError, RegionUnavailableError: the caller may not.
        RequestNotFoundError: there is no such request here, and no file of one.
        OwnApprovalError: the caller ordered the file, and may know what opens it.
        PackageNotReadyError: there is no file now.
    """
    by = entitled(region, credential, Act.PREPARE_ERASURE)
    log = admin_log(region, credential.tenant_id)
    link_id, secret = uuid7(now), secrets.token_bytes(_SECRET_BYTES)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        found = package_of(connection, request_id)
        if found is None:
            # Of a request that is kept here it is said that there is no file yet; of any other, nothing.
            request_of(connection, request_id)
        elif found.ordered_by == by.human:
            raise OwnApprovalError("Whoever ordered the package cannot make the link to it.")
        is_made = called(
            connection,
            "SELECT privacy_package_link_to(%s, %s, %s, %s, %s)",
            request_id,
            link_id,
            sha256(secret).digest(),
            by.human,
            LINK_HOURS,
        )
        if not is_made:
            raise PackageNotReadyError(
                "There is no package to lead to now. Look at the request's state; one that was forgotten takes"
                " another request."
            )
        expires_at = now + timedelta(hours=LINK_HOURS)
        record_in(
            connection,
            log,
            record_id=new_record_id(connection),
            action=ENTRY_TYPE_LINKED,
            details={
                "request": str(request_id),
                "link": str(link_id),
                "actor": credential.actor,
                "expires_at": format_instant(expires_at),
            },
        )
    return Link(f"{region}.{link_id.hex}.{secret.hex()}", expires_at)
