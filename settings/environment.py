"""Typed readers for what the environment says.

A value that is missing or unreadable stops the start with a message that names the variable. Nothing here
has a silent default for a secret.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from auditvault.core.policy.addresses import Network, UrlRefusedError, check_url, networks_of
from auditvault.core.policy.roles import Role
from auditvault.vault.providers.errors import KeyProviderUrlError
from auditvault.vault.providers.place import parse_place

# How long a request waits for a server that does not answer; `?connect_timeout=` in the URL says otherwise.
_CONNECT_SECONDS = 5

_OID = re.compile(
    r"([01]\.([0-9]|[1-3][0-9])|2\.(0|[1-9][0-9]{0,8}))(\.(0|[1-9][0-9]{0,18})){0,30}"
)
_ORIGIN = re.compile(
    r"[A-Za-z0-9._:-]+/[a-z][a-z0-9]{0,15}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)

_PROVIDER_ID = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PROVIDER_MEMBERS = {
    "id", "name", "issuer", "client_id", "client_secret_file", "scope", "groups_claim", "roles",
    "second_factor_amr", "second_factor_acr",
}  # fmt: skip
_PLACE_AND_ROLE = re.compile(r"([a-z0-9_-]{1,63})\.([a-z][a-z0-9]{0,30}):([a-z_]+)")

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_PREFIX = re.compile(r"(/[A-Za-z0-9._-]+)*/?")


def text(name: str, default: str | None = None) -> str:
    """The variable's value; raises ImproperlyConfigured where it is missing and has no default."""
    value = os.environ.get(name) or default
    if value is None:
        raise ImproperlyConfigured(f"The environment variable {name} is not set.")
    return value


def number(name: str, default: int, *, least: int | None = None) -> int:
    """The variable as a whole number, of at least `least`."""
    value = os.environ.get(name)
    if not value:
        return default
    try:
        found = int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number.") from error
    if least is not None and found < least:
        raise ImproperlyConfigured(f"{name} must be {least} or more.")
    return found


def flag(name: str, *, default: bool) -> bool:
    """The variable as a yes or no: 1, true, yes, on or 0, false, no, off."""
    value = os.environ.get(name, "").lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be one of true, false, yes, no, on, off, 1, 0.")


def names(name: str, default: str = "") -> list[str]:
    """The variable as a comma-separated list without blanks."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def roles(name: str, default: str = "") -> list[str]:
    """The variable as a comma-separated list of roles of people."""
    found = names(name, default)
    unknown = [word for word in found if word not in set(Role) - {Role.INGEST}]
    if unknown:
        raise ImproperlyConfigured(f"{name} must list roles of people; {unknown[0]!r} is none.")
    return found


def networks(name: str) -> tuple[Network, ...]:
    """The variable as a comma-separated list of networks, such as 10.1.0.0/16."""
    try:
        return networks_of(names(name))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must list networks such as 10.1.0.0/16.") from error


def identity_providers(name: str) -> dict[str, dict[str, Any]]:
    """Identity providers by id, from the JSON file that the variable names; none where it is not set.

    The file's form is described in docs/howto/connect-an-identity-provider.md.
    """
    path = text(name, "")
    if not path:
        return {}
    try:
        listed = json.loads(Path(path).read_text())["providers"]
        providers = [_identity_provider(name, given) for given in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UrlRefusedError) as error:
        raise ImproperlyConfigured(
            f"{name}: the file cannot be read, or is not of the documented form."
        ) from error
    found = {str(provider["app"]["provider_id"]): provider for provider in providers}
    if len(found) != len(providers):
        raise ImproperlyConfigured(f"{name}: two providers have the same id.")
    return found


def _identity_provider(name: str, given: dict[str, Any]) -> dict[str, Any]:
    unknown = set(given) - _PROVIDER_MEMBERS
    if unknown or not _PROVIDER_ID.fullmatch(given["id"]):
        raise ImproperlyConfigured(f"{name}: a provider has an unknown member, or no usable id.")
    check_url(given["issuer"])
    mapping = {
        str(group): [_place_and_role(name, text) for text in texts]
        for group, texts in given.get("roles", {}).items()
    }
    return {
        "app": {
            "provider_id": given["id"],
            "name": str(given.get("name", given["id"])),
            "client_id": str(given["client_id"]),
            "secret": Path(given["client_secret_file"]).read_text().strip(),
            "settings": {
                "server_url": given["issuer"].rstrip("/"),
                "issuer": given["issuer"],
                "fetch_userinfo": False,
                "scope": list(given.get("scope", ["openid", "profile", "email"])),
            },
        },
        "groups_claim": str(given.get("groups_claim", "groups")),
        "roles": mapping,
        "second_factor_amr": frozenset(map(str, given.get("second_factor_amr", []))),
        "second_factor_acr": frozenset(map(str, given.get("second_factor_acr", []))),
    }


def _place_and_role(name: str, text: str) -> tuple[str, str, str]:
    """`tenant.region:role` as its three parts."""
    match = _PLACE_AND_ROLE.fullmatch(text)
    if match is None or match[3] not in set(Role) - {Role.INGEST}:
        raise ImproperlyConfigured(f"{name}: {text!r} is not tenant.region:role.")
    return match[1], match[2], match[3]


def origins(name: str) -> list[str]:
    """The variable as a comma-separated list of logs' origins, whole ones: `<host>/<region>/<uuid>`."""
    found = names(name)
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise ImproperlyConfigured(
                f"{name} must list origins of logs, as the first line of a checkpoint has them."
            )
    return found


