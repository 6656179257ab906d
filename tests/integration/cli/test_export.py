"""`auditvault export`, asking the service over a socket: plan, request, list, show, cancel, and download once."""

from __future__ import annotations

import io
import json
import stat
import threading
import zipfile
from uuid import uuid4
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings

from tests.integration.ingest.sending import chat, record
from tests.own_key import opened_by_openssl, own_certificate
from tests.staff import make_person


class Silent(WSGIRequestHandler):
    """Says nothing on the terminal of the tests."""

    def log_message(self, *_):
        pass


@pytest.fixture
def port(service):
    """The whole WSGI stack, on a port of its own."""
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()

    def closing(environ, start_response):
        try:
            return application(environ, start_response)
        finally:
            connections.close_all()

    server = make_server("127.0.0.1", 0, closing, handler_class=Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(port, monkeypatch):
    """`run(person, role, "list", …)` is what was printed as JSON."""

    def call(headers, *words):
        out = io.StringIO()
        monkeypatch.setenv("AUDITVAULT_PORT", str(port))
        token = headers["Authorization"].removeprefix("Bearer ")
        monkeypatch.setenv("AUDITVAULT_TOKEN", token)
        call_command("export", *map(str, words), "--region", "eu", "--json", stdout=out)
        return json.loads(out.getvalue())

    return call


@pytest.fixture
def viewer(tenant):
    return make_person(tenant, "viewer").headers("viewer")


@pytest.fixture
def wanted(tmp_path):
    """Words that mean all that tests record."""
    certificate = tmp_path / "me.pem"
    certificate.write_text(own_certificate()[1])
    return (
        *("--from", "2020-01-01T00:00:00Z", "--before", "2035-01-01T00:00:00Z"),
        *("--certificate", certificate),
    )


def make():
    from auditvault.evidence.exports.making import make_due

    make_due("eu")


def test_an_export_is_asked_for_looked_at_and_downloaded_once(
    client, tenant, viewer, wanted, run, tmp_path
):
    record(client, tenant, chat("a"))
    asked = run(viewer, "request", *wanted, "--form", "jsonl", "--status", "unset")
    make()
    shown = run(viewer, "show", asked["id"])
    assert (shown["state"], shown["request"]["form"]) == ("made", "jsonl")
    file = tmp_path / "export.zip"

    said = run(viewer, "download", asked["id"], "-o", file)

    assert said == {"id": asked["id"], "file": str(file), "bytes": file.stat().st_size}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        text = opened_by_openssl(archive.read("part-1.p7m"), own_certificate()[0], tmp_path)
    assert json.loads(text)["watermark"]["export"] == asked["id"]
    assert [each["state"] for each in run(viewer, "list")["exports"]] == ["fetched"]


def test_a_file_that_exists_is_kept_and_the_export_not_fetched(
    client, tenant, viewer, wanted, run, tmp_path
):
    record(client, tenant, chat("a"))
    asked = run(viewer, "request", *wanted)
    make()
    file = tmp_path / "export.zip"
    file.write_bytes(b"mine")
    with pytest.raises(CommandError, match="cannot be written"):
        run(viewer, "download", asked["id"], "-o", file)
    assert file.read_bytes() == b"mine"
    assert run(viewer, "show", asked["id"])["state"] == "made"


def test_of_an_export_that_is_not_to_be_had_no_file_is_left(
    client, tenant, viewer, wanted, run, tmp_path
):
    record(client, tenant, chat("a"))
    asked = run(viewer, "request", *wanted)
    assert run(viewer, "cancel", asked["id"])["state"] == "cancelled"
    with pytest.raises(CommandError, match="404"):
        run(viewer, "download", asked["id"], "-o", tmp_path / "export.zip")
    assert not (tmp_path / "export.zip").exists()


def test_the_plan_of_a_bulk_export_is_asked_for_with_its_case(client, tenant, wanted, run):
    record(client, tenant, chat("a"), chat("b"))
    auditor = make_person(tenant, "auditor").headers("auditor")
    with override_settings(EXPORT_ROWS_ALONE=1):
        planned = run(auditor, "plan", *wanted, "--case", "INC-1")
        assert (planned["rows"], planned["needs_approval"]) == (2, True)
        with pytest.raises(CommandError, match="409"):
            run(auditor, "request", *wanted, "--approval", planned["approval"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "../../../access/log"), "no id"),
        (("download", "..", "-o", "x"), "no id"),
        (("plan", "--from", "2020-01-01", "--before", "2021-01-01Z"), "no instant"),
    ],
    ids=["path", "file", "zone"],
)
def test_what_is_no_id_or_no_instant_is_told_before_anything_is_asked(viewer, run, words, said):
    more = ("--certificate", "me.pem") if words[0] == "plan" else ()
    with pytest.raises(CommandError, match=said):
        run(viewer, *words, *more)


def test_an_export_of_nobody_is_not_found(viewer, run):
    with pytest.raises(CommandError, match="404"):
        run(viewer, "show", uuid4())
