"""The certificate of a request that was carried out and verified in every region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings

from auditvault.core.policy.manifest import Manifest
from auditvault.core.tlog.note import NoteSigner
from auditvault.core.tlog.request_certificate import (
    LedgerRecord,
    Recipient,
    RegionPart,
    RequestCertificate,
    certificate_name,
)
from auditvault.ledger.services import format_instant
from auditvault.privacy.erasing.store import Part
from auditvault.privacy.requests.store import RequestRecord
from auditvault.vault.erasures.keys import signing_key


def sign_certificate(
    *,
    region: str,
    record: RequestRecord,
    manifest: Manifest,
    parts: Mapping[str, Part],
    certificate_id: UUID,
    past_recall_at: datetime | None,
    recipients: Sequence[Recipient],
    now: datetime,
) -> bytes:
    """The signed certificate; `parts` are verified, one for each region of the manifest.

    It is signed with the key of the erasure ledger, under the certificates' own name: a record is no certificate.

    Raises ErasureKeyError, RequestCertificateError.
    """
    name = certificate_name(settings.LOG_HOST, region)
    done = sum(part.destroyed or 0 for part in parts.values())
    completed_at = max(part.verified_at for part in parts.values() if part.verified_at is not None)
    certificate = RequestCertificate(
        log=name,
        certificate_id=str(certificate_id),
        request_id=str(record.request_id),
        kind=record.request.kind.value,
        tenant_id=str(record.tenant_id),
        regime=record.regime,
        regime_version=record.regime_version,
        received_at=format_instant(record.received_at),
        completed_at=format_instant(completed_at),
        issued_at=format_instant(max(now, completed_at)),
        outcome="done" if done else "nothing_found",
        manifest=record.request.approved_manifest or b"",
        found=done,
        done=done,
        exempt=0,
        held=0,
        grounds=(),
        regions=tuple(_region(part.region, parts[part.region]) for part in manifest.regions),
        checked=sum(part.checked or 0 for part in parts.values()),
        backups_past_recall_at=format_instant(past_recall_at) if past_recall_at else None,
        recipients=tuple(recipients),
    )
    return certificate.sign(NoteSigner(name, signing_key()))


def _region(name: str, part: Part) -> RegionPart:
    return RegionPart(
        region=name,
        done=part.destroyed or 0,
        keys=part.keys or 0,
        records=tuple(
            LedgerRecord(index=index, record_hash=digest)
            for index, digest in zip(part.idxs, part.hashes, strict=True)
        ),
    )
