"""A subject's key gets a new version, and everything that it seals goes with it.

Order, and what a crash leaves (docs/spec/keyring.md section 4). Whoever asks again goes on from there.

1. A new version of the key, committed.          A key without content, as after any request that failed.
2. The old versions retired, and a row for it.   Both open; sealers take the new one.
3. CEKs wrapped anew, a batch at a time.         Some under the one, some under the other; both open.
4. Ten minutes after 2, when nothing is under them, the old versions are destroyed. Until then what somebody sealed
   under a cached old version is found and moved.
5. `key.rotated` is recorded.                    Recorded once: the log is asked first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from auditvault.core.crypto.envelope import ContextPrefix, rewrap_cek
from auditvault.core.crypto.keywrap import WrapError, WrapKey
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import ApprovalDriftedError, Operation, Plan
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import is_recorded, record_operation
from auditvault.ledger.scope import region_alias, retention_connection, tenant_scope
from auditvault.vault.keyring.hierarchy import KeyDestroyedError
from auditvault.vault.keyring.services import keyring
from auditvault.vault.subjects import DATA_CLASS

ENTRY_TYPE_ROTATED = "key.rotated"
BATCH = 1000
_NO_KEY = "The subject is unknown, erased, or has no key."
_OBJECTS = (
    "SELECT object_id, version, wrapped_cek FROM vault_kept WHERE subject_id = %s AND key_id = %s"
)
_IDENTIFIERS = (
    "SELECT object_id, 1, wrapped_cek FROM vault_identifier WHERE subject_id = %s AND key_id = %s"
)
# A rotation whose new key was erased has nothing left to do, and is none any more.
_UNFINISHED = (
    "SELECT k.tenant_id, k.subject_id, k.data_class, r.rotation_id, r.new_key_id, r.old_key_ids"
    " FROM keyring_rotation AS r JOIN keyring_subject_key AS k ON k.key_id = r.new_key_id"
    " WHERE r.state <> 'done'"
)
_TABLES = {"objects": _OBJECTS, "identifiers": _IDENTIFIERS}


class NoSuchKeyError(AuditvaultError):
    """The subject has no key that could be rotated: unknown, erased, or never sealed for."""

    code = "key_not_there"


class RotationStuckError(AuditvaultError):
    """Something is still under the old key, so it is kept: it does not open, is being erased, or changed meanwhile."""

    code = "key_rotation_stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How far a rotation is."""

    rotation_id: UUID
    rewrapped: int
    """Objects and identifiers that this call moved."""
    due_at: datetime | None
    """When the old versions may be destroyed, which the next call then does; None: they are."""


class _Rotation(NamedTuple):
    tenant_id: UUID
    subject_id: UUID
    data_class: str
    rotation_id: UUID
    new_key_id: UUID
    old_key_ids: list[UUID]


def plan_of_rotation(*, region: str, tenant_id: UUID, subject_id: UUID) -> Plan | None:
    """Which versions of the subject's key a rotation would destroy; None where one was begun already.

    Raises NoSuchKeyError, RegionUnavailableError.
    """
    keys = retention_connection(region, keys=True)
    if _unfinished(keys, tenant_id, subject_id) is not None:
        return None
    versions = _versions(keys, tenant_id, subject_id)
    if not versions:
        raise NoSuchKeyError(_NO_KEY)
    return Plan(
        operation=Operation.KEY_DESTRUCTION,
        tenant_id=tenant_id,
        region=region,
        parameters={
            "act": "rotate_subject",
            "subject": str(subject_id),
            "keys": [str(key_id) for key_id in versions],
        },
    )


def rotate_subject(
    *,
    region: str,
    tenant_id: UUID,
    subject_id: UUID,
    progress: Callable[[int], None] = lambda _: None,
    plan: Plan | None = None,
) -> Rotated:
    """Give the subject's key a new version, or go on with the rotation that was begun.

    Raises NoSuchKeyError, RotationStuckError, RegionUnavailableError, or what the database raises;
    ApprovalDriftedError where `plan` is given and there are other versions by now.
    """
    keys = retention_connection(region, keys=True)
    begun = _unfinished(keys, tenant_id, subject_id)
    if begun is None:
        if plan is not None:
            _refuse_others(keys, tenant_id, subject_id, plan)
        begun = _begin(region, keys, tenant_id, subject_id)
    return _go_on(region, keys, begun, progress)


