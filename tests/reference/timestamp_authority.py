"""A real time-stamping authority on loopback, made with `openssl ts`, and what a dishonest one could answer.

Needs the `openssl` program. Certificates are made with `cryptography`, because some of them are wrong on purpose.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

POLICY = "1.2.3.4.1"
REPLY_TYPE = "application/timestamp-reply"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONFIG = """\
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = {policy}
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def openssl(*words: str, data: bytes | None = None) -> bytes:
    """What the program prints; CalledProcessError where it fails."""
    done = subprocess.run(["openssl", *words], input=data, capture_output=True, check=True)
    return done.stdout


def _new_key(curve: ec.EllipticCurve | None) -> PrivateKey:
    if curve is None:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(curve)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: str,
    key: PrivateKey,
    *,
    issuer: str,
    issuer_key: PrivateKey,
    days: tuple[int, int],
    usage: x509.ObjectIdentifier | None,
    serial: int,
) -> x509.Certificate:
    """Valid from and until so many days from now; `usage` None makes an authority over certificates."""
    today = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(today + timedelta(days=days[0]))
        .not_valid_after(today + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@dataclass(frozen=True)
class TimestampAuthority:
    """Keys, certificates and a configuration of `openssl ts` in a folder."""

    folder: Path

    @classmethod
    def make(
        cls,
        folder: Path,
        *,
        days: tuple[int, int] = (-30, 365),
        curve: ec.EllipticCurve | None = None,
        ess: str = "sha256",
    ) -> TimestampAuthority:
        """A root and an authority under it whose certificate is valid from `days[0]` until `days[1]` from now.

        Keys are RSA, or on `curve`; `ess` is the hash by which stamps name their certificate.
        """
        keys = [_new_key(curve) for _ in range(2)]
        root = _certificate(
            "A root", keys[0], issuer="A root", issuer_key=keys[0], days=(-3650, 3650), usage=None, serial=1
        )  # fmt: skip
        (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
        usages = {
            "tsa": ExtendedKeyUsageOID.TIME_STAMPING,
            "mail": ExtendedKeyUsageOID.EMAIL_PROTECTION,
        }
        for name, usage in usages.items():
            certificate = _certificate(
                "An authority", keys[1], issuer="A root", issuer_key=keys[0], days=days, usage=usage, serial=2
            )  # fmt: skip
            (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(private)
        (folder / "serial").write_text("01\n")
        (folder / "openssl.cnf").write_text(_CONFIG.format(folder=folder, policy=POLICY, ess=ess))
        return cls(folder)

    @property
    def root_file(self) -> Path:
        """The root's certificate, PEM."""
        return self.folder / "root.pem"

    def answer(self, request: bytes) -> bytes:
        """The honest answer to a request."""
        query = self.folder / f"{threading.get_ident()}.tsq"
        query.write_bytes(request)
        config = str(self.folder / "openssl.cnf")
        return openssl("ts", "-reply", "-config", config, "-queryfile", str(query))

    def answer_dated(self, request: bytes, gen_time: datetime) -> bytes:
        """A well-signed answer that says it was made at another time."""
        info = self._info_of(self.answer(request))
        start = info.index(b"\x18\x0f") + 2  # GeneralizedTime of 15 characters
        dated = info[:start] + f"{gen_time:%Y%m%d%H%M%SZ}".encode() + info[start + 15 :]
        return self._signed(dated)

    def answer_changed(self, request: bytes, old: bytes, new: bytes) -> bytes:
        """A well-signed answer in whose TSTInfo some bytes are others, of the same number."""
        info = self._info_of(self.answer(request))
        assert info.count(old) == 1
        assert len(old) == len(new)
        return self._signed(info.replace(old, new))

    def answer_for_mail(self, request: bytes) -> bytes:
        """An honest answer with the certificate put in that the same key has for signing mail."""
        der = {
            name: x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes()).public_bytes(Encoding.DER)
            for name in ("tsa", "mail")
        }  # fmt: skip
        answer = self.answer(request)
        assert answer.count(der["tsa"]) == 1
        return answer.replace(der["tsa"], der["mail"])

    def _info_of(self, answer: bytes) -> bytes:
        path = self.folder / "answer.tsr"
        path.write_bytes(answer)
        token = openssl("ts", "-reply", "-in", str(path), "-token_out")
        return openssl("cms", "-verify", "-noverify", "-inform", "DER", "-binary", data=token)

    def _signed(self, info: bytes) -> bytes:
        token = openssl(
            "cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-cades", "-md", "sha256",
            "-econtent_type", _TST_INFO, "-signer", str(self.folder / "tsa.pem"),
            "-inkey", str(self.folder / "tsa.key"), "-outform", "DER", data=info,
        )  # fmt: skip
        granted = bytes.fromhex("3003020100")
        return b"\x30\x82" + (len(granted) + len(token)).to_bytes(2) + granted + token

    def verify(self, data: bytes, response: bytes) -> str:
        """What an auditor's own `openssl ts -verify` says."""
        paths = {"data": self.folder / "data", "in": self.folder / "in.tsr"}
        paths["data"].write_bytes(data)
        paths["in"].write_bytes(response)
        return openssl(
            "ts", "-verify", "-data", str(paths["data"]), "-in", str(paths["in"]),
            "-CAfile", str(self.root_file),
        ).decode()  # fmt: skip


Answering = Callable[[BaseHTTPRequestHandler, bytes], None]


class TimestampServer:
    """Serves an authority over HTTP; `answering` may be replaced while it runs."""

    def __init__(self, authority: TimestampAuthority) -> None:
        self.authority = authority
        self.requests: list[bytes] = []
        self.answering: Answering = self.honest
        self.url = ""

    def honest(self, handler: BaseHTTPRequestHandler, request: bytes) -> None:
        """As an authority should."""
        reply(handler, self.authority.answer(request))


def reply(
    handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, kind: str = REPLY_TYPE
) -> None:
    """Send an answer whole."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serving(authority: TimestampAuthority) -> Iterator[TimestampServer]:
    """The authority on a port of its own."""
    served = TimestampServer(authority)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            request = self.rfile.read(int(self.headers["Content-Length"]))
            served.requests.append(request)
            served.answering(self, request)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            """Say nothing: the tests do."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/tsr"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
