"""OpenID Connect, stricter than the framework's own provider.

What is added: the issuer must be the configured one, in the discovery document, in the ID token and, where the provider
sends it, in the answer (RFC 9207); the ID token's signature is always checked, by an algorithm of a short list and not
by any of the token's choosing; a nonce binds the token to this attempt; nobody can add parameters or scopes from
outside. No userinfo is fetched: what is believed stands in the signed token (OpenID Connect Core 1.0, 3.1.3.7).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import Http404, HttpRequest, HttpResponse

from auditvault.core.policy.addresses import check_url

# Signatures by a key pair. `none` is none, and under HS… the client's secret could sign.
_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
)
_LEEWAY_SECONDS = 30
_LONGEST_SUBJECT = 255


class StrictAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Talks to one provider in one attempt; `nonce` is that attempt's."""

    nonce: str | None = None

    @property
    def openid_config(self) -> dict[str, Any]:
        """The discovery document; raises OAuth2Error unless it is the configured issuer's."""
        found: dict[str, Any] = super().openid_config
        if found.get("issuer") != self.get_provider().app.settings["issuer"]:
            raise OAuth2Error("The discovery document is of another issuer.")
        check_url(str(found["authorization_endpoint"]))
        return found

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> SocialLogin:
        """Whom the provider says it is; raises OAuth2Error unless it says so in a token for this attempt."""
        del token
        config = self.openid_config
        with get_adapter().get_requests_session() as session:
            answer = session.get(config["jwks_uri"])
            answer.raise_for_status()
            keys = answer.json()
        claims = read_id_token(
            kwargs["response"].get("id_token"),
            keys=keys,
            issuer=app.settings["issuer"],
            client_id=app.client_id,
            nonce=self.nonce,
        )
        login = self.get_provider().sociallogin_from_response(request, {"id_token": claims})
        login.claims = claims
        return login


class StrictProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """A provider of the settings."""

    oauth2_adapter_class = StrictAdapter

    def get_auth_params_from_request(self, request: HttpRequest, action: Any) -> dict[str, Any]:  # noqa: ARG002
        """None from outside."""
        return {}

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:  # noqa: ARG002
        """None from outside."""
        found: list[str] = self.get_scope()
        return found

    def redirect(
        self,
        request: HttpRequest,
        process: Any,
        next_url: Any = None,
        data: Any = None,
        **kwargs: Any,
    ) -> HttpResponse:
        """Send the browser there, with a nonce that only the answer to this attempt can have."""
        nonce = secrets.token_urlsafe(32)
        kwargs["auth_params"] = {**(kwargs.get("auth_params") or {}), "nonce": nonce}
        answer: HttpResponse = super().redirect(
            request, process, next_url, data, nonce=nonce, **kwargs
        )
        return answer

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Issuer and subject together: the same subject at another issuer is somebody else."""
        claims = data["id_token"]
        return hashlib.sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, str]:
        """What is kept: who said it of whom."""
        return {"issuer": data["id_token"]["iss"], "subject": data["id_token"]["sub"]}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Nothing: an account is found by issuer and subject."""
        return {}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:  # noqa: ARG002
        """None, for the same reason."""
        return []


class _CallbackView(OAuth2CallbackView):  # type: ignore[misc]
    def _get_state(self, request: HttpRequest, provider: Any) -> tuple[Any, Any]:
        state, answer = super()._get_state(request, provider)
        if state is not None:
            self.adapter.nonce = state.get("nonce")
            issuer = request.GET.get("iss")
            if issuer is not None and issuer != provider.app.settings["issuer"]:
                raise OAuth2Error("The answer is of another issuer.")
        return state, answer


def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the browser to a provider."""
    return _view(OAuth2LoginView, request, provider_id)


def finish(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take the provider's answer."""
    return _view(_CallbackView, request, provider_id)


def _view(kind: Any, request: HttpRequest, provider_id: str) -> HttpResponse:
    adapter = StrictAdapter(request, provider_id)
    try:
        answer: HttpResponse = kind.adapter_view(adapter)(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    return answer


def read_id_token(
    token: object, *, keys: Mapping[str, Any], issuer: str, client_id: str, nonce: str | None
) -> dict[str, Any]:
    """The claims of an ID token for this client and this attempt.

    `keys` is the provider's JWK set. Raises OAuth2Error for anything else, without saying what the token says.
    """
    if not isinstance(token, str) or not nonce:
        raise OAuth2Error("There is no ID token, or no nonce that it could be for.")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in _ALGORITHMS:
            raise OAuth2Error("The ID token is not signed by an accepted algorithm.")
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_key(keys, header),
            algorithms=[header["alg"]],
            issuer=issuer,
            audience=client_id,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "sub", "exp", "iat"]},
        )
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OAuth2Error("The ID token is not one for this service.") from error
    _check_claims(claims, client_id=client_id, nonce=nonce)
    return claims


def _key(keys: Mapping[str, Any], header: Mapping[str, Any]) -> Any:
    """The key that the token names, or the only one that there is; raises OAuth2Error."""
    usable = [key for key in keys["keys"] if key.get("use", "sig") == "sig"]
    named = [key for key in usable if key.get("kid") == header.get("kid")]
    chosen = named or (usable if header.get("kid") is None else [])
    if len(chosen) != 1:
        raise OAuth2Error("The ID token is signed by a key that the provider does not publish.")
    return jwt.PyJWK(chosen[0], algorithm=header["alg"]).key


def _check_claims(claims: Mapping[str, Any], *, client_id: str, nonce: str) -> None:
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp", client_id if len(audiences) == 1 else None)
    subject = claims["sub"]
    if party != client_id:
        raise OAuth2Error("The ID token was made for another client.")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise OAuth2Error("The ID token names nobody.")
    if not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
        raise OAuth2Error("The ID token is of another attempt.")