def finish_rotations(*, region: str) -> list[Rotated]:
    """Go on with every rotation of the region that was begun: for the scheduled job.

    Raises the first one's RotationStuckError or NoSuchKeyError once all the others have gone on.
    """
    keys = retention_connection(region, keys=True)
    rows = keys.execute(f"{_UNFINISHED} ORDER BY started_at".encode()).fetchall()
    done, stuck = [], []
    for row in rows:
        try:
            done.append(_go_on(region, keys, _Rotation(*row), lambda _: None))
        except (RotationStuckError, NoSuchKeyError) as error:
            stuck.append(error)
    if stuck:
        raise stuck[0]
    return done


def _versions(keys: psycopg.Connection[Any], tenant_id: UUID, subject_id: UUID) -> list[UUID]:
    """Ids of all versions of the subject's key, oldest first."""
    rows = keys.execute(
        "SELECT key_id FROM keyring_subject_key"
        " WHERE tenant_id = %s AND subject_id = %s AND data_class = %s ORDER BY version",
        (tenant_id, subject_id, DATA_CLASS),
    ).fetchall()
    return [key_id for (key_id,) in rows]


def _refuse_others(
    keys: psycopg.Connection[Any], tenant_id: UUID, subject_id: UUID, plan: Plan
) -> None:
    found = [str(key_id) for key_id in _versions(keys, tenant_id, subject_id)]
    if found != plan.parameters["keys"]:
        raise ApprovalDriftedError("The subject has other keys by now. Look at the new plan.")


def _unfinished(
    keys: psycopg.Connection[Any], tenant_id: UUID, subject_id: UUID
) -> _Rotation | None:
    row = keys.execute(
        f"{_UNFINISHED} AND k.tenant_id = %s AND k.subject_id = %s LIMIT 1".encode(),
        (tenant_id, subject_id),
    ).fetchone()
    return _Rotation(*row) if row is not None else None


def _begin(
    region: str, keys: psycopg.Connection[Any], tenant_id: UUID, subject_id: UUID
) -> _Rotation:
    with tenant_scope(region_alias(region), tenant_id) as connection:
        lives = connection.execute(
            "SELECT 1 FROM vault_subject WHERE subject_id = %s AND state IN ('active', 'restricted')",
            (subject_id,),
        ).fetchone()
    new = keyring(region).new_version(tenant_id, subject_id, DATA_CLASS) if lives else None
    if new is None:
        raise NoSuchKeyError(_NO_KEY)
    rotation_id = uuid4()
    keys.execute("SELECT keyring_begin_rotation(%s, %s, %s)", (tenant_id, rotation_id, new))
    begun = _unfinished(keys, tenant_id, subject_id)
    if begun is None:
        raise NoSuchKeyError("The key was destroyed meanwhile.")
    return begun


def _go_on(
    region: str, keys: psycopg.Connection[Any], rotation: _Rotation, progress: Callable[[int], None]
) -> Rotated:
    """Steps 3 to 5."""
    moved = 0
    for old_key_id in rotation.old_key_ids:
        # Closed whatever happens: it holds a transaction open.
        with closing(_move(region, keys, rotation, old_key_id)) as moving:
            for changed in moving:
                moved += changed
                progress(moved)
    _refuse_if_used(region, rotation)
    row = keys.execute("SELECT keyring_finish_rotation(%s)", (rotation.rotation_id,)).fetchone()
    due_at = row[0] if row is not None else None
    if due_at is None:
        _record(region, keys, rotation)
        keys.execute("SELECT keyring_close_rotation(%s)", (rotation.rotation_id,))
    return Rotated(rotation_id=rotation.rotation_id, rewrapped=moved, due_at=due_at)


