"""An OpenID Connect provider made with Authlib, as a process on loopback: a real one, which errs where it is told to.

`python -m tests.integration.access_identity.provider_process PORT`. Authlib looks at client, redirect URI, PKCE and
nonce. It asks nobody for a password: who signs in next, and what is wrong with their token, is said by `POST /next`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback

from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET, BACK = (
    "auditvault",
    "a-secret-of-the-client's",
    "http://testserver/sign-in/with/corp/done",
)
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
NEXT: dict[str, Any] = {}
CODES: dict[str, Code] = {}


class Client(ClientMixin):
    """The one client: this service."""

    id_token_signed_response_alg = "RS256"

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return BACK

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == BACK

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(client_secret, SECRET)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == "client_secret_post"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Code(AuthorizationCodeMixin):
    """What a code stands for."""

    def __init__(self, code: str, payload: Any) -> None:
        self.code, self.payload = code, payload
        self.code_challenge = payload.data.get("code_challenge")
        self.code_challenge_method = payload.data.get("code_challenge_method")

    def get_redirect_uri(self) -> str:
        return str(self.payload.redirect_uri)

    def get_scope(self) -> str:
        return str(self.payload.scope)

    def get_nonce(self) -> str:
        return str(self.payload.data.get("nonce"))

    def get_auth_time(self) -> int:
        return int(time.time())


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]

    def save_authorization_code(self, code: str, request: Any) -> None:
        CODES[code] = Code(code, request.payload)

    def query_authorization_code(self, code: str, _client: Any) -> Code | None:
        return CODES.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del CODES[authorization_code.code]

    def authenticate_user(self, _authorization_code: Code) -> str:
        return "somebody"


class IdTokens(OpenIDCode):
    issuer = ""

    def exists_nonce(self, nonce: str, _request: Any) -> bool:
        return any(code.get_nonce() == nonce for code in CODES.values())

    def encode_id_token(self, _token: Any, request: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "somebody", "iat": now, "exp": now + 60,
            "nonce": request.authorization_code.get_nonce(),
            **NEXT.get("claims", {}),
        }  # fmt: skip
        for name in NEXT.get("without", []):
            claims.pop(name)
        return _signed(claims, NEXT.get("signed", "as it should be"))


def _signed(claims: dict[str, Any], how: str) -> str:
    if how == "not at all":
        return ".".join(_part(part) for part in ({"alg": "none", "kid": "one"}, claims)) + "."
    keys = {
        "under the client's secret": OctKey.import_key(SECRET),
        "under the public key": OctKey.import_key(KEY.as_pem(private=False).replace(b"-----", b"")),
    }
    if how in keys:
        return jwt.encode({"alg": "HS256", "kid": "one"}, claims, keys[how], ["HS256"])
    key = OTHER_KEY if how == "by another key" else KEY
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)


def _part(content: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


class Asked(OAuth2Request):
    """A request, as Authlib wants it."""

    def __init__(self, method: str, url: str, form: dict[str, str]) -> None:
        super().__init__(method, url)
        self._args, self._form = dict(parse_qsl(urlsplit(url).query)), form
        self.payload = BasicOAuth2Payload({**self._args, **form})

    @property
    def args(self) -> dict[str, str]:
        return self._args

    @property
    def form(self) -> dict[str, str]:
        return self._form


class Server(AuthorizationServer):
    def query_client(self, client_id: str) -> Client | None:
        return Client() if client_id == CLIENT else None

    def save_token(self, token: Any, request: Any) -> None:
        """It is never asked for again."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Any:
        return status, body, headers


class Handler(BaseHTTPRequestHandler):
    oauth = Server()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/.well-known/openid-configuration":
            if "redirect" in NEXT:
                self._send(302, "", [("Location", NEXT["redirect"])])
            self._send(200, self._discovery(), [])
        elif path == "/keys":
            self._send(200, {"keys": [KEY.as_dict(private=False)]}, [])
        elif path == "/authorize":
            asked = Asked("GET", self.issuer + self.path, {})
            grant = self.oauth.get_consent_grant(asked, end_user="somebody")
            self._send(*self.oauth.create_authorization_response(asked, "somebody", grant=grant))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/next":
            NEXT.clear()
            NEXT.update(json.loads(body))
            self._send(200, {}, [])
        elif self.path == "/token":
            asked = Asked("POST", self.issuer + self.path, dict(parse_qsl(body)))
            self._send(*self.oauth.create_token_response(asked))

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            **NEXT.get("discovery", {}),
        }

    def _send(self, status: int, body: Any, headers: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-type":
                self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def main(port: int) -> None:
    """Serve until killed."""
    tokens = IdTokens(require_nonce=True)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    IdTokens.issuer = f"http://127.0.0.1:{server.server_port}"
    Handler.oauth.register_token_generator(
        "default", BearerTokenGenerator(lambda *_, **__: secrets.token_urlsafe(16))
    )
    Handler.oauth.register_grant(CodeGrant, [CodeChallenge(required=True), tokens])
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
