"""What the supervisor says, and how children's logs are shown."""

from __future__ import annotations

import json
import subprocess
import sys

from auditvault.cli.up.events import Events
from auditvault.cli.up.follow import LogFollower


def test_an_event_is_one_line_with_time_and_source(capsys):
    Events().say("postgres", "ready", port=5)

    line = capsys.readouterr().out
    assert line[8:] == " postgres   | ready\n"


def test_an_event_for_machines_is_one_object_a_line(capsys):
    Events(as_json=True).say("postgres", "ready", port=5)
    Events(as_json=True).plain("for people")

    event = json.loads(capsys.readouterr().out)
    assert event.pop("at").endswith("Z")
    assert event == {"source": "postgres", "message": "ready", "port": 5}


def test_a_reader_that_went_away_stops_nothing():
    program = (
        "import os, sys, time\n"
        "from auditvault.cli.up.events import Events\n"
        "sys.stdin.read()\n"
        "events = Events()\n"
        "events.say('a', 'b'); events.say('a', 'c')\n"
        "sys.stderr.write('still here')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    process.stdin.close()

    error = process.stderr.read()
    process.stderr.close()

    assert (error, process.wait()) == ("still here", 0)


def test_lines_are_shown_when_they_are_whole(home, capsys):
    log = home / "web.log"
    log.write_text("from before\n")
    follower = LogFollower(Events())
    follower.follow("web", log)

    for text in ("one\ntw", "o\n"):
        with log.open("a") as stream:
            stream.write(text)
        follower.pump()

    shown = [line.partition("| ")[2] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["one", "two"]


def test_a_log_that_was_put_aside_is_read_from_its_beginning(home, capsys):
    log = home / "web.log"
    log.write_text("a long first line\n")
    follower = LogFollower(Events())
    follower.follow("web", log)

    log.write_text("new\n")
    follower.pump()

    assert capsys.readouterr().out.endswith("| new\n")
