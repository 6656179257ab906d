"""Whether a reason says anything: a form that is filled with something is no reason.

Nothing here understands what is said. It turns away what nobody means as words: repetitions, rows of the keyboard, the
case or the purpose once more, one word over and over.
"""

from __future__ import annotations

import re

_MIN_LETTERS = 6
_MIN_WORDS = 3
# Of a script without blanks between words.
_MIN_LETTERS_ALONE = 10
_WORD = re.compile(r"[^\W\d_]+")
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopqwertyuiop",
    "asdfghjklasdfghjkl",
    "zxcvbnmzxcvbnm",
    "qwertzuiopüqwertzuiopü",
    "asdfghjklöäasdfghjklöä",
    "yxcvbnmyxcvbnm",
    "azertyuiopazertyuiop",
    "qsdfghjklmqsdfghjklm",
    "йцукенгшщзхъ",
    "фывапролджэ",
)
_ROW_LENGTH = 4
_FILLERS = frozenset({"lorem", "ipsum", "dolor", "test", "testing", "foo", "bar", "baz", "blah"})
_PURPOSES = frozenset(
    {"incident", "complaint", "dsar", "audit", "sample", "regulator", "legal", "safety", "review"}
)


def says_something(reason: str, *, case: str) -> bool:
    """Whether enough is left of `reason` without what says nothing; `case` is what it is given for."""
    text = reason.lower().replace(case.lower(), " ")
    own = {*_WORD.findall(case.lower()), "case", "reason", "purpose"}
    words = {word for word in _WORD.findall(text) if word not in own and not _is_junk(word)}
    letters = {letter for word in words for letter in word}
    if len(letters) < _MIN_LETTERS or words <= _PURPOSES:
        return False
    if any(not letter.isascii() for letter in letters):
        return len(words) >= _MIN_WORDS or len(letters) >= _MIN_LETTERS_ALONE
    return len(words) >= _MIN_WORDS


def _is_junk(word: str) -> bool:
    if word in _FILLERS or len(set(word)) == 1 or re.search(r"(.)\1\1", word):
        return True
    if re.fullmatch(r"(.{1,4}?)\1+", word) and len(word) >= _ROW_LENGTH:
        return True
    return len(word) >= _ROW_LENGTH and any(word in row or word[::-1] in row for row in _ROWS)
