"""URLs of key providers: taken apart, or refused without being repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.vault.providers.errors import KeyProviderUrlError
from auditvault.vault.providers.place import parse_place

GOOD = {
    "file:///etc/auditvault/root.key": ("", "/etc/auditvault/root.key", ""),
    "file:///with%20blank": ("", "/with blank", ""),
    "transit://bao:8200/transit/av-eu?token-file=/t": ("bao:8200", "transit", "av-eu"),
    "transit://[::1]:8200/a/b/av?token-file=/t&tls=off": ("[::1]:8200", "a/b", "av"),
    "transit://bao/t/av?auth=approle&role-id-file=/r&secret-id-file=/s&auth-mount=x/y": (
        "bao",
        "t",
        "av",
    ),
    "transit://bao/t/av?auth=kubernetes&role=r&jwt-file=/j&namespace=a/b": ("bao", "t", "av"),
    "aws-kms://eu-central-1/av-eu": ("eu-central-1", "", "av-eu"),
    "gcp-kms://projects/p/locations/l/keyRings/R/av": (
        "",
        "projects/p/locations/l/keyRings/R",
        "av",
    ),
    "azure-keyvault://vault/av": ("vault.vault.azure.net", "", "av"),
    "azure-keyvault://v.managedhsm.azure.net/av?kind=oct-hsm": ("v.managedhsm.azure.net", "", "av"),
    "pkcs11:token=a%20b;object=av?module-path=/m.so&pin-source=/p": ("a b", "", "av"),
    "pkcs11:object=av;token=t?pin-source=/p&module-path=/m.so": ("t", "", "av"),
}
BAD = [
    "",
    "file:",
    "file://host/path",
    "file:///",
    "file:///path?x=1",
    "http://host/transit/av",
    "transit://host/transit/av",
    "transit://host/av?token-file=/t",
    "transit:///transit/av?token-file=/t",
    "transit://host/transit/av?token-file=t",
    "transit://host/transit/av?token-file=/t&token-file=/u",
    "transit://host/transit/av?token-file=/t&tls=off",
    "transit://127.0.0.1.example/transit/av?token-file=/t&tls=off",
    "transit://host/transit/av?token-file=/t&tls=on",
    "transit://host/transit/av?auth=approle&token-file=/t",
    "transit://host/transit/av?auth=approle&role-id-file=/r",
    "transit://host/transit/av?auth=ldap&token-file=/t",
    "transit://host/transit/av?token-file=/t&secret-id-file=/s",
    "transit://host/../av?token-file=/t#x",
    "transit://user:secret-word@host/transit/av?token-file=/t",
    "transit://host/transit/av?token=secret-word",
    "transit://host:port/transit/av?token-file=/t",
    "transit://host/transit/a_v?token-file=/t",
    "transit://host/transit/1av?token-file=/t",
    f"transit://host/transit/{'a' * 51}?token-file=/t",
    "aws-kms://eu-central-1",
    "aws-kms://eu-central-1/a/b",
    "aws-kms://AKIA:secret-word@eu-central-1/av",
    "aws-kms://eu-central-1/av?secret_access_key=secret-word",
    "gcp-kms://projects/p/av",
    "gcp-kms://projects/p/locations/l/keyRings/R/av?protection=external",
    "azure-keyvault://vault",
    "azure-keyvault://vault/av?kind=ec",
    "azure-keyvault://vault:443/av",
    "pkcs11:token=t;object=av",
    "pkcs11:token=t;object=av?module-path=/m",
    "pkcs11:token=t;object=av?module-path=m&pin-source=/p",
    "pkcs11:token=t;object=av?module-path=/m&pin-value=secret-word",
    "pkcs11:token=t;token=u;object=av?module-path=/m&pin-source=/p",
    "pkcs11:token=t;object=av;serial=1?module-path=/m&pin-source=/p",
]


@pytest.mark.parametrize("url", sorted(GOOD))
def test_a_url_is_taken_apart(url: str) -> None:
    place = parse_place(url)
    assert (place.host, place.path, place.name) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_what_is_not_of_its_form_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(KeyProviderUrlError) as refused:
        parse_place(url)
    assert "secret-word" not in str(refused.value)


@given(st.text(max_size=80))
def test_any_text_is_a_place_or_an_error_of_ours(text: str) -> None:
    for url in (
        text,
        f"transit://{text}",
        f"pkcs11:{text}",
        f"file:///{text}",
        f"gcp-kms://{text}",
    ):
        try:
            parse_place(url)
        except KeyProviderUrlError:
            continue
