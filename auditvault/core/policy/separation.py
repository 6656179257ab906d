"""Separation of duties: acts that no one human may be able to do on the same tenant.

The rules are about acts and not about roles, so that a role of a tenant's own making is under them too. A human is what
counts: whoever calls hands in the acts of all of a person's accounts and tokens together. The rules are those of the
role model that auditors expect (NIST SP 800-53 AC-5, AC-6(7), AU-9(4)).

That the same person must not do both parts of *one* case, such as asking for and approving it, is no rule about what
somebody may be able to do; it is checked where the second part is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from auditvault.core.policy.roles import AccessDeniedError, Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Whoever may do one of `these` must not be able to do one of `those`."""

    name: str
    these: frozenset[Act]
    those: frozenset[Act]
    why: str


_CONTENT = frozenset({Act.RESOLVE_FULL})
_READING = frozenset(
    {
        Act.READ_HEADERS,
        Act.READ_LOG,
        Act.READ_ACCESS_LOG,
        Act.RESOLVE_REDACTED,
        Act.RESOLVE_FULL,
    }
)
_OPERATING = frozenset(
    {
        Act.APPROVE_GRANT,
        Act.APPROVE_EXPORT,
        Act.PREPARE_ERASURE,
        Act.APPROVE_ERASURE,
        Act.PROPOSE_POLICY,
        Act.APPROVE_POLICY,
        Act.PLACE_HOLD,
        Act.MANAGE_KEYS,
        Act.GRANT_ROLES,
        Act.MANAGE_SINKS,
        Act.RUN_PLATFORM,
    }
)

RULES = (
    Rule(
        name="writer_reads",
        these=frozenset({Act.APPEND}),
        those=_READING,
        why="What writes the record must not be able to look at it.",
    ),
    Rule(
        name="content_approves",
        these=_CONTENT,
        those=frozenset({Act.APPROVE_GRANT, Act.APPROVE_EXPORT}),
        why="Who sees content must not be able to allow it.",
    ),
    Rule(
        name="content_grants",
        these=frozenset({Act.RESOLVE_REDACTED, Act.RESOLVE_FULL}),
        those=frozenset({Act.GRANT_ROLES}),
        why="Who gives roles must not be able to see content, redacted or whole.",
    ),
    Rule(
        name="content_keys",
        these=_CONTENT,
        those=frozenset({Act.MANAGE_KEYS}),
        why="Who sees content must not be able to reach the keys that open it.",
    ),
    Rule(
        name="auditor_sees_content",
        these=frozenset({Act.READ_ACCESS_LOG}),
        those=_CONTENT,
        why="Who examines looks must not be one of those who look.",
    ),
    Rule(
        name="auditor_operates",
        these=frozenset({Act.READ_ACCESS_LOG}),
        those=_OPERATING,
        why="An auditor must not operate anything that is audited.",
    ),
    Rule(
        name="policy_both_ways",
        these=frozenset({Act.PROPOSE_POLICY}),
        those=frozenset({Act.APPROVE_POLICY}),
        why="Who proposes a policy must not be able to approve one.",
    ),
    Rule(
        name="hold_and_erasure",
        these=frozenset({Act.PLACE_HOLD}),
        those=frozenset({Act.APPROVE_ERASURE}),
        why="Who holds what must be kept must not be able to approve that it goes.",
    ),
    Rule(
        name="keys_and_platform",
        these=frozenset({Act.MANAGE_KEYS}),
        those=frozenset({Act.RUN_PLATFORM}),
        why="Keys and the databases that they protect need two people.",
    ),
    Rule(
        name="log_and_platform",
        these=frozenset({Act.MANAGE_SINKS}),
        those=frozenset({Act.RUN_PLATFORM}),
        why="Who decides where the log goes must not be able to change it at its source.",
    ),
)
"""Every rule; names are stable."""


class SeparationError(AccessDeniedError):
    """The acts together would put into one hand what must be in two."""

    code: ClassVar[str] = "duties_not_separate"

    def __init__(self, broken: Collection[Rule]) -> None:
        super().__init__(" ".join(rule.why for rule in broken))
        self.broken = tuple(broken)


def broken_rules(acts: Collection[Act]) -> Iterator[Rule]:
    """The rules that one human breaks who may do all of `acts`, in order."""
    held = frozenset(acts)
    for rule in RULES:
        if held & rule.these and held & rule.those:
            yield rule


def check_separation(acts: Collection[Act], *, more: Collection[Act]) -> None:
    """Refuse to give a human who may do `acts` the acts of `more` on top; raises SeparationError.

    What somebody holds already that breaks a rule is not refused again here, so that a right that has nothing to do
    with it can still be given; it is found by the report on conflicting rights.
    """
    before = set(broken_rules(acts))
    broken = [rule for rule in broken_rules({*acts, *more}) if rule not in before]
    if broken:
        raise SeparationError(broken)


def check_acting(act: Act, acts: Collection[Act]) -> None:
    """Refuse an act to a human who could do, by all of `acts`, what must be in two hands; raises SeparationError.

    Only acts that a broken rule is about are refused: whoever has the conflict can go on with everything else.
    """
    broken = [rule for rule in broken_rules(acts) if act in rule.these | rule.those]
    if broken:
        raise SeparationError(broken)
