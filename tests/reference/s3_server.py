"""A real S3 server with object lock (SeaweedFS, from its wheel), and requests that no client of ours would make.

Signed by hand (AWS Signature Version 4), so that what the server allows is seen without the library under test.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

ADMIN = ("AKIAADMIN", "admin-secret")
WRITER = ("AKIAWRITER", "writer-secret")
REGION = "us-east-1"
SECONDS = 60.0
_WEED = Path(sys.executable).parent / "weed"
_PORTS = ("master", "volume", "filer", "s3")


class S3Server:
    """The server, its files below `home`; `kill` and `start` again keep them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ports = _free_ports(len(_PORTS) * 2)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = self._ports[6]
        identities = [
            _identity("admin", ADMIN, ["Admin"]),
            _identity("writer", WRITER, ["Read", "Write", "List", "PutObjectRetention"]),
        ]
        (home / "s3.json").write_text(json.dumps({"identities": identities}))
        (home / "data").mkdir()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until a signed request is answered."""
        ports = [
            option
            for name, number, rpc in zip(_PORTS, self._ports[::2], self._ports[1::2], strict=True)
            for option in (f"-{name}.port={number}", f"-{name}.port.grpc={rpc}")
        ]
        command = [
            str(_WEED), "server", f"-dir={self._home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            # It reports statistics to its makers, and listens on fixed ports, unless told not to.
            "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.localSocket={self._home / 's3.sock'}", f"-filer.localSocket={self._home / 'filer.sock'}",
            "-filer", "-s3", f"-s3.config={self._home / 's3.json'}", "-master.volumeSizeLimitMB=16", "-volume.max=200",
            *ports,
        ]  # fmt: skip
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._home)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._home / "log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        # Sockets whose place cannot be chosen.
        for port in self._ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                left.unlink()

    def make_bucket(self, name: str, *, default_days: int = 0) -> None:
        """A bucket with object lock, which every object gets for so many days where it asks for nothing."""
        lock = {"x-amz-bucket-object-lock-enabled": "true"}
        assert self.request("PUT", f"/{name}", headers=lock)[0] == 200
        if default_days:
            rule = (
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
                f"<Mode>COMPLIANCE</Mode><Days>{default_days}</Days></DefaultRetention></Rule>"
                "</ObjectLockConfiguration>"
            )
            answer = self.request("PUT", f"/{name}", {"object-lock": ""}, rule.encode())
            assert answer[0] == 200

    def versions(self, bucket: str, prefix: str) -> list[tuple[str, str]]:
        """Every version of every object, key and version, newest first."""
        _, _, body = self.request("GET", f"/{bucket}", {"versions": "", "prefix": prefix})
        text = re.sub(rb' xmlns="[^"]*"', b"", body)
        found = ET.fromstring(text).iter("Version")  # from a server of our own
        return [(each.findtext("Key") or "", each.findtext("VersionId") or "") for each in found]

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        key: tuple[str, str] = ADMIN,
    ) -> tuple[int, dict[str, str], bytes]:
        """One signed request; status, headers in lower case, body."""
        target = quote(path)
        search = urlencode(sorted((query or {}).items()), quote_via=quote)
        signed = _signed(
            method, target, search, body, {"host": f"127.0.0.1:{self.port}", **(headers or {})}, key
        )
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, f"{target}?{search}" if search else target, body, signed)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/")[0] == 200
        except OSError:
            return False


@contextmanager
def serving(home: Path) -> Iterator[S3Server]:
    """A started server; killed afterwards."""
    server = S3Server(home)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _identity(name: str, key: tuple[str, str], actions: list[str]) -> dict[str, object]:
    credentials = [{"accessKey": key[0], "secretKey": key[1]}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _signed(
    method: str,
    target: str,
    search: str,
    body: bytes,
    headers: dict[str, str],
    key: tuple[str, str],
) -> dict[str, str]:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers |= {"x-amz-date": at, "x-amz-content-sha256": digest}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{target}\n{search}\n{lines}\n{names}\n{digest}"
    scope = f"{at[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(
        ["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    secret = f"AWS4{key[1]}".encode()
    for part in scope.split("/"):
        secret = hmac.new(secret, part.encode(), "sha256").digest()
    signature = hmac.new(secret, text.encode(), "sha256").hexdigest()
    credential = f"Credential={key[0]}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers | {"authorization": f"AWS4-HMAC-SHA256 {credential}"}
