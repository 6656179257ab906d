"""Root keys in a PKCS#11 token, an AES-256 key for each epoch that cannot be taken out.

Rules kept: docs/spec/keys.md section 3. A module is asked by one thread at a time, in a thread of its own that nobody
waits for longer than `ANSWER_SECONDS`: a call into a module cannot be interrupted. A note, a data object, is left
before a key is destroyed. A PIN that was refused once is not tried again by this process: tokens lock themselves.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error

from auditvault.core.crypto.keywrap import (
    ID_SIZE,
    NONCE_SIZE,
    SECRET_SIZE,
    TAG_SIZE,
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
from auditvault.vault.providers.service import ANSWER_SECONDS, PerProcess, epoch_name

_NOTE = ".destroyed"
_AES_BITS = 256
_OUTER_SIZE = NONCE_SIZE + SECRET_SIZE + TAG_SIZE
_KEY = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.PRIVATE: True,
    Attribute.MODIFIABLE: False,
}
_REFUSED = (
    pkcs11.PinIncorrect,
    pkcs11.PinExpired,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)
_UNSUPPORTED = (
    pkcs11.FunctionNotSupported,
    pkcs11.MechanismInvalid,
    pkcs11.MechanismParamInvalid,
    pkcs11.TokenWriteProtected,
    pkcs11.MultipleTokensReturned,
)
_CHANGED = (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.DataInvalid)

Answer = TypeVar("Answer")


class Pkcs11Service:
    """Encrypts under keys labelled `NAME-e<epoch>` of one token."""

    LABEL: ClassVar[bytes] = b"auditvault/pkcs11-provider/1"

    def __init__(self, place: ProviderPlace) -> None:
        self._place = place
        self._module = place.options["module-path"]
        self._pin_file = Path(place.options["pin-source"])
        self._session: PerProcess[Any] = PerProcess(self._opened)
        self._pin_refused = False
        self._ref = re.compile(
            re.escape(f"pkcs11:{place.name}-e")
            + rf"([1-9][0-9]{{0,9}})/([0-9a-f]{{{2 * ID_SIZE}}})"
        )

    def make_key(self, epoch: int) -> str:
        """As `KeyProvider`.

        A token lets two objects have one label. Processes of one machine take turns at the PIN's file; were two
        machines to make one, each would wrap under its own, and the reference says which.
        """
        name = epoch_name(self._place.name, epoch)

        def make(session: Any) -> str:
            with _turn(self._pin_file):
                self._refuse_destroyed(session, name)
                found = _keys(session, name)
                if not found:
                    _generate(session, name)
                    found = _keys(session, name)
            key_id = min(bytes(key[Attribute.ID]) for key in found)
            self._fit_key(session, name, key_id)
            return f"pkcs11:{name}/{key_id.hex()}"

        return self._ask(make)

    def encrypt(self, key_ref: str, inner_key: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`: nonce, ciphertext and tag of AES-256-GCM with `bound_to` as associated data."""
        name, key_id = self._named(key_ref)
        nonce = os.urandom(NONCE_SIZE)

        def encrypt(session: Any) -> bytes:
            key = self._fit_key(session, name, key_id)
            return bytes(key.encrypt(inner_key, **_gcm(nonce, bound_to)))

        sealed = self._ask(encrypt)
        if len(sealed) != SECRET_SIZE + TAG_SIZE:
            raise KeyProviderUnusableError("The token's AES-GCM gives back something else.")
        return nonce + sealed

    def decrypt(self, key_ref: str, outer: bytes, bound_to: bytes) -> bytes:
        """As `KeyService`."""
        name, key_id = self._named(key_ref)
        if len(outer) != _OUTER_SIZE:
            raise WrapNotAuthenticError("not what a token gives back")
        nonce, sealed = outer[:NONCE_SIZE], outer[NONCE_SIZE:]

        def decrypt(session: Any) -> bytes:
            key = self._fit_key(session, name, key_id)
            try:
                return bytes(key.decrypt(sealed, **_gcm(nonce, bound_to)))
            except PKCS11Error as error:
                # Tokens name this in many ways, SoftHSM as a general error: what else the key can do tells.
                if isinstance(error, _CHANGED) or _works(key):
                    raise WrapNotAuthenticError("the token refuses the ciphertext") from error
                raise

        return self._ask(decrypt)

    def destroy(self, key_ref: str) -> None:
        """As `KeyProvider`. First the note, then the key; a crash in between is taken up by asking again."""
        name, key_id = self._named(key_ref)

        def destroy(session: Any) -> None:
            found = _keys(session, name, key_id)
            if not self._noted(session, name):
                if not found:
                    raise KeyRefUnknownError("The token holds no such key.")
                session.create_object(
                    {
                        Attribute.CLASS: ObjectClass.DATA,
                        Attribute.TOKEN: True,
                        Attribute.PRIVATE: True,
                        Attribute.APPLICATION: "auditvault",
                        Attribute.LABEL: name + _NOTE,
                        Attribute.VALUE: key_id,
                    }
                )
            for key in found:
                key.destroy()

        self._ask(destroy)

    def _fit_key(self, session: Any, name: str, key_id: bytes) -> Any:
        """The one key of that id; raises where it is gone or could leave the token."""
        self._refuse_destroyed(session, name)
        found = _keys(session, name, key_id)
        if len(found) != 1:
            raise KeyRefUnknownError("The token does not hold that key, or more than one.")
        if any(found[0][attribute] != value for attribute, value in _FIT.items()):
            raise RootKeyUnfitError(
                f"The key {name} in the token can be taken out, or is no AES-256 key."
            )
        return found[0]

    def _refuse_destroyed(self, session: Any, name: str) -> None:
        if self._noted(session, name):
            raise RootKeyDestroyedError(f"The key {name} was destroyed.")

    def _noted(self, session: Any, name: str) -> bool:
        wanted = {Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: name + _NOTE}
        return bool(list(session.get_objects(wanted)))

    def _named(self, key_ref: str) -> tuple[str, bytes]:
        match = self._ref.fullmatch(key_ref)
        if match is None:
            raise KeyRefUnknownError("The reference names no key of this token.")
        return epoch_name(self._place.name, int(match[1])), bytes.fromhex(match[2])

    def _ask(self, question: Callable[[Any], Answer]) -> Answer:
        """Ask the token, in a session that is opened anew after a fork, and once after an error."""

        def ask() -> Answer:
            with _translated():
                try:
                    return question(self._session.get())
                except PKCS11Error as error:
                    if isinstance(error, _REFUSED):
                        self._pin_refused = True
                        raise
                    self._session.forget()
                    return question(self._session.get())

        return _worker(self._module).run(ask)

    def _opened(self) -> Any:
        if self._pin_refused:
            raise KeyProviderRefusedError(
                "The token has refused the PIN. Put the right one into its file and start again."
            )
        pin = read_secret(self._pin_file)
        token = _library(self._module).get_token(token_label=self._place.host)
        try:
            return token.open(rw=True, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # another region's provider in this process
            return token.open(rw=True)


_FIT = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.KEY_TYPE: KeyType.AES,
    Attribute.VALUE_LEN: _AES_BITS // 8,
}


