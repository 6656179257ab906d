"""The command's own part, before Django takes over."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import auditvault
from auditvault.cli.main import adopt_instance, main


def test_up_does_not_import_django():
    program = (
        "import sys, auditvault.cli.main as m\n"
        "try: m.main(['up', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'auditvault.cli.up.session' in sys.modules\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'django']\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "AUDITVAULT_POSTGRES_BIN" in done.stdout


def test_without_a_command_the_commands_are_listed(capsys):
    assert main([]) == 2
    assert "migrate_all" in capsys.readouterr().out


def test_the_help_has_one_line_for_each_command(capsys):
    package = Path(auditvault.__file__).parent
    modules = package.glob("**/management/commands/[!_]*.py")
    expected = {"up", *(module.stem for module in modules)}

    assert main(["--help"]) == 0

    listed = re.findall(r"^  ([a-z_]+) +(\S.*)$", capsys.readouterr().out, re.MULTILINE)
    assert {name for name, _ in listed} == expected
    assert len(listed) == len(expected)
    assert max(len(f"  {name:<15} {what}") for name, what in listed) < 80


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{auditvault.__version__}\n"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["up", "--port", port])

    assert caught.value.code == 2
    assert "is no port" in capsys.readouterr().err


def test_a_malformed_port_in_the_environment_is_told_without_a_traceback(home, capsys, monkeypatch):
    monkeypatch.setenv("AUDITVAULT_PORT", "eighty")

    assert main(["up", "--home", str(home)]) == 1
    assert "AUDITVAULT_PORT: 'eighty' is no port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("verify", "operator"),
        ("migrate_all", "owner"),
        ("signer", "signer"),
        ("backup", "backup"),
        ("restore", "backup"),
        ("restore_drill", "backup"),
    ],
)
def test_a_command_gets_the_environment_of_its_purpose(home, command, expected):
    for name, purpose in {
        "env.json": "operator",
        "env-owner.json": "owner",
        "env-signer.json": "signer",
        "env-backup.json": "backup",
    }.items():
        (home / name).write_text(json.dumps({"AUDITVAULT_CONTROL_URL": purpose}))
    environment = {"AUDITVAULT_HOME": str(home)}

    adopt_instance(command, environment)

    assert environment == {
        "AUDITVAULT_HOME": str(home),
        "AUDITVAULT_CONTROL_URL": expected,
        "DJANGO_SETTINGS_MODULE": "settings.dev",
    }


def test_what_the_environment_already_says_wins(home):
    (home / "env.json").write_text(json.dumps({"AUDITVAULT_CONTROL_URL": "file"}))
    environment = {"AUDITVAULT_HOME": str(home), "AUDITVAULT_CONTROL_URL": "mine"}

    adopt_instance("verify", environment)

    assert environment["AUDITVAULT_CONTROL_URL"] == "mine"


def test_a_command_without_an_instance_says_so(home):
    done = subprocess.run(
        [sys.executable, "-m", "auditvault.cli.main", "check"],
        env={"AUDITVAULT_HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert f"No running instance was found in {home}" in done.stderr
    assert "Traceback" not in done.stderr
