"""A content taken apart: JSON into its leaves with their keys, `name=value` text into its values, the rest as it is.

A model of language reads `{"user": "Marie Dupont"}` as one odd word, and `name=Marie Dupont;email=m@x.fr` as one odd
name. Its leaves are texts, and what their keys say is context. Pure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MAX_DEPTH = 64
"""Levels of JSON, strings that hold JSON included; what is deeper is read as text."""

_PAIR: Final = re.compile(
    r"(?:(?<=^)|(?<=[\s;&,|?{(\[]))([A-Za-z_][\w.-]{0,39})=(\"[^\"\n]*\"|[^;&|\n,\"]*)",
    re.MULTILINE,
)
_LINE: Final = re.compile(
    r"^[ \t>*-]{0,4}([A-Za-zÀ-ÿ][\w .'/()À-ÿ-]{0,30}?)[ \t]?:[ \t]+(\S[^\n]{0,200})$", re.MULTILINE
)
_WORDS: Final = re.compile(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-z])|\d+")
# JSON can escape half a character; no text that is stored or shown to a model may hold one.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Long runs of base64 or hexadecimal digits: images and the like. No person reads them, and models take minutes.
_BLOB: Final = re.compile(r"[A-Za-z0-9+/=_-]{300,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A text to look at."""

    path: str
    text: str
    label: str = ""
    """The words of the key that it stands under, in small letters; empty where it has none."""
    is_key: bool = False
    offset: int = 0
    """Where `text` begins in the string at `path`, in characters."""
    is_pair: bool = False
    """Whether it is a value in a text, which is looked at as a whole as well."""


class Members(list[tuple[str, Any]]):
    """The members of an object, with those that come twice."""


class Number(str):
    """A number as it was sent."""

    __slots__ = ()


def leaves(content: bytes) -> Iterator[Leaf]:
    """Every text of a content: values, names of members, numbers. Never fails."""
    yield from _of_string(content.decode("utf-8", "replace"), path="", label="", depth=0)


def words(key: str) -> str:
    """A key's words: `customerName`, `customer_name` and `Customer name` are all `customer name`."""
    return " ".join(_WORDS.findall(key[:60])).lower()


def _of_string(text: str, *, path: str, label: str, depth: int) -> Iterator[Leaf]:
    value = parsed(text, depth)
    if value is not None:
        yield from _of_value(value, path=below_string(path, depth), label=label, depth=depth + 1)
        return
    if "=" in text or ":" in text:
        yield from _pairs(text, path)
    yield Leaf(path=path, text=_without_blobs(text), label=label)


def parsed(text: str, depth: int) -> Any:
    """An object or a list, where the text is one at this depth; otherwise nothing.

    Objects are `Members`, numbers `Number`. What is deeper than MAX_DEPTH is a text.
    """
    stripped = text.lstrip()
    if depth >= MAX_DEPTH or stripped[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(
            text,
            object_pairs_hook=Members,
            parse_int=Number,
            parse_float=Number,
            parse_constant=Number,
        )
    except (ValueError, RecursionError):
        return None
    return None if _is_deeper(value, MAX_DEPTH - depth) else value


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether there are more levels than that; level by level, so that no depth is too much for it."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in ([one for _, one in outer] if isinstance(outer, Members) else outer)
            if isinstance(inner, list)
        ]
        if not level:
            return False
    return True


def below_string(path: str, depth: int) -> str:
    """Where the pointer of JSON in the string at `path` begins; the content's own begins at nothing."""
    return path + "#" if depth else path


def _of_value(value: Any, *, path: str, label: str, depth: int) -> Iterator[Leaf]:
    if isinstance(value, Members):
        for below, name, member in placed(value, path):
            yield Leaf(path=below, text=_without_blobs(name), is_key=True)
            yield from _of_value(member, path=below, label=words(name), depth=depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _of_value(item, path=f"{path}/{index}", label=label, depth=depth + 1)
    elif isinstance(value, Number):
        yield Leaf(path=path, text=str(value), label=label)
    elif isinstance(value, str):
        yield from _of_string(value, path=path, label=label, depth=depth)


def placed(members: Members, path: str) -> Iterator[tuple[str, str, Any]]:
    """Path, name and value of each member of the object at `path`."""
    seen: Counter[str] = Counter()
    for name, member in members:
        yield f"{path}/{_escaped(name)}" + (f"~3{seen[name]}" if seen[name] else ""), name, member
        seen[name] += 1


def _escaped(name: str) -> str:
    """A token of a JSON pointer, where `#` is escaped as well. `~3n` behind it is the n-th repetition of a name."""
    return _SURROGATE.sub("\ufffd", name).replace("~", "~0").replace("/", "~1").replace("#", "~2")


def _pairs(text: str, path: str) -> Iterator[Leaf]:
    for pattern in (_PAIR, _LINE):
        for found in pattern.finditer(text):
            value = found[2]
            quoted = value[:1] == '"'
            if value.strip('"').strip():
                yield Leaf(
                    path=path,
                    text=value.strip('"'),
                    label=words(found[1]),
                    offset=found.start(2) + quoted,
                    is_pair=True,
                )


def _without_blobs(text: str) -> str:
    """Blobs blanked out and lone surrogates replaced, so that what follows stays where it was."""
    text = _SURROGATE.sub("\ufffd", text)
    return _BLOB.sub(lambda found: " " * len(found[0]), text) if len(text) >= 300 else text  # noqa: PLR2004
