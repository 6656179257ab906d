"""What a key says of its value: `customer_name`, `phone`, `Straße`, `password`."""

from __future__ import annotations

import re
from typing import Final

from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.leaves import Leaf
from auditvault.privacy.detection.names import whole_name
from auditvault.privacy.detection.spans import NAMED, Span

_NAME: Final = re.compile(
    r"(?:(?:full|first|last|middle|given|family|sur|maiden|user|display|customer|client|patient|employee"
    r"|guest|passenger|contact"
    r"|sender|recipient|owner|author|person|account|cardholder|card holder|holder|billing|shipping|legal"
    r"|beneficiary) ?)*"
    r"(?:name|names|surname|forename|firstname|lastname|fullname|username)"
    r"|user|caller|customer|client|patient|employee|guest|passenger|contact|sender|recipient|author"
    r"|assignee|reporter|attendee|attendees"
    r"|participants?|created by|requested by|signed by|approved by|from|to|cc|attn|manager|owner|holder"
    r"|account holder|beneficiary"
    r"|name des kunden|vorname|nachname|kunde|kundin|ansprechpartner|mitarbeiter|patientin|nom|prénom"
    r"|prenom|nom complet|nom de famille"
    r"|titulaire|destinataire|expéditeur|nombre|apellidos?|nome|cognome|naam|voornaam|achternaam"
)
_TELEPHONE: Final = re.compile(
    r".*\b(?:phone|telephone|tel|mobile|cell|fax|telefon|handy|mobil|téléphone|portable|telefono|teléfono|móvil)\b.*"
)
_ADDRESS: Final = re.compile(
    r"(?:(?:street|home|billing|shipping|mailing|postal|delivery|residential|work) ?)*(?:address|street"
    r"|addr)(?: ?line)?(?: ?\d)?"
    r"|anschrift|adresse|straße|strasse|wohnort|rue|domicile|dirección|indirizzo"
)
_BIRTH: Final = re.compile(
    r"(?:date of birth|birth ?date|birth ?day|dob|geburtsdatum|geburtstag|date de naissance|fecha de nacimiento)"
)
_SECRET: Final = re.compile(
    r".*\b(?:password|passwd|passwort|mot de passe|passphrase|pin code|secret|api key|apikey|access token"
    r"|private key|client secret)"
)
_DATE: Final = re.compile(r"\s*[\w./ -]{6,30}\s*")
_HOUSE: Final = re.compile(r"(?=.*\d)(?=.*[^\W\d]{3}).{6,200}", re.DOTALL)
_DIGITS: Final = range(6, 18)
_SECRET_SIZES: Final = range(4, 200)
_PLACEHOLDERS: Final = frozenset(
    {
        "none",
        "null",
        "true",
        "false",
        "redacted",
        "string",
        "changeme",
        "password",
        "secret",
        "required",
        "optional",
        "undefined",
    }
)


def find_keyed(leaf: Leaf) -> Span | None:
    """The whole value, or the name in it, where its key says what it is and it looks like that."""
    label, value = leaf.label, leaf.text
    if not label:
        return None
    if _NAME.fullmatch(label):
        name = whole_name(value)
        return Span(*name, Entity.PERSON, NAMED) if name else None
    entity = _entity(label, value)
    if entity is None:
        return None
    start = len(value) - len(value.lstrip())
    return Span(start, len(value.rstrip()), entity, NAMED)


def _entity(label: str, value: str) -> Entity | None:
    if _TELEPHONE.fullmatch(label) and _is_number(value):
        return Entity.PHONE
    if (
        _ADDRESS.fullmatch(label)
        and _HOUSE.fullmatch(value)
        and "@" not in value
        and "://" not in value
    ):
        return Entity.ADDRESS
    if (
        _BIRTH.fullmatch(label)
        and _DATE.fullmatch(value)
        and any(letter.isdigit() for letter in value)
    ):
        return Entity.BIRTH_DATE
    if _SECRET.match(label) and _is_secret(value):
        return Entity.SECRET
    return None


def _is_number(value: str) -> bool:
    digits = sum(letter.isdigit() for letter in value)
    return digits in _DIGITS and not any(
        letter.isalpha() for letter in value.lower().replace("ext", "").replace("x", "")
    )


def _is_secret(value: str) -> bool:
    stripped = value.strip()
    return (
        len(stripped) in _SECRET_SIZES
        and not any(letter.isspace() for letter in stripped)
        and stripped.lower() not in _PLACEHOLDERS
        and stripped[0] not in "$<{[*"
        and len(set(stripped)) > 2  # noqa: PLR2004
    )
