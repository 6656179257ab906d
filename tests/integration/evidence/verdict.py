"""What `auditvault verify` says, as its exit code and its JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

HOW: dict[str, Any] = {}
"""How logs are verified: no verdict may depend on it. `test_ranges` sets it."""


def verify(*, region: str = "us", **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of the command for one region."""
    from django.core.management import call_command

    out = io.StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("verify", region=[region], json=True, stdout=out, **options)
    assert isinstance(left.value.code, int)
    return left.value.code, json.loads(out.getvalue())


def logs_of(tenant: Any, *, region: str = "us") -> dict[str, Any]:
    """Kind -> the tenant's log of that kind."""
    from auditvault.ledger.logs import tenant_logs

    return {log.kind: log for log in tenant_logs(region=region, tenant_id=tenant.tenant_id)}


def findings(
    tenant: Any,
    *,
    region: str = "us",
    with_payloads: bool = False,
    with_memory: bool = True,
    kept: tuple[Path, ...] = (),
    **how: Any,
) -> dict[str, dict[str, int]]:
    """Kind of log -> what is wrong with the tenant's: kind of finding -> first bad index."""
    found = reports_of(
        tenant,
        region=region,
        with_payloads=with_payloads,
        with_memory=with_memory,
        kept=kept,
        **how,
    )
    return {kind: report.first_bad for kind, report in found.items() if not report.holds}


def reports_of(
    tenant: Any,
    *,
    region: str = "us",
    with_payloads: bool = False,
    with_memory: bool = True,
    kept: tuple[Path, ...] = (),
    **how: Any,
) -> dict[str, Any]:
    """Kind of log -> the report on the tenant's.

    The command's own work on these logs alone: a test's verdict is not about what other tests recorded.
    """
    from django.conf import settings

    from auditvault.evidence.verification import (
        Trust,
        read_kept,
        read_log_keys,
        read_memory,
        read_retired,
        verify_logs,
    )

    keys = read_log_keys(Path(settings.LOG_VKEYS_FILE))
    trust = Trust(
        keys=keys,
        remembered=read_memory(settings.SIGNER_STATE_FILE) if with_memory else {},
        retired=read_retired(settings.SIGNER_STATE_FILE, region) if with_memory else (),
        kept=read_kept(kept, keys),
    )
    logs = logs_of(tenant, region=region)
    reports = verify_logs(
        region=region,
        logs=list(logs.values()),
        trust=trust,
        with_payloads=with_payloads,
        **{**HOW, **how},
    )
    return dict(zip(logs, reports, strict=True))
