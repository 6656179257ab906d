"""Whose each interaction of a request is, as far as the request says.

Rules kept: docs/spec/subjects.md section 3. What is known of these names already is left to `vault.subjects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from auditvault.core.interaction import Interaction
from auditvault.vault.kinds import Identifier, KindRules
from auditvault.vault.subjects import Names

_Named: TypeAlias = tuple[list[Identifier], list[Identifier]]
"""The persons and the sessions among a span's identifiers, best first."""
_BEST_FIRST = {"user": 0, "email": 1, "phone": 2}
_OTHERS = len(_BEST_FIRST)


def whose(interactions: Sequence[Interaction], rules: KindRules) -> tuple[list[Identifier], Names]:
    """The name that each interaction belongs to, and what is said of names.

    It is the person that the span names, else its trace's in this request, else session, else trace.
    """
    seen = _Seen(rules)  # the spans of a trace mostly name the same
    named = [seen[tuple(interaction.identifiers)] for interaction in interactions]
    by_trace: dict[bytes, tuple[Identifier | None, Identifier | None]] = {}
    aliases: dict[Identifier, Identifier] = {}
    for interaction, (persons, sessions) in zip(interactions, named, strict=True):
        person, session = by_trace.get(interaction.trace_id, (None, None))
        by_trace[interaction.trace_id] = (
            person or next(iter(persons), None),
            session or next(iter(sessions), None),
        )
        for further in persons[1:]:
            _add_alias(aliases, further, persons[0])
        for further in sessions[1:]:
            _add_alias(aliases, further, sessions[0])
    chosen: list[Identifier] = []
    for interaction, (persons, sessions) in zip(interactions, named, strict=True):
        trace_person, trace_session = by_trace[interaction.trace_id]
        owner = persons[0] if persons else trace_person
        session = sessions[0] if sessions else trace_session
        if owner and session and session not in aliases:
            _add_alias(aliases, session, owner)
        chosen.append(owner or session or Identifier("trace", interaction.trace_id.hex()))
    return chosen, Names(owners=frozenset(chosen), aliases=aliases, sent=seen.sent)


def _add_alias(
    aliases: dict[Identifier, Identifier], further: Identifier, beside: Identifier
) -> None:
    """Let a name count as the one beside it, unless it counts as another already, or that one as it."""
    if further in aliases:
        return
    best = beside
    while best in aliases:
        best = aliases[best]
    if best != further:
        aliases[further] = best


class _Seen(dict[tuple[tuple[str, str], ...], _Named]):
    """A span's identifiers as sent -> what they are, best first.

    A kind that the tenant has not declared names nobody.
    """

    def __init__(self, rules: KindRules) -> None:
        super().__init__()
        self._rules = rules
        self.sent: dict[Identifier, str] = {}

    def __missing__(self, identifiers: tuple[tuple[str, str], ...]) -> _Named:
        persons: list[Identifier] = []
        sessions: list[Identifier] = []
        for kind, value in identifiers:
            name = self._rules.name(kind, value)
            if name is None:
                continue
            if name.value is not value and name.value != value:
                self.sent.setdefault(name, value)
            place = sessions if kind == "session" else persons
            if name not in place:
                place.append(name)
        if len(persons) > 1:
            persons.sort(key=lambda name: _BEST_FIRST.get(name.kind, _OTHERS))
        self[identifiers] = persons, sessions
        return persons, sessions