def _move(
    region: str, keys: psycopg.Connection[Any], rotation: _Rotation, old_key_id: UUID
) -> Generator[int, None, None]:
    ring = keyring(region)
    try:
        new = ring.key_to_open(rotation.tenant_id, rotation.new_key_id)
    except KeyDestroyedError as error:
        raise NoSuchKeyError("The new key was destroyed meanwhile.") from error
    try:
        old = ring.key_to_open(rotation.tenant_id, old_key_id)
    except KeyDestroyedError:
        return  # by an earlier call
    prefix = ContextPrefix(
        region=region, tenant_id=rotation.tenant_id, data_class=rotation.data_class
    )
    vault = retention_connection(region)
    damaged: list[UUID] = []
    for kind, query in _TABLES.items():
        for rows in _batches(region, rotation.tenant_id, query, (rotation.subject_id, old_key_id)):
            batch = _rewrapped(prefix, rotation.subject_id, rows, (old, new), damaged)
            changed = _write(vault, kind, rotation, old_key_id, batch)
            keys.execute("SELECT keyring_count_rewrapped(%s, %s)", (rotation.rotation_id, changed))
            yield changed
    if damaged:
        raise RotationStuckError(
            f"{len(damaged)} objects do not open under the old key, which is kept: {damaged[0]} is one."
        )


def _refuse_if_used(region: str, rotation: _Rotation) -> None:
    """A row that changed while it was moved, or whose owner is being erased, is where it was."""
    with tenant_scope(region_alias(region), rotation.tenant_id) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM vault_object WHERE subject_id = %(subject)s AND key_id = ANY(%(keys)s))"
            " + (SELECT count(*) FROM vault_identifier WHERE subject_id = %(subject)s AND key_id = ANY(%(keys)s))",
            {"subject": rotation.subject_id, "keys": rotation.old_key_ids},
        ).fetchone()
    if row is None or row[0]:
        raise RotationStuckError(
            "Something is still under the old key, which is kept: it changed, or is being erased. Run it again."
        )


def _batches(
    region: str, tenant_id: UUID, query: str, values: tuple[UUID, UUID]
) -> Generator[list[tuple[UUID, int, bytes]], None, None]:
    """What is under the old key, as it stood when the look began."""
    with (
        tenant_scope(region_alias(region), tenant_id) as connection,
        connection.cursor("under_old_key") as cursor,
    ):
        cursor.execute(query.encode(), values)
        while rows := cursor.fetchmany(BATCH):
            yield rows


def _rewrapped(
    prefix: ContextPrefix,
    subject_id: UUID,
    rows: Sequence[tuple[UUID, int, bytes]],
    keys: tuple[WrapKey, WrapKey],
    damaged: list[UUID],
) -> list[tuple[UUID, bytes, bytes]]:
    """Object, old wrap and new wrap of each CEK; objects whose CEK does not open go to `damaged`."""
    found = []
    for object_id, version, wrapped in rows:
        try:
            new = rewrap_cek(
                old_dek=keys[0],
                new_dek=keys[1],
                prefix=prefix,
                subject_id=subject_id,
                object_id=object_id,
                wrapped_cek=bytes(wrapped),
                version=version,
            )
        except WrapError:
            damaged.append(object_id)
            continue
        found.append((object_id, bytes(wrapped), new))
    return found


def _write(
    vault: psycopg.Connection[Any],
    kind: str,
    rotation: _Rotation,
    old_key_id: UUID,
    rows: Sequence[tuple[UUID, bytes, bytes]],
) -> int:
    if not rows:
        return 0
    columns = [list(column) for column in zip(*rows, strict=True)]
    row = vault.execute(
        f"SELECT vault_rewrap_{kind}(%s, %s, %s, %s, %s, %s, %s)".encode(),
        (*rotation[:2], old_key_id, rotation.new_key_id, *columns),
    ).fetchone()
    return int(row[0]) if row else 0


def _record(region: str, keys: psycopg.Connection[Any], rotation: _Rotation) -> None:
    """Once, without a word of whose key it was."""
    row = keys.execute(
        "SELECT rewrapped, started_at FROM keyring_rotation WHERE rotation_id = %s",
        (rotation.rotation_id,),
    ).fetchone()
    if row is None:
        return
    rewrapped, started_at = row
    details: dict[str, JsonValue] = {"rotation": str(rotation.rotation_id)}
    if not is_recorded(region, ENTRY_TYPE_ROTATED, details, since=started_at):
        details |= {"objects": rewrapped, "keys_destroyed": len(rotation.old_key_ids)}
        record_operation(region=region, action=ENTRY_TYPE_ROTATED, details=details)
