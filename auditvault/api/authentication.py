"""Bearer tokens, people's sessions, and which region a request is about.

A session counts only where no `Authorization` header is sent, and with the token against cross-site requests that the
pages have: a browser sends cookies to whoever asks, and headers to nobody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from auditvault.access.credentials import Credential
from auditvault.access.identity.strength import strength_of
from auditvault.access.people import credential_of as credential_of_person
from auditvault.access.people import places_of
from auditvault.access.tokens import TokenInvalidError, authenticate
from auditvault.core.errors import AuditvaultError

REGION_HEADER = "Auditvault-Region"
TENANT_HEADER = "Auditvault-Tenant"


class RegionDeniedError(AuditvaultError):
    """The credential is not for that region."""

    code = "region_denied"


class RegionRequiredError(AuditvaultError):
    """The credential is for several regions, and the request names none."""

    code = "region_required"


class PlaceRequiredError(AuditvaultError):
    """A person has roles in several places, and the request does not say which is meant."""

    code = "place_required"


class CrossSiteError(AuditvaultError):
    """A request with a session's cookie that no page of this service can have sent."""

    code = "cross_site_refused"


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


class PersonSessionAuthentication(BaseAuthentication):
    """The session of a person who signed in, for the place in the headers `Auditvault-Tenant` and `-Region`."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """The caller; None where there is no session, so that a token is asked for.

        Raises:
            CrossSiteError: the token against cross-site requests is missing or wrong.
            RegionDeniedError, PlaceRequiredError: the person has no role there, or has several places and names none.
        """
        plain = request._request  # noqa: SLF001  # where the session is
        if "Authorization" in request.headers or not plain.user.is_authenticated:
            return None
        _refuse_cross_site(plain)
        person: Any = plain.user
        now = datetime.now(UTC)
        strength = strength_of(plain.session, account=str(person.pk), now=now)
        place = _place(
            places_of(person),
            request.headers.get(TENANT_HEADER),
            request.headers.get(REGION_HEADER),
        )
        return Caller(credential_of_person(person, place, strength)), None


def _refuse_cross_site(request: Any) -> None:
    check = CSRFCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(request)
    if check.process_view(request, None, (), {}) is not None:  # type: ignore[arg-type]
        raise CrossSiteError("Send the page's token in the header X-CSRFToken.")


def _place(places: list[Any], tenant: str | None, region: str | None) -> Any:
    """The one place of a person's that the headers leave; where nothing is left, why is not said."""
    left = [
        place
        for place in places
        if tenant in {None, place.tenant_slug} and region in {None, place.region}
    ]
    if not left:
        raise RegionDeniedError("You have no role there.")
    if len(left) > 1:
        raise PlaceRequiredError(
            f"You have roles in several places: name one in {TENANT_HEADER} and {REGION_HEADER}."
        )
    return left[0]


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


class PersonSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI schema describes the sessions."""

    target_class = "auditvault.api.authentication.PersonSessionAuthentication"
    name = "personSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """A cookie, with the header X-CSRFToken."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI schema describes the tokens."""

    target_class = "auditvault.api.authentication.BearerTokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """An HTTP bearer scheme."""
        return {"type": "http", "scheme": "bearer"}
