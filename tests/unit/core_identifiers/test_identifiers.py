"""Spellings that name one person come to one text, others do not, and what was normalised stays as it is."""

from __future__ import annotations

import sys
from unicodedata import category, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditvault.core.identifiers import (
    KIND,
    RULES,
    IdentifierInvalidError,
    caseless,
    check_identifier,
    compact,
    email,
    exact,
    tagged_text,
)

# Without lone surrogates, which no text that is normalised holds; letters that fold in odd ways come often.
ODD = "İıẞßΣςσﬁ①\uff41\uff20\uff0e。｡\u00ad\u200b\u202e\u2066\u2069\ufeff\u0301\u0323\u00a0\u2028 \t.-@+_xn"
texts = st.text(
    st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])), min_size=1
)
# Every character that a rule could do something to.
FOLDING = [
    character
    for character in map(chr, range(128, sys.maxunicode + 1))
    if category(character) not in {"Cs", "Co", "Cn"}
    and (
        {normalize("NFKC", character), normalize("NFC", character), character.lower()}
        != {character}
        or category(character)[0] in "ZCP"
    )
]
every_rule = pytest.mark.parametrize("name", list(RULES))


@every_rule
@given(text=texts)
@example(text="\t")
@example(text="a-\u0301")
@example(text="@")
@example(text="a@.b. .")
def test_what_was_normalised_stays_as_it_is(name: str, text: str) -> None:
    once = RULES[name](text)
    assert RULES[name](once) == once


@every_rule
def test_every_character_between_two_letters_stays_as_normalised(name: str) -> None:
    rule = RULES[name]
    changed = [
        text
        for character in FOLDING
        for text in (f"a{character}b", f"a@b{character}c.d")
        if rule(once := rule(text)) != once
    ]
    assert changed == []


@every_rule
@given(text=texts)
def test_a_text_never_becomes_nothing(name: str, text: str) -> None:
    assert RULES[name](text)


@every_rule
@given(text=texts)
def test_two_writings_of_the_same_characters_are_equal(name: str, text: str) -> None:
    rule = RULES[name]
    assert rule(normalize("NFD", text)) == rule(normalize("NFC", text)) == rule(text)


@every_rule
@example(text="\xad", before=" ")
@given(text=texts.filter(str.strip), before=st.sampled_from(["", " ", "\t\n", "\u00a0\u2003"]))
def test_white_space_around_a_text_does_not_count(name: str, text: str, before: str) -> None:
    assert RULES[name](f"{before}{text}{before}") == RULES[name](text)


@given(
    local=st.text("abcXYZ019.+-_äöüÄÖÜéÉ", min_size=1),
    domain=st.from_regex(r"[a-z]{1,9}\.de", fullmatch=True),
)
def test_the_case_of_an_address_does_not_count(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    assert email(address.upper()) == email(address.lower()) == email(address)


@given(st.text("abcdefghijkläöüß-éñ中文", min_size=1, max_size=20))
def test_a_domain_in_unicode_equals_itself_in_punycode(label: str) -> None:
    label = normalize("NFKC", label)
    written = label if label.isascii() else "xn--" + label.encode("punycode").decode()
    assert email(f"anna@{label}.example") == email(f"anna@{written.upper()}.EXAMPLE.")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("Anna@Example.ORG", "anna@example.org"),
        (" anna @ example.org. ", "anna@example.org"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@BÜCHER.example", "anna@xn--bcher-kva.example"),
        ("anna@XN--BCHER-KVA.example", "anna@xn--bcher-kva.example"),
        ("anna@bücher。example", "anna@xn--bcher-kva.example"),
        ("anna\uff20example.org", "anna@example.org"),
        ("\u202aanna@example.org\u202c", "anna@example.org"),
        ("an\u00adna@exam\u200bple.org", "anna@example.org"),
        ("\uff21nna@example.org", "\uff41nna@example.org"),
        ("anna+tag@example.org", "anna+tag@example.org"),
        ("an.na@example.org", "an.na@example.org"),
        ('"a@b"@example.org', '"a@b"@example.org'),
        ("anna@[192.0.2.1]", "anna@[192.0.2.1]"),
        ("Änna@example.org", "änna@example.org"),
        ("Anna", "anna"),
        ("@example.org", "@example.org"),
        ("anna@", "anna@"),
        ("\u200b", "\u200b"),
    ],
)
def test_an_address_comes_to_its_form(sent: str, expected: str) -> None:
    assert email(sent) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna@straße.example", "anna@strasse.example"),
        ("weiß@example.org", "weiss@example.org"),
        ("anna+a@example.org", "anna@example.org"),
        ("an.na@example.org", "anna@example.org"),
        ("anna@example.org", "anna@example.com"),
        ("\uff41nna@example.org", "anna@example.org"),
        ("аnna@example.org", "anna@example.org"),  # noqa: RUF001  # Cyrillic
        ("anna@mail.example.org", "anna@example.org"),
    ],
)
def test_two_addresses_that_may_be_two_peoples_stay_two(one: str, other: str) -> None:
    assert email(one) != email(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Anna", "anna"), ("an\u200bna", "anna"), ("ﬁ", "fi"), ("1", "01"), ("a b", "ab")],
)
def test_an_exact_text_keeps_what_may_tell_two_people_apart(one: str, other: str) -> None:
    assert exact(one) != exact(other)


@pytest.mark.parametrize(
    "written", ["DE89 3704 0044", "de89-3704-0044", "DE89.3704_0044", "de8937040044"]
)
def test_a_compact_number_is_one_however_it_is_grouped(written: str) -> None:
    assert compact(written) == "de8937040044"


def test_a_caseless_text_ignores_case_and_what_nobody_sees() -> None:
    assert caseless("Änn\u200bA ") == caseless("änna") == "änna"


@pytest.mark.parametrize("value", ["", "x" * 513, "anna\ud800", "\udfff"])
def test_what_can_be_no_identifier_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(IdentifierInvalidError) as caught:
        check_identifier(value)
    assert "anna" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", ["x", "x" * 512, "ä" * 512, "\x00", " "])
def test_any_other_text_may_be_one(value: str) -> None:
    check_identifier(value)


def test_a_tagged_text_begins_with_its_version() -> None:
    assert tagged_text("anna") == "1:anna"


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        ("customer", True),
        ("a", True),
        ("a" * 31, True),
        ("a" * 32, False),
        ("_a", False),
        ("A", False),
        ("", False),
        ("a1", False),
    ],
)
def test_a_kind_is_a_short_word(kind: str, fits: bool) -> None:
    assert bool(KIND.fullmatch(kind)) is fits
