"""`/healthz`: this process runs. `/readyz`: it can do its work. `/metrics`: figures, none of a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from auditvault.access.demands import anybody, demanding
from auditvault.api.access_figures import access_figures
from auditvault.api.key_figures import key_figures
from auditvault.api.privacy_figures import privacy_figures
from auditvault.api.problems import UNAVAILABLE, headers_for
from auditvault.api.time_figures import time_figures
from auditvault.evidence.jobs import last_runs
from auditvault.evidence.witnesses import JOB_NAME as WITNESS_JOB
from auditvault.vault.erasures.pending import restore_pending_reason
from auditvault.vault.health import key_provider_health


@demanding(GET=anybody("Who starts and stops the process asks, and holds no token."))
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@demanding(GET=anybody("As /healthz. It names databases and regions by their settings' names."))
def readyz(_request: HttpRequest) -> JsonResponse:
    """Databases and key providers answer, no region waits after a restore, the logs are witnessed; or 503."""
    checks = dict(_database_checks()) | dict(_provider_checks()) | dict(_restore_checks())
    checks |= dict(_witness_checks(datetime.now(UTC)))
    ready = all(value == "ok" for value in checks.values())
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    body = {"ready": ready, "checks": checks}
    return JsonResponse(body, status=int(status), headers=headers_for(status))


def _database_checks() -> Iterator[tuple[str, str]]:
    needed = ["default"]
    needed += [f"{kind}_{region}" for region in settings.REGIONS for kind in ("region", "keys")]
    for alias in needed:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1")
            yield alias, "ok"
        except UNAVAILABLE:
            yield alias, "unavailable"


def _restore_checks() -> Iterator[tuple[str, str]]:
    """A word of why a region is pending; nothing where a database is away, whose own check says so."""
    for region in settings.REGIONS:
        try:
            reason = restore_pending_reason(region)
        except UNAVAILABLE:
            continue
        yield f"restore_{region}", f"restore_pending: {reason}" if reason else "ok"


def _provider_checks() -> Iterator[tuple[str, str]]:
    """Without the keyring nobody can say which key to ask about; that database's own check is red then."""
    for region in settings.REGIONS:
        try:
            said = key_provider_health(region)
        except UNAVAILABLE:
            continue
        if said is not None:
            yield f"key_provider_{region}", said


def _witness_checks(now: datetime) -> Iterator[tuple[str, str]]:
    """It fails closed: a round that failed, or that was too long ago, says nothing good about the witnesses."""
    if not settings.WITNESS_POLICY_FILE:
        return
    oldest = now - timedelta(seconds=settings.WITNESS_MAX_AGE_SECONDS)
    for region in settings.REGIONS:
        try:
            rounds = [run for run in last_runs(region) if run.name == WITNESS_JOB]
        except UNAVAILABLE:
            yield f"witnesses_{region}", "unavailable"
            continue
        met = any(run.outcome == "ok" and run.finished_at >= oldest for run in rounds)
        yield f"witnesses_{region}", "ok" if met else "unmet"


class _Figures:
    """Collected when asked for: what stands in the databases, the same for every process."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Log sizes by region and kind, the age and outcome of scheduled jobs, stamps and clocks."""
        size = GaugeMetricFamily(
            "auditvault_log_entries", "Entries in all logs of a kind.", labels=["region", "kind"]
        )
        ok = GaugeMetricFamily(
            "auditvault_job_ok", "1 where the job's last run succeeded.", labels=["region", "job"]
        )
        finished = GaugeMetricFamily(
            "auditvault_job_finished_timestamp_seconds",
            "When the job's last run ended, Unix time.",
            labels=["region", "job"],
        )
        unsigned = GaugeMetricFamily(
            "auditvault_signature_age_seconds",
            "Age of the newest checkpoint of the log that has waited longest for one.",
            labels=["region"],
        )
        pending = GaugeMetricFamily(
            "auditvault_restore_pending",
            "1 where the region was restored and its erasure ledger was not gone through again.",
            labels=["region"],
        )
        for region in settings.REGIONS:
            pending.add_metric([region], float(restore_pending_reason(region) is not None))
            with connections[f"region_{region}"].cursor() as cursor:
                cursor.execute("SELECT kind, size FROM ledger_sizes()")
                for kind, entries in cursor.fetchall():
                    size.add_metric([region, kind], float(entries))
                cursor.execute("SELECT extract(epoch FROM ledger_signature_age())")
                ((age,),) = cursor.fetchall()
                if age is not None:
                    unsigned.add_metric([region], float(age))
            for run in last_runs(region):
                ok.add_metric([region, run.name], float(run.outcome == "ok"))
                finished.add_metric([region, run.name], run.finished_at.timestamp())
        yield from (size, unsigned, pending, ok, finished)
        yield from time_figures(settings.REGIONS)
        yield from key_figures(settings.REGIONS, datetime.now(UTC))
        yield from access_figures(settings.REGIONS, datetime.now(UTC))
        yield from privacy_figures(settings.REGIONS)


@demanding(GET=anybody("Figures of the whole site, none of a tenant or person."))
def metrics(_request: HttpRequest) -> HttpResponse:
    """Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
