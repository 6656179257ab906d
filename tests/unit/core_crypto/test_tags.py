"""Tags are equal for equal values of one tenant in one region, and for nothing else."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.crypto.keywrap import CryptoContextError
from auditvault.core.crypto.tags import TagError, TenantTagKeys

SECRET = bytes(range(32))
TENANT = b"t" * 16
KEYS = TenantTagKeys.derive(SECRET, "eu", TENANT)
DIGEST = sha256(b"content").digest()

kinds = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)


@pytest.mark.parametrize(
    "other",
    [(bytes(32), "eu", TENANT), (SECRET, "us", TENANT), (SECRET, "eu", b"T" * 16)],
    ids=["secret", "region", "tenant"],
)
def test_another_secret_region_or_tenant_gives_other_tags(other: tuple[bytes, str, bytes]) -> None:
    keys = TenantTagKeys.derive(*other)
    assert keys.lookup_tag(DIGEST) != KEYS.lookup_tag(DIGEST)
    assert keys.identifier_tag("user", "zoe") != KEYS.identifier_tag("user", "zoe")


def test_the_same_values_give_the_same_tags() -> None:
    again = TenantTagKeys.derive(SECRET, "eu", TENANT)
    assert again == KEYS
    assert again.lookup_tag(DIGEST) == KEYS.lookup_tag(DIGEST)
    assert len(KEYS.lookup_tag(DIGEST)) == len(KEYS.identifier_tag("user", "zoe")) == 32


def test_the_two_keys_differ() -> None:
    assert KEYS.lookup_key != KEYS.identifier_key


@given(one=st.tuples(kinds, values), other=st.tuples(kinds, values))
def test_identifier_tags_are_equal_only_for_equal_identifiers(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    same = KEYS.identifier_tag(*one) == KEYS.identifier_tag(*other)
    assert same == (one == other)


def test_kind_and_value_cannot_slide_into_each_other() -> None:
    assert KEYS.identifier_tag("user", "abc") != KEYS.identifier_tag("usera", "bc")


def test_normalising_is_left_to_the_caller() -> None:
    assert KEYS.identifier_tag("user", "Zoe") != KEYS.identifier_tag("user", "zoe")


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), sha256(b"x").hexdigest().encode()])
def test_what_is_no_sha256_is_refused(digest: bytes) -> None:
    with pytest.raises(TagError):
        KEYS.lookup_tag(digest)


@pytest.mark.parametrize(
    ("kind", "value"), [("", "x"), ("User", "x"), ("k" * 65, "x"), ("user", "")]
)
def test_what_is_no_identifier_is_refused(kind: str, value: str) -> None:
    with pytest.raises(TagError) as caught:
        KEYS.identifier_tag(kind, value)
    assert caught.value.code == "tag_invalid"


def test_an_error_never_carries_the_identifier() -> None:
    with pytest.raises(TagError) as caught:
        KEYS.identifier_tag("user", "zoe\ud800")
    assert "zoe" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((bytes(31), "eu", TENANT), TagError),
        ((SECRET, "EU", TENANT), CryptoContextError),
        ((SECRET, "eu", b"short"), CryptoContextError),
    ],
)
def test_keys_are_derived_from_proper_values_only(
    arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        TenantTagKeys.derive(*arguments)


def test_keys_do_not_show_in_a_repr() -> None:
    assert repr(KEYS) == "TenantTagKeys()"
