"""Canonical JSON: RFC 8785 restricted so that every sorted, compact encoder writes the same bytes.

Rules kept: docs/spec/entry.md section 1. Strings without lone surrogates, booleans, null,
integers within plus or minus 2^53 - 1, arrays, and objects with ASCII keys; no floats. This is
the slow and obvious encoder that the verifier trusts; hot paths may use a fast one and prove with
a property test that it agrees. What the values mean is left to others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeAlias

from auditvault.core.errors import AuditvaultError

JsonValue: TypeAlias = str | int | bool | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None

MAX_INTEGER = 2**53 - 1
"""Largest magnitude that an IEEE 754 double, hence RFC 8785, carries exactly."""

MAX_DEPTH = 100
"""How deep containers may nest."""

_MAX_INTEGER_DIGITS = 17  # a sign and sixteen digits: longer ones are refused unparsed


class CanonicalFormError(AuditvaultError):
    """A value has no canonical form, or bytes are not in it."""

    code: ClassVar[str] = "canonical_form_invalid"


def canonical_bytes(value: JsonValue) -> bytes:
    """Encode `value` in canonical form as UTF-8.

    Raises CanonicalFormError for a float, an integer beyond `MAX_INTEGER`, a key that is not an
    ASCII string, a lone surrogate, nesting beyond `MAX_DEPTH`, or any other type.
    """
    _check(value, depth=0)
    # RFC 8785 section 3.2.2.2 escapes exactly what the standard encoder escapes with
    # ensure_ascii off; ASCII keys sort alike by code point and by UTF-16 unit (section 3.2.3).
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return _utf8(text)


def parse_canonical(data: bytes) -> JsonValue:
    """Decode `data`, which must be in canonical form to the byte.

    Raises CanonicalFormError when it is not JSON, repeats a key, holds a value outside the profile,
    or differs from its own canonical encoding.
    """
    value = _decode(data)
    if canonical_bytes(value) != data:
        raise CanonicalFormError("the bytes differ from the canonical form of their value")
    return value


def _decode(data: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object_without_repeats,
            parse_float=_refuse_float,
            parse_int=_small_integer,
            parse_constant=_refuse_float,
        )
    except UnicodeDecodeError:
        # The cause is dropped: it would quote the bytes.
        raise CanonicalFormError("the bytes are not UTF-8") from None
    except json.JSONDecodeError as error:
        raise CanonicalFormError(f"not JSON at character {error.pos}") from None
    except RecursionError:
        raise CanonicalFormError(f"nested deeper than {MAX_DEPTH}") from None
    return value


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CanonicalFormError("a key is repeated")
    return members


def _refuse_float(_text: str) -> NoReturn:
    raise CanonicalFormError("floats have no canonical form here")


def _small_integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise CanonicalFormError("an integer is beyond 2^53 - 1")
    return int(text)


def _check(value: object, *, depth: int) -> None:
    if isinstance(value, str):
        _utf8(value)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise CanonicalFormError("an integer is beyond 2^53 - 1")
    elif isinstance(value, list | tuple):
        _check_depth(depth)
        for item in value:
            _check(item, depth=depth + 1)
    elif isinstance(value, dict):
        _check_depth(depth)
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise CanonicalFormError("a key is not an ASCII string")
            _check(item, depth=depth + 1)
    else:
        raise CanonicalFormError(f"{type(value).__name__} has no canonical form here")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise CanonicalFormError(f"nested deeper than {MAX_DEPTH}")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise CanonicalFormError("a string holds a lone surrogate") from None
