"""Addresses made from an administrator's, without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from auditvault.cli.up.provision import ProvisionError, check_region, role_url

PASSWORDS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1)


@given(PASSWORDS)
def test_any_password_comes_back_out_of_the_address(password):
    url = role_url("postgresql://admin:x@/postgres?host=/s&port=5", "app", password, "region_eu")

    assert conninfo_to_dict(url) == {
        "user": "auditvault_app",
        "password": password,
        "dbname": "region_eu",
        "host": "/s",
        "port": "5",
    }


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("host=db.example port=6432", "db.example:6432/d"),
        ("postgresql://a:b@db.example/x?sslmode=verify-full", "db.example/d?sslmode=verify-full"),
        ("postgresql://a:b@[::1]:5432/x", "[::1]:5432/d"),
        ("host=one,two port=1,2", "/d?host=one%2Ctwo&port=1%2C2"),
        ("dbname=x", "/d"),
    ],
)
def test_the_servers_place_and_parameters_are_kept(dsn, expected):
    assert role_url(dsn, "owner", "p", "d") == f"postgresql://auditvault_owner:p@{expected}"


@pytest.mark.parametrize("name", ["", "EU", "1eu", "eu-1", "eu us", 'eu"', "a" * 17])
def test_what_cannot_be_part_of_a_database_name_is_no_region(name):
    with pytest.raises(ProvisionError, match="is no region name"):
        check_region(name)
