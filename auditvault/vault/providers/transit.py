"""Root keys in the transit engine of OpenBao or HashiCorp Vault, a key for each epoch.

Rules kept: docs/spec/keys.md section 3. Transit forgets a deleted key wholly, so a note that is itself a key,
`NAME-e<n>.destroyed`, is made before one is deleted: nobody makes that epoch's key again, and whoever asks later is
told. Never follows a redirect, which would carry the token to another host, and takes nothing from VAULT_… variables
or `~/.vault-token`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import hvac
import requests
from hvac import exceptions
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from auditvault.core.crypto.keywrap import (
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    RootKeyDestroyedError,
    WrapNotAuthenticError,
)
from auditvault.vault.providers.errors import (
    KeyProviderRefusedError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.place import ProviderPlace
from auditvault.vault.providers.secret_files import read_secret
from auditvault.vault.providers.service import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    PerProcess,
    epoch_name,
)

_KEY_TYPE = "aes256-gcm96"
_CIPHERTEXT = re.compile(r"vault:v[1-9][0-9]{0,9}:[A-Za-z0-9+/]{40,512}={0,2}")
_NOTE = ".destroyed"


class TransitService:
    """Encrypts under keys named `NAME-e<epoch>` at one mount."""

    LABEL: ClassVar[bytes] = b"auditvault/transit-provider/1"

    def __init__(self, place: ProviderPlace) -> None:
        self._place = place
        self._ref = re.compile(
            re.escape(f"transit:{place.path}/{place.name}-e") + r"([1-9][0-9]{0,9})"
        )
        self._client: PerProcess[hvac.Client] = PerProcess(self._signed_in)

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider`. Making a key that exists changes nothing, so a crash or a second caller makes no other."""
        name = epoch_name(self._place.name, epoch)
        if not self._exists(name):
            self._refuse_destroyed(name)
            self._write(name)
            if not self._exists(name):
                raise KeyProviderUnusableError(
                    f"Transit at {self._place.path} does not keep the key {name}."
                )
        return f"transit:{self._place.path}/{name}"

    def encrypt(self, key_ref: str, inner_key: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`. The key is looked for first: transit makes a missing one where the token may create."""
        name = self._name(key_ref)
        self._must_exist(name)
        answer = self._ask(
            lambda client: client.secrets.transit.encrypt_data(
                name=name,
                plaintext=_base64(inner_key),
                associated_data=_base64(bound_to),
                mount_point=self._place.path,
            )
        )
        return str(_member(answer, "ciphertext")).encode("ascii", "replace")

    def decrypt(self, key_ref: str, outer: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`."""
        name = self._name(key_ref)
        ciphertext = outer.decode("ascii", "replace")
        if not _CIPHERTEXT.fullmatch(ciphertext):
            raise WrapNotAuthenticError("not what transit gives back")
        try:
            answer = self._ask(
                lambda client: client.secrets.transit.decrypt_data(
                    name=name,
                    ciphertext=ciphertext,
                    associated_data=_base64(bound_to),
                    mount_point=self._place.path,
                )
            )
        except (_MissingError, _RejectedError) as error:
            self._must_exist(name)
            raise WrapNotAuthenticError("transit refuses the ciphertext") from error
        try:
            return base64.b64decode(_member(answer, "plaintext"), validate=True)
        except ValueError:
            raise KeyProviderUnusableError("Transit answered with something else.") from None

    def destroy(self, key_ref: str) -> None:
        """As `KeyProvider`. First the note, then the key; a crash in between is taken up by asking again."""
        name = self._name(key_ref)
        if not self._exists(name + _NOTE):
            if not self._exists(name):
                raise KeyRefUnknownError(f"Transit at {self._place.path} has no key {name}.")
            self._write(name + _NOTE)
        if self._exists(name):
            self._delete(name)

    def _delete(self, name: str) -> None:
        mount = self._place.path
        try:
            self._ask(
                lambda client: client.secrets.transit.update_key_configuration(
                    name=name, deletion_allowed=True, mount_point=mount
                )
            )
            self._ask(lambda client: client.secrets.transit.delete_key(name, mount_point=mount))
        except (_MissingError, _RejectedError) as error:
            # Somebody else was first, or it is not to be.
            if self._exists(name):
                raise KeyProviderRefusedError(f"Transit does not delete the key {name}.") from error

    def _name(self, key_ref: str) -> str:
        match = self._ref.fullmatch(key_ref)
        if match is None:
            raise KeyRefUnknownError(f"The reference names no key at transit {self._place.path}.")
        return epoch_name(self._place.name, int(match[1]))

    def _must_exist(self, name: str) -> None:
        self._refuse_destroyed(name)
        if not self._exists(name):
            raise KeyRefUnknownError(f"Transit at {self._place.path} has no key {name}.")

    def _refuse_destroyed(self, name: str) -> None:
        if self._exists(name + _NOTE):
            raise RootKeyDestroyedError(f"The key {name} was destroyed.")

    def _exists(self, name: str) -> bool:
        """Whether there is such a key; raises RootKeyUnfitError where it is of another kind."""
        mount = self._place.path
        try:
            answer = self._ask(
                lambda client: client.secrets.transit.read_key(name=name, mount_point=mount)
            )
        except _MissingError:
            return False
        expected = {"type": _KEY_TYPE, "exportable": False, "allow_plaintext_backup": False}
        if any(_member(answer, key) != value for key, value in expected.items()):
            raise RootKeyUnfitError(
                f"The key {name} at transit {mount} is not of type {_KEY_TYPE}, or can be exported."
            )
        return True

    def _write(self, name: str) -> None:
        mount = self._place.path
        try:
            self._ask(
                lambda client: client.secrets.transit.create_key(
                    name=name, key_type=_KEY_TYPE, exportable=False, mount_point=mount
                )
            )
        except (_MissingError, _RejectedError) as error:
            raise KeyProviderUnusableError(
                f"There is no transit engine at {mount}, or it makes no key {name}."
            ) from error

    def _ask(self, question: Callable[[hvac.Client], Any]) -> Any:
        """Ask; where we are refused, the token may have ended: sign in again, once."""
        client = self._client.get()
        try:
            with _translated():
                return question(client)
        except KeyProviderRefusedError:
            self._client.forget()
        client = self._client.get()
        with _translated():
            return question(client)

    def _signed_in(self) -> hvac.Client:
        options = self._place.options
        plain = options.get("tls") == "off"
        client = hvac.Client(
            url=f"{'http' if plain else 'https'}://{self._place.host}",
            token="",
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            namespace=options.get("namespace"),
            session=_session(options.get("ca-file", "")),
            allow_redirects=False,
        )
        kind = options.get("auth", "token")
        if kind == "token":
            client.token = read_secret(Path(options["token-file"]))
            return client
        mount = options.get("auth-mount", kind)
        try:
            with _translated():
                _sign_in(client, kind, options, mount)
        except (_MissingError, _RejectedError) as error:
            raise KeyProviderRefusedError(
                f"Transit's server refuses to sign us in at auth/{mount}."
            ) from error
        return client


class _MissingError(Exception):
    """404: no such key, or no such mount."""


class _RejectedError(Exception):
    """400: what was sent is not acceptable."""


def _sign_in(client: hvac.Client, kind: str, options: Any, mount: str) -> None:
    if kind == "approle":
        role_id = read_secret(Path(options["role-id-file"]))
        secret_id = read_secret(Path(options["secret-id-file"]))
        client.auth.approle.login(role_id=role_id, secret_id=secret_id, mount_point=mount)
    else:
        jwt = read_secret(Path(options["jwt-file"]), of_platform=True)
        client.auth.kubernetes.login(role=options["role"], jwt=jwt, mount_point=mount)


def _session(ca_file: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no .netrc, no proxy that the environment names
    session.verify = ca_file or True
    # A connection that was kept and is gone is made anew, once. Nothing is waited for.
    retries = Retry(total=1, connect=1, read=False, status=0, redirect=0, other=0, backoff_factor=0)
    for prefix in ("http://", "https://"):
        session.mount(prefix, HTTPAdapter(max_retries=retries))
    return session


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exceptions.InvalidPath as error:
        raise _MissingError from error
    except exceptions.InvalidRequest as error:
        raise _RejectedError from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise KeyProviderRefusedError(
            "Transit's server refuses us: look at the token and at its policy."
        ) from error
    except (
        exceptions.VaultDown,
        exceptions.VaultNotInitialized,
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.RateLimitExceeded,
        exceptions.UnexpectedError,  # hvac has no name for a gateway's 504
    ) as error:
        raise KeyProviderUnavailableError(
            f"Transit's server cannot answer now ({type(error).__name__}); is it sealed?"
        ) from error
    except requests.exceptions.SSLError as error:
        raise KeyProviderUnusableError(
            "Transit's server has a certificate that is not trusted; see ca-file."
        ) from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise KeyProviderUnavailableError(
            f"Transit's server does not answer ({type(error).__name__})."
        ) from error
    except (exceptions.VaultError, requests.exceptions.RequestException) as error:
        raise KeyProviderUnusableError(
            f"Transit answered with something else ({type(error).__name__})."
        ) from error


def _member(answer: Any, name: str) -> Any:
    try:
        return answer["data"][name]
    except (TypeError, KeyError) as error:
        raise KeyProviderUnusableError("Transit answered with something else.") from error


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
