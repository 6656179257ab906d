"""What scheduled verification came to, recorded where it cannot be taken back.

An entry in the operator's log of the region: that verification ran, over how much, and what it found by origin and
index. Names of tables and roles stay in the job's row: whoever owns the database chooses them. An entry that is missing
for an hour says as much as one that names a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from auditvault.core.tlog.canonical import JsonValue
from auditvault.evidence.grants import DatabaseFinding
from auditvault.evidence.verification_report import Report
from auditvault.ledger.admin.services import record_operation

ENTRY_TYPE = "verification.ended"


def record_verification(
    *, region: str, job: str, reports: Sequence[Report], databases: Sequence[DatabaseFinding]
) -> None:
    """Record it; raises what the database raises."""
    bad: dict[str, JsonValue] = {
        report.origin: dict(sorted(report.first_bad.items()))
        for report in reports
        if not report.holds
    }
    found: Mapping[str, int] = Counter(
        f"{finding.database}.{finding.finding}" for finding in databases
    )
    details: dict[str, JsonValue] = {
        "job": job,
        "holds": not bad and not databases,
        "logs": len(reports),
        "entries": sum(report.entries for report in reports),
        "payloads": sum(report.payloads or 0 for report in reports),
        "bad": bad,
        "database": dict(sorted(found.items())),
    }
    record_operation(region=region, action=ENTRY_TYPE, details=details)
