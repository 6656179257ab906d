"""`--plan` and `--approval`: how a command that takes two people is asked what it would do, and let do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from auditvault.core.policy.approvals import Plan


def add_approval_arguments(parser: CommandParser) -> None:
    """The two options; `approval_ids` is a list, one for each region at most."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--plan", action="store_true", help="print what would be done, to have it approved"
    )
    either.add_argument(
        "--approval",
        type=UUID,
        action="append",
        default=[],
        metavar="ID",
        dest="approval_ids",
        help="the approval of that plan, which is used up",
    )


def plan_as_json(plan: Plan | None) -> dict[str, Any]:
    """The canonical text to ask for an approval of, and its digest; nothing where none is needed."""
    if plan is None:
        return {"plan": None, "digest": None}
    return {"plan": plan.body().decode(), "digest": plan.digest().hex()}


def plan_lines(plans: Sequence[Plan]) -> list[str]:
    """The same in words."""
    if not plans:
        return ["No approval is needed: this goes on with what was begun, is due, or is done."]
    return [
        line for plan in plans for line in (f"digest  {plan.digest().hex()}", plan.body().decode())
    ]
