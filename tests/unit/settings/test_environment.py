"""Readers of the variables about time: what is not of their form stops the start and is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings import environment

NAME = "AUDITVAULT_TEST_VALUE"


@pytest.mark.parametrize(
    "url", ["http://tsa.example", "https://tsa.example:8443/tsr?x=1", "http://[::1]:318/"]
)
def test_a_url_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(NAME, url)
    assert environment.http_url(NAME) == url


@pytest.mark.parametrize(
    "url",
    [
        "tsa.example",
        "ftp://tsa.example/",
        "file:///etc/passwd",
        "http://",
        "http:///tsr",
        "http://user:secret-word@tsa.example/",
        "http://tsa.example:port/",
        "http://tsa.example:70000/",
        "http://[::1/",
    ],
)
def test_what_is_no_url_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(NAME, url)
    with pytest.raises(ImproperlyConfigured, match=NAME) as refused:
        environment.http_url(NAME)
    assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize("oid", ["1.2.3.4.1", "0.4.0.2023.1.1", "2.999"])
def test_an_object_identifier_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, oid: str) -> None:
    monkeypatch.setenv(NAME, oid)
    assert environment.dotted_oid(NAME) == oid


@pytest.mark.parametrize("oid", ["1", "3.1", "1.40.1", "1.2.", ".1.2", "1.02", "1.2.a", "1 2"])
def test_what_is_no_object_identifier_is_refused(monkeypatch: pytest.MonkeyPatch, oid: str) -> None:
    monkeypatch.setenv(NAME, oid)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.dotted_oid(NAME)


@pytest.mark.parametrize("read", [environment.http_url, environment.dotted_oid])
def test_what_is_not_set_is_empty(monkeypatch: pytest.MonkeyPatch, read: object) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert callable(read)
    assert read(NAME) == ""


@pytest.mark.parametrize("value", ["0", "-5"])
def test_a_number_below_the_least_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match="1 or more"):
        environment.number(NAME, 7, least=1)


def test_a_number_that_is_the_least_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "1")
    assert environment.number(NAME, 7, least=1) == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/copies",
        "s3://bucket",
        "s3://bucket/audit/eu",
        "s3://bucket/audit?region=eu-central-1&endpoint=https://s3.example:9000",
        "gs://bucket/audit",
        "az://container/audit/",
    ],
)
def test_the_place_of_copies_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(NAME, url)
    assert environment.store_url(NAME) == url


@pytest.mark.parametrize(
    "url",
    [
        "/srv/copies",
        "file://host/srv",
        "file:///",
        "file:///srv?x=1",
        "http://bucket/audit",
        "s3://",
        "s3:///audit",
        "s3://AKIA:secret-word@bucket/audit",
        "s3://bucket/audit?secret_access_key=secret-word",
        "s3://bucket/audit?endpoint=https://u:secret-word@s3.example",
        "s3://bucket/audit?endpoint=s3.example",
        "s3://bucket/audit?region=a&region=b",
        "s3://bucket/a//b",
        "s3://bucket/../a b",
        "gs://bucket/audit?region=eu",
        "s3://bucket/audit#x",
    ],
)
def test_what_is_no_place_of_copies_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(NAME, url)
    with pytest.raises(ImproperlyConfigured, match=NAME) as refused:
        environment.store_url(NAME)
    assert "secret-word" not in str(refused.value)


def test_a_word_that_is_not_one_of_the_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "compliance")
    with pytest.raises(ImproperlyConfigured, match="COMPLIANCE, GOVERNANCE"):
        environment.one_of(NAME, "COMPLIANCE", ("COMPLIANCE", "GOVERNANCE"))


FILE_NAME = "AUDITVAULT_TEST_FILE"


def key_provider(monkeypatch: pytest.MonkeyPatch, url: str, path: str = "") -> str:
    monkeypatch.setenv(NAME, url)
    monkeypatch.setenv(FILE_NAME, path)
    return environment.key_provider(NAME, FILE_NAME)


def test_a_key_provider_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "aws-kms://eu-central-1/av-eu"
    assert key_provider(monkeypatch, url) == url
    assert key_provider(monkeypatch, "") == ""


@pytest.mark.parametrize(
    ("path", "url"),
    [("/etc/root.key", "file:///etc/root.key"), ("/with blank", "file:///with%20blank")],
)
def test_the_older_variable_means_a_file(
    monkeypatch: pytest.MonkeyPatch, path: str, url: str
) -> None:
    assert key_provider(monkeypatch, "", path) == url


def test_a_relative_key_file_is_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert key_provider(monkeypatch, "", "root.key") == (tmp_path / "root.key").as_uri()


def test_two_ways_to_say_it_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} and {FILE_NAME}"):
        key_provider(monkeypatch, "file:///a", "/a")


@pytest.mark.parametrize(
    "url", ["vault://host/t/av", "transit://u:secret-word@h/t/av?token-file=/t", "/etc/root.key"]
)
def test_what_is_no_key_provider_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=NAME) as refused:
        key_provider(monkeypatch, url)
    assert "secret-word" not in str(refused.value)
    assert refused.value.__cause__ is None
