"""The analysis of contents: taken apart, looked at in batches, and what was found without overlaps.

Nothing here knows a database, a key or a clock: bytes in, findings out. One analyser serves a process; it holds the
model, and is not for two threads at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import groupby
from typing import Final

from presidio_analyzer import RecognizerResult

from auditvault.core.errors import AuditvaultError
from auditvault.ingest.policies.secrets import find_secrets
from auditvault.privacy.detection.addresses import find_addresses
from auditvault.privacy.detection.contact import find_birth_dates, find_emails, find_ip_addresses
from auditvault.privacy.detection.engine import LANGUAGE, Finder, Guesses, engine, versions
from auditvault.privacy.detection.findings import Entity, Finding
from auditvault.privacy.detection.keyed import find_keyed
from auditvault.privacy.detection.leaves import Leaf, leaves
from auditvault.privacy.detection.names import (
    find_after_prepositions,
    find_by_given_name,
    find_introduced,
    repeated,
)
from auditvault.privacy.detection.national_ids import find_national_ids
from auditvault.privacy.detection.payment import find_accounts, find_cards
from auditvault.privacy.detection.rendering import RENDERING
from auditvault.privacy.detection.spans import FORMED, Span
from auditvault.privacy.detection.telephones import find_telephones

RULES = 1
"""Version of the rules of this package. Whoever changes what they find adds one: contents are looked at again."""

MOST_BYTES = 2**20
"""Of the largest content that is analysed; a worker's memory and minutes are bounded by it."""

_CHUNK: Final = 8_000
_LAP: Final = 200
# Keys that say nothing of what is in them.
_PLAIN_KEYS: Final = frozenset(
    (
        "",
        "content",
        "text",
        "value",
        "message",
        "messages",
        "input",
        "output",
        "prompt",
        "body",
        "data",
        "parts",
        "role",
        "type",
    )
)
_LONGEST_LABEL: Final = 40
_LEAST_LEFT: Final = 3


class ContentTooLargeToScanError(AuditvaultError):
    """A content is larger than what is analysed."""

    code = "scan_content_too_large"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A text to show the recognisers: a leaf's, or a part of a long one's, behind the words of its key."""

    leaf: Leaf
    lead: str
    offset: int
    """Where the piece begins in the leaf's text."""
    text: str
    """Without `lead`."""

    @property
    def shown(self) -> str:
        return self.lead + self.text


class Analyser:
    """Finds personal data in contents. `with_names` asks the model of language, which takes most of the time."""

    def __init__(self, *, with_names: bool = True) -> None:
        finders = _finders(with_names=with_names)
        self._engine, self._names = engine(finders)
        # Asked for by name: for "all" the engine asks every recogniser, and says so in the log, for each text.
        self._entities = self._engine.get_supported_entities(LANGUAGE)
        self._with_names = with_names

    def analyse(self, contents: Sequence[bytes]) -> list[list[Finding]]:
        """What stands in each content, sorted by place, without overlaps.

        Raises ContentTooLargeToScanError where one is over MOST_BYTES, before any is looked at.
        """
        if any(len(content) > MOST_BYTES for content in contents):
            raise ContentTooLargeToScanError("A content of more than 1 MiB is not analysed.")
        taken_apart = [list(leaves(content)) for content in contents]
        pieces = [[piece for leaf in parts for piece in _pieces(leaf)] for parts in taken_apart]
        results = self._look(piece for of_one in pieces for piece in of_one)
        return [
            _findings(
                parts,
                [found for piece in of_one for found in _placed(piece, next(results))],
                self._with_names,
            )
            for parts, of_one in zip(taken_apart, pieces, strict=True)
        ]

    def _look(self, pieces: Iterable[_Piece]) -> Iterator[list[RecognizerResult]]:
        texts = [piece.shown for piece in pieces]
        artifacts = (
            self._names.process_all(texts)
            if self._with_names
            else (self._names.nothing() for _ in texts)
        )
        for text, known in zip(texts, artifacts, strict=True):
            yield self._engine.analyze(text, LANGUAGE, entities=self._entities, nlp_artifacts=known)


@cache
def detector_version() -> str:
    """16 hexadecimal digits that differ wherever something differs that findings or renderings depend on."""
    depends = json.dumps({"rules": RULES, "rendering": RENDERING, **versions()}, sort_keys=True)
    return sha256(depends.encode()).hexdigest()[:16]


def _finders(*, with_names: bool) -> list[Finder]:
    kinds = [entity.value for entity in Entity]
    finders = [
        Finder("emails", find_emails, kinds),
        Finder("telephones", find_telephones, kinds),
        Finder("addresses", find_addresses, kinds),
        Finder("cards", find_cards, kinds),
        Finder("accounts", find_accounts, kinds),
        Finder("national_ids", find_national_ids, kinds),
        Finder("ip_addresses", find_ip_addresses, kinds),
        Finder("birth_dates", find_birth_dates, kinds),
        Finder("secrets", _find_secrets, kinds),
    ]
    if with_names:
        finders += [
            Finder("introductions", find_introduced, kinds),
            Finder("prepositions", find_after_prepositions, kinds),
            Finder("given_names", find_by_given_name, kinds),
            Guesses(),
        ]
    return finders