def http_url(name: str) -> str:
    """The variable as an http:// or https:// URL with a host and without a password; empty where it is not set."""
    value = text(name, "")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password:
        raise ImproperlyConfigured(
            f"{name} must be an http:// or https:// URL without user or password."
        )
    return value


def one_of(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """The variable as one of a few words."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}.")
    return value


def store_url(name: str) -> str:
    """The variable as the URL of a store of copies, without credentials; empty where it is not set.

    `file:///directory`, `gs://bucket/prefix`, `az://container/prefix`, or `s3://bucket/prefix`, which may have
    `?region=` and `&endpoint=` behind it.
    """
    value = text(name, "")
    if value and not _is_store_url(value):
        raise ImproperlyConfigured(
            f"{name} must be file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix,"
            " without credentials."
        )
    return value


def _is_store_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        members = parse_qs(parts.query, strict_parsing=bool(parts.query), max_num_fields=2)
    except ValueError:
        return False
    if parts.fragment or "@" in parts.netloc or any(len(found) > 1 for found in members.values()):
        return False
    if parts.scheme == "file":
        return not parts.netloc and not members and len(parts.path) > 1
    if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(parts.path):
        return False
    if parts.scheme == "s3":
        endpoint = members.pop("endpoint", [""])[0]
        return not members.keys() - {"region"} and (not endpoint or _is_endpoint(endpoint))
    return parts.scheme in {"gs", "az"} and not members


def _is_endpoint(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def key_provider(name: str, file_name: str) -> str:
    """The variable as a key provider's URL, without credentials; empty where neither variable is set.

    `file_name` names an older variable, whose value is the path of a file and means `file://`.
    """
    value, path = text(name, ""), text(file_name, "")
    if value and path:
        raise ImproperlyConfigured(f"Only one of {name} and {file_name} may be set.")
    if path:
        value, name = Path(path).absolute().as_uri(), file_name
    if value:
        try:
            parse_place(value)
        except KeyProviderUrlError as error:
            raise ImproperlyConfigured(f"{name}: {error.message}") from None
    return value


def dotted_oid(name: str) -> str:
    """The variable as an object identifier such as 1.2.3; empty where it is not set."""
    value = text(name, "")
    if value and not _OID.fullmatch(value):
        raise ImproperlyConfigured(f"{name} must be an object identifier, as 1.2.3 is.")
    return value


def secret_file(name: str) -> str:
    """The content of the file that the variable names; raises where it is missing, unreadable or empty."""
    path = Path(text(name))
    try:
        content = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}: the file cannot be read ({error.strerror})."
        ) from error
    if not content:
        raise ImproperlyConfigured(f"{name}: the file is empty.")
    return content


def database(url: str, variable: str) -> dict[str, Any]:
    """A Django database from a postgresql:// URL; the host may be a socket directory in `?host=`.

    Server-side binding is not a choice: with client-side binding every value would stand in clear in the
    server's statement log (design rule 3).
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or len(parts.path) < 2:  # noqa: PLR2004
        raise ImproperlyConfigured(f"{variable} must be a postgresql:// URL with a database name.")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "auditvault.ledger.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": query.pop("port", str(parts.port or "")),
        "ATOMIC_REQUESTS": False,
        # A thread keeps its connection, and looks before each request whether the server is still there.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {
            "server_side_binding": True,
            "prepare_threshold": 3,
            "connect_timeout": _CONNECT_SECONDS,
            **query,
        },
        "TEST": {"NAME": unquote(parts.path[1:])},
    }


def load_running_instance(home: Path) -> None:
    """Take what the environment lacks from the instance that runs in `home`, if one does.

    `auditvault up` leaves `env.json` (mode 0600) in its home, so that a command typed in another shell finds
    the same databases. Variables that are already set win.
    """
    if "AUDITVAULT_CONTROL_URL" in os.environ:
        return
    try:
        stored = json.loads((home / "env.json").read_text())
    except (OSError, ValueError):
        return
    for name, value in stored.items():
        os.environ.setdefault(name, value)
