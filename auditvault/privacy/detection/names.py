"""Names of people: by what stands before them, by common given names, and what of a model's guesses is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.given_names import GIVEN_NAMES, words_in
from auditvault.privacy.detection.spans import GUESSED, LIKELY, NAMED, Span

_UP: Final = "A-ZÀ-ÖØ-Þ"
_LOW: Final = "a-zß-öø-ÿ"
_PARTICLE: Final = (
    r"(?:van|von|der|den|de|del|della|di|da|dos|du|la|le|zu|zum|ter|ten|bin|al|el|st\.)"
)
_NAME: Final = rf"(?:[{_UP}]['\u2019]|Mc|Mac)?[{_UP}][{_LOW}]+(?:[-'\u2019][{_UP}]?[{_LOW}]+)*"
_MORE: Final = rf"(?: (?:{_PARTICLE} ){{0,2}}{_NAME}| [{_UP}]\.)"
_FULL: Final = rf"{_NAME}{_MORE}{{1,4}}"
_ANY: Final = rf"{_NAME}{_MORE}{{0,4}}"
_TITLE: Final = (
    r"(?:Mrs?|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Dame|Herrn?|Frau|Fr|Hr|Mme|Mlle|Monsieur|Madame|Mademoiselle|MM?"
    r"|Sr|Sra|Srta|Señor|Señora|Don|Doña|Sig|Sig\.ra|Signor|Signora|Dott|Dhr|Mevr|Mw|Univ\.-Prof|Dipl\.-Ing|Ing)"
)
_INTRODUCED: Final = (
    r"(?:[Mm]y (?:full )?name is|[Nn]ame'?s|I am called|[Tt]his is|I'm|I am|[Dd]ear|[Hh]i|[Hh]ello|[Hh]ey"
    r"|[Tt]hanks,|[Cc]heers,|[Ss]igned,|[Ss]igned by"
    r"|[Cc]ustomer|[Pp]atient|[Pp]assenger|[Gg]uest|[Ee]mployee|[Cc]laimant|[Tt]enant|[Aa]pplicant"
    r"|[Cc]andidate|[Cc]olleague"
    r"|[Nn]amed|[Oo]n behalf of|[Aa]ttn:?|[Aa]ttention:?|[Cc]/o|[Rr]egards,|[Ss]incerely,|[Bb]est,"
    r"|[Ww]ishes,|[Ff]rom:|[Tt]o:|[Cc]c:"
    r"|[Ii]ch heiße|[Mm]ein Name ist|[Hh]ier ist|[Hh]ier spricht|[Ll]ieber?|[Hh]allo|[Kk]und(?:e|in|en)"
    r"|[Pp]atientin|[Mm]ieter(?:in)?|[Kk]olleg(?:e|in|en)"
    r"|[Gg]rüße[n]?,?|[Nn]amens|[Mm]itarbeiter(?:in)?|[Bb]ewerber(?:in)?|[Gg]ez\."
    r"|[Jj]e m['\u2019]appelle|[Jj]e suis|[Mm]on nom est|[Cc]her|[Cc]hère|[Bb]onjour|[Cc]lient(?:e)?"
    r"|[Cc]ordialement,|[Ss]alutations,|[Nn]ommée?|[Ss]alarié(?:e)?"
    r"|[Mm]e llamo|[Mm]i nombre es|[Ee]stimad[oa]|[Hh]ola|[Mm]i chiamo|[Gg]entile|[Cc]iao|[Mm]ijn naam is|[Bb]este)"
)
_GAP: Final = r"[ \t]{0,2}\n?[ \t]{0,2}"
_TITLED: Final = re.compile(rf"(?<!\w){_TITLE}\.?{_GAP}(?:{_TITLE}\.? ){{0,2}}({_ANY})")
_AFTER: Final = re.compile(rf"(?<!\w){_INTRODUCED}\s{{1,3}}(?:{_TITLE}\.? ){{0,2}}({_ANY})(?!\w)")
# Two words with capitals and no article before them: in German and French seldom anything but a name.
_AFTER_PREPOSITION: Final = re.compile(
    rf"(?<!\w)(?:von|an|mit|bei|für|gegen|und|par|avec|contre|chez|et) "
    rf"({_NAME}(?: (?:{_PARTICLE} ){{0,2}}{_NAME}){{1,2}})(?!\w)"
)
_LISTED: Final = re.compile(rf"(?<![\w@./-])({_FULL})(?![\w@])")
_ANY_WHOLE: Final = re.compile(
    rf"\s*(?:{_TITLE}\.? ){{0,2}}({_NAME}(?:,? (?:{_PARTICLE} ){{0,2}}{_NAME}| [{_UP}]\.){{0,5}})\s*"
)
_UPPER_WHOLE: Final = re.compile(
    rf"\s*([{_UP}'\u2019-]{{2,20}}(?:,? [{_UP}'\u2019-]{{2,20}}){{1,3}}"
    rf"|[{_LOW}]{{2,20}}(?: [{_LOW}'\u2019-]{{2,20}}){{1,3}})\s*"
)
_CAPITAL: Final = re.compile(rf"[{_UP}]")
_SHAPE: Final = re.compile(_ANY)
_LEAD: Final = re.compile(r"(?:[\w ]{1,40}: )?\s*")
_BEFORE: Final = re.compile(rf"(?<![\w@./-])({_NAME}) $")
_EDGE: Final = " \t\n\r.,;:!?()[]{}<>\"'`*|=_-“”„"
_CUT: Final = re.compile(r"[\n\r\t;=<>{}\[\]|\"@#]|, |: | - |\.\s|\s{3,}")
_CODE: Final = re.compile(
    r"[{}();]\s*$|=>|==|!=|&&|\|\||::|->|^\s*(?:import|from|def|class|return|const|let|var|public|private"
    r"|static|#include|package|func|fn|SELECT|INSERT"
    r"|UPDATE|CREATE|FROM|WHERE|JOIN|\$ |//|/\*|\* @|@)\b|\w\(|[A-Za-z]\w*\.[A-Za-z]\w*\.[A-Za-z]|</?\w+>"
    r"|^\s*\w+ = |`"
)
# Words with capitals that models take for people, and that follow a greeting.
_NO_NAMES: Final = words_in("no_names.txt")
# Names of things, where they stand alone; some are surnames as well.
_THINGS: Final = words_in("things.txt")
_ENGLISH: Final = re.compile(
    r"\b(?:the|and|is|was|of|for|that|with|you|this|are|has|have|to|it|not|a|said|please)\b"
)
_OTHER: Final = re.compile(
    r"\b(?:der|die|das|und|ist|nicht|mit|für|von|zu|ein|eine|wurde|hat|bitte|ich|sie|le|les|des|est|et"
    r"|pour|une|dans|pas|que|sur|au"
    r"|nous|el|los|las|una|para|il|che|per|non|het|een|niet|voor)\b",
    re.IGNORECASE,
)
_STARTS: Final = re.compile(r"(?:^|[\n.!?:>|*\"'“”„«(\]-])\s*$")


def find_introduced(text: str) -> Iterator[Span]:
    """Names behind a title, a greeting, or words by which people say who they are."""
    if not _CAPITAL.search(text):
        return
    for found in _TITLED.finditer(text):
        span = _kept(text, *found.span(1), NAMED)
        if span:
            yield span
    for found in _AFTER.finditer(text):
        span = _kept(text, *found.span(1), LIKELY)
        if span and _is_likely(text[span.start : span.end]):
            yield span


def find_after_prepositions(text: str) -> Iterator[Span]:
    """Names in texts that the English model does not know the language of."""
    if _is_english(text):
        return
    for found in _AFTER_PREPOSITION.finditer(text):
        span = _kept(text, *found.span(1), LIKELY)
        words = text[span.start : span.end].split() if span else []
        if span and len(words) > 1 and not any(word.lower() in _THINGS for word in words):
            yield span


def find_by_given_name(text: str) -> Iterator[Span]:
    """Two or more words with capitals of which the first, or after a comma the last, is a common given name."""
    for found in _LISTED.finditer(text):
        words = list(re.finditer(_NAME, found[0]))
        for index, word in enumerate(words[:-1]):
            if _given(word[0]):
                start = found.start() + word.start()
                span = _kept(text, start, found.end(), LIKELY) if index < len(words) - 1 else None
                if span and not _in_code(text, start):
                    yield span
                break


def whole_name(value: str) -> tuple[int, int] | None:
    """Where the name stands in a value that a key calls a name; None where it is none."""
    found = _ANY_WHOLE.fullmatch(value) or _UPPER_WHOLE.fullmatch(value)
    if found is None or all(word.lower() in _NO_NAMES for word in found[1].split()):
        return None
    return found.span(1)


def kept_guesses(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[Span]:
    """What a model took for people: cut where a name ends, completed where it began, and without what is none.

    The model is an English one. In a text of another language it takes words with capitals for names, so that there
    only what has a name's form is kept.
    """
    is_english = _is_english(text)
    for first, last in spans:
        cut = _CUT.search(text, first, last)
        span = _kept(text, first, cut.start() if cut else last, GUESSED)
        if span is None or _in_code(text, span.start):
            continue
        span = _completed(text, span) if is_english else _without_beginning(text, span)
        if _is_whole_value(text, span) and not _given(
            text[span.start : span.end].split(maxsplit=1)[0]
        ):
            continue
        if _SHAPE.fullmatch(text, span.start, span.end) and _is_plausible(
            text, span, is_english=is_english
        ):
            yield span


def _is_whole_value(text: str, span: Span) -> bool:
    """Whether nothing stands beside it but a key: `status: In Progress`. Keys of names are asked elsewhere."""
    return span.end == len(text.rstrip()) and _LEAD.fullmatch(text, 0, span.start) is not None


def _completed(text: str, span: Span) -> Span:
    """With the word with a capital before it, unless that one begins a sentence and is no given name."""
    before = _BEFORE.search(text, max(0, span.start - 30), span.start)
    if before is None or before[1].lower() in _NO_NAMES:
        return span
    if (
        _STARTS.search(text, max(0, before.start(1) - 5), before.start(1))
        and " " in text[span.start : span.end]
    ):
        return span
    return span._replace(start=before.start(1))


def _without_beginning(text: str, span: Span) -> Span:
    """Without a sentence's first word, which has its capital for that."""
    before, of, name = text[span.start : span.end].partition(" von ")
    if " " in name and not _given(before):
        return span._replace(start=span.start + len(before + of))
    first, _, rest = text[span.start : span.end].partition(" ")
    if rest and not _given(first) and _begins_sentence(text, span.start) and " " in rest:
        return span._replace(start=span.start + len(first) + 1)
    return span


