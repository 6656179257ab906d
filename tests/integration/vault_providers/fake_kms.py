"""AWS KMS as far as the provider asks it, over HTTP. Its answers are checked against botocore's own model."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.integration.vault_providers.serving import Answered, Asked, Server, as_json

REGION = "eu-central-1"
_ACCOUNT = "111122223333"
_MODEL = botocore.session.get_session().get_service_model("kms")
_AMZ_JSON = "application/x-amz-json-1.1"


class _RefusalError(Exception):
    pass


class FakeKms:
    """Keys and aliases of one account and region; keeps the form of `contract.Breakable`."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error: str | None = None
        self._secrets: dict[str, AESGCM] = {}
        self._lies = self._careless = False
        self.server = Server(self._answer)
        self.away, self.silent = self.server.away, self.server.silent

    def _answer(self, asked: Asked) -> Answered:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        operation = headers["x-amz-target"].removeprefix("TrentService.")
        members = json.loads(asked.body)
        self.calls.append((operation, members))
        try:
            answer = self._done(operation, members)
        except _RefusalError as refusal:
            body = {"__type": str(refusal), "message": "a message with a secret-word"}
            return as_json(body, 400, _AMZ_JSON)
        self._check(operation, answer)
        return as_json(answer, 200, _AMZ_JSON)

    def _done(self, operation: str, members: dict[str, Any]) -> Any:
        if self.error is not None:
            raise _RefusalError(self.error)
        return getattr(self, f"_{operation}")(**members)

    def _check(self, operation: str, answer: dict[str, Any]) -> None:
        shape = _MODEL.operation_model(operation).output_shape
        if shape is not None:
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), report.generate_report()

    # --- operations -------------------------------------------------------------------------------------

    def _CreateKey(self, **members: Any) -> dict[str, Any]:  # noqa: N802
        key_id = secrets.token_hex(16)
        arn = f"arn:aws:kms:{REGION}:{_ACCOUNT}:key/{key_id}"
        self.keys[arn] = {
            "KeyId": key_id,
            "Arn": arn,
            "KeyState": "Enabled",
            "KeySpec": members["KeySpec"],
            "KeyUsage": members["KeyUsage"],
        }
        self._secrets[arn] = AESGCM(os.urandom(32))
        return {"KeyMetadata": self.keys[arn]}

    def _CreateAlias(self, AliasName: str, TargetKeyId: str) -> dict[str, Any]:  # noqa: N802, N803
        if AliasName in self.aliases:
            raise _RefusalError("AlreadyExistsException")
        self.aliases[AliasName] = self._found(TargetKeyId)["Arn"]
        return {}

    def _DescribeKey(self, KeyId: str) -> dict[str, Any]:  # noqa: N802, N803
        return {"KeyMetadata": self._found(KeyId)}

    def _Encrypt(  # noqa: N802
        self,
        KeyId: str,  # noqa: N803
        Plaintext: str,  # noqa: N803
        EncryptionContext: dict[str, str],  # noqa: N803
    ) -> dict[str, Any]:
        key = self._usable(KeyId)
        nonce = os.urandom(12)
        sealed = self._secrets[key["Arn"]].encrypt(
            nonce, base64.b64decode(Plaintext), self._context(EncryptionContext)
        )
        blob = key["KeyId"].encode() + nonce + sealed
        return {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": key["Arn"]}

    def _Decrypt(  # noqa: N802
        self,
        KeyId: str,  # noqa: N803
        CiphertextBlob: str,  # noqa: N803
        EncryptionContext: dict[str, str],  # noqa: N803
    ) -> dict[str, Any]:
        blob = base64.b64decode(CiphertextBlob)
        key = self._usable(KeyId)
        if blob[:32] != key["KeyId"].encode():
            raise _RefusalError("IncorrectKeyException")
        try:
            plain = self._secrets[key["Arn"]].decrypt(
                blob[32:44], blob[44:], self._context(EncryptionContext)
            )
        except InvalidTag:
            raise _RefusalError("InvalidCiphertextException") from None
        plain = os.urandom(32) if self._lies else plain
        return {"Plaintext": base64.b64encode(plain).decode(), "KeyId": key["Arn"]}

    def _ScheduleKeyDeletion(  # noqa: N802
        self,
        KeyId: str,  # noqa: N803
        PendingWindowInDays: int,  # noqa: N803
    ) -> dict[str, Any]:
        key = self._found(KeyId)
        if key["KeyState"] == "PendingDeletion":
            raise _RefusalError("KMSInvalidStateException")
        key["KeyState"] = "PendingDeletion"
        key["DeletionDate"] = int(time.time()) + PendingWindowInDays * 86400
        return {"KeyId": key["Arn"], "DeletionDate": key["DeletionDate"]}

    def forget(self, arn: str) -> None:
        """What AWS does when the wait is over."""
        del self.keys[arn]
        self.aliases = {name: target for name, target in self.aliases.items() if target != arn}

    def _found(self, key_id: str) -> dict[str, Any]:
        arn = self.aliases.get(key_id, key_id)
        if arn not in self.keys:
            arn = f"arn:aws:kms:{REGION}:{_ACCOUNT}:key/{key_id}"
        if arn not in self.keys:
            raise _RefusalError("NotFoundException")
        return self.keys[arn]

    def _usable(self, key_id: str) -> dict[str, Any]:
        key = self._found(key_id)
        if key["KeyState"] != "Enabled":
            raise _RefusalError("KMSInvalidStateException")
        return key

    def _context(self, context: dict[str, str]) -> bytes:
        return b"" if self._careless else json.dumps(context, sort_keys=True).encode()

    # --- how it breaks ----------------------------------------------------------------------------------

    @contextmanager
    def failing(self, code: str) -> Iterator[None]:
        self.error = code
        yield
        self.error = None

    def busy(self) -> Any:
        return self.failing("ThrottlingException")

    def refusing(self) -> Any:
        return self.failing("AccessDeniedException")

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
