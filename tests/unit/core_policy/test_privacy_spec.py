"""The tables of the spec pages are those of the code."""

from __future__ import annotations

from pathlib import Path

from auditvault.core.policy.calendar import Period
from auditvault.core.policy.erasure import EDGES
from auditvault.core.policy.regimes import REGIMES
from auditvault.core.policy.retention_presets import DEFAULTS, PRESETS

SPEC = Path(__file__).parents[3] / "docs" / "spec"


def rows(page: str, columns: int) -> list[list[str]]:
    lines = (SPEC / page).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [each for each in cells if len(each) == columns]


def test_every_edge_stands_in_the_table_and_no_other():
    found = set()
    for source, action, target, who in rows("privacy-requests.md", 4):
        if not action.startswith("`"):
            continue
        person = "service" not in who
        for each in source.split(", "):
            found.add((each, action.strip("`"), target, person, "no hand" in who))
    assert found == {
        (e.source.value, e.action.value, e.target.value, e.act is not None, e.is_dual)
        for e in EDGES
    }


def words(period: Period | None) -> str:
    units = {"D": "day", "M": "month", "Y": "year"}
    if period is None:
        return "none"
    return f"{period.amount} {units[period.unit]}{'s' if period.amount > 1 else ''}"


def test_every_regime_stands_in_the_table():
    table = {row[0].strip("`"): row[1:] for row in rows("privacy-requests.md", 6)}
    for name, law in REGIMES.items():
        acknowledge, answer, extended, last_day, _ = table[name]
        days = law.acknowledge_business_days
        assert acknowledge == (f"{days} business days" if days else "none")
        assert (answer, extended) == (words(law.answer), words(law.extended))
        assert last_day.startswith("moves" if law.rolls_over else "stays")


def test_the_defaults_are_those_of_the_table_and_every_preset_is_named():
    table = {row[0]: row[1:] for row in rows("retention-policy.md", 3)}
    for rule in DEFAULTS:
        expected = [words(rule.keep), words(rule.ceiling)]
        assert table[f"`{rule.scope.record_class.value}`"] == expected
    named = {row[0].strip("`"): row[2] for row in rows("retention-policy.md", 3)}
    assert all(PRESETS[name].source == named[name] for name in PRESETS)
