"""`auditvault keys`: how a region's keys stand, and what makes them new. Metadata only; no key is ever shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from auditvault.access.approvals.commands import record_approved
from auditvault.access.tenants import tenant_in
from auditvault.cli.approving import add_approval_arguments, plan_as_json, plan_lines
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Plan
from auditvault.core.tlog.canonical import JsonValue
from auditvault.vault import epochs
from auditvault.vault.resealing import objects_of, reseal
from auditvault.vault.rotation import plan_of_rotation, rotate_subject

Answer = dict[str, Any]
_AWAY = "A database is away or busy. Run it again: what was begun goes on where it was."


class Command(BaseCommand):
    """Exit code 0: done. 1: not done, and the message says why. Whatever was begun goes on when it is run again."""

    help = (
        "Turn a region's epoch of keys, give a subject's key a new version, seal objects anew, or say how keys stand."
        " Needs the retention role's URLs. A command that was interrupted goes on when it is run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Sub-commands `status`, `turn`, `rotate-subject`, `reseal`, `list`."""
        actions = parser.add_subparsers(dest="action", required=True)
        status = actions.add_parser("status", help="say how the keys of each region stand")
        status.add_argument("--region", help="one region only")
        turn = actions.add_parser("turn", help="turn the epoch, or finish a turn that was begun")
        turn.add_argument("--region", required=True)
        add_approval_arguments(turn)
        rotate = actions.add_parser("rotate-subject", help="give a subject's key a new version")
        _add_place(rotate)
        rotate.add_argument("--subject", type=UUID, required=True, metavar="ID")
        add_approval_arguments(rotate)
        anew = actions.add_parser("reseal", help="seal objects anew, where their CEK may be known")
        _add_place(anew)
        which = anew.add_mutually_exclusive_group(required=True)
        which.add_argument("--object", type=UUID, action="append", metavar="ID", dest="objects")
        which.add_argument("--subject", type=UUID, metavar="ID", help="every object of a subject")
        listing = actions.add_parser("list", help="list keys by their metadata")
        listing.add_argument("--region", required=True)
        listing.add_argument("--tenant", help="also the keys of this tenant's subjects")
        listing.add_argument("--limit", type=int, default=1000, help="at most so many (1000)")
        for action in (status, turn, rotate, anew, listing):
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, and say what was done."""
        work = {
            "status": _status,
            "turn": self._turn,
            "rotate-subject": self._rotate,
            "reseal": _reseal,
            "list": _list,
        }[options["action"]]
        try:
            answer, lines = work(options)
        except AuditvaultError as error:
            self._fail(options, error.code, error.message)
        except (DatabaseError, psycopg.Error) as error:
            self._fail(options, type(error).__name__, _AWAY)
        else:
            self.stdout.write(json.dumps(answer) if options["json"] else "\n".join(lines))

    def _fail(self, options: dict[str, Any], code: str, message: str) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"error": code, "message": message}))
            raise SystemExit(1)
        raise CommandError(f"{message} ({code})")

    def _turn(self, options: dict[str, Any]) -> tuple[Answer, list[str]]:
        now = datetime.now(UTC)
        plan = epochs.plan_of_turn(
            options["region"], timedelta(days=settings.KEY_EPOCH_DAYS), now=now
        )
        if options["plan"]:
            return _planned(plan)
        from_epoch = None
        if plan is not None:
            self._approved(plan, options, {"act": "turn_epoch", "epoch": plan.parameters["epoch"]})
            from_epoch = int(str(plan.parameters["epoch"]))
        show = self._shown(options)
        turn = epochs.turn(
            options["region"],
            lambda at: show(f"{at.moved:,} of {at.moved + at.remaining:,} keys moved"),
            from_epoch=from_epoch,
        )
        show("")
        return {"region": options["region"], "turn": _turn_as_json(turn)}, _turn_lines(turn)

    def _rotate(self, options: dict[str, Any]) -> tuple[Answer, list[str]]:
        place: dict[str, Any] = {
            "region": options["region"],
            "tenant_id": tenant_in(slug=options["tenant"], region=options["region"]),
            "subject_id": options["subject"],
        }
        plan = plan_of_rotation(**place)
        if options["plan"]:
            return _planned(plan)
        if plan is not None:
            self._approved(plan, options, {"act": "rotate_subject"})
        show = self._shown(options)
        done = rotate_subject(
            **place,
            plan=plan,
            progress=lambda moved: show(f"{moved:,} objects moved"),
        )
        show("")
        answer = {
            "rotation": str(done.rotation_id),
            "rewrapped": done.rewrapped,
            "state": "done" if done.due_at is None else "waiting",
            "due_at": _instant(done.due_at),
        }
        last = "The old key is destroyed."
        if done.due_at is not None:
            last = (
                f"The old key is destroyed after {done.due_at.astimezone(UTC):%H:%M:%S} UTC, by a worker or when this"
                " is run again. Until then both open."
            )
        return answer, [f"{done.rewrapped:,} objects and identifiers moved", last]

    def _approved(self, plan: Plan, options: dict[str, Any], details: dict[str, JsonValue]) -> None:
        """Use the approval up, and commit that the destruction begins; only then may it."""
        record_approved(
            plan,
            options["approval_ids"],
            action=epochs.ENTRY_TYPE_DESTRUCTION_BEGUN,
            details=details,
            now=datetime.now(UTC),
        )
        if not options["approval_ids"]:
            self.stderr.write("Nobody has approved this; its entry says so.")

    def _shown(self, options: dict[str, Any]) -> Callable[[str], None]:
        """Writes one line over and over, on a terminal."""
        quiet = options["json"] or not self.stderr.isatty()

        def show(text: str) -> None:
            if not quiet:
                self.stderr.write(f"\r\x1b[K{text}", ending="")
                self.stderr.flush()

        return show


def _planned(plan: Plan | None) -> tuple[Answer, list[str]]:
    return plan_as_json(plan), plan_lines([plan] if plan else [])


def _add_place(parser: CommandParser) -> None:
    parser.add_argument("--region", required=True)
    parser.add_argument("--tenant", required=True, help="the tenant's short name, such as demo")


def _status(options: dict[str, Any]) -> tuple[Answer, list[str]]:
    now = datetime.now(UTC)
    regions = [options["region"]] if options["region"] else settings.REGIONS
    states = {region: epochs.key_state(region, now) for region in regions}
    lines = [line for region, state in states.items() for line in _state_lines(region, state, now)]
    return {"regions": [_state_as_json(*item, now) for item in states.items()]}, lines


def _reseal(options: dict[str, Any]) -> tuple[Answer, list[str]]:
    region = options["region"]
    tenant_id = tenant_in(slug=options["tenant"], region=region)
    object_ids = options["objects"] or objects_of(
        region=region, tenant_id=tenant_id, subject_id=options["subject"]
    )
    done = reseal(region=region, tenant_id=tenant_id, object_ids=object_ids)
    answer = {
        "resealed": done.resealed,
        "missing": done.missing,
        "unreadable": done.unreadable,
        "changed": done.changed,
    }
    return answer, [f"{name:10} {count:,}" for name, count in answer.items()]


def _list(options: dict[str, Any]) -> tuple[Answer, list[str]]:
    region = options["region"]
    tenant_id = tenant_in(slug=options["tenant"], region=region) if options["tenant"] else None
    found = epochs.list_keys(region, tenant_id=tenant_id, limit=options["limit"])
    keys = [
        {
            "kind": key.kind,
            "epoch": key.epoch,
            "key_id": str(key.key_id),
            "tenant_id": str(key.tenant_id) if key.tenant_id else None,
            "version": key.version,
            "created_at": _instant(key.created_at),
            "retired_at": _instant(key.retired_at),
        }
        for key in found
    ]
    lines = [
        f"{key.kind:11}  epoch {key.epoch}  {key.key_id}  {_instant(key.created_at)}"
        + ("  retired" if key.retired_at else "")
        for key in found
    ]
    return {"region": region, "keys": keys}, lines


def _state_as_json(region: str, state: epochs.KeyState, now: datetime) -> Answer:
    age = (now - state.began_at).total_seconds() if state.began_at else None
    return {
        "region": region,
        "epoch": state.epoch,
        "began_at": _instant(state.began_at),
        "age_seconds": int(age) if age is not None else None,
        "remaining": state.remaining,
        "turn": _turn_as_json(state.turn) if state.turn else None,
        "scheduled_destructions": [_turn_as_json(turn) for turn in state.recallable],
    }


def _state_lines(region: str, state: epochs.KeyState, now: datetime) -> list[str]:
    if state.epoch is None or state.began_at is None:
        return [f"{region}: no keys yet"]
    lines = [f"{region}: epoch {state.epoch}, {(now - state.began_at).days} days old"]
    if state.turn is not None and state.turn.state != "done":
        lines.append(
            f"  UNFINISHED turn ({state.turn.state}): {state.turn.subject_keys:,} keys moved,"
            f" {state.remaining:,} to go; `auditvault keys turn` goes on"
        )
    lines += [
        f"  the root key before epoch {turn.to_epoch} can be taken back until {_instant(turn.past_recall_at)}"
        for turn in state.recallable
    ]
    return lines


def _turn_as_json(turn: epochs.Turn) -> Answer:
    return {
        "epoch": turn.to_epoch,
        "state": turn.state,
        "subject_keys": turn.subject_keys,
        "tag_secrets": turn.tag_secrets,
        "tenant_keys_deleted": turn.tenant_keys,
        "started_at": _instant(turn.started_at),
        "past_recall_at": _instant(turn.past_recall_at),
        "finished_at": _instant(turn.finished_at),
    }


def _turn_lines(turn: epochs.Turn) -> list[str]:
    return [
        f"epoch {turn.to_epoch} has begun",
        f"{turn.subject_keys:,} subjects' keys and {turn.tag_secrets:,} tag secrets were wrapped anew",
        f"the root key before it is past taking back: {_instant(turn.past_recall_at)}",
    ]


def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at is not None else None
