"""A content with what is personal replaced: JSON stays the JSON that it was, text the text around it.

Placeholders are stable: the same value of the same kind has the same number wherever it stands in what one
`Placeholders` serves, so that who reads a conversation can follow who is who. Numbers count from 1 in the order of
reading, and say nothing of the value. Pure; nothing of what is replaced is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from unicodedata import normalize

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import (
    ConflictResolutionStrategy,
    OperatorConfig,
    RecognizerResult,
)

from auditvault.core.errors import AuditvaultError
from auditvault.privacy.detection.findings import Finding
from auditvault.privacy.detection.leaves import Members, Number, below_string, parsed, placed

RENDERING = 1
"""Version of the rules of this module. Whoever changes what they write adds one: contents are rendered again."""

_ENGINE: Any = AnonymizerEngine()  # type: ignore[no-untyped-call]  # theirs


class FindingsMisplacedError(AuditvaultError):
    """Findings point where the content has nothing: they are another content's."""

    code = "findings_misplaced"


class Placeholders:
    """Who has which number; one for whatever is to be read together, such as a conversation.

    `known` are numbers that were given before, by kind and spelling as `values` says them.
    """

    def __init__(self, known: Mapping[tuple[str, str], int] | None = None) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self.replaced: set[tuple[str, str]] = set()
        """Kind and text of everything that was replaced, as it stood there."""
        for (entity, spelt), number in (known or {}).items():
            self._numbers.setdefault(entity, {})[spelt] = number

    def values(self) -> list[tuple[str, str]]:
        """Kind and spelling of everything that has a number, each kind's in the order of reading."""
        return [(entity, spelt) for entity, known in self._numbers.items() for spelt in known]

    def of(self, entity: str, value: str) -> str:
        """`<PERSON_1>`: the same for the same value, however it is spaced and whether in capitals."""
        self.replaced.add((entity, value))
        known = self._numbers.setdefault(entity, {})
        spelt = " ".join(normalize("NFKC", value).casefold().split())
        return f"<{entity}_{known.setdefault(spelt, len(known) + 1)}>"


def render(content: bytes, findings: Iterable[Finding], placeholders: Placeholders) -> bytes:
    """The content with each finding's place replaced, as UTF-8; findings must not overlap.

    A number of which something is replaced becomes a string. Where nothing is replaced, JSON keeps its spelling.
    Raises FindingsMisplacedError where a finding has no place in it: rather nothing is shown than too much.
    """
    renderer = _Renderer(findings, placeholders)
    text = renderer.string(content.decode("utf-8", "replace"), path="", depth=0)
    if renderer.left:
        raise FindingsMisplacedError("These findings are not this content's.")
    return text.encode("utf-8", "replace")


class _Renderer:
    def __init__(self, findings: Iterable[Finding], placeholders: Placeholders) -> None:
        self.left: dict[tuple[str, bool], list[Finding]] = {}
        for one in sorted(findings):
            self.left.setdefault((one.path, one.is_key), []).append(one)
        self._placeholders = placeholders

    def string(self, text: str, *, path: str, depth: int) -> str:
        value = parsed(text, depth)
        if value is None:
            return self._replaced(text, path)
        before = len(self.left)
        written = self._value(value, path=below_string(path, depth), depth=depth + 1)
        return text if len(self.left) == before else written

    def _value(self, value: Any, *, path: str, depth: int) -> str:
        """JSON, written anew."""
        if isinstance(value, Members):
            members = [
                f"{_quoted(self._replaced(name, below, is_key=True))}: "
                + self._value(member, path=below, depth=depth + 1)
                for below, name, member in placed(value, path)
            ]
            return "{" + ", ".join(members) + "}"
        if isinstance(value, list):
            items = (
                self._value(item, path=f"{path}/{index}", depth=depth + 1)
                for index, item in enumerate(value)
            )
            return "[" + ", ".join(items) + "]"
        if isinstance(value, Number):
            replaced = self._replaced(value, path)
            return str(value) if replaced == value else _quoted(replaced)
        if isinstance(value, str):
            return _quoted(self.string(value, path=path, depth=depth))
        return json.dumps(value)

    def _replaced(self, text: str, path: str, *, is_key: bool = False) -> str:
        here = self.left.pop((path, is_key), [])
        if not here:
            return text
        if any(not 0 <= one.start < one.end <= len(text) for one in here):
            raise FindingsMisplacedError("These findings are not this content's.")
        # In the order of reading: the engine goes from the end to the beginning.
        names = {
            (one.entity, text[one.start : one.end]): self._placeholders.of(
                one.entity, text[one.start : one.end]
            )
            for one in here
        }
        replaced = _ENGINE.anonymize(
            text,
            [RecognizerResult(one.entity, one.start, one.end, one.score) for one in here],
            {
                one.entity: OperatorConfig("custom", {"lambda": partial(_named, names, one.entity)})
                for one in here
            },
            conflict_resolution=ConflictResolutionStrategy.REMOVE_INTERSECTIONS,
            merge_entities_with_spaces=False,
        )
        return str(replaced.text)


def _named(names: dict[tuple[str, str], str], entity: str, value: str) -> str:
    return names.get((entity, value), f"<{entity}>")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
