"""When two spellings name the same person: identifiers in one form, so that equal people get equal tags.

Rules kept: docs/spec/subjects.md section 2. The functions are pure, and each one is idempotent. What a rule makes of a
spelling never changes: another rule is another version, and the version is bound into the tag. Telephone numbers need
tables that the core does not import; they are normalised in `auditvault.vault.phones`. Who may look is left to others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Final
from unicodedata import category, normalize

from auditvault.core.errors import AuditvaultError

NORMALISATION: Final = 1
"""The version of the rules of this module and of `auditvault.vault.phones`."""
MAX_IDENTIFIER: Final = 512
"""Characters of an identifier as it was sent."""
KIND: Final = re.compile(r"[a-z][a-z_]{0,30}")

# Soft hyphen, zero-width space, word joiner, byte order mark, and what changes the direction of text: pasted along and
# never meant. Joiners (U+200C, U+200D) are letters' business in some scripts and stay.
_INVISIBLE: Final = dict.fromkeys(
    map(ord, "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff")
) | dict.fromkeys(range(0x2066, 0x206A))
_AT_SIGNS: Final = {0xFF20: "@", 0xFE6B: "@"}
_IDEOGRAPHIC_STOP: Final = {0x3002: "."}
_SEPARATORS: Final = frozenset("./\\_:")
_SEPARATOR_CATEGORIES: Final = frozenset({"Zs", "Pd"})


class IdentifierInvalidError(AuditvaultError):
    """A text cannot be an identifier."""

    code: ClassVar[str] = "identifier_invalid"


def check_identifier(value: str) -> None:
    """Refuse what is empty, longer than 512 characters or no Unicode; raises IdentifierInvalidError.

    The message does not repeat the value.
    """
    if not 0 < len(value) <= MAX_IDENTIFIER:
        raise IdentifierInvalidError(f"An identifier has 1 to {MAX_IDENTIFIER} characters.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            # The cause is dropped: it would carry the identifier.
            raise IdentifierInvalidError("An identifier holds a lone surrogate.") from None


def tagged_text(normalised: str) -> str:
    """What is handed to `identifier_tag`: the version of the rules stands before the text.

    So a later version's tags have nothing in common with this one's, and no change of the rules joins two people.
    """
    return f"{NORMALISATION}:{normalised}"


def exact(value: str) -> str:
    """Unicode NFC without white space around it; case and everything else count.

    A text of nothing but white space stays.
    """
    if not value.isascii():
        value = normalize("NFC", value)
    return value.strip() or value


def caseless(value: str) -> str:
    """As `exact`, in lower case and without invisible characters."""
    if value.isascii():
        return exact(value.lower())
    # Where nothing is left but white space, the text is what it was.
    seen = normalize("NFC", _visible(value)).strip()
    return seen.lower() or exact(value)


def compact(value: str) -> str:
    """As `caseless`, without white space, dashes, dots, slashes, colons and underscores anywhere."""
    whole = caseless(value)
    kept = "".join(
        letter
        for letter in whole
        if letter not in _SEPARATORS
        and not letter.isspace()
        and category(letter) not in _SEPARATOR_CATEGORIES
    )
    return normalize("NFC", kept) or whole


def email(value: str) -> str:
    """An address as `local@domain`, both in lower case, the domain in ASCII; what is none, as `caseless`.

    Nothing in the local part is dropped: neither dots nor what follows a plus sign.
    """
    text = value if value.isascii() else _visible(value).translate(_AT_SIGNS)
    local, at, domain = text.rpartition("@")
    local, domain = caseless(local.strip()) if local.strip() else "", _domain(domain)
    return (
        f"{local}@{domain}"
        if at and local and domain
        else caseless(text if text.strip() else value)
    )


def without_invisible(value: str) -> str:
    """The text without invisible characters; as it is if there is nothing else."""
    return _visible(value) or value


def _visible(value: str) -> str:
    return value if value.isascii() else value.translate(_INVISIBLE)


def _domain(text: str) -> str:
    """A domain name in lower case, each label that is not ASCII in Punycode (RFC 3492), dots around it dropped."""
    if not text.isascii():
        folded = normalize("NFKC", normalize("NFKC", text).lower())
        labels = folded.translate(_IDEOGRAPHIC_STOP).split(".")
        text = ".".join(map(_ascii_label, labels))
    return _stripped(text.lower())


def _ascii_label(label: str) -> str:
    label = label.strip()
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def _stripped(text: str) -> str:
    """Without white space and dots around it."""
    while (shorter := text.strip().strip(".")) != text:
        text = shorter
    return text


RULES: Final[dict[str, Callable[[str], str]]] = {
    "exact": exact,
    "caseless": caseless,
    "compact": compact,
    "email": email,
}
"""The named normalisations that a tenant's own kind may choose, without `phone`."""
