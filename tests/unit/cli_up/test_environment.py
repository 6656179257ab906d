"""Each process is told what it needs, and nothing that it does not need."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from auditvault.cli.up.environment import Site, child_environment
from auditvault.cli.up.provision import connecting_roles

REGIONS = ("eu", "us")


def url(database, role):
    return f"postgresql://auditvault_{role}:pw-{role}@/{database}?host=%2Fs&port=5"


SITE = Site(
    home=Path("/home"),
    port=8000,
    regions=REGIONS,
    urls={
        database: {role: url(database, role) for role in ("owner", *roles)}
        for database, roles in connecting_roles(REGIONS).items()
    },
    broker_url="redis+socket:///s/broker.sock",
)


def environment(purpose, **options):
    return child_environment(purpose, SITE, **{"inherited": {}} | options)


def passwords(found):
    roles = ("owner", "app", "retention", "signer")
    return {role for role in roles if any(f":pw-{role}@" in value for value in found.values())}


@pytest.mark.parametrize(
    ("purpose", "roles"),
    [
        ("web", {"app"}),
        ("worker", {"app", "retention"}),
        ("beat", set()),
        ("signer", {"signer"}),
        ("owner", {"owner"}),
        ("operator", {"app", "retention", "signer"}),
    ],
)
def test_a_process_holds_the_passwords_of_its_own_roles_only(purpose, roles):
    assert passwords(environment(purpose)) == roles


def test_only_backups_are_told_of_an_administrator_and_of_their_keys():
    site = dataclasses.replace(SITE, admin_dsn="postgresql://admin:pw-admin@/postgres?host=%2Fs")
    told = {
        purpose: child_environment(purpose, site, inherited={})
        for purpose in ("web", "worker", "beat", "owner", "operator", "signer", "backup")
    }
    known = {
        purpose
        for purpose, found in told.items()
        if any("pw-admin" in value or "BACKUP" in name for name, value in found.items())
    }
    assert known == {"backup"}
    assert "dbname=region_eu" in told["backup"]["AUDITVAULT_BACKUP_REGION_EU_URL"]


@pytest.mark.parametrize("purpose", ["web", "worker", "beat", "owner", "operator"])
def test_only_the_signer_is_told_where_its_key_lies(purpose):
    assert "AUDITVAULT_SIGNER_KEY_FILE" in environment("signer")
    assert not any("SIGNER_KEY" in name for name in environment(purpose))


@pytest.mark.parametrize("purpose", ["web", "worker", "beat", "owner", "operator"])
def test_further_keys_to_sign_with_are_told_to_the_signer_alone(purpose, tmp_path):
    site = dataclasses.replace(SITE, home=tmp_path)
    (tmp_path / "secrets").mkdir()
    for name in ("signer_b.pem", "signer_a.pem", "signer.pem"):
        (tmp_path / "secrets" / name).touch()

    files = child_environment("signer", site, inherited={})["AUDITVAULT_SIGNER_MORE_KEY_FILES"]

    assert [Path(file).name for file in files.split(",")] == ["signer_a.pem", "signer_b.pem"]
    assert not any("SIGNER_MORE" in name for name in child_environment(purpose, site, inherited={}))


@pytest.mark.parametrize("purpose", ["beat", "signer", "owner"])
def test_a_process_that_opens_no_payload_is_told_no_root_key(purpose):
    assert not any("ROOT_KEY" in name for name in environment(purpose))


@pytest.mark.parametrize("purpose", ["web", "beat", "signer", "owner"])
def test_who_does_not_erase_never_sees_the_key_of_the_erasure_ledgers(purpose):
    assert "AUDITVAULT_ERASURE_KEY_FILE" not in environment(purpose)
    assert "AUDITVAULT_ERASURE_KEY_FILE" in environment("worker")


def test_a_worker_knows_its_own_region_only():
    found = environment("worker", regions=("eu",))

    assert found["AUDITVAULT_REGIONS"] == "eu"
    assert found["AUDITVAULT_REGION_EU_URL"] == url("region_eu", "app")
    assert found["AUDITVAULT_KEYS_RETENTION_EU_URL"] == url("keys_eu", "retention")
    assert not any("_US_" in name for name in found)
    assert not any("region_us" in value or "keys_us" in value for value in found.values())


def test_an_address_that_is_not_used_carries_no_password():
    found = environment("signer")

    assert found["AUDITVAULT_KEYS_EU_URL"] == (
        "postgresql://auditvault_signer@/keys_eu?host=%2Fs&port=5"
    )


def test_nothing_of_the_shell_goes_along_unless_it_is_meant_to():
    shell = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "AUDITVAULT_LOG_LEVEL": "DEBUG",
        "AWS_SECRET_ACCESS_KEY": "x",
        "DATABASE_URL": "postgresql://admin:x@/postgres",
        "PYTHONSTARTUP": "/tmp/x",
        "AUDITVAULT_SIGNER_KEY_FILE": "/x",
    }

    found = environment("web", inherited=shell)

    assert {name for name in shell if name in found} == {"PATH", "LC_ALL", "AUDITVAULT_LOG_LEVEL"}


def test_what_opens_the_store_of_the_copies_is_for_workers_alone():
    shell = {"AWS_SECRET_ACCESS_KEY": "x", "AUDITVAULT_COPIES_EU_URL": "s3://bucket"}
    purposes = ("web", "worker", "beat", "signer", "owner", "operator")

    told = {purpose: environment(purpose, inherited=shell) for purpose in purposes}

    assert [each for each in purposes if "AWS_SECRET_ACCESS_KEY" in told[each]] == ["worker"]
    assert all("AUDITVAULT_COPIES_EU_URL" in told[each] for each in purposes)


PURPOSES = ("web", "worker", "beat", "signer", "owner", "operator")
KMS = {"AUDITVAULT_KEY_PROVIDER_EU": "aws-kms://eu-central-1/av-eu"}


def test_a_key_provider_is_told_to_those_that_open_contents_instead_of_a_file():
    told = {purpose: environment(purpose, inherited=KMS) for purpose in PURPOSES}

    opening = [each for each in PURPOSES if KMS.items() <= told[each].items()]
    assert opening == ["web", "worker", "operator"]
    assert not any("AUDITVAULT_ROOT_KEY_EU_FILE" in found for found in told.values())
    # The other region goes on with its file.
    assert all("AUDITVAULT_ROOT_KEY_US_FILE" in told[each] for each in opening)


def test_the_key_provider_of_another_region_is_not_told():
    found = environment("worker", regions=("us",), inherited=KMS)

    assert not any("_EU" in name for name in found)


@pytest.mark.parametrize(
    ("url", "told"),
    [("aws-kms://eu-central-1/av", True), ("transit://h/t/av?token-file=/t", False), ("", False)],
)
def test_a_cloud_s_credentials_are_for_web_where_a_cloud_holds_the_key(url, told):
    shell = {"AUDITVAULT_KEY_PROVIDER_EU": url, "AWS_SECRET_ACCESS_KEY": "x"}

    assert ("AWS_SECRET_ACCESS_KEY" in environment("web", inherited=shell)) == told
    assert "AWS_SECRET_ACCESS_KEY" not in environment("operator", inherited=shell)


def test_where_tokens_lie_is_told_with_the_provider():
    url = "pkcs11:token=t;object=av?module-path=/m&pin-source=/p"
    shell = {"AUDITVAULT_KEY_PROVIDER_EU": url, "SOFTHSM2_CONF": "/etc/softhsm2.conf"}

    assert environment("web", inherited=shell)["SOFTHSM2_CONF"] == "/etc/softhsm2.conf"
    assert "SOFTHSM2_CONF" not in environment("beat", inherited=shell)
