"""Reading content from another region: on what basis it may leave, and exactly what two people agree on.

Rules kept: docs/spec/transfer.md. Pure: where a basis is stored, and who may record one, is for `auditvault.access`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.approvals import HumanId, Operation, Plan
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes

BASIS_VERSION = "auditvault/transfer-basis/1"
MAX_CONTENTS = 20
MAX_LIFETIME = timedelta(hours=8)
"""How long after it was asked for a read may happen, at most."""
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#:()-]{0,127}")
_TAG = re.compile(r"tag:[0-9a-f]{64}")


class BasisKind(StrEnum):
    """Why a transfer may be made (GDPR articles 45, 46(2)(c) and (d), 47, 49; or none is restricted)."""

    ADEQUACY_DECISION = "adequacy_decision"
    STANDARD_CONTRACTUAL_CLAUSES = "standard_contractual_clauses"
    BINDING_CORPORATE_RULES = "binding_corporate_rules"
    DEROGATION = "derogation"
    NOT_RESTRICTED = "not_restricted"
    """Both regions are where one law lets data pass freely, as inside the EEA."""


class TransferBasisInvalidError(AuditvaultError):
    """What should be a transfer basis is none."""

    code: ClassVar[str] = "transfer_basis_invalid"


class TransferBasisMissingError(AuditvaultError):
    """Nothing recorded lets content pass between these regions now: never recorded, not yet valid, expired or ended."""

    code: ClassVar[str] = "transfer_basis_missing"


class TransferInvalidError(AuditvaultError):
    """What should be read from another region cannot be asked for so."""

    code: ClassVar[str] = "transfer_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferBasis:
    """Why content of one region may be read from another; it never changes, and somebody may end it."""

    basis_id: UUID
    kind: BasisKind
    reference: str
    """Where the decision, contract or assessment is filed; nothing personal."""
    region: str
    """The region that content leaves."""
    to_region: str
    valid_from: datetime
    valid_until: datetime
    recorded_by: HumanId
    ended_at: datetime | None = None

    def check(self) -> None:
        """Raise TransferBasisInvalidError for one that says nothing."""
        if not _REFERENCE.fullmatch(self.reference):
            raise TransferBasisInvalidError(
                "The reference must be one such as SCC/2021-914: letters, digits and . _ / # : ( ) -"
            )
        if self.region == self.to_region:
            raise TransferBasisInvalidError("A transfer is from one region to another.")
        if self.valid_from >= self.valid_until:
            raise TransferBasisInvalidError("It must end after it begins.")

    def members(self) -> dict[str, JsonValue]:
        """Everything that the digest binds; that it was ended is no part of it."""
        return {
            "v": BASIS_VERSION,
            "id": str(self.basis_id),
            "kind": self.kind.value,
            "reference": self.reference,
            "region": self.region,
            "to_region": self.to_region,
            "valid_from": self.valid_from.isoformat(),
            "valid_until": self.valid_until.isoformat(),
            "recorded_by": str(self.recorded_by),
        }

    def digest(self) -> bytes:
        """Return the 32 bytes that a plan names it by."""
        return sha256(BASIS_VERSION.encode() + b"\0" + canonical_bytes(self.members())).digest()

    def is_live(self, now: datetime) -> bool:
        """Whether content may pass on it at that instant."""
        is_ended = self.ended_at is not None and self.ended_at <= now
        return self.valid_from <= now < self.valid_until and not is_ended


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferTerms:
    """What one human may read once, from where: all of it is in the plan that somebody else approves."""

    contents: Sequence[str]
    """`tag:` and 64 hex digits, sorted."""
    case: str
    code: PurposeCode
    to_region: str
    reader: HumanId
    until: str
    """RFC 3339, UTC."""
    basis_id: UUID
    basis_digest: bytes

    def check(self) -> None:
        """Raise TransferInvalidError for what names nothing, or too much."""
        if not 1 <= len(self.contents) <= MAX_CONTENTS:
            raise TransferInvalidError(f"Name 1 to {MAX_CONTENTS} contents.")
        if list(self.contents) != sorted({*self.contents}):
            raise TransferInvalidError("Contents are sorted, and each is named once.")
        if not all(_TAG.fullmatch(each) for each in self.contents):
            raise TransferInvalidError("Contents are lookup tags.")

    def plan(self, *, tenant_id: UUID, region: str) -> Plan:
        """The plan that these terms are, in the region whose content it is."""
        return Plan(
            operation=Operation.CROSS_REGION_READ,
            tenant_id=tenant_id,
            region=region,
            parameters={
                "contents": list(self.contents),
                "case": self.case,
                "code": self.code.value,
                "to_region": self.to_region,
                "reader": str(self.reader),
                "until": self.until,
                "basis": str(self.basis_id),
                "basis_digest": self.basis_digest.hex(),
            },
        )


def named_contents(parameters: Mapping[str, JsonValue]) -> list[str]:
    """The contents that a stored plan names; raises TransferInvalidError for a plan of another form."""
    found = parameters.get("contents")
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise TransferInvalidError("This approval is for no read from another region.")
    return [str(each) for each in found]


def named_basis(parameters: Mapping[str, JsonValue]) -> UUID:
    """The basis that a stored plan names; raises TransferInvalidError for a plan of another form."""
    try:
        return UUID(str(parameters.get("basis")))
    except ValueError as error:
        raise TransferInvalidError("This approval is for no read from another region.") from error
