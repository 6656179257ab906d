"""Whose a span is, as far as its request says: names lead to one another and never in a circle."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.interaction import Interaction
from auditvault.ingest.owners import whose
from auditvault.vault.kinds import Identifier, KindRules
from auditvault.vault.subjects import Names

names = st.tuples(st.sampled_from(["user", "email", "session"]), st.sampled_from("abcA"))
spans = st.lists(st.tuples(st.integers(1, 3), st.lists(names, max_size=4)), max_size=8)


def interaction(trace: int, identifiers: list[tuple[str, str]]) -> Interaction:
    return Interaction(bytes([trace] * 16), bytes(8), None, 0, 0, {}, [], identifiers, [])


def asked(*sent: tuple[int, list[tuple[str, str]]]) -> tuple[list[Identifier], Names]:
    """Of these kinds the rules are the same for every tenant: no database is asked."""
    rules = KindRules(region="eu", tenant_id=UUID(int=1))
    return whose([interaction(*one) for one in sent], rules)


def root(found: Names, name: Identifier) -> Identifier:
    seen = {name}
    while name in found.aliases:
        name = found.aliases[name]
        assert name not in seen
        seen.add(name)
    return name


@given(spans)
def test_names_lead_to_an_owner_and_never_in_a_circle(
    sent: list[tuple[int, list[tuple[str, str]]]],
) -> None:
    _, found = asked(*sent)
    assert {root(found, name) for name in found.aliases} <= {
        root(found, name) for name in found.owners
    }


@given(spans)
def test_a_span_belongs_to_somebody_it_or_its_trace_names(
    sent: list[tuple[int, list[tuple[str, str]]]],
) -> None:
    chosen, _ = asked(*sent)
    for (trace, _), owner in zip(sent, chosen, strict=True):
        of_trace = {name for other, said in sent if other == trace for name in said}
        persons = {kind for kind, _ in of_trace} - {"session"}
        if persons:
            assert owner.kind in persons
        elif of_trace:
            assert owner.kind == "session"
        else:
            assert owner == Identifier("trace", bytes([trace] * 16).hex())


@given(spans)
def test_every_name_beside_another_counts_as_the_same_or_as_somebody_elses(
    sent: list[tuple[int, list[tuple[str, str]]]],
) -> None:
    """A name is nobody's own only if another name of the request stands for it."""
    _, found = asked(*sent)
    for name, beside in found.aliases.items():
        assert name != beside
        assert not (name.kind in {"user", "email"} and beside.kind == "session")


def test_the_first_name_of_a_span_counts() -> None:
    chosen, found = asked((1, [("email", "A@b.example"), ("user", "anna"), ("session", "s")]))
    anna = Identifier("user", "anna")
    assert chosen == [anna]
    assert found.aliases == {
        Identifier("email", "a@b.example"): anna,
        Identifier("session", "s"): anna,
    }
    assert found.sent == {Identifier("email", "a@b.example"): "A@b.example"}


def test_what_names_people_is_not_shown() -> None:
    _, found = asked((1, [("email", "Canary@b.example"), ("user", "canary")]))
    assert "anary" not in repr(found)
