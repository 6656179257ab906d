"""The console in a real browser: sign in, find an interaction, see its trace and its proof."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from auditvault.cli.up.sockets import free_port
from auditvault.core.policy.access import Role

ROOT = Path(__file__).parents[3]
CAPTURE = ROOT / "tests/vectors/otlp/handwritten-otel-genai/agent_tools.pb"
PASSWORD = "long-enough-to-try"


@pytest.fixture(scope="module")
def address(cluster) -> Iterator[str]:
    port = free_port()
    argv = [
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--port",
        str(port),
        "settings.wsgi:application",
    ]
    server = subprocess.Popen(
        [sys.executable, *argv, "--log-level", "warning", "--blocking-threads", "2"],
        env=cluster.environment("web"),
        cwd=ROOT,
    )
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    assert found, "the console's tests need Chromium: install the package chromium"
    # Playwright keeps an event loop in this thread, where Django would refuse to use its databases.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(params=["light", "dark"])
def scheme(request) -> str:
    return request.param


@pytest.fixture(params=[1280, 390])
def page(browser, scheme, request) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}, color_scheme=scheme
    )
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def test_an_auditor_finds_a_trace_and_its_proof(page, address, client, tenant, run_signer):
    from auditvault.access.tenants import create_person

    sent = client.post(
        "/v1/traces",
        data=CAPTURE.read_bytes(),
        content_type="application/x-protobuf",
        headers=tenant.headers("ingest"),
    )
    assert sent.status_code == 200
    run_signer()
    create_person(
        username=tenant.slug, password=PASSWORD, tenant_slug=tenant.slug, roles=[Role.AUDITOR]
    )
    elsewhere: list[str] = []
    page.on("request", lambda r: None if r.url.startswith(address) else elsewhere.append(r.url))
    refused: list[str] = []
    page.on("console", lambda m: refused.append(m.text) if m.type == "error" else None)

    page.goto(address)
    page.fill("input[name=username]", tenant.slug)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("a[href^='/t/']")
    page.goto(address + page.get_attribute("a[href^='/t/']", "href"))

    text = page.inner_text("main")
    assert "invoke_agent support_agent" in text
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert elsewhere == []
    assert refused == []
