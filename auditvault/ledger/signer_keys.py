"""The signer's private keys, and which of them sign a region.

Rules kept: docs/spec/checkpoint.md section 3.1. A region's first key needs nobody's word. A further one signs once an
entry that announces it lies under a checkpoint that earlier keys signed, and stops once one that retires it does. The
signer takes this from entries, which it proves against its own memory; the database is not believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.checkpoint import CheckpointError, open_checkpoint
from auditvault.core.tlog.log_key import ED25519, ML_DSA_44, LogKey, log_verifiers
from auditvault.core.tlog.mldsa import MlDsaSigner
from auditvault.core.tlog.note import LogSigner, NoteError, NoteSigner
from auditvault.ledger.signer_state import RegionKey, Retirement, Signed


class SignerKeyError(AuditvaultError):
    """A key file holds no key that a log can be signed with."""

    code = "signer_key_unusable"


class SignerKeyMissingError(AuditvaultError):
    """A key signs in the region and its private half is not at hand."""

    code = "signer_key_missing"


class SignerKeyUnknownError(AuditvaultError):
    """The only keys at hand are none that signed the region's logs before."""

    code = "signer_key_unknown"


class KeyEventRefusedError(AuditvaultError):
    """An entry would bring a retired key back, or retire a region's last Ed25519 key."""

    code = "checkpoint_key_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvent:
    """What an entry says of a key, once it is proved."""

    index: int
    retires: bool
    """False: it announces the key."""
    key: LogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key of either algorithm."""

    public: LogKey
    private: Ed25519PrivateKey | MLDSA44PrivateKey

    def signer(self, origin: str, now: datetime) -> LogSigner:
        """What signs the checkpoints of one log, at `now`."""
        if isinstance(self.private, Ed25519PrivateKey):
            return NoteSigner(origin, self.private)
        return MlDsaSigner(origin, self.private, timestamp=int(now.timestamp()))


def load_signing_key(path: Path) -> SigningKey:
    """The key in a PEM file; raises SignerKeyError."""
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SignerKeyError(f"{path} holds no private key in PEM.") from error
    if isinstance(private, Ed25519PrivateKey):
        algorithm = ED25519
    elif isinstance(private, MLDSA44PrivateKey):
        algorithm = ML_DSA_44
    else:
        raise SignerKeyError(f"{path} holds neither an Ed25519 nor an ML-DSA-44 key.")
    public = LogKey(algorithm=algorithm, public_key=private.public_key().public_bytes_raw())
    return SigningKey(public=public, private=private)


class KeyFiles:
    """The private keys at hand, in order: the first Ed25519 key signs a region that has none yet."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._keys = {key.public: key for key in keys}

    def __contains__(self, key: LogKey) -> bool:
        return key in self._keys

    def first(
        self, rings: Mapping[str, Sequence[RegionKey]], remembered: Mapping[str, Signed]
    ) -> tuple[RegionKey, ...]:
        """The ring of a region of which no key is known: the first Ed25519 key that is retired nowhere.

        `remembered` are the region's logs that were signed before keys were remembered. Raises
        SignerKeyUnknownError where that key did not sign them, or there is none.
        """
        gone = {item.key for ring in rings.values() for item in ring if item.retired is not None}
        usable = [key for key in self._keys if key.algorithm == ED25519 and key not in gone]
        if not usable or not all(_signed_by(usable[0], *pair) for pair in remembered.items()):
            raise SignerKeyUnknownError("The key at hand is not the one that signed before.")
        return (RegionKey(key=usable[0], announced=None),)

    def signing(self, ring: Sequence[RegionKey]) -> list[SigningKey]:
        """The keys that sign; raises SignerKeyMissingError where one of them is not at hand."""
        active = [item.key for item in ring if item.retired is None]
        if not all(key in self._keys for key in active):
            raise SignerKeyMissingError(
                "A key that signs is not at hand. Bring it back, or retire it."
            )
        return [self._keys[key] for key in active]


def follow(
    ring: tuple[RegionKey, ...], event: KeyEvent, *, at_hand: KeyFiles, sizes: Mapping[str, int]
) -> tuple[RegionKey, ...]:
    """The ring after a proved event; one that is known already, or is of nobody's key here, changes nothing.

    `sizes` are the last sizes signed, by origin. Raises KeyEventRefusedError.
    """
    known = {item.key: item for item in ring}
    item = known.get(event.key)
    if item is not None and item.retired is not None:
        if event.index > item.retired.index and not event.retires:
            raise KeyEventRefusedError("A retired key never returns.")
        return ring
    if not event.retires:
        if item is not None or event.key not in at_hand:
            return ring
        return (*ring, RegionKey(key=event.key, announced=event.index))
    if item is None or (item.announced is not None and event.index < item.announced):
        return ring
    active = [each.key for each in ring if each.retired is None and each.key != event.key]
    if not any(key.algorithm == ED25519 for key in active):
        raise KeyEventRefusedError("A region's last Ed25519 key is not retired.")
    done = replace(item, retired=Retirement(index=event.index, sizes=dict(sizes)))
    return tuple(done if each is item else each for each in ring)


def _signed_by(key: LogKey, origin: str, signed: Signed) -> bool:
    try:
        open_checkpoint(signed.note, origin=origin, verifiers=log_verifiers(origin, [key]))
    except (NoteError, CheckpointError):
        return False
    return True
