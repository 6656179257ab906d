"""Secrets in text: found by their form, and replaced by a mark that says which kind.

Rules kept: docs/spec/payload-policy.md section 5. Pure: bytes in, bytes out. The patterns run on RE2, whose time grows
with the text alone, whatever the text is; one pass over all patterns says that there is nothing, which is nearly always
so (docs/adr/0020-payload-policies.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import re2


def _compile(pattern: str, *, capture: bool = True) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes are bytes, whatever they encode
    options.max_mem = 64 << 20
    options.never_capture = not capture
    return re2.compile(pattern.encode(), options)


_LETTER: Final = r"[0-9A-Za-z_-]"
_QUOTE: Final = r"\\{0,3}[\"']"
_NAMES: Final = (
    r"(?:pass(?:word|wd|phrase)|secret|api[_-]?key|secret[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key"
    r"|(?:access|refresh|auth|id|api|bearer|session)[_-]?token)"
)
# Words that stand where a secret would, in documentation, schemas and code.
_NO_SECRETS: Final = frozenset(
    b"none null true false undefined string str text password secret token changeme required optional redacted".split()
)
_LEAST_DISTINCT: Final = 2
_PEM_SPAN: Final = 65_536
_DIGITS: Final = frozenset(b"0123456789")


class Scrubbed(NamedTuple):
    """A text without its secrets, and how many of each kind there were."""

    body: bytes
    counts: dict[str, int]


def _any(value: bytes) -> bool:  # noqa: ARG001
    return True


def _is_random(value: bytes) -> bool:
    """Looks made at random: has letters and digits. Words with hyphens between them have no digits."""
    return not value.isdigit() and not _DIGITS.isdisjoint(value)


def _is_value(value: bytes) -> bool:
    """A value, and not a word for one, a mask or a template's variable."""
    if value.lower() in _NO_SECRETS or value[:1] in b"${%<[(" or b"{" in value:
        return False
    return len(set(value)) >= _LEAST_DISTINCT


class _Kind(NamedTuple):
    name: str
    pattern: str
    """Its first group is what is replaced. In the syntax that RE2 and Python share."""
    is_secret: Callable[[bytes], bool] = _any


