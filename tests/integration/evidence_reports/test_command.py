"""`auditvault report`: the file as the API gives it, to the screen or into a file of one's own."""

from __future__ import annotations

import hashlib
import io
import json
import sys

import pytest
from django.core.management.base import CommandError


@pytest.fixture
def command(tenant, monkeypatch):
    """`command("looks", …, role="auditor")` is what was printed."""
    from django.core.management import call_command

    def run(*words, role="auditor", typed=b""):
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        if role:
            monkeypatch.setenv("AUDITVAULT_TOKEN", tenant.token(role))
        call_command("report", *map(str, words), "--region", "eu", stdout=out)
        return out.getvalue()

    return run


def test_a_report_is_printed_as_json_to_the_byte(command):
    printed = command("looks", "--json", "--filter", "case=INC-1")
    said = json.loads(printed)
    assert said["footer"]["sha256"] == hashlib.sha256(printed.split("\n")[1].encode()).hexdigest()


def test_a_report_is_written_as_csv_for_its_owner_alone(command, tmp_path):
    path = tmp_path / "looks.csv"
    summary = json.loads(command("looks", "--csv", "-o", path))
    assert path.read_text().startswith('"actor","username"')
    assert path.stat().st_mode & 0o777 == 0o600
    assert summary["sha256"] in path.read_text()
    with pytest.raises(CommandError):
        command("looks", "--csv", "-o", path)


def test_an_identifier_is_read_from_standard_input_or_a_file(command, tmp_path):
    for words in ([], ["--file", tmp_path / "who"]):
        (tmp_path / "who").write_text("anna\n")
        printed = command(
            "subject_looks", "--kind", "user", *words, role="privacy_operator", typed=b"anna\n"
        )
        assert json.loads(printed)["footer"]["facts"]["subjects"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["looks", "--filter", "case"],
        ["looks", "--filter", "case=A-1", "--filter", "case=A-2"],
        ["looks", "--filter", "colour=red"],
        ["subject_looks"],
        ["looks", "--staff-names", "A-1"],
    ],
)
def test_what_cannot_be_asked_is_an_error(command, words):
    with pytest.raises(CommandError):
        command(*words)


def test_nobody_runs_a_report_without_a_token(command, monkeypatch):
    monkeypatch.delenv("AUDITVAULT_TOKEN", raising=False)
    with pytest.raises(CommandError, match="AUDITVAULT_TOKEN"):
        command("looks", role=None)


def test_who_may_not_is_told_so(command):
    with pytest.raises(CommandError, match="None of your roles"):
        command("looks", role="viewer")
