"""Takes a request for a copy from its intake to the file, as a person opens it."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der

from auditvault.core.policy.erasure import Action, Kind
from tests.integration.ledger.superuser import superuser
from tests.integration.privacy.erasing import BOTH, Officers

OWN = "anna.own@example.org"
OTHER = "someone.else@example.com"


class Copies(Officers):
    """Requests for a copy of what there is of anna."""

    def approved(
        self, user: str = "anna", *, regions: tuple[str, ...] = (), kind: Kind = Kind.ACCESS
    ) -> UUID:
        from auditvault.privacy.requests.services import receive_request

        request_id: UUID = receive_request(
            region="eu",
            credential=self.credential(self.operator),
            asked=self.asked(
                kind=kind, identifiers=(("user", user), ("email", OWN)), regions=regions
            ),
            now=datetime.now(UTC),
        ).request_id
        self.move(request_id, Action.ASK_IDENTITY)
        self.move(request_id, Action.VERIFY_IDENTITY)
        self.approve(request_id)
        return request_id

    def order(self, request_id: UUID, *, by: Any = None, certificate: str | None = None) -> Any:
        from auditvault.privacy.packages.ordering import order_package

        return order_package(
            region="eu",
            credential=self.credential(by or self.officer),
            request_id=request_id,
            certificate=certificate,
            now=datetime.now(UTC),
        )

    def drive(self, request_id: UUID, *, now: datetime | None = None) -> int:
        from auditvault.privacy.packages.driving import drive

        return drive(
            region="eu",
            tenant_id=self.tenant.tenant_id,
            request_id=request_id,
            now=now or datetime.now(UTC),
        )

    def make(self, request_id: UUID, region: str = "eu", analyse: Any = None) -> bool:
        from auditvault.privacy.packages.making import make

        return make(
            region=region,
            tenant_id=self.tenant.tenant_id,
            request_id=request_id,
            now=datetime.now(UTC),
            analyse=analyse or found_by_rule,
        )

    def made(self, request_id: UUID, *, regions: tuple[str, ...] = ("eu",)) -> str:
        """Let the workers of these regions do what they do; where the request is then."""
        self.drive(request_id)
        for region in regions:
            self.make(request_id, region)
        self.drive(request_id)
        return self.state(request_id)

    def drive_quietly(self, request_id: UUID) -> None:
        """As the scheduled task does: what fails is tried again by the next one."""
        from auditvault.privacy.failures import FAILURES

        with suppress(*FAILURES):
            self.drive(request_id)

    def link(self, request_id: UUID, region: str = "eu") -> Any:
        return self.link_as(self.credential(self.operator), request_id, region)

    def link_as(self, credential: Any, request_id: UUID, region: str = "eu") -> Any:
        from auditvault.privacy.packages.ordering import make_link

        return make_link(
            region=region, credential=credential, request_id=request_id, now=datetime.now(UTC)
        )

    def package(self, request_id: UUID, region: str = "eu") -> Any:
        from auditvault.ledger.scope import region_alias, tenant_scope
        from auditvault.privacy.packages.store import package_of

        with tenant_scope(region_alias(region), self.tenant.tenant_id) as connection:
            return package_of(connection, request_id)


def redeem(code: str) -> Any:
    from auditvault.privacy.packages.delivering import redeem as fetch

    return fetch(code=code, now=datetime.now(UTC))


def found_by_rule(content: bytes) -> list[Any]:
    """E-mail addresses alone, as the detector's own rule finds them, without the model."""
    from auditvault.privacy.detection.findings import Finding
    from auditvault.privacy.detection.leaves import leaves

    found = []
    for leaf in leaves(content):
        for address in () if leaf.is_pair else (OWN, OTHER):
            start = leaf.text.find(address)
            if start >= 0:
                found.append(
                    Finding(
                        path=leaf.path,
                        is_key=leaf.is_key,
                        start=start,
                        end=start + len(address),
                        entity="EMAIL_ADDRESS",
                        score=0.99,
                        recogniser="test",
                    )
                )
    return found


def opened(cluster: Any, file: Any, passphrase: str) -> dict[str, bytes]:
    """The files of a package, as the person gets at them."""
    with superuser(cluster, "region_eu") as connection:
        row = connection.execute(
            "SELECT certificate FROM privacy_package_order WHERE request_id = %s",
            (file.request_id,),
        ).fetchone()
    key = load_pem_private_key(file.locked_key, passphrase.encode())
    certificate = x509.load_der_x509_certificate(bytes(row[0]))
    plain = pkcs7_decrypt_der(file.body, certificate, key, [])  # type: ignore[arg-type]
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def data_of(files: dict[str, bytes]) -> dict[str, Any]:
    return dict(json.loads(files["data.json"]))


__all__ = ["BOTH", "OTHER", "OWN", "Copies", "data_of", "opened", "redeem"]