# What comes before a secret. A mark's bracket counts as part of a word: taking one secret out uncovers no other.
_APART: Final = r"(?:^|[^0-9A-Za-z_\]])"
_KINDS: Final = (
    _Kind("aws_key", rf"{_APART}((?:AKIA|ASIA)[0-9A-Z]{{16}})"),
    _Kind("github_token", rf"{_APART}(gh[pousr]_[0-9A-Za-z]{{36,}}|github_pat_{_LETTER}{{50,}})"),
    _Kind("gitlab_token", rf"{_APART}(gl(?:pat|dt|rt|ptt|soat)-{_LETTER}{{20,}})", _is_random),
    _Kind(
        "slack_token",
        rf"{_APART}(xox[abeoprs]-[0-9A-Za-z-]{{10,}}|xapp-[0-9]-[0-9A-Za-z-]{{20,}})"
        r"|hooks\.slack\.com/services/([0-9A-Za-z]+/[0-9A-Za-z]+/[0-9A-Za-z]{20,})",
        _is_random,
    ),
    _Kind(
        "model_key",
        rf"{_APART}(sk-{_LETTER}{{20,}}|(?:gsk_|xai-|pplx-|r8_){_LETTER}{{36,}})",
        _is_random,
    ),
    _Kind(
        "payment_key",
        rf"{_APART}((?:sk|rk)_(?:live|test)_{_LETTER}{{16,}}|whsec_[0-9A-Za-z+/=]{{24,}})",
    ),
    _Kind(
        "google_key",
        rf"{_APART}(AIza{_LETTER}{{35,}}|ya29\.{_LETTER}{{20,}}|GOCSPX-{_LETTER}{{20,}})",
    ),
    _Kind(
        "service_token",
        rf"{_APART}(hf_[0-9A-Za-z]{{30,}}|npm_[0-9A-Za-z]{{36,}}|pypi-{_LETTER}{{50,}}"
        rf"|hv[sb]\.{_LETTER}{{24,}}|SG\.{_LETTER}{{16,}}\.{_LETTER}{{16,}}|glsa_{_LETTER}{{32,}}"
        r"|do[por]_v1_[0-9a-f]{64}|shp(?:at|ss|ca|pa)_[0-9A-Fa-f]{32}|dapi[0-9a-f]{32}"
        rf"|lin_api_[0-9A-Za-z]{{32,}}|AGE-SECRET-KEY-1[0-9A-Z]{{58}}|av_[0-9a-f]{{12}}_{_LETTER}{{43}})",
    ),
    _Kind(
        "jwt", rf"{_APART}(eyJ{_LETTER}{{10,}}\.{_LETTER}{{10,}}\.{_LETTER}{{8,}}(?:\.{_LETTER}+)*)"
    ),
    _Kind(
        "bearer_token", rf"(?i:{_APART}(?:bearer|basic)[ \t]+([0-9a-z._~+/=-]{{16,}}))", _is_random
    ),
    _Kind(
        "url_password",
        r"(?i:[0-9a-z+.-]://[^\s/@:\"'<>\\\[\]]*:([^\s/\"'<>\\\[\]]+)@)",
        _is_value,
    ),
    _Kind(
        "connection_password",
        r"(?i:;[ ]?(?:password|pwd)=([^\s;\"'\\\[\]]+))"
        r"|(?i:(?:password|pwd)=([^\s;\"'\\\[\]]+);[ ]?[a-z][a-z ]*=)"
        r"|(?i:(?:host|hostaddr|port|user|dbname|sslmode)=[^\s=]+ password=([^\s\"'\\\[\]]+))"
        r"|(?i:password=([^\s\"'\\&\[\]]+) (?:host|hostaddr|port|user|dbname|sslmode)=)"
        r"|(?i:(?:AccountKey|SharedAccessKey|SharedSecretValue)=([0-9a-z+/]{20,}={0,2}))"
        rf"|(?i:[?&](?:password|sig|x-amz-signature|key|token|{_NAMES})=([0-9a-z%+/=._~-]{{16,}}))",
        _is_value,
    ),
    _Kind(
        "named_secret",
        rf"(?i:{_NAMES}{_QUOTE}[ \t]*:[ \t]*{_QUOTE}([^\s\"'\\\[\]]+)\\{{0,3}}[\"'])"
        r"|(?:PASSWORD|SECRET|API_KEY|ACCESS_KEY|SECRET_KEY|TOKEN)=([^\s\"'\\$&;\[\]]{8,})",
        _is_value,
    ),
    _Kind(
        "named_secret",
        rf"(?i:{_NAMES}[0-9a-z_]*[ \t]*=[ \t]*{_QUOTE}([^\s\"'\\\[\]]{{8,}})\\{{0,3}}[\"'])",
        _is_random,
    ),
)
_PEM_BEGIN: Final = r"-----BEGIN [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PEM: Final = _compile(_PEM_BEGIN)
_PEM_END: Final = _compile(r"-----END [0-9A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# Where the end is missing: the lines of base64 that follow, between white space as it is or as JSON escapes it.
_PEM_LINES: Final = _compile(r"(?:(?:\s|\\+[nr])*[0-9A-Za-z+/=]{16,})+")
_COMPILED: Final = tuple((kind, _compile(kind.pattern)) for kind in _KINDS)
_UNION: Final = _compile(
    "|".join(f"(?:{pattern})" for pattern in (_PEM_BEGIN, *(kind.pattern for kind in _KINDS))),
    capture=False,
)


def mark(kind: str) -> bytes:
    """What stands in a secret's place. No pattern finds anything in it."""
    return b"[secret removed: %s]" % kind.encode()


def may_hold_secrets(text: bytes) -> bool:
    """Whether a pattern matches anywhere: one pass, which finds out nothing more."""
    return _UNION.search(text) is not None


def find_secrets(text: bytes) -> list[tuple[int, int]]:
    """Where secrets stand, in bytes; places may overlap."""
    if not may_hold_secrets(text):
        return []
    spans = _private_keys(text)
    for kind, pattern in _COMPILED:
        spans += _spans(kind, pattern, text)
    return spans


def scrub(text: bytes) -> Scrubbed:
    """The text with every secret that is recognised replaced by its mark."""
    counts: dict[str, int] = {}
    if not may_hold_secrets(text):
        return Scrubbed(text, counts)
    text = _replaced(text, _private_keys(text), "private_key", counts)
    for kind, pattern in _COMPILED:
        text = _replaced(text, _spans(kind, pattern, text), kind.name, counts)
    return Scrubbed(text, counts)


def _spans(kind: _Kind, pattern: Any, text: bytes) -> list[tuple[int, int]]:
    """Where secrets of a kind stand. What follows one is looked at again: it may be what comes before the next."""
    spans = []
    found = pattern.search(text)
    while found is not None:
        start, end = found.span(found.lastindex)
        if kind.is_secret(text[start:end]):
            spans.append((start, end))
        found = pattern.search(text, end)
    return spans


def _replaced(
    text: bytes, spans: list[tuple[int, int]], kind: str, counts: dict[str, int]
) -> bytes:
    if not spans:
        return text
    parts, last = [], 0
    for start, end in spans:
        parts += [text[last:start], mark(kind)]
        last = end
    counts[kind] = counts.get(kind, 0) + len(spans)
    return b"".join([*parts, text[last:]])


def _private_keys(text: bytes) -> list[tuple[int, int]]:
    """PEM blocks from their first line to their last; to the end of the base64 where the last is missing."""
    begins = [found.span() for found in _PEM.finditer(text)]
    if not begins:
        return []
    ends = [found.end() for found in _PEM_END.finditer(text)]
    nexts = [start for start, _ in begins[1:]]
    spans: list[tuple[int, int]] = []
    passed = 0
    for (start, body), following in zip(begins, [*nexts, len(text)], strict=True):
        while passed < len(ends) and ends[passed] <= body:
            passed += 1
        end = ends[passed] if passed < len(ends) else len(text) + 1
        is_whole = end <= following
        find = _PEM_LINES.search if is_whole else _PEM_LINES.match
        lines = find(text, body, min(end, following, body + _PEM_SPAN))
        if lines is not None:  # otherwise it is a text about keys
            spans.append((start, end if is_whole else lines.end()))
    return spans
