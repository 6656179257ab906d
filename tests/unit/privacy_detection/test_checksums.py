"""Check digits: a valid number of each kind, and that a changed digit is noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.privacy.detection import checksums
from tests.unit.privacy_detection.finding import Found

# From the issuers' own documentation and examples.
VALID: dict[str, tuple[Callable[[str], bool], str]] = {
    "card": (checksums.luhn, "4111111111111111"),
    "iban": (checksums.iso_7064_97, "DE89370400440532013000"),
    "aadhaar": (checksums.verhoeff, "234123412346"),
    "german tax id": (checksums.german_tax_id, "86095742719"),
    "french nir": (checksums.french_nir, "255081416802538"),
    "dutch bsn": (checksums.dutch_bsn, "111222333"),
    "belgian": (checksums.belgian_national_number, "85073003328"),
    "polish pesel": (checksums.polish_pesel, "44051401359"),
    "brazilian cpf": (checksums.brazilian_cpf, "52998224725"),
    "swiss ahv": (checksums.ean, "7569217076985"),
    "british nhs": (checksums.british_nhs, "9434765919"),
}


@pytest.mark.parametrize("kind", VALID)
def test_a_valid_number_holds(kind: str) -> None:
    holds, number = VALID[kind]

    assert holds(number)


@given(kind=st.sampled_from(sorted(VALID)), place=st.integers(0, 30), step=st.integers(1, 9))
def test_a_changed_digit_is_noticed(kind: str, place: int, step: int) -> None:
    holds, number = VALID[kind]
    index = place % len(number)
    if not number[index].isdigit():
        return
    changed = number[:index] + str((int(number[index]) + step) % 10) + number[index + 1 :]

    # Ten values of a sum modulo 11 have two digits' place for one remainder.
    if kind not in {"brazilian cpf", "dutch bsn", "belgian", "british nhs"} or not holds(changed):
        assert not holds(changed)


@pytest.mark.parametrize("number", ["MRTMTT91D08F205J", "RSSMRA85T10A562S"])
def test_an_italian_code_holds(number: str) -> None:
    assert checksums.italian_fiscal_code(number)
    assert not checksums.italian_fiscal_code(number[:-1] + "Q")


@pytest.mark.parametrize("number", ["12345678Z", "X1234567L", "Y1234567X"])
def test_a_spanish_number_holds(number: str) -> None:
    assert checksums.spanish_nif(number)
    assert not checksums.spanish_nif(number[:-1] + "U")


IN_TEXT = {
    "US_SSN": "536-22-1234",
    "UK_NINO": "AB 12 34 56 C",
    "DE_TAX_ID": "86 095 742 719",
    "FR_NIR": "2 55 08 14 168 025 38",
    "IT_FISCAL_CODE": "MRTMTT91D08F205J",
    "ES_NIF": "12345678Z",
    "BE_NRN": "85.07.30-033.28",
    "BR_CPF": "529.982.247-25",
    "CH_AHV": "756.9217.0769.85",
    "IN_AADHAAR": "2341 2341 2346",
    "IBAN_CODE": "DE89 3704 0044 0532 0130 00",
}


@pytest.mark.parametrize("kind", IN_TEXT)
def test_it_is_found_in_the_form_in_which_people_write_it(found: Found, kind: str) -> None:
    assert found(f"It is {IN_TEXT[kind]}, I think.") == [(kind, IN_TEXT[kind])]


IN_CONTEXT = {
    "NL_BSN": "BSN 111222333",
    "PL_PESEL": "PESEL: 44051401359",
    "UK_NHS": "NHS number 943 476 5919",
    "CA_SIN": "SIN 046 454 286",
    "DE_TAX_ID": "Steuer-ID 86095742719",
}


@pytest.mark.parametrize("kind", IN_CONTEXT)
def test_bare_digits_take_a_word_that_says_what_they_are(found: Found, kind: str) -> None:
    digits = IN_CONTEXT[kind].lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:- ")

    assert [entity for entity, _ in found(IN_CONTEXT[kind])] == [kind]
    assert kind not in [entity for entity, _ in found(f"The batch has {digits} in it.")]
