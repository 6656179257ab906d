"""The URL of a key provider, taken apart: where root keys live, and never what opens them.

The forms stand in docs/reference/settings.md. Pure: nothing is imported, opened or asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from auditvault.vault.providers.errors import KeyProviderUrlError

Scheme = Literal["file", "transit", "aws-kms", "gcp-kms", "azure-keyvault", "pkcs11"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}")
"""First part of the names of keys; `-e<epoch>` follows. Every service allows these characters and this length."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[1-9][0-9]{0,4})?|\[[0-9A-Fa-f:]+\](:[1-9][0-9]{0,4})?")
_MOUNT = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_FILE = re.compile(r"/[!-~ ]{1,1023}")
_LABEL = re.compile(r"[!-~ ]{1,32}")
_MOST_OPTIONS = 8

_OPTIONS: dict[Scheme, dict[str, re.Pattern[str]]] = {
    "file": {},
    "transit": {
        "auth": re.compile(r"token|approle|kubernetes"),
        "auth-mount": _MOUNT,
        "token-file": _FILE,
        "role-id-file": _FILE,
        "secret-id-file": _FILE,
        "role": _WORD,
        "jwt-file": _FILE,
        "namespace": _MOUNT,
        "ca-file": _FILE,
        "tls": re.compile(r"off"),
    },
    "aws-kms": {},
    "gcp-kms": {"protection": re.compile(r"software|hsm")},
    "azure-keyvault": {"kind": re.compile(r"rsa|rsa-hsm|oct-hsm")},
    "pkcs11": {"module-path": _FILE, "pin-source": _FILE},
}
# What each way of signing in to transit needs, and takes beside `auth-mount`.
_TRANSIT_AUTH = {
    "token": {"token-file"},
    "approle": {"role-id-file", "secret-id-file"},
    "kubernetes": {"role", "jwt-file"},
}
_LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderPlace:
    """Where root keys live."""

    scheme: Scheme
    host: str = ""  # with port; an AWS region; a vault's name or host; a PKCS#11 token's label
    path: str = ""  # a file; a mount; a key ring
    name: str = ""  # first part of the keys' names
    options: Mapping[str, str] = field(default_factory=dict)


def parse_place(url: str) -> ProviderPlace:
    """Take a URL apart; raises KeyProviderUrlError, which does not repeat it."""
    try:
        parts = urlsplit(url)
        members = parse_qs(
            parts.query, strict_parsing=bool(parts.query), max_num_fields=_MOST_OPTIONS
        )
    except ValueError as error:
        raise _malformed("cannot be read as a URL") from error
    scheme = _scheme(parts.scheme)
    if parts.fragment or "@" in parts.netloc or any(len(found) > 1 for found in members.values()):
        raise _malformed("has a credential, a fragment or an option twice")
    options = {name: found[0] for name, found in members.items()}
    _check_options(scheme, options)
    return _READERS[scheme](parts, options)


def _file(parts: SplitResult, _options: dict[str, str]) -> ProviderPlace:
    path = unquote(parts.path)
    if parts.netloc or not _FILE.fullmatch(path):
        raise _malformed("must be file:///PATH")
    return ProviderPlace(scheme="file", path=path)


def _transit(parts: SplitResult, options: dict[str, str]) -> ProviderPlace:
    mount, _, name = parts.path.lstrip("/").rpartition("/")
    if not (_HOST.fullmatch(parts.netloc) and _MOUNT.fullmatch(mount) and _NAME.fullmatch(name)):
        raise _malformed("must be transit://HOST:PORT/MOUNT/NAME?…")
    needed = _TRANSIT_AUTH[options.get("auth", "token")]
    given = options.keys() & set().union(*_TRANSIT_AUTH.values())
    if given != needed:
        raise _malformed(f"needs {' and '.join(sorted(needed))} for its way of signing in")
    if "tls" in options and not _LOOPBACK.fullmatch(parts.netloc):
        raise _malformed("may have tls=off for this machine only")
    return ProviderPlace(
        scheme="transit", host=parts.netloc, path=mount, name=name, options=options
    )


def _aws(parts: SplitResult, _options: dict[str, str]) -> ProviderPlace:
    name = parts.path.removeprefix("/")
    if not (re.fullmatch(r"[a-z0-9-]{4,32}", parts.netloc) and _NAME.fullmatch(name)):
        raise _malformed("must be aws-kms://REGION/NAME")
    return ProviderPlace(scheme="aws-kms", host=parts.netloc, name=name)


def _gcp(parts: SplitResult, options: dict[str, str]) -> ProviderPlace:
    ring, _, name = f"{parts.netloc}{parts.path}".rpartition("/")
    good = re.fullmatch(
        r"projects/[a-z0-9.:-]{1,64}/locations/[a-z0-9-]{1,64}/keyRings/[A-Za-z0-9_-]{1,63}", ring
    )
    if not (good and _NAME.fullmatch(name)):
        raise _malformed("must be gcp-kms://projects/…/locations/…/keyRings/…/NAME")
    return ProviderPlace(scheme="gcp-kms", path=ring, name=name, options=options)


def _azure(parts: SplitResult, options: dict[str, str]) -> ProviderPlace:
    name = parts.path.removeprefix("/")
    if not (re.fullmatch(r"[A-Za-z0-9.-]{3,253}", parts.netloc) and _NAME.fullmatch(name)):
        raise _malformed("must be azure-keyvault://VAULT/NAME")
    host = parts.netloc if "." in parts.netloc else f"{parts.netloc}.vault.azure.net"
    return ProviderPlace(scheme="azure-keyvault", host=host, name=name, options=options)


def _pkcs11(parts: SplitResult, options: dict[str, str]) -> ProviderPlace:
    """RFC 7512, of which `token` and `object`, `module-path` and `pin-source` are taken, and all are needed."""
    pairs = [part.partition("=")[::2] for part in parts.path.split(";")]
    found = {name: unquote(value) for name, value in pairs}
    token, name = found.get("token", ""), found.get("object", "")
    whole = len(pairs) == 2 and found.keys() == {"token", "object"}  # noqa: PLR2004
    if parts.netloc or not (whole and _LABEL.fullmatch(token) and _NAME.fullmatch(name)):
        raise _malformed("must be pkcs11:token=LABEL;object=NAME?module-path=…&pin-source=…")
    if options.keys() != {"module-path", "pin-source"}:
        raise _malformed("needs module-path and pin-source")
    return ProviderPlace(scheme="pkcs11", host=token, name=name, options=options)


_READERS: dict[Scheme, Callable[[SplitResult, dict[str, str]], ProviderPlace]] = {
    "file": _file,
    "transit": _transit,
    "aws-kms": _aws,
    "gcp-kms": _gcp,
    "azure-keyvault": _azure,
    "pkcs11": _pkcs11,
}


def _scheme(found: str) -> Scheme:
    for scheme in get_args(Scheme):
        if found == scheme:
            return scheme  # type: ignore[no-any-return]
    raise _malformed(f"must begin with one of {', '.join(get_args(Scheme))}")


def _check_options(scheme: Scheme, options: dict[str, str]) -> None:
    for name, value in options.items():
        pattern = _OPTIONS[scheme].get(name)
        if pattern is None:
            raise _malformed("has an option that this provider does not know")
        if not pattern.fullmatch(value):
            raise _malformed(f"has an option {name} that is not of its form")


def _malformed(why: str) -> KeyProviderUrlError:
    return KeyProviderUrlError(f"The URL of the key provider {why}.")
