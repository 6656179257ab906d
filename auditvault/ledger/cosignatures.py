"""What witnesses said of a log's checkpoints: kept, and given out with them.

A line is stored only after it was verified, and everybody who reads it verifies it again: a row proves nothing by
being there. Asking witnesses is left to `evidence.witnesses`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.cosignature import read_cosignatures
from auditvault.core.tlog.note import NoteError
from auditvault.core.tlog.witness_policy import WitnessPolicy
from auditvault.ledger.logs import LogRef
from auditvault.ledger.selectors import SignedCheckpoint, latest_checkpoint

# So many cosigned checkpoints are looked at for one that enough witnesses have signed.
_LOOK_BACK = 20


class WitnessPolicyUnreadableError(AuditvaultError):
    """The policy's file cannot be read."""

    code = "witness_policy_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLine:
    """One witness's line under one checkpoint; `line` ends in a newline, as in the note."""

    witness: bytes
    cosigned_at: datetime
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCosigned:
    """Where a witness stands with a log, as far as this service knows."""

    size: int
    root: bytes
    cosigned_at: datetime


def last_cosigned(
    connection: psycopg.Connection[Any], log: LogRef, witness: bytes
) -> LastCosigned | None:
    """The greatest size that the witness, known by its public key, has cosigned; None before the first."""
    row = connection.execute(
        "SELECT size, root, cosigned_at FROM ledger_cosignature WHERE tenant_id = %s"
        " AND log_id = %s AND witness = %s ORDER BY size DESC, cosigned_at DESC LIMIT 1",
        (log.tenant_id, log.log_id, witness),
    ).fetchone()
    return (
        LastCosigned(size=row[0], root=bytes(row[1]), cosigned_at=row[2])
        if row is not None
        else None
    )


def store_lines(
    connection: psycopg.Connection[Any],
    log: LogRef,
    checkpoint: SignedCheckpoint,
    lines: Iterable[StoredLine],
) -> None:
    """Keep lines that were verified for this checkpoint; one that is there already stays as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ledger_cosignature"
            " (tenant_id, log_id, size, root, witness, cosigned_at, line)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    log.tenant_id,
                    log.log_id,
                    checkpoint.size,
                    checkpoint.root,
                    line.witness,
                    line.cosigned_at,
                    line.line,
                )
                for line in lines
            ],
        )


def cosigned_checkpoints(
    connection: psycopg.Connection[Any], log: LogRef, limit: int
) -> list[SignedCheckpoint]:
    """The newest checkpoints that any witness cosigned, greatest first, each note with its witnesses' newest lines."""
    rows = connection.execute(
        "SELECT c.size, c.root, c.note, c.signed_at, array("
        "   SELECT DISTINCT ON (w.witness) w.line FROM ledger_cosignature AS w"
        "   WHERE w.tenant_id = c.tenant_id AND w.log_id = c.log_id AND w.size = c.size"
        "     AND w.root = c.root ORDER BY w.witness, w.cosigned_at DESC)"
        " FROM (SELECT DISTINCT size, root FROM ledger_cosignature WHERE tenant_id = %s"
        "   AND log_id = %s ORDER BY size DESC LIMIT %s) AS k"
        " JOIN LATERAL (SELECT * FROM ledger_checkpoint AS p WHERE p.tenant_id = %s"
        "   AND p.log_id = %s AND p.size = k.size AND p.root = k.root"
        "   ORDER BY p.signed_at DESC LIMIT 1) AS c ON true ORDER BY c.size DESC",
        (log.tenant_id, log.log_id, limit, log.tenant_id, log.log_id),
    ).fetchall()
    return [
        SignedCheckpoint(
            size=size, root=bytes(root), note=note + "".join(lines), signed_at=signed_at
        )
        for size, root, note, signed_at, lines in rows
    ]


def configured_policy() -> WitnessPolicy | None:
    """The operator's policy, read once; None where no file is named.

    Raises WitnessPolicyUnreadableError, or WitnessPolicyError for a file that is none.
    """
    if not settings.WITNESS_POLICY_FILE:
        return None
    return _read_policy(settings.WITNESS_POLICY_FILE, settings.WITNESS_MAX_AGE_SECONDS)


@lru_cache(maxsize=4)
def _read_policy(path: str, max_age_seconds: int) -> WitnessPolicy:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise WitnessPolicyUnreadableError("The witness policy cannot be read.") from error
    return WitnessPolicy.parse(data, max_age_seconds=max_age_seconds)


def witnessed_checkpoint(
    connection: psycopg.Connection[Any], log: LogRef, policy: WitnessPolicy
) -> SignedCheckpoint | None:
    """The greatest checkpoint that the policy's quorum has cosigned, whenever that was; None where there is none."""
    for found in cosigned_checkpoints(connection, log, _LOOK_BACK):
        if policy.quorum_time(_times(found.note, policy)) is not None:
            return found
    return None


def published_checkpoint(
    connection: psycopg.Connection[Any], log: LogRef
) -> SignedCheckpoint | None:
    """What is given out: with a policy, the greatest that its quorum has cosigned; otherwise the newest.

    Before a quorum has cosigned anything it is the newest, whose note then says that nobody has.
    """
    policy = configured_policy()
    witnessed = witnessed_checkpoint(connection, log, policy) if policy and policy.quorum else None
    return witnessed or latest_checkpoint(connection, log)


def _times(note: str, policy: WitnessPolicy) -> dict[str, int]:
    names = {each.verifier: each.name for each in policy.witnesses}
    try:
        _, found = read_cosignatures(note, list(names))
    except NoteError:
        return {}  # a row that somebody changed
    return {names[each.verifier]: each.timestamp for each in found}
