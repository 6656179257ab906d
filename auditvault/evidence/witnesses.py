"""Submitting checkpoints to witnesses (C2SP tlog-witness), and saying whether the policy is met.

Order for one log and witness, and what a crash leaves behind:

1. The newest checkpoint and where the witness stands are read.       Crash: nothing.
2. The witness is asked; it remembers before it answers.              Crash: it is ahead of what we know; the next
                                                                      submission is answered 409 with its size.
3. Its line is verified, and stored.                                  Crash before: as in 2.

A witness that is away is waited for. One that refuses, or that has seen a longer log than ours, is an alarm: the log
was cut, or there are two of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import psycopg
from django.conf import settings

from auditvault.core.errors import AuditvaultError
from auditvault.core.tlog.cosignature import (
    MAX_ANSWER_SIZE,
    CosignatureVerifier,
    add_cosignatures,
    read_cosignatures,
)
from auditvault.core.tlog.note import NoteError, known_lines, parse_note
from auditvault.core.tlog.witness_policy import (
    PolicyWitness,
    WitnessedError,
    WitnessPolicy,
    check,
)
from auditvault.core.tlog.witnessing import Submission, WitnessAnswerError, parse_conflict
from auditvault.evidence.anchors.exchange import Answer, ExchangeError, post
from auditvault.evidence.jobs import Detail, Job, JobFailedError
from auditvault.evidence.trust import under_taken_up
from auditvault.ledger.cosignatures import (
    LastCosigned,
    StoredLine,
    configured_policy,
    last_cosigned,
    store_lines,
    witnessed_checkpoint,
)
from auditvault.ledger.logs import LogRef, region_logs
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.selectors import SignedCheckpoint, consistency, latest_checkpoint

JOB_NAME = "witness"
log = logging.getLogger("auditvault.evidence")
_ANSWER_SECONDS = 5.0
# An idle log is submitted again when so much of the age that the policy allows has gone by.
_REFRESH_SHARE = 3
_TRIES = 2


class WitnessRefusedError(AuditvaultError):
    """A witness does not sign what follows from what it signed before, or says something that is no answer."""

    code = "witness_refused"


class WitnessAheadError(WitnessRefusedError):
    """A witness has signed a longer log than this one is: it was cut, or an old backup was restored."""

    code = "witness_ahead"


@dataclass(slots=True)
class Round:
    """What one round over a region's logs came to."""

    cosigned: int = 0
    logs: int = 0
    # Names in the policy.
    away: set[str] = field(default_factory=set)
    # Origins, with the error's code.
    refused: dict[str, str] = field(default_factory=dict)
    unmet: dict[str, str] = field(default_factory=dict)

    def detail(self) -> Detail:
        """For the job's row."""
        return {
            "logs": self.logs,
            "cosigned": self.cosigned,
            "away": sorted(self.away),
            "refused": self.refused,
            "unmet": self.unmet,
        }


def witness_jobs() -> list[Job]:
    """The job, or none where `AUDITVAULT_WITNESS_POLICY_FILE` is not set."""
    if not settings.WITNESS_POLICY_FILE:
        return []
    every = timedelta(seconds=settings.WITNESS_EVERY_SECONDS)
    return [Job(name=JOB_NAME, every=every, run=under_taken_up(_run))]


def _run(region: str, now: datetime) -> Detail:
    policy = configured_policy()
    if policy is None:
        return {}
    found = submit_region(region=region, policy=policy, now=now)
    if found.refused or found.unmet:
        bad = {**found.unmet, **found.refused}
        raise JobFailedError(f"{len(bad)} log(s) are not witnessed as they must be", found.detail())
    return found.detail()


def submit_region(*, region: str, policy: WitnessPolicy, now: datetime) -> Round:
    """Submit what is new, or cosigned too long ago, to every witness of the policy that has a URL."""
    found = Round()
    for each in region_logs(region):
        submit_log(region=region, each=each, policy=policy, now=now, found=found)
    return found


def submit_log(
    *, region: str, each: LogRef, policy: WitnessPolicy, now: datetime, found: Round
) -> None:
    """The same for one log, noted in `found`; an empty log is nobody's to witness."""
    with tenant_scope(region_alias(region), each.tenant_id) as connection:
        newest = latest_checkpoint(connection, each)
    if newest is None or not newest.size:
        return
    found.logs += 1
    for witness in policy.witnesses:
        if witness.url and witness.name not in found.away:
            _submit(region, each, newest, witness, now, found)
    with tenant_scope(region_alias(region), each.tenant_id) as connection:
        _judge(connection, each, policy, now, found)