def _is_plausible(text: str, span: Span, *, is_english: bool) -> bool:
    words = text[span.start : span.end].split()
    if len(words) == 1:
        word = words[0]
        if word.isupper() or len(word) < 3 or word.lower() in _THINGS:  # noqa: PLR2004
            return False
        return _given(word) or (is_english and not _begins_sentence(text, span.start))
    return is_english or _given(words[0]) or not _begins_sentence(text, span.start)


def _begins_sentence(text: str, at: int) -> bool:
    return _STARTS.search(text, max(0, at - 5), at) is not None


def _is_english(text: str) -> bool:
    """By its small words; a text without any counts as English."""
    head = text[:2000]
    return len(_ENGLISH.findall(head)) >= len(_OTHER.findall(head))


def may_hold_names(text: str) -> bool:
    """Whether a model of language is worth asking: a word with a capital, and letters enough."""
    return _CAPITAL.search(text) is not None and len(text) > 3  # noqa: PLR2004


def repeated(text: str, names: Iterable[str]) -> Iterator[Span]:
    """Where a name that was found stands again, whole or by its last word."""
    wanted = set()
    for name in names:
        words = name.split()
        if len(words) > 1 or _given(name):
            wanted.add(name)
        if len(words) > 1:
            wanted.update(word for word in (words[0], words[-1]) if _is_distinct(word))
    if not wanted:
        return
    pattern = "|".join(re.escape(name) for name in sorted(wanted, key=len, reverse=True))
    for found in re.finditer(rf"(?<![\w@./-])(?:{pattern})(?![\w@]|\.\w)", text):
        yield Span(found.start(), found.end(), Entity.PERSON, GUESSED)


