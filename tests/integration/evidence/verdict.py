"""What `auditvault verify` says, as its exit code and its JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest


def verify(*, region: str = "us") -> tuple[int, dict[str, Any]]:
    """Exit code and answer of the command for one region."""
    from django.core.management import call_command

    out = io.StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("verify", region=[region], json=True, stdout=out)
    assert isinstance(left.value.code, int)
    return left.value.code, json.loads(out.getvalue())


def logs_of(tenant: Any, *, region: str = "us") -> dict[str, Any]:
    """Kind -> the tenant's log of that kind."""
    from auditvault.ledger.logs import tenant_logs

    return {log.kind: log for log in tenant_logs(region=region, tenant_id=tenant.tenant_id)}


def findings(tenant: Any, *, region: str = "us") -> dict[str, dict[str, int]]:
    """Kind of log -> what is wrong with the tenant's: kind of finding -> first bad index.

    The command's own work on these logs alone: a test's verdict is not about what other tests recorded.
    """
    from django.conf import settings

    from auditvault.cli.management.commands.verify import _remembered
    from auditvault.evidence.verification import _verify_log, read_public_keys

    keys, remembered = read_public_keys(Path(settings.LOG_VKEYS_FILE)), _remembered()
    found = {}
    for kind, log in logs_of(tenant, region=region).items():
        report = _verify_log(region, log, keys, remembered.get(log.origin), None)
        if not report.holds:
            found[kind] = report.first_bad
    return found