def _submit(
    region: str,
    each: LogRef,
    newest: SignedCheckpoint,
    witness: PolicyWitness,
    now: datetime,
    found: Round,
) -> None:
    with tenant_scope(region_alias(region), each.tenant_id) as connection:
        last = last_cosigned(connection, each, witness.verifier.public_key)
    if last is not None and _is_fresh(last, newest, now):
        return
    try:
        lines = _ask(region, each, newest, witness, last.size if last else 0)
    except ExchangeError as error:
        # The others are still asked about this log; this one is left alone until the next round.
        found.away.add(witness.name)
        log.warning("the witness %s is away: %s", witness.name, error.message)
        return
    except WitnessRefusedError as error:
        found.refused[each.origin] = error.code
        log.critical("the witness %s refuses %s: %s", witness.name, each.origin, error.message)
        return
    with tenant_scope(region_alias(region), each.tenant_id) as connection:
        store_lines(connection, each, newest, lines)
    found.cosigned += 1


def _is_fresh(last: LastCosigned, newest: SignedCheckpoint, now: datetime) -> bool:
    refresh = timedelta(seconds=settings.WITNESS_MAX_AGE_SECONDS) / _REFRESH_SHARE
    return (last.size, last.root) == (newest.size, newest.root) and now - last.cosigned_at < refresh


def _ask(
    region: str, each: LogRef, newest: SignedCheckpoint, witness: PolicyWitness, old_size: int
) -> list[StoredLine]:
    """Ask once, and once more from where the witness says that it stands."""
    for _try in range(_TRIES):
        answer = _post(region, each, newest, witness, old_size)
        if answer.status == HTTPStatus.OK:
            return _read_lines(newest.note, answer.body, witness.verifier)
        if answer.status != HTTPStatus.CONFLICT:
            raise WitnessRefusedError(f"It answers {answer.status}.")
        try:
            old_size = parse_conflict(answer.content_type, answer.body)
        except WitnessAnswerError as error:
            raise WitnessRefusedError("It answers 409 and names no size.") from error
        if old_size > newest.size:
            raise WitnessAheadError(
                f"It has signed a log of {old_size} entries; this one has {newest.size}."
            )
    raise WitnessRefusedError("It names a size and does not take a proof from there.")


def _post(
    region: str, each: LogRef, newest: SignedCheckpoint, witness: PolicyWitness, old_size: int
) -> Answer:
    proof: list[bytes] = []
    if 0 < old_size < newest.size:
        with tenant_scope(region_alias(region), each.tenant_id) as connection:
            proof = consistency(connection, each, old_size=old_size, new_size=newest.size)
    body = Submission(old_size=old_size, proof=tuple(proof), note=newest.note).render()
    return post(
        f"{(witness.url or '').rstrip('/')}/add-checkpoint",
        body,
        headers={"Content-Type": "text/plain; charset=utf-8"},
        seconds=_ANSWER_SECONDS,
        most_bytes=MAX_ANSWER_SIZE,
    )


def _read_lines(note: str, answer: bytes, verifier: CosignatureVerifier) -> list[StoredLine]:
    """The witness's own line, verified; what else is in the answer is not kept."""
    try:
        merged = add_cosignatures(note, answer, [verifier])
        _, lines = parse_note(merged)
        _, (cosignature,) = read_cosignatures(merged, [verifier])
    except (NoteError, ValueError) as error:
        raise WitnessRefusedError("What it signed does not verify.") from error
    return [
        StoredLine(
            witness=verifier.public_key,
            cosigned_at=datetime.fromtimestamp(cosignature.timestamp, UTC),
            line=line.render(),
        )
        for _, line in known_lines(lines, [verifier])
    ]


def _judge(
    connection: psycopg.Connection[Any],
    each: LogRef,
    policy: WitnessPolicy,
    now: datetime,
    found: Round,
) -> None:
    """Whether the log's witnessed checkpoint meets the policy at this moment; it fails closed on age."""
    if policy.quorum is None:
        return
    witnessed = witnessed_checkpoint(connection, each, policy)
    if witnessed is None:
        found.unmet[each.origin] = "witness_quorum_missing"
        return
    try:
        check(policy, witnessed.note, now=int(now.timestamp()))
    except WitnessedError as error:
        found.unmet[each.origin] = error.code
