"""Precision, recall, F1 and F2 of findings against labels, by kind and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.benchmarks.pii.samples import Label

_LEAST_SHARED = 0.5
_ADDRESS = "STREET_ADDRESS"


class Score(NamedTuple):
    """Figures of one kind in one language."""

    precision: float
    recall: float
    f1: float
    f2: float
    labels: int


@dataclass(slots=True)
class Tally:
    """What was found, missed and made up."""

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    characters: int = 0
    uncovered: int = 0

    def add(self, language: str, labels: Sequence[Label], found: Sequence[Label]) -> None:
        """One sample. A kind that no label has at all is no mistake where it lies on one that has another."""
        for label in labels:
            hit = any(_is_hit(label, one) for one in found)
            (self.found if hit else self.missed)[language, label.entity] += 1
            covered = {
                index
                for one in found
                if one.path == label.path
                for index in range(max(one.start, label.start), min(one.end, label.end))
            }
            self.characters += label.end - label.start
            self.uncovered += label.end - label.start - len(covered)
        for one in found:
            if not any(_is_hit(label, one) for label in labels):
                self.wrong[language, one.entity] += 1

    def score(self, language: str, entity: str) -> Score:
        """Figures; precision is 1 where nothing was said."""
        hit, miss, wrong = (
            self.found[language, entity],
            self.missed[language, entity],
            self.wrong[language, entity],
        )
        precision = hit / (hit + wrong) if hit + wrong else 1.0
        recall = hit / (hit + miss) if hit + miss else 1.0
        return Score(
            precision, recall, _f(1, precision, recall), _f(2, precision, recall), hit + miss
        )

    def kinds(self) -> list[tuple[str, str]]:
        """Every language and kind that has labels."""
        return sorted({*self.found, *self.missed})


def _f(beta: int, precision: float, recall: float) -> float:
    weight = beta * beta
    below = weight * precision + recall
    return (1 + weight) * precision * recall / below if below else 0.0


def _is_hit(label: Label, found: Label) -> bool:
    """Half of both together is shared; an address counts where they touch."""
    if label.path != found.path or label.entity != found.entity:
        return False
    shared = min(label.end, found.end) - max(label.start, found.start)
    if label.entity == _ADDRESS:
        return shared > 0
    return shared / (max(label.end, found.end) - min(label.start, found.start)) >= _LEAST_SHARED


def false_positives(found: Iterable[Sequence[Label]]) -> int:
    """Everything that is found where nothing is anybody's."""
    return sum(len(of_one) for of_one in found)
