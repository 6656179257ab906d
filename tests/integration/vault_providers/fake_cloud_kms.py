"""Google Cloud KMS as far as the provider asks it: a gRPC server of the service's own messages."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import (
    KeyManagementServiceGrpcTransport,
)

from auditvault.vault.providers.crc32c import crc32c

RING = "projects/p-1/locations/europe-west3/keyRings/audit"
_State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
_METHODS = {
    "GetCryptoKey": kms_v1.GetCryptoKeyRequest,
    "CreateCryptoKey": kms_v1.CreateCryptoKeyRequest,
    "ListCryptoKeyVersions": kms_v1.ListCryptoKeyVersionsRequest,
    "DestroyCryptoKeyVersion": kms_v1.DestroyCryptoKeyVersionRequest,
    "Encrypt": kms_v1.EncryptRequest,
    "Decrypt": kms_v1.DecryptRequest,
}


class _RefusalError(Exception):
    pass


class FakeCloudKms:
    """One key ring; keeps the form of `contract.Breakable`."""

    def __init__(self) -> None:
        self.keys: dict[str, kms_v1.CryptoKey] = {}
        self.damage = ""  # a member of an answer whose checksum is made wrong
        self.error: grpc.StatusCode | None = None
        self.created: list[kms_v1.CryptoKey] = []
        self._secrets: dict[str, AESGCM] = {}
        self._lies = self._careless = False
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._released.set()
        self.port = 0
        self._open()

    def _open(self) -> None:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._handler(name),
                request_deserializer=kind.deserialize,
                response_serializer=lambda answer: type(answer).serialize(answer),
            )
            for name, kind in _METHODS.items()
        }
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        service = "google.cloud.kms.v1.KeyManagementService"
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, handlers)]
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def client(self) -> kms_v1.KeyManagementServiceClient:
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        return kms_v1.KeyManagementServiceClient(
            transport=KeyManagementServiceGrpcTransport(channel=channel)
        )

    def stop(self) -> None:
        self._released.set()
        self._server.stop(None).wait()

    def _handler(self, name: str) -> Any:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            self._released.wait()
            if self.error is not None:
                context.abort(self.error, "a message with a secret-word")
            try:
                with self._lock:
                    return getattr(self, f"_{name}")(request)
            except _RefusalError as refusal:
                context.abort(getattr(grpc.StatusCode, str(refusal)), "no")

        return handle

    # --- methods ----------------------------------------------------------------------------------------

    def _GetCryptoKey(self, request: Any) -> Any:  # noqa: N802
        return self._key(request.name)

    def _CreateCryptoKey(self, request: Any) -> Any:  # noqa: N802
        if request.parent != RING:
            raise _RefusalError("NOT_FOUND")
        name = f"{request.parent}/cryptoKeys/{request.crypto_key_id}"
        if name in self.keys:
            raise _RefusalError("ALREADY_EXISTS")
        key = request.crypto_key
        key.name = name
        key.primary = kms_v1.CryptoKeyVersion(
            name=f"{name}/cryptoKeyVersions/1", state=_State.ENABLED
        )
        self._secrets[name] = AESGCM(os.urandom(32))
        self.keys[name] = key
        self.created.append(key)
        return key

    def _ListCryptoKeyVersions(self, request: Any) -> Any:  # noqa: N802
        versions = [self._key(request.parent).primary]
        return kms_v1.ListCryptoKeyVersionsResponse(crypto_key_versions=versions)

    def _DestroyCryptoKeyVersion(self, request: Any) -> Any:  # noqa: N802
        key = self._key(request.name.partition("/cryptoKeyVersions/")[0])
        if key.primary.state != _State.ENABLED:
            raise _RefusalError("FAILED_PRECONDITION")
        key.primary.state = _State.DESTROY_SCHEDULED
        key.primary.destroy_time = datetime.now(UTC) + key.destroy_scheduled_duration
        return key.primary

    def _Encrypt(self, request: Any) -> Any:  # noqa: N802
        key = self._usable(request.name)
        assert request.plaintext_crc32c == crc32c(request.plaintext)
        nonce = os.urandom(12)
        sealed = nonce + self._secrets[key.name].encrypt(
            nonce, request.plaintext, self._context(request)
        )
        return kms_v1.EncryptResponse(
            name=key.primary.name,
            ciphertext=sealed,
            ciphertext_crc32c=crc32c(sealed) ^ (self.damage == "ciphertext"),
            verified_plaintext_crc32c=self.damage != "plaintext",
            verified_additional_authenticated_data_crc32c=self.damage != "context",
        )

    def _Decrypt(self, request: Any) -> Any:  # noqa: N802
        key = self._usable(request.name)
        assert request.ciphertext_crc32c == crc32c(request.ciphertext)
        try:
            plain = self._secrets[key.name].decrypt(
                request.ciphertext[:12], request.ciphertext[12:], self._context(request)
            )
        except (InvalidTag, ValueError):
            raise _RefusalError("INVALID_ARGUMENT") from None
        plain = os.urandom(32) if self._lies else plain
        return kms_v1.DecryptResponse(
            plaintext=plain, plaintext_crc32c=crc32c(plain) ^ (self.damage == "answer")
        )

    def end_the_wait(self) -> None:
        """What Google does when the time has come."""
        for key in self.keys.values():
            if key.primary.state == _State.DESTROY_SCHEDULED:
                key.primary.state = _State.DESTROYED

    def _key(self, name: str) -> Any:
        if name not in self.keys:
            raise _RefusalError("NOT_FOUND")
        return self.keys[name]

    def _usable(self, name: str) -> Any:
        key = self._key(name)
        if key.primary.state != _State.ENABLED:
            raise _RefusalError("FAILED_PRECONDITION")
        return key

    def _context(self, request: Any) -> bytes:
        return b"" if self._careless else request.additional_authenticated_data

    # --- how it breaks ----------------------------------------------------------------------------------

    @contextmanager
    def away(self) -> Iterator[None]:
        self._server.stop(None).wait()
        yield
        self._open()

    @contextmanager
    def silent(self) -> Iterator[None]:
        self._released.clear()
        yield
        self._released.set()

    @contextmanager
    def failing(self, code: grpc.StatusCode) -> Iterator[None]:
        self.error = code
        yield
        self.error = None

    def busy(self) -> Any:
        return self.failing(grpc.StatusCode.UNAVAILABLE)

    def refusing(self) -> Any:
        return self.failing(grpc.StatusCode.PERMISSION_DENIED)

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
