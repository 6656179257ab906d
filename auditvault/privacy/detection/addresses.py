"""Street addresses of seven languages, by the words that streets are called. Presidio has no recogniser of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from auditvault.privacy.detection.findings import Entity
from auditvault.privacy.detection.spans import FORMED, LIKELY, NAMED, Span

_SHORT: Final = frozenset(
    {
        "st",
        "ave",
        "rd",
        "dr",
        "ln",
        "blvd",
        "ct",
        "pl",
        "sq",
        "pkwy",
        "cir",
        "hwy",
        "str",
        "apt",
        "n",
        "s",
        "e",
        "w",
    }
)
_UP: Final = "A-ZÀ-ÖØ-Þ"
_WORD: Final = rf"[{_UP}][\w'\u2019.-]{{0,30}}"
_ENGLISH: Final = (
    "Alley Avenue Ave Bayou Beach Bend Bluff Bluffs Bottom Boulevard Blvd Branch Bridge Brook Brooks Burg "
    "Burgs Bypass Camp Canyon Cape Causeway Center Centers Circle Circles Cir Cliff Cliffs Close Club Common "
    "Corner Corners Course Court Courts Ct Cove Coves Creek Crescent Crest Crossing Crossroad Curve Dale Dam "
    "Divide Drive Drives Dr Estate Estates Expressway Extension Extensions Fall Falls Ferry Field Fields Flat "
    "Flats Ford Fords Forest Forge Forges Fork Forks Fort Freeway Garden Gardens Gateway Glen Glens Green "
    "Greens Grove Groves Harbor Harbors Haven Heights Highway Hwy Hill Hills Hollow Inlet Island Islands Isle "
    "Junction Junctions Key Keys Knoll Knolls Lake Lakes Land Landing Lane Ln Light Lights Loaf Lock Locks "
    "Lodge Loop Mall Manor Manors Meadow Meadows Mews Mill Mills Mission Motorway Mount Mountain Mountains "
    "Neck Orchard Oval Overpass Park Parks Parkway Parkways Pkwy Pass Passage Path Pike Pine Pines Place Pl "
    "Plain Plains Plaza Point Points Port Ports Prairie Radial Ramp Ranch Rapid Rapids Rest Ridge Ridges River "
    "Road Roads Rd Route Row Run Shoal Shoals Shore Shores Skyway Spring Springs Spur Spurs Square Squares Sq "
    "Station Stravenue Stream Street Streets St Summit Terrace Throughway Trace Track Trafficway Trail Tunnel "
    "Turnpike Underpass Union Unions Valley Valleys Via Viaduct View Views Village Villages Ville Vista Walk "
    "Walks Wall Way Ways Well Wells "
)
_UNIT: Final = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Studio|Floor|Room|Rm|#)\.? ?#?\w{1,6})"
_CITY: Final = (
    rf"{_WORD}(?:[ -](?:{_WORD}|am|an|der|in|bei|la|le|les|sur|en|de|do|da|del|di|den|aan)){{0,5}}"
)
_SEP: Final = r"(?:,[ \n]{1,2}|[ \n]|, ?\n ?)"
_US_TAIL: Final = rf"(?:{_SEP}{_CITY}, ?[A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?)"
_UK_POSTCODE: Final = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2}"
_UK_TAIL: Final = rf"(?:{_SEP}{_CITY})?{_SEP}{_UK_POSTCODE}"
_FIVE_TAIL: Final = rf"(?:{_SEP}(?:[A-Z]{{1,2}}-)?\d{{4,5}}(?:-\d{{3}})? {_CITY})"
_NL_TAIL: Final = rf"(?:{_SEP}\d{{4}} ?[A-Z]{{2}}{_SEP}{_CITY})"
_HOUSE: Final = r"\d{1,5} ?(?:[a-zA-Z]\b)?(?:[/-]\d{1,4}[a-z]?)?"


_FRENCH_LINK: Final = (
    r"(?: (?:de la|de l['\u2019]|de|du|des|d['\u2019]|le|la|les|l['\u2019]|aux|saint|sainte))"
)
_SOUTHERN: Final = (
    r"Calle|C/|C\.|Avenida|Avda\.?|Av\.|Plaza|Paseo|Pasaje|Ronda|Glorieta|Camino|Carrera|Alameda|Rambla|Acceso|Urbanización"
    r"|Vial|Cuesta|Callejón|Via|Viale|Piazza|Corso|Strada|Vicolo|Contrada|Largo|Borgo|Rotonda|Piazzale|Canale|Incrocio"
    r"|Stretto|Rua|Travessa|Praça|Estrada|Rodovia|Jardim|Vila|Quadra|Ladeira|Passarela"
)


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_SUFFIXES: Final = "|".join(sorted(_ENGLISH.split(), key=len, reverse=True))
_PATTERNS: Final = (
    # 742 Evergreen Terrace, Apt. 3, Springfield, IL 62704
    (
        _compile(
            rf"(?<![\w.,/-])(?:Flat|Studio|Apartment|Unit) \d{{1,4}}\w?{_SEP}(?:\d{{1,5}} )?{_WORD} \w+(?:{_UK_TAIL})?"
        ),
        NAMED,
    ),
    (
        _compile(
            rf"(?<![\w.,/-])\d{{1,6}}[A-Za-z]?,? (?:(?:[NSEW]|North|South|East|West)\.? )?"
            rf"(?:{_WORD} |\d{{1,3}}(?:st|nd|rd|th) ){{1,4}}(?i:{_SUFFIXES})\b\.?{_UNIT}?(?:{_US_TAIL}|{_UK_TAIL})?"
        ),
        FORMED,
    ),
    (
        _compile(rf"(?<![\w.,/-])\d{{1,5}} {_WORD} {_WORD}(?: {_WORD})?(?:{_US_TAIL}|{_UK_TAIL})"),
        NAMED,
    ),
    # Musterstraße 12a, 10115 Berlin
    (
        _compile(
            rf"(?<![\w-])(?:{_WORD}[ -]){{0,3}}[{_UP}]?[\w.-]{{0,30}}"
            r"(?i:stra(?:ß|ss)e|str\.|allee|gasse|platz|weg|ring|damm|ufer|chaussee|stieg|pfad|promenade|markt|hof|graben"
            rf"|steig|berg) ?{_HOUSE}{_FIVE_TAIL}?"
        ),
        FORMED,
    ),
    # Hauptstraat 5, 1012 AB Amsterdam
    (
        _compile(
            rf"(?<![\w-])(?:{_WORD} ){{0,2}}[{_UP}]\w{{0,30}}"
            r"(?:straat|laan|weg|plein|gracht|kade|dijk|pad|singel|hof|dreef|steeg|ring|boulevard) "
            rf"{_HOUSE}{_NL_TAIL}?"
        ),
        FORMED,
    ),
    # 12 bis, rue de la Paix, 75002 Paris
    (
        _compile(
            r"(?<![\w.,/-])\d{1,4}(?: ?(?:bis|ter|quater|[A-D]))?,? ?"
            r"(?i:rue|avenue|av\.|boulevard|bd\.?|chemin|place|impasse|all[ée]e|quai|cours|route|passage|square|sentier|voie"
            rf"|faubourg|ruelle){_FRENCH_LINK}* ?['\u2019]?{_WORD}"
            rf"(?:[ -](?:{_WORD}|de|du|des|la|le|les|et|en|aux|[ld]['\u2019]\w+)){{0,5}}{_FIVE_TAIL}?"
        ),
        FORMED,
    ),
    (
        _compile(
            r"(?<!\w)(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Cc]hemin|[Pp]lace|[Ii]mpasse)"
            rf"{_FRENCH_LINK}* ?{_WORD}(?: {_WORD}){{0,3}}{_FIVE_TAIL}"
        ),
        NAMED,
    ),
    # Calle de Alcalá 12, 28014 Madrid; Via Roma 12, 00184 Roma; Rua Augusta, 100
    (
        _compile(
            rf"(?<!\w)(?:{_SOUTHERN}) ?"
            r"(?:(?:de la|de los|de las|de|del|della|dei|delle|di|do|da|dos|das|d['\u2019]) ?)?"
            rf"{_WORD}(?: (?:{_WORD}|de|del|la|y|di|da|do|e)){{0,5}},? (?:n[º°.]? ?)?\d{{1,5}}(?:[a-zA-Z]\b)?"
            rf"(?:,? ?(?:Piso|Puerta|Apt\.|Appartamento|Piano|bloco|apto)\.? ?\w+)*{_FIVE_TAIL}?"
        ),
        FORMED,
    ),
    (
        _compile(
            r"(?<!\w)(?:P\.? ?O\.? Box|PSC|Postfach|B\.?P\.?|Apartado|Casella Postale) \d{1,6}\b(?:, APO \w{2} \d{5})?"
        ),
        NAMED,
    ),
    (_compile(rf"(?<![\w-]){_UK_POSTCODE}(?![\w-])"), LIKELY),
    (
        _compile(
            rf"(?<![\w-]){_WORD}(?: {_WORD}){{0,2}}, (?!ID )[A-Z]{{2}} \d{{5}}(?:-\d{{4}})?(?![\w-])"
        ),
        LIKELY,
    ),
    (_compile(rf"(?<![\w.-])(?:D-|F-)?\d{{5}} {_WORD}(?=[,.\n]|$)"), LIKELY),
)


def find_addresses(text: str) -> Iterator[Span]:
    """Streets with a house's number, and what follows: flat, postcode, town."""
    if not any(letter.isdigit() for letter in text):
        return
    for pattern, score in _PATTERNS:
        for found in pattern.finditer(text):
            yield Span(found.start(), _end(text, found), Entity.ADDRESS, score)


def _end(text: str, found: re.Match[str]) -> int:
    """Without the stop of a sentence; that of an abbreviation belongs to it."""
    last = text[found.start() : found.end()].rsplit(maxsplit=1)[-1]
    return found.end() - (last.endswith(".") and last[:-1].lower() not in _SHORT)
