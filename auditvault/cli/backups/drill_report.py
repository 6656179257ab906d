"""A drill's report, for machines and for people: what was restored and found, what it took, what was not looked at.

It names no directory and no machine, so that it can be handed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import auditvault
from auditvault.cli.backups.drill import Drill
from auditvault.cli.up.files import write_private

VERSION = "auditvault/restore-drill/1"
_WORDS = {
    "holds": "HOLDS",
    "does_not_hold": "DOES NOT HOLD",
    "not_checked": "COULD NOT BE CHECKED",
}
_FEW_SECONDS = 10


def report_json(drill: Drill) -> dict[str, Any]:
    """The report for machines."""
    return {
        "v": VERSION,
        "verdict": drill.verdict,
        "region": drill.region,
        "drilled_at": drill.drilled_at.isoformat(timespec="seconds"),
        "auditvault": auditvault.__version__,
        "error": {"code": drill.error.code, "message": _without_paths(drill)}
        if drill.error
        else None,
        "parts": _parts(drill),
        "restored": [{"database": one.database, "rows": one.rows} for one in drill.restored],
        "rows": {
            part: dict(reader.manifest.rows)
            for part, reader in drill.backup.items()
            if drill.restored
        },
        "behind": [log.as_json() for log in drill.behind],
        "checks": drill.checks,
        "not_checked": drill.not_checked,
        "seconds": {what: round(seconds, 3) for what, seconds in drill.steps.items()},
    }


def in_markdown(report: Mapping[str, Any]) -> str:
    """The same for people."""
    return "\n".join(_lines(report)) + "\n"


def write_report(report: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write both into the directory, and return where; raises StorageError."""
    stamp = report["drilled_at"].replace("-", "").replace(":", "").partition("+")[0]
    name = f"restore-drill-{report['region']}-{stamp}Z"
    paths = [directory / f"{name}.md", directory / f"{name}.json"]
    write_private(paths[0], in_markdown(report))
    write_private(paths[1], json.dumps(report, indent=2) + "\n")
    return paths


def _parts(drill: Drill) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, reader in drill.backup.items():
        manifest = reader.manifest
        age = drill.drilled_at - manifest.as_of
        found[part] = {
            "backup": str(manifest.backup),
            "as_of": manifest.as_of.isoformat(timespec="seconds"),
            "age_seconds": max(0, round(age.total_seconds())),
            "files": sum(len(files) for files in manifest.dumps.values()),
            "size_bytes": manifest.size_bytes,
            "rows": sum(manifest.rows.values()),
            "postgresql": manifest.postgresql,
            "auditvault": manifest.auditvault,
            "epoch": manifest.epoch,
            "erasures": manifest.erasures,
        }
    return found


def _without_paths(drill: Drill) -> str:
    """An error's message names files; the report goes to others."""
    said = drill.error.message if drill.error else ""
    for reader in drill.backup.values():
        said = said.replace(str(reader.directory), f"<backup>/{reader.directory.name}")
    return " ".join("<file>" if word.startswith("/") else word for word in said.split())


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Restore drill: region {report['region']}, {_WORDS[report['verdict']]}"
    yield ""
    yield f"Drilled at {report['drilled_at']} by auditvault {report['auditvault']}."
    if report["error"]:
        yield ""
        yield f"It ended with `{report['error']['code']}`: {report['error']['message']}"
    yield from _section("What was restored", _parts_table(report))
    yield from _section("What was found", _checks(report))
    yield from _section("Logs that went on after the backup", _behind(report))
    yield from _section("Time taken", _times(report))
    yield from _section("Not checked", [f"- {what}" for what in report["not_checked"]])
    yield from _section("Rows", _rows(report))


def _section(title: str, lines: Iterator[str] | list[str]) -> Iterator[str]:
    content = list(lines)
    if content:
        yield from ["", f"## {title}", "", *content]


def _parts_table(report: Mapping[str, Any]) -> Iterator[str]:
    if report["parts"]:
        yield "| part | as of | age when drilled | files | bytes | rows | PostgreSQL |"
        yield "|---|---|---|---|---|---|---|"
    for part, of in report["parts"].items():
        yield (
            f"| {part} | {of['as_of']} | {_duration(of['age_seconds'])} | {of['files']} | {of['size_bytes']:,}"
            f" | {of['rows']:,} | {of['postgresql']} |"
        )


def _checks(report: Mapping[str, Any]) -> Iterator[str]:
    for name, check in report["checks"].items():
        verdict = "holds" if check["holds"] else "**DOES NOT HOLD**"
        said = [
            f"{count:,} {what.replace('_', ' ')}"
            for what, count in check.items()
            if isinstance(count, int) and not isinstance(count, bool)
        ]
        yield f"- {name}: {verdict}" + (f" ({', '.join(said)})" if said else "")
        for finding in check.get("findings", []):
            yield f"    - `{finding['finding']}` first at index {finding['index']} of {finding['log']}"
        for log in check.get("differing", []):
            yield f"    - the live log has not grown from the backup's: {log}"
        for finding in check.get("database_findings", []):
            yield f"    - database: {finding['finding']} on {finding['object']}"


def _behind(report: Mapping[str, Any]) -> Iterator[str]:
    for log in report["behind"]:
        yield f"- {log['origin']}: {log['size']:,} entries in the backup, {log['remembered']:,} signed by now"


def _times(report: Mapping[str, Any]) -> Iterator[str]:
    if report["seconds"]:
        yield "| step | seconds |"
        yield "|---|---|"
    for what, seconds in report["seconds"].items():
        yield (
            f"| {what} | {seconds:.2f} |"
            if seconds < _FEW_SECONDS
            else f"| {what} | {seconds:.0f} |"
        )


def _rows(report: Mapping[str, Any]) -> Iterator[str]:
    counts = [
        (part, table, n) for part, rows in report["rows"].items() for table, n in rows.items()
    ]
    if counts:
        yield "| part | table | rows |"
        yield "|---|---|---|"
    for part, table, count in counts:
        yield f"| {part} | {table} | {count:,} |"


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds} s"
