"""PKCS#11 on a real SoftHSM2 token."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass

from auditvault.core.crypto.keywrap import (
    KeyProvider,
    KeyProviderUnavailableError,
    KeyRefUnknownError,
    WrapError,
)
from auditvault.vault.providers.errors import (
    KeyProviderSecretError,
    KeyProviderUnusableError,
    RootKeyUnfitError,
)
from auditvault.vault.providers.opening import open_provider
from tests.integration.vault_providers.contract import (
    CONTEXT,
    KEK,
    MOST_SECONDS,
    Make,
    ProviderContract,
)
from tests.integration.vault_providers.softhsm import PIN, TOKEN, SoftHsm, module

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """One for all tests: a module reads its settings once."""
    return SoftHsm(tmp_path_factory.mktemp("softhsm"))


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.write_text(f"{PIN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def name() -> str:
    return f"av-{secrets.token_hex(4)}"


def url_of(name: str, pin_file: Path, *, token: str = TOKEN, library: str = "") -> str:
    where = f"module-path={library or module()}&pin-source={pin_file}"
    return f"pkcs11:token={quote(token)};object={name}?{where}"


@pytest.fixture
def make(token: SoftHsm, name: str, pin_file: Path) -> Make:
    return lambda: open_provider(url_of(name, pin_file))


@pytest.fixture
def provider(make: Make) -> KeyProvider:
    return make()


@pytest.fixture
def session(provider: KeyProvider, name: str) -> Any:
    """A session beside the provider's, after its login."""
    provider.make_key(9)
    return pkcs11.lib(module()).get_token(token_label=TOKEN).open(rw=True)


def keys(session: Any, label: str) -> list[Any]:
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}
    return list(session.get_objects(wanted))


def put_key(session: Any, label: str, key_id: bytes, **more: Any) -> None:
    session.generate_key(
        KeyType.AES,
        256,
        id=key_id,
        label=label,
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        **more,
    )


class TestPkcs11(ProviderContract):
    """The contract."""


def test_the_key_cannot_leave_the_token(provider: KeyProvider, session: Any, name: str) -> None:
    provider.make_key(1)
    (key,) = keys(session, f"{name}-e1")
    assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
    assert key[Attribute.NEVER_EXTRACTABLE]
    with pytest.raises(pkcs11.AttributeSensitive):
        key[Attribute.VALUE]


def test_a_key_that_could_leave_the_token_is_not_taken(
    provider: KeyProvider, session: Any, name: str
) -> None:
    open_key = {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
    put_key(session, f"{name}-e1", b"i" * 16, template=open_key)
    with pytest.raises(RootKeyUnfitError):
        provider.make_key(1)


def test_another_key_under_the_same_label_and_id_is_found(
    provider: KeyProvider, session: Any, name: str
) -> None:
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    (key,) = keys(session, f"{name}-e1")
    key_id = bytes(key[Attribute.ID])
    key.destroy()
    put_key(session, f"{name}-e1", key_id)
    provider.health(key_ref)
    with pytest.raises(WrapError):
        provider.unwrap(key_ref, wrapped, CONTEXT)


def test_a_key_that_is_gone_without_a_note_is_unknown(
    provider: KeyProvider, session: Any, name: str
) -> None:
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    (key,) = keys(session, f"{name}-e1")
    key.destroy()
    with pytest.raises(KeyRefUnknownError):
        provider.unwrap(key_ref, wrapped, CONTEXT)


def test_a_destruction_that_was_cut_short_is_taken_up(
    provider: KeyProvider, session: Any, name: str
) -> None:
    key_ref = provider.make_key(1)
    # The crash: the note stands, the key as well.
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.LABEL: f"{name}-e1.destroyed",
            Attribute.VALUE: b"-",
        }
    )
    assert provider.destroy(key_ref) is None
    assert keys(session, f"{name}-e1") == []