class _Worker:
    """Asks one module, one question at a time, and gives up on one that is not answered."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def run(self, ask: Callable[[], Answer]) -> Answer:
        if not self._busy.acquire(timeout=ANSWER_SECONDS):
            raise _silent()
        outcome: list[tuple[bool, Any]] = []

        def work() -> None:
            try:
                outcome.append((True, ask()))
            except BaseException as error:  # noqa: BLE001  # raised again by whoever asked
                outcome.append((False, error))
            finally:
                self._busy.release()

        thread = threading.Thread(target=work, name="pkcs11", daemon=True)
        thread.start()
        thread.join(ANSWER_SECONDS)
        if not outcome:
            raise _silent()
        answered, value = outcome[0]
        if not answered:
            raise value
        return value  # type: ignore[no-any-return]


_workers: dict[str, PerProcess[_Worker]] = {}
_initialised_in: dict[str, int] = {}


def _worker(module: str) -> _Worker:
    return _workers.setdefault(module, PerProcess(_Worker)).get()


def _library(module: str) -> Any:
    """The module, initialised by this process: what a fork hands down is the parent's."""
    process_id = os.getpid()
    try:
        library = pkcs11.lib(module)
    except PKCS11Error as error:
        raise KeyProviderUnusableError(f"The module {module} cannot be loaded.") from error
    if _initialised_in.setdefault(module, process_id) != process_id:
        with suppress(PKCS11Error):  # the module may have noticed the fork itself
            library.finalize()
        library.initialize()
        _initialised_in[module] = process_id
    return library


def _silent() -> KeyProviderUnavailableError:
    return KeyProviderUnavailableError(
        f"The token's module has not answered for {ANSWER_SECONDS} seconds."
    )


def _keys(session: Any, name: str, key_id: bytes | None = None) -> list[Any]:
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: name}
    return list(session.get_objects(wanted if key_id is None else {**wanted, Attribute.ID: key_id}))


def _generate(session: Any, name: str) -> None:
    session.generate_key(
        KeyType.AES,
        _AES_BITS,
        id=os.urandom(ID_SIZE),
        label=name,
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        template=_KEY,
    )


def _works(key: Any) -> bool:
    """Whether the key decrypts what it has just encrypted."""
    probe, parameters = os.urandom(SECRET_SIZE), _gcm(os.urandom(NONCE_SIZE), b"")
    try:
        return bool(key.decrypt(key.encrypt(probe, **parameters), **parameters) == probe)
    except PKCS11Error:
        return False


def _gcm(nonce: bytes, bound_to: bytes) -> dict[str, Any]:
    return {
        "mechanism": Mechanism.AES_GCM,
        "mechanism_param": pkcs11.GCMParams(nonce, bound_to, TAG_SIZE * 8),
    }


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; a process that dies lets go."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _REFUSED as error:
        raise KeyProviderRefusedError(
            f"The token refuses the PIN ({type(error).__name__})."
        ) from error
    except _UNSUPPORTED as error:
        raise KeyProviderUnusableError(
            f"The token cannot do what is needed ({type(error).__name__})."
        ) from error
    except PKCS11Error as error:
        raise KeyProviderUnavailableError(
            f"The token cannot be used now ({type(error).__name__})."
        ) from error
