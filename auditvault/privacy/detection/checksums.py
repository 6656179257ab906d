"""The check digits of cards, bank accounts and national identifiers: functions that say whether some hold."""

from __future__ import annotations

from datetime import date
from typing import Final

_VERHOEFF_TIMES: Final = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_MOVES: Final = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_NIF_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_FISCAL_ODD: Final = (
    1,
    0,
    5,
    7,
    9,
    13,
    15,
    17,
    19,
    21,
    2,
    4,
    18,
    20,
    11,
    3,
    6,
    8,
    12,
    14,
    16,
    10,
    22,
    25,
    24,
    23,
)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: payment cards, Canadian social insurance numbers."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        if index % 2:
            value = value * 2 - 9 * (value > 4)  # noqa: PLR2004  # doubled, and its digits added
        total += value
    return total % 10 == 0


def iso_7064_97(account: str) -> bool:
    """ISO 13616: an IBAN without spaces, in capitals."""
    moved = account[4:] + account[:4]
    return int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1


def verhoeff(digits: str) -> bool:
    """Aadhaar numbers."""
    state = 0
    for index, digit in enumerate(reversed(digits)):
        state = int(_VERHOEFF_TIMES[state][int(_VERHOEFF_MOVES[index % 8][int(digit)])])
    return state == 0


def german_tax_id(digits: str) -> bool:
    """ISO 7064 mod 11, 10; of the first ten digits one or two are missing, as the law has it (section 139b AO)."""
    first = digits[:10]
    if digits[0] == "0" or len(set(first)) not in {8, 9}:
        return False
    product = 10
    for digit in first:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def french_nir(number: str) -> bool:
    """15 characters; Corsica's departments 2A and 2B count as 19 and 18."""
    plain = number.upper().replace("2A", "19", 1).replace("2B", "18", 1)
    return plain.isdigit() and 97 - int(plain[:13]) % 97 == int(plain[13:])


def italian_fiscal_code(code: str) -> bool:
    """16 letters and digits, the last of which is the check letter."""
    total = 0
    for index, letter in enumerate(code[:15]):
        value = int(letter) if letter.isdigit() else ord(letter) - ord("A")
        total += value if index % 2 else _FISCAL_ODD[value]
    return chr(ord("A") + total % 26) == code[15]


def spanish_nif(number: str) -> bool:
    """DNI of 8 digits and a letter, or NIE that begins with X, Y or Z."""
    digits = str("XYZ".find(number[0])) + number[1:8] if number[0] in "XYZ" else number[:8]
    return _NIF_LETTERS[int(digits) % 23] == number[8]


def dutch_bsn(digits: str) -> bool:
    """The eleven test of 9 digits, the last of which counts as -1."""
    total = sum(
        weight * int(digit)
        for weight, digit in zip((9, 8, 7, 6, 5, 4, 3, 2, -1), digits, strict=True)
    )
    return total % 11 == 0 and digits != "000000000"


def belgian_national_number(digits: str) -> bool:
    """11 digits; of those born from 2000 on, the first nine are read with a 2 before them."""
    body, check = int(digits[:9]), int(digits[9:])
    return check in {97 - body % 97, 97 - (2_000_000_000 + body) % 97}


def polish_pesel(digits: str) -> bool:
    """11 digits that begin with a date of birth, whose month has the century in it."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    if sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True)) % 10:
        return False
    century, month = divmod(int(digits[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(digits[:2])
    return _is_date(year, month, int(digits[4:6]))


def brazilian_cpf(digits: str) -> bool:
    """11 digits, the last two of which check those before them."""
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum((length + 1 - index) * int(digits[index]) for index in range(length))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


def ean(digits: str) -> bool:
    """EAN-13, as in Swiss AHV numbers."""
    return sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(digits)) % 10 == 0


def british_nhs(digits: str) -> bool:
    """10 digits, mod 11."""
    total = sum((10 - index) * int(digits[index]) for index in range(9))
    return (11 - total % 11) % 11 == int(digits[9])


def american_ssn(digits: str) -> bool:
    """No checksum, but areas, groups and serial numbers that were never given out."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def american_itin(digits: str) -> bool:
    """A taxpayer's number in an SSN's form: it begins with 9, and its group is one of those in use."""
    group = int(digits[3:5])
    return digits[0] == "9" and (50 <= group <= 65 or (70 <= group <= 99 and group not in {89, 93}))  # noqa: PLR2004


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
