"""Bearer tokens for machines, and which region a request is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from auditvault.access.credentials import Credential
from auditvault.access.tokens import TokenInvalidError, authenticate
from auditvault.core.errors import AuditvaultError

REGION_HEADER = "Auditvault-Region"


class RegionDeniedError(AuditvaultError):
    """The credential is not for that region."""

    code = "region_denied"


class RegionRequiredError(AuditvaultError):
    """The credential is for several regions, and the request names none."""

    code = "region_required"


class Caller:
    """What Django REST framework calls the user: a credential that was checked."""

    is_authenticated = True
    is_active = True

    def __init__(self, credential: Credential) -> None:
        self.credential = credential


class BearerTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer av_…`."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        """The caller; raises TokenInvalidError, also where no token is given."""
        return Caller(credential_of(request.headers.get("Authorization"))), None

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002  # the framework's signature
        """What a 401 asks for."""
        return "Bearer"


def credential_of(authorization: str | None) -> Credential:
    """The credential behind an Authorization header; raises TokenInvalidError."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalidError("Send `Authorization: Bearer <token>`.")
    return authenticate(token.strip(), now=datetime.now(UTC))


def region_of(credential: Credential, asked: str | None) -> str:
    """The region a request is about: the credential's only one, or the one of its regions that is asked for.

    It never comes from what is recorded: content cannot choose where it lives.
    """
    if asked:
        if asked not in credential.regions:
            raise RegionDeniedError("This credential is not for that region.")
        return asked
    if len(credential.regions) != 1:
        raise RegionRequiredError(
            f"This credential is for several regions: name one in the header {REGION_HEADER}."
        )
    return credential.regions[0]


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI schema describes the tokens."""

    target_class = "auditvault.api.authentication.BearerTokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """An HTTP bearer scheme."""
        return {"type": "http", "scheme": "bearer"}