def _is_distinct(word: str) -> bool:
    return len(word) > 3 and word[0].isupper() and word.lower() not in _NO_NAMES | _THINGS  # noqa: PLR2004


def _kept(text: str, start: int, end: int, score: float) -> Span | None:
    """Without punctuation and words that are nobody's at its ends."""
    while True:
        while start < end and text[start] in _EDGE:
            start += 1
        while end > start and text[end - 1] in _EDGE:
            end -= 1
        if text[start:end].endswith(("'s", "\u2019s")):
            end -= 2
            continue
        words = text[start:end].split()
        if not words:
            return None
        if words[0].strip(_EDGE).lower() in _NO_NAMES:
            start += len(words[0])
        elif words[-1].strip(_EDGE).lower() in _NO_NAMES:
            end -= len(words[-1])
        else:
            return Span(start, end, Entity.PERSON, score)


def _is_likely(name: str) -> bool:
    """Behind a mere greeting: a name of two words, or a common given name."""
    return " " in name or _given(name)


def _given(word: str) -> bool:
    return word in GIVEN_NAMES or word.split("-", maxsplit=1)[0] in GIVEN_NAMES


def _in_code(text: str, at: int) -> bool:
    """Whether the line there looks like a program's."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    return _CODE.search(line[:400]) is not None
