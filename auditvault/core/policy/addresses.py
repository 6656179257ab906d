"""Where this service may connect to when somebody else chose the address: never into the network it stands in.

A URL in a setting or in another server's answer can name this machine, its neighbours or a cloud's metadata service
(server-side request forgery). Whoever connects resolves the name once, has *these* addresses checked here, and connects
to one of them and not to the name again: an answer of the DNS that changes in between changes nothing.

An operator may allow networks by name of range, for a provider that stands in their own network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar
from urllib.parse import urlsplit

from auditvault.core.errors import AuditvaultError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HTTPS_PORT, _HTTP_PORT = 443, 80
# What Python's own table calls global in some of its versions, and the IANA registries of special purpose do not.
_SPECIAL = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10",  # carriers' own (RFC 6598)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "64:ff9b:1::/48",  # translation of a site's own (RFC 8215)
        "100::/64",  # discarded (RFC 6666)
        "2001::/23",  # protocol assignments, Teredo among them (RFC 2928, RFC 4380)
        "5f00::/16",  # segment routing (RFC 9602)
        "fec0::/10",  # site-local (RFC 3879)
    )
)
_TRANSLATED = ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ip_network("2002::/16")


class AddressRefusedError(AuditvaultError):
    """The address is in a network that this service must not be sent into, or is no address."""

    code: ClassVar[str] = "address_refused"


class UrlRefusedError(AuditvaultError):
    """The URL is not of a kind that this service connects to."""

    code: ClassVar[str] = "url_refused"


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks written as `10.1.0.0/16` or `fd00::/8`; raises ValueError for anything else, host bits included."""
    return tuple(ip_network(text) for text in texts)


def check_addresses(addresses: Iterable[str], *, allowed: Collection[Network] = ()) -> None:
    """Refuse to connect to a host unless each of its `addresses` is public, or in one of the `allowed` networks.

    One private address among public ones refuses the host: which of them is used would be chance.

    Raises:
        AddressRefusedError: an address is private, link-local, loopback, multicast, reserved or malformed, or there is
            none. The message names no address.
    """
    found = [_parsed(text) for text in addresses]
    if not found:
        raise AddressRefusedError("The host has no address.")
    if not all(_is_allowed(address, allowed) or _is_public(address) for address in found):
        raise AddressRefusedError(
            "The host is in a private or reserved network, to which this service does not connect."
        )


def check_url(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL to connect to: http or https, with a host and without user or password.

    Which of the two schemes may be used, and with which addresses, is for `check_connection`.

    Raises:
        UrlRefusedError: it is anything else. The message does not repeat it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UrlRefusedError("The URL is malformed.") from error
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.password:
        raise UrlRefusedError("The URL must be https://, with a host and without user or password.")
    return parts.scheme, host, port or (_HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT)


def check_connection(
    scheme: str, addresses: Collection[str], *, allowed: Collection[Network] = ()
) -> None:
    """`check_addresses`, and in clear only to this machine itself, where its loopback network is allowed.

    Raises:
        AddressRefusedError: as `check_addresses`.
        UrlRefusedError: the scheme is http, and an address is another machine's.
    """
    check_addresses(addresses, allowed=allowed)
    if scheme != "https" and not all(_unwrapped(_parsed(text)).is_loopback for text in addresses):
        raise UrlRefusedError("Connections to other machines must be https.")


def _is_allowed(address: Address, allowed: Collection[Network]) -> bool:
    inner = _unwrapped(address)
    return any(
        candidate.version == network.version and candidate in network
        for network in allowed
        for candidate in (address, inner)
    )


def _is_public(address: Address) -> bool:
    """Whether the address, or the one that it carries within, is one of the public unicast ones."""
    address = _unwrapped(address)
    if any(address.version == net.version and address in net for net in _SPECIAL):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056)."""
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


def _parsed(text: str) -> Address:
    # A scope (`fe80::1%eth0`) is this machine's own name for a link.
    try:
        return ip_address(text.partition("%")[0])
    except ValueError as error:
        raise AddressRefusedError("The host's address is malformed.") from error
