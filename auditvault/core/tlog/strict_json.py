"""Reading JSON that people and servers write: any white space, but each key once and no surprises.

For receipts and trust files, which are not hashed. What is hashed goes through `canonical`.
"""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, NoReturn

from auditvault.core.errors import AuditvaultError

_MAX_INTEGER_DIGITS = 20


class StrictJsonError(AuditvaultError):
    """Bytes are not JSON, repeat a key or hold a float; or an object has not the keys it should."""

    code: ClassVar[str] = "json_malformed"


def parse_object(data: str | bytes) -> dict[str, Any]:
    """Read one JSON object; raises StrictJsonError."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_float=_refuse_number,
            parse_int=_bounded_integer,
            parse_constant=_refuse_number,
        )
    except UnicodeDecodeError:
        raise StrictJsonError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"not JSON, at line {error.lineno}") from None
    except RecursionError:
        raise StrictJsonError("nested too deep") from None
    if not isinstance(value, dict):
        raise StrictJsonError("not a JSON object")
    return value


def check_keys(
    members: dict[str, Any], *, required: AbstractSet[str], optional: AbstractSet[str] = frozenset()
) -> None:
    """Raise StrictJsonError unless the object has all required keys and none but these."""
    missing = required - members.keys()
    if missing:
        raise StrictJsonError(f"without {', '.join(sorted(missing))}")
    # The unknown key's name is not repeated: it is text from outside.
    if members.keys() - required - optional:
        raise StrictJsonError("a key that this version does not know")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJsonError("a key is repeated")
    return members


def _refuse_number(_text: str) -> NoReturn:
    raise StrictJsonError("a number that is not an integer")


def _bounded_integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise StrictJsonError("an integer is too long")
    return int(text)
