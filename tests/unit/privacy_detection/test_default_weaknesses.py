"""What presidio as it comes misses or does, each as found by measuring it (docs/adr/0038-detection.md), and mended."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import tldextract
from presidio_analyzer.predefined_recognizers import EmailRecognizer

from auditvault.privacy.detection.analyser import Analyser
from auditvault.privacy.detection.engine import LANGUAGE, ModelMissingError, NamesOnly, engine
from tests.unit.privacy_detection.finding import Found

CARDS = {
    "Mastercard of the 2-series, first": "2221000000000009",
    "Mastercard of the 2-series, last": "2720999999999996",
    "Mastercard of the 2-series, in groups": "2223 0000 4840 0011",
    "Mastercard": "5555555555554444",
    "Visa": "4111-1111-1111-1111",
    "Visa of 19 digits": "4000000000000000006",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club": "3056 930902 5904",
    "JCB": "3530111333300000",
    "JCB of 15 digits": "213112345678904",
    "Maestro": "6759649826438453",
    "UnionPay": "6200000000000005",
}


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_a_card_of_every_brand_is_found(found: Found, number: str) -> None:
    assert found(f"The card {number} was declined.") == [("CREDIT_CARD", number)]


def test_a_card_with_a_wrong_check_digit_is_none(found: Found) -> None:
    assert found("The card 2221000000000008 was declined.") == []


ADDRESSES = (
    "742 Evergreen Terrace, Springfield, IL 62704",
    "1600 Pennsylvania Avenue NW",
    "10 Downing Street, London SW1A 2AA",
    "Musterstraße 12a, 10115 Berlin",
    "Am Alten Markt 3, 50667 Köln",
    "12 bis, rue de la Paix, 75002 Paris",
    "Calle de Alcalá 12, 28014 Madrid",
    "Via Roma 12, 00184 Roma",
    "Keizersgracht 123, 1015 CJ Amsterdam",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_street_address_is_found(found: Found, address: str) -> None:
    assert ("STREET_ADDRESS", address.removesuffix(" NW")) in found(f"Please deliver to {address}.")


NUMBERS = {
    "US": "(212) 555-0147",
    "US with an extension": "212-555-0147 ext. 12",
    "GB": "020 7946 0958",
    "DE": "030 23125100",
    "FR": "01 42 68 53 00",
    "ES": "912 345 678",
    "IT": "06 6982 1234",
    "NL": "020 794 5678",
    "any other, with its code": "+81 3-1234-5678",
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_telephone_number_is_found_whole(found: Found, number: str) -> None:
    assert found(f"You can call {number} tomorrow.") == [("PHONE_NUMBER", number)]


def test_a_telephone_number_is_not_lost_to_what_a_model_guesses(found: Found) -> None:
    """As it comes the model's 0.85 makes dates of telephone numbers, whose recogniser says 0.4."""
    assert found("Since 2019 the number has been 212-555-0147, says Maria Gomez.") == [
        ("PHONE_NUMBER", "212-555-0147"),
        ("PERSON", "Maria Gomez"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Order 4471-8823-1190 left on 2024-03-11 10:22.",
        "Build 10.4.2.17 of version 1.9.2.20 took 1,027,394 ms.",
        "0123456789012345 rows",
        "id 4bf92f3577b34da6a3ce929d0e0e4736",
    ],
)
def test_other_numbers_are_nobodys(found: Found, text: str) -> None:
    assert found(text) == []


def test_a_name_in_json_is_found(found: Found) -> None:
    assert found('{"user": "Marie Dupont", "status": "In Progress"}') == [
        ("PERSON", "Marie Dupont")
    ]


def test_a_name_in_pairs_ends_where_the_pair_ends(found: Found) -> None:
    """As it comes the name swallows the e-mail address, and the address its key."""
    assert found("name=Marie Dupont;email=m@x.fr;plan=gold") == [
        ("PERSON", "Marie Dupont"),
        ("EMAIL_ADDRESS", "m@x.fr"),
    ]


def test_json_in_a_string_of_json_is_read(analyser: Analyser) -> None:
    [findings] = analyser.analyse([rb'{"arguments": "{\"phone\": \"+49 30 23125100\"}"}'])

    assert [(one.path, one.entity, one.start, one.end) for one in findings] == [
        ("/arguments#/phone", "PHONE_NUMBER", 0, 15)
    ]


def test_a_number_in_json_is_read_with_its_key(found: Found) -> None:
    assert found('{"ssn": 536221234, "count": 536221234}') == [("US_SSN", "536221234")]


@pytest.mark.parametrize(
    "text",
    [
        "use sk-proj-abcdefghij1234567890ABCDEF please",
        '{"password": "hunter2-and-more"}',
        "api_key = 'f3a91c0b77d24e5a'",
    ],
)
def test_a_secret_is_found(found: Found, text: str) -> None:
    assert [entity for entity, _ in found(text)] == ["SECRET"]


def test_an_ssn_that_is_known_from_advertisements_is_one(found: Found) -> None:
    assert found("SSN 078-05-1120") == [("US_SSN", "078-05-1120")]


def test_times_and_organisations_are_not_reported(found: Found) -> None:
    """One in five of them was right."""
    assert found("Siemens and the United Nations met in Geneva on Tuesday at 3 pm.") == []


def test_nothing_asks_the_network(network: list[Any], found: Found) -> None:
    assert found("mail marie.dupont@example.fr") == [("EMAIL_ADDRESS", "marie.dupont@example.fr")]
    assert network == []


def test_presidios_own_recogniser_asks_no_network_either(
    network: list[Any], analyser: Analyser
) -> None:
    """A tenant may add it; as it comes, its first match fetches the list of public suffixes."""
    results = EmailRecognizer().analyze("mail marie.dupont@example.co.uk", ["EMAIL_ADDRESS"])

    assert len(results) == 1
    assert tldextract.extract("a.example.co.uk").suffix == "co.uk"
    assert network == []


def test_a_model_that_is_missing_is_not_downloaded(network: list[Any]) -> None:
    with pytest.raises(ModelMissingError):
        engine([], model="en_core_web_lg")

    assert network == []


def test_only_what_finds_names_is_loaded_of_the_model() -> None:
    names = NamesOnly()
    names.load()

    assert names.get_nlp(LANGUAGE).pipe_names == ["ner"]
    assert "torch" not in sys.modules
