"""Which addresses this service lets itself be sent to."""

from __future__ import annotations

import pytest

from auditvault.core.policy.addresses import (
    AddressRefusedError,
    UrlRefusedError,
    check_addresses,
    check_connection,
    check_url,
    networks_of,
)

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378::1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_accepted(address):
    check_addresses([address])


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_address_is_refused(address):
    with pytest.raises(AddressRefusedError) as refused:
        check_addresses([address])
    assert address not in refused.value.message


@pytest.mark.parametrize("addresses", [[], [""], ["example.org"], ["2130706433"], ["0x7f.1"]])
def test_what_is_no_address_is_refused(addresses):
    with pytest.raises(AddressRefusedError):
        check_addresses(addresses)


def test_one_private_address_among_public_ones_refuses_the_host():
    with pytest.raises(AddressRefusedError):
        check_addresses(["8.8.8.8", "10.0.0.1"])


def test_an_allowed_network_is_accepted_and_no_other():
    allowed = networks_of(["10.1.0.0/16", "fd00::/8"])

    check_addresses(["10.1.2.3", "fd12::1", "::ffff:10.1.2.3"], allowed=allowed)
    for address in ("10.2.0.1", "fe80::1"):
        with pytest.raises(AddressRefusedError):
            check_addresses([address], allowed=allowed)


def test_a_network_with_host_bits_is_a_mistake():
    with pytest.raises(ValueError, match="host bits"):
        networks_of(["10.1.0.1/16"])


def test_a_url_is_taken_apart():
    assert check_url("https://id.example.org/realm?x=1") == ("https", "id.example.org", 443)
    assert check_url("http://127.0.0.1:8080/") == ("http", "127.0.0.1", 8080)
    assert check_url("https://[2606:2800::1]:8443") == ("https", "2606:2800::1", 8443)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "id.example.org",
        "//id.example.org",
        "ftp://id.example.org",
        "file:///etc/passwd",
        "gopher://id.example.org",
        "https://",
        "https://me@id.example.org",
        "https://me:secret@id.example.org",
        "https://id.example.org:99999",
        "https://[::1",
    ],
)
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(UrlRefusedError) as refused:
        check_url(url)
    assert "secret" not in refused.value.message


def test_other_machines_are_reached_by_https_only():
    check_connection("https", ["8.8.8.8"])
    with pytest.raises(UrlRefusedError):
        check_connection("http", ["8.8.8.8"])
    with pytest.raises(UrlRefusedError):
        check_connection("http", ["10.0.0.1"], allowed=networks_of(["10.0.0.0/8"]))


def test_this_machine_is_reached_in_clear_where_that_is_allowed():
    with pytest.raises(AddressRefusedError):
        check_connection("http", ["127.0.0.1"])
    check_connection("http", ["127.0.0.1"], allowed=networks_of(["127.0.0.0/8"]))
