"""What a receiver is told: references that lead into the log, and nothing that is behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.core.tlog.canonical import JsonValue, canonical_bytes
from auditvault.ledger.services import format_instant

MESSAGE_VERSION = "auditvault/alert/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """An alert as it leaves the house."""

    alert_id: UUID
    tenant_id: UUID
    region: str
    kind: str
    raised_at: datetime
    details: dict[str, JsonValue]

    def body(self) -> bytes:
        """For webhooks: docs/spec/webhook.md."""
        return canonical_bytes(
            {
                "v": MESSAGE_VERSION,
                "type": "alert.raised",
                "timestamp": format_instant(self.raised_at),
                "data": {
                    "alert": str(self.alert_id),
                    "kind": self.kind,
                    "tenant": str(self.tenant_id),
                    "region": self.region,
                    "details": self.details,
                },
            }
        )

    def subject(self) -> str:
        """For e-mail."""
        return f"[auditvault] {self.kind} in {self.region}"

    def text(self) -> str:
        """For e-mail: a line for each reference."""
        lines = [
            f"alert    {self.alert_id}",
            f"kind     {self.kind}",
            f"raised   {format_instant(self.raised_at)}",
            f"tenant   {self.tenant_id}",
            f"region   {self.region}",
            "",
            *(f"{name}: {_plain(value)}" for name, value in sorted(self.details.items())),
            "",
            "It is recorded in the tenant's admin log under the alert's id. This message holds references only.",
        ]
        return "\n".join(lines) + "\n"


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else canonical_bytes(value).decode()
