"""What a finder is: a function from a text to spans. Finders know nothing of JSON, models or presidio."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from auditvault.privacy.detection.findings import Entity

# How sure each way of finding is. What a checksum or a form says beats what a model guesses: a model's flat 0.85 would
# otherwise turn telephone numbers into dates.
CHECKED = 0.99
FORMED = 0.9
NAMED = 0.8
"""A key or a word before it says what it is."""
LIKELY = 0.7
GUESSED = 0.6
"""By the model of language."""

_NEAR: Final = 48


class Span(NamedTuple):
    """Where something stands in a text."""

    start: int
    end: int
    entity: Entity
    score: float


Find = Callable[[str], Iterable[Span]]


class Context:
    """Words that say what a number behind them is."""

    def __init__(self, *, expression: str) -> None:
        self._pattern = re.compile(rf"(?<![^\W_]){expression}", re.IGNORECASE)

    def is_before(self, text: str, start: int) -> bool:
        """Whether one of them stands in the 48 characters before."""
        return self._pattern.search(text, max(0, start - _NEAR), start) is not None

    def is_around(self, text: str, start: int, end: int) -> bool:
        """The same, or one of them in the 24 characters behind."""
        return (
            self.is_before(text, start)
            or self._pattern.search(text, end, end + _NEAR // 2) is not None
        )


def numbers(
    pattern: re.Pattern[str],
    text: str,
    *,
    entity: Entity,
    holds: Callable[[str], bool],
    score: float = CHECKED,
) -> Iterator[Span]:
    """Matches whose letters and digits alone, in capitals, hold."""
    for found in pattern.finditer(text):
        if holds(bare(found[0])):
            yield Span(found.start(), found.end(), entity, score)


def bare(text: str) -> str:
    """Its letters and digits, in capitals."""
    return "".join(letter for letter in text if letter.isalnum()).upper()
