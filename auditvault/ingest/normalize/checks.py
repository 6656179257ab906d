"""Does a value look like what its header field holds? The checks of `docs/spec/header.md`.

A check returns the header's form of a value, or None: then the value is withheld and sealed. It
never shortens or cleans up. Most values repeat in every span, so accepted ones are remembered by
their wire form, a bounded number of them; refused ones, which may be personal data, are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import orjson

from auditvault.core.tlog.canonical import MAX_INTEGER, JsonValue
from auditvault.ingest.dialects.fields import CheckName
from auditvault.ingest.otlp.reading import Value

Check = Callable[[Value], JsonValue]

_REMEMBERED: Final = 4096
_MAX_WORDS: Final = 64
_MAX_DECIMAL: Final = 1e15
_MIN_DECIMAL: Final = 1e-12

_WORD: Final = re.compile(r"(?!.*\d{6})[A-Za-z0-9_][A-Za-z0-9_.:/+-]{0,127}")
_MODEL: Final = re.compile(
    r"(?!.*\d{9})[A-Za-z@][A-Za-z0-9_.:/@+-]{0,127}"
    r"|arn:aws[a-z-]{0,16}:bedrock:[a-z0-9-]{0,32}:\d{0,12}:[A-Za-z0-9_.:/-]{1,160}"
)
_NAME: Final = re.compile(r"(?!.*\d{6})(?!(?:[^ ]* ){6})[A-Za-z0-9_.:/@+ -]{1,128}")
_ID: Final = re.compile(
    r"(?=[^A-Za-z]*[A-Za-z]|(?:[^0-9]*[0-9]){0,6}[^0-9]*$)[A-Za-z0-9_.:/+=-]{1,128}"
)
_HOST: Final = re.compile(
    r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z][A-Za-z0-9-]{0,62}"
)
_EMAIL: Final = re.compile(r"[^\s/@]@[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9.-]*")
_EMAIL_WITH_DOT: Final = re.compile(r"[^\s/@]@[A-Za-z0-9.-]+\.[A-Za-z]{2}")
_DATE: Final = re.compile(r"(?<!\d)20\d\d-\d\d-\d\d(?!\d)")
_TELEPHONE: Final = re.compile(r"(?:\d[ ()./-]{0,2}){7}")


class _AcceptedNames(dict[str, bool]):
    """Span names already judged."""

    def __missing__(self, name: str) -> bool:
        verdict = _accepts_name(name)
        if verdict:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[name] = True
        return verdict


def _accepts_name(text: str) -> bool:
    if _NAME.fullmatch(text) is None or _EMAIL.search(text) is not None:
        return False
    return _TELEPHONE.search(_DATE.sub("", text)) is None


def _accepts_model(text: str) -> bool:
    # Vertex writes name@version, so only an at-sign before a dotted host is an address here.
    return _MODEL.fullmatch(text) is not None and _EMAIL_WITH_DOT.search(text) is None


def check_word(value: Value) -> str | None:
    """A word from a small vocabulary."""
    return value if type(value) is str and _WORD.fullmatch(value) is not None else None


def check_model(value: Value) -> str | None:
    """A model's name."""
    return value if type(value) is str and _accepts_model(value) else None


def check_name(value: Value) -> str | None:
    """A name that a developer gave."""
    return value if type(value) is str and _accepts_name(value) else None


def check_host(value: Value) -> str | None:
    """A DNS name, not an IP address."""
    return value if type(value) is str and _HOST.fullmatch(value) is not None else None


def check_id(value: Value) -> str | None:
    """An identifier that a machine made or a developer chose."""
    if type(value) is int:
        value = str(value)
    return value if type(value) is str and _ID.fullmatch(value) is not None else None


def check_integer(value: Value) -> int | None:
    """An integer within ±(2^53-1), or a float that equals one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER else None


def check_count(value: Value) -> int | None:
    """An integer from 0 to 2^53-1."""
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return value
    number = check_integer(value)
    return number if number is not None and number >= 0 else None


def check_decimal(value: Value) -> str | None:
    """A number as its shortest decimal text, the same for 1 and 1.0."""
    if type(value) is int:
        return str(value) if abs(value) < _MAX_DECIMAL else None
    if type(value) is not float or not abs(value) < _MAX_DECIMAL:
        return None
    if value == 0:
        return "0"
    if abs(value) < _MIN_DECIMAL:
        return None
    text = repr(value)
    return f"{Decimal(text):f}" if "e" in text else text.removesuffix(".0")


def check_truth(value: Value) -> bool | None:
    """A boolean, or its name in any case, as some instrumentations send it."""
    if type(value) is bool:
        return value
    return {"true": True, "false": False}.get(value.lower()) if type(value) is str else None


def check_words(value: Value) -> list[JsonValue] | None:
    """A list of words; one word, or a JSON list in a string, counts as one."""
    if type(value) is str and value.startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    words = value if type(value) is list else [value]
    if not 1 <= len(words) <= _MAX_WORDS:
        return None
    if any(check_word(word) is None for word in words):
        return None
    return list(words)  # type: ignore[arg-type]  # each one is a string, checked above


CHECKS: Final[dict[CheckName, Check]] = {
    "operation": check_word,  # mapped by its handler
    "word": check_word,
    "model": check_model,
    "name": check_name,
    "host": check_host,
    "id": check_id,
    "count": check_count,
    "integer": check_integer,
    "decimal": check_decimal,
    "truth": check_truth,
    "words": check_words,
}
ACCEPTED_NAMES: Final = _AcceptedNames()