def _find_secrets(text: str) -> Iterator[Span]:
    """What ingestion takes out where it is told to; places in bytes become places in characters."""
    body = text.encode("utf-8", "replace")
    for start, end in find_secrets(body):
        first = len(body[:start].decode("utf-8", "replace"))
        yield Span(
            first, first + len(body[start:end].decode("utf-8", "replace")), Entity.SECRET, FORMED
        )


def _pieces(leaf: Leaf) -> Iterator[_Piece]:
    """Long texts in parts that lap over, so that what stands at a seam is whole in one of them."""
    if leaf.is_pair:
        return  # looked at with the text that it stands in; its key is asked below
    lead = (
        "" if leaf.label in _PLAIN_KEYS or len(leaf.label) > _LONGEST_LABEL else f"{leaf.label}: "
    )
    start = 0
    while True:
        end = _seam(leaf.text, start + _CHUNK)
        yield _Piece(leaf, lead, start, leaf.text[start:end])
        if end >= len(leaf.text):
            return
        start = end - _LAP


def _seam(text: str, end: int) -> int:
    """Between two words, where there is a space near."""
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", end - _LAP, end)
    return space if space > 0 else end


def _placed(piece: _Piece, results: Iterable[RecognizerResult]) -> Iterator[Finding]:
    """Findings in the leaf's string, without what was found in its key's words."""
    for one in results:
        start, end = max(one.start - len(piece.lead), 0), one.end - len(piece.lead)
        if end > start:
            by = one.recognition_metadata[RecognizerResult.RECOGNIZER_NAME_KEY]
            yield _finding(
                piece.leaf, start + piece.offset, end + piece.offset, one.entity_type, one.score, by
            )


def _finding(
    leaf: Leaf, start: int, end: int, entity: str, score: float, recogniser: str
) -> Finding:
    return Finding(
        path=leaf.path, is_key=leaf.is_key, start=start + leaf.offset, end=end + leaf.offset,
        entity=entity, score=score, recogniser=recogniser,
    )  # fmt: skip


def _findings(parts: Sequence[Leaf], found: list[Finding], with_names: bool) -> list[Finding]:  # noqa: FBT001
    """All findings of one content: what keys say, and where a name that was found stands again."""
    for leaf in parts:
        span = find_keyed(leaf)
        if span and (with_names or span.entity != Entity.PERSON):
            found.append(_finding(leaf, *span[:2], span.entity.value, span.score, "keys"))
    texts = {(leaf.path, leaf.is_key): leaf.text for leaf in parts if not leaf.is_pair}
    if with_names:
        names = {_text_of(one, texts) for one in found if one.entity == Entity.PERSON.value}
        for leaf in parts:
            if names and not leaf.is_pair:
                found += [
                    _finding(
                        leaf, again.start, again.end, again.entity.value, again.score, "repeated"
                    )
                    for again in repeated(leaf.text, names)
                ]
    return without_overlaps(found, texts)


def _text_of(one: Finding, texts: dict[tuple[str, bool], str]) -> str:
    return texts[one.path, one.is_key][one.start : one.end]


def without_overlaps(found: Iterable[Finding], texts: dict[tuple[str, bool], str]) -> list[Finding]:
    """The surest of what overlaps, then the longest; of the others what stands outside it.

    `texts` are the strings by path and whether a member's name is meant.
    """
    kept: list[Finding] = []
    for place, here in groupby(sorted(set(found), key=_place), key=_place):
        text = texts[place]
        taken: list[Finding] = []
        for one in sorted(
            here,
            key=lambda each: (
                -each.score,
                each.start - each.end,
                each.start,
                each.entity,
                each.recogniser,
            ),
        ):
            taken += _outside(one, taken, text)
        kept += taken
    return sorted(kept)


def _place(one: Finding) -> tuple[str, bool]:
    return (one.path, one.is_key)


def _outside(one: Finding, taken: Iterable[Finding], text: str) -> list[Finding]:
    """The parts of a finding that no surer one covers, where they have letters enough to say something."""
    parts = [(one.start, one.end)]
    for other in taken:
        parts = [
            part
            for start, end in parts
            for part in (
                ((start, min(end, other.start)), (max(start, other.end), end))
                if start < other.end and other.start < end
                else ((start, end),)
            )
            if part[0] < part[1]
        ]
    if parts == [(one.start, one.end)]:
        return [one]
    return [
        Finding(
            path=one.path, is_key=one.is_key, start=start, end=end, entity=one.entity, score=one.score,
            recogniser=one.recogniser,
        )
        for start, end in (_trimmed(text, *part) for part in parts)
        if sum(letter.isalnum() for letter in text[start:end]) >= _LEAST_LEFT
        # One word that is left of a guess is what the guess was wrong about.
        and (one.entity != Entity.PERSON.value or " " in text[start:end])
    ]  # fmt: skip


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not text[start].isalnum() and text[start] not in "+(":
        start += 1
    while end > start and not text[end - 1].isalnum() and text[end - 1] != ")":
        end -= 1
    return start, end
