"""`make bench`: how fast spans become durable, chained, sealed records, beside the floor of the same run."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.service import measure


def main() -> int:
    """Measure, print a table, and write JSON where asked; exit code 1 where a record was lost or does not verify."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--senders", type=int, default=4, help="sending processes (default: 4)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the load")
    options = parser.parse_args()
    figures = measure(senders=options.senders, quick=options.quick)
    figures |= {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    _say(figures)
    whole = figures["acknowledged"] == figures["durable"] and figures["verify"] == "holds"
    return 0 if whole else 1


def _say(figures: dict[str, Any]) -> None:
    print(
        f"{'batch':>5} {'spans/s':>8} {'target':>7} {'floor/s':>8} {'ratio':>6}   CPU us a span: web, postgres, sender"
    )
    for batch, item in figures["batches"].items():
        service = item["service"]
        print(
            f"{batch:>5} {item['spans_per_second']:>8} {item['target']:>7}"
            f" {item['floor_spans_per_second']:>8} {item['ratio_to_floor']:>6}"
            f"   {service['web_cpu_us_per_span']:>6} {service['postgres_cpu_us_per_span']:>6}"
            f" {service['sender_cpu_us_per_span']:>6}"
        )
    print(
        f"acknowledged {figures['acknowledged']}, durable {figures['durable']}, log: {figures['verify']}"
    )


if __name__ == "__main__":
    sys.exit(main())