# python-pkcs11 cannot end a search in a session that is gone, and says so when it forgets it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_that_was_lost_is_opened_again(provider: KeyProvider) -> None:
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    service: Any = provider
    service._service._session.get().close()
    assert provider.unwrap(key_ref, wrapped, CONTEXT) == KEK


def test_a_module_that_hangs_is_given_up_soon_and_used_again_later(
    provider: KeyProvider, token: SoftHsm, make: Make
) -> None:
    key_ref = provider.make_key(1)
    wrapped = provider.wrap(key_ref, KEK, CONTEXT)
    with token.silent():
        began = time.monotonic()
        with pytest.raises(KeyProviderUnavailableError):
            provider.unwrap(key_ref, wrapped, CONTEXT)
        took = time.monotonic() - began
        with pytest.raises(KeyProviderUnavailableError):
            provider.health(key_ref)
        took_both = time.monotonic() - began
    assert took < MOST_SECONDS
    assert took_both - took < 0.5
    assert make().unwrap(key_ref, wrapped, CONTEXT) == KEK


def test_a_token_that_is_not_there_is_unavailable(
    token: SoftHsm, name: str, pin_file: Path
) -> None:
    with pytest.raises(KeyProviderUnavailableError, match="NoSuchToken"):
        open_provider(url_of(name, pin_file, token="elsewhere")).make_key(1)


def test_a_module_that_is_not_there_is_named(name: str, pin_file: Path) -> None:
    with pytest.raises(KeyProviderUnusableError, match="/nowhere/module"):
        open_provider(url_of(name, pin_file, library="/nowhere/module.so")).make_key(1)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_pin_file_that_others_may_read_is_refused(
    token: SoftHsm, name: str, pin_file: Path, mode: int
) -> None:
    pin_file.chmod(mode)
    with pytest.raises(KeyProviderSecretError, match=f"{mode:04o}"):
        open_provider(url_of(name, pin_file)).make_key(1)


_FORKS = """
import os, sys
from auditvault.vault.providers.opening import open_provider
provider = open_provider(sys.argv[1])
key_ref = provider.make_key(1)
wrapped = provider.wrap(key_ref, b"k" * 32, b"context")
child = os.fork()
if child == 0:
    os._exit(0 if provider.unwrap(key_ref, wrapped, b"context") == b"k" * 32 else 1)
_, status = os.waitpid(child, 0)
assert status == 0
assert provider.unwrap(key_ref, wrapped, b"context") == b"k" * 32
print('"both"')
"""

_WRONG_PIN = """
import json, sys
from pathlib import Path
from auditvault.core.crypto.keywrap import KeyProviderError
from auditvault.vault.providers.opening import open_provider
provider = open_provider(sys.argv[1])
said = []
def ask(provider):
    try:
        provider.make_key(1)
        said.append("made")
    except KeyProviderError as error:
        assert "wrong-pin" not in str(error)
        said.append(error.code)
file = Path(sys.argv[2])
right = file.read_text()
file.write_text("wrong-pin")
for _ in range(12):
    ask(provider)
file.write_text(right)
ask(provider)
ask(open_provider(sys.argv[1]))
print(json.dumps(said))
"""


@pytest.fixture
def run(token: SoftHsm) -> Callable[..., Any]:
    """Run a program as a process of its own, in which nobody has signed in."""

    def run(program: str, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            check=True,
            capture_output=True,
            cwd=ROOT,
            timeout=60,
        )
        return json.loads(done.stdout)

    return run


def test_both_go_on_after_a_fork(run: Callable[..., Any], name: str, pin_file: Path) -> None:
    assert run(_FORKS, url_of(name, pin_file)) == "both"


def test_a_pin_that_was_refused_is_not_tried_again(
    run: Callable[..., Any], name: str, pin_file: Path
) -> None:
    said = run(_WRONG_PIN, url_of(name, pin_file), str(pin_file))
    # Also with the right one in the file: this process is not to lock the token.
    assert said == ["key_provider_refused"] * 13 + ["made"]
