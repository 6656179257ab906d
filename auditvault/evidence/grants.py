"""What each database allows, compared with what it should: owners, grants, row security, triggers, functions, roles.

The expectation is committed beside this file (`grants_region.txt`, `grants_keys.txt`) and read by people: an object in
a line of its own, and under it what is so of it. Partitions are compared with their pattern. Whoever changes the schema
changes the expectation with it; `expectation` writes it from a database that is known to be right. A superuser can put
things back before anybody looks: this finds what is, not what was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Literal
from uuid import UUID

from auditvault.ledger.scope import keys_alias, region_alias, tenant_scope

Kind = Literal["region", "keys"]
Problem = Literal["missing", "unexpected", "changed"]

_PARTITION = re.compile(r"(ledger_entry)_\d+_\d+|([a-z_]+)_\d{6}")
# That something is there at all: the rest is not said of what should not be.
_EXISTENCE = frozenset({"relation", "function"})

# What is so of an object: kind of fact and name -> value.
Facts = dict[tuple[str, str], str]
Catalogue = dict[str, Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFinding:
    """Something that a database allows and should not, or should have and has not."""

    region: str
    database: str
    """Kind of database: `region` or `keys`."""
    object: str
    """A table, function, role or setting."""
    finding: str
    """Kind of fact and what is wrong with it, such as `trigger_missing`."""
    name: str
    """Which trigger, policy, or role that was granted something; may be empty."""
    expected: str | None
    found: str | None

    def as_json(self) -> dict[str, str | None]:
        """For reports."""
        return asdict(self)


def verify_databases(region: str) -> list[DatabaseFinding]:
    """Compare the region's database and its keyring with what they should be."""
    found = []
    for kind in ("region", "keys"):
        expected, actual = _expected(kind), read_catalogue(region, kind)
        for place, problem, was, is_ in _differences(expected, actual):
            object_, fact, name = place
            found.append(
                DatabaseFinding(
                    region=region,
                    database=kind,
                    object=object_,
                    finding=f"{fact}_{problem}",
                    name=name,
                    expected=was,
                    found=is_,
                )
            )
    return found


def read_catalogue(region: str, kind: Kind) -> Catalogue:
    """What the database says of itself."""
    query = (files("auditvault.evidence") / "grants_catalogue.sql").read_text(encoding="utf-8")
    alias = region_alias(region) if kind == "region" else keys_alias(region)
    with tenant_scope(alias, UUID(int=0), snapshot=True) as connection:
        rows = connection.execute(query.encode()).fetchall()
    found: Catalogue = {}
    for fact, object_, name, value in rows:
        found.setdefault(object_, {})[fact, name] = value
    return found


def expectation(catalogue: Catalogue) -> str:
    """The text that a database which is right should be compared with from now on."""
    lines = []
    for pattern, facts in sorted(
        {_pattern(name): facts for name, facts in catalogue.items()}.items()
    ):
        lines.append(pattern)
        lines += [
            f"    {fact} {name}: {value}" if name else f"    {fact}: {value}"
            for (fact, name), value in sorted(facts.items())
        ]
    return "\n".join(lines) + "\n"


@cache
def _expected(kind: Kind) -> Catalogue:
    text = (files("auditvault.evidence") / f"grants_{kind}.txt").read_text(encoding="utf-8")
    found: Catalogue = {}
    facts: Facts = {}
    for line in text.splitlines():
        if line.startswith(" "):
            label, _, value = line.strip().partition(": ")
            fact, _, name = label.partition(" ")
            facts[fact, name] = value
        else:
            facts = found.setdefault(line, {})
    return found


def _pattern(object_: str) -> str:
    """The name that stands for all partitions of a table, per log or per month; others stand for themselves."""
    matched = _PARTITION.fullmatch(object_)
    if matched is None:
        return object_
    by_log, by_month = matched.groups()
    return f"{by_log}_<log>_<part>" if by_log else f"{by_month}_<month>"


Place = tuple[str, str, str]
Difference = tuple[Place, Problem, str | None, str | None]


def _differences(expected: Catalogue, actual: Catalogue) -> Iterable[Difference]:
    # A site without logs has no partition of one.
    needed = {name for name in expected if "<" not in name}
    for object_ in sorted(needed - actual.keys()):
        yield from _between(object_, _essential(expected[object_]), {})
    for object_, facts in sorted(actual.items()):
        known = expected.get(_pattern(object_))
        if known is None:
            yield from _between(object_, {}, _essential(facts))
        else:
            yield from _between(object_, known, facts)


def _between(object_: str, expected: Facts, actual: Facts) -> Iterable[Difference]:
    for key in sorted(expected.keys() | actual.keys()):
        was, is_ = expected.get(key), actual.get(key)
        if was != is_:
            problem: Problem = "changed"
            if was is None or is_ is None:
                problem = "unexpected" if was is None else "missing"
            yield (object_, *key), problem, was, is_


def _essential(facts: Facts) -> Facts:
    return {key: value for key, value in facts.items() if key[0] in _EXISTENCE} or facts
