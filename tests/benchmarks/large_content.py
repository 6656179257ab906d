"""A content of 100 MB, sealed into PostgreSQL from a stream and opened again: extra memory and time.

Runs in a process of its own, with the service's settings in its environment, and prints JSON. A small content goes
first, so that code, keys, connections and partitions are there. Then the kernel's high-water mark of the resident
memory is put back (Linux: `clear_refs`), and what it rises above the memory in use is what the content cost.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

SIZE = 100_000_000
TARGET_BYTES = 64 * 2**20
"""Most extra memory (issue 4)."""

_WARM_UP_SIZE = 3_000_000
_REGION = "eu"


class Flow:
    """A stream of this many bytes, which never exist at once."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.sha256 = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        chunk = (self._left % 251).to_bytes(1, "big") * min(size, self._left)
        self._left -= len(chunk)
        self.sha256.update(chunk)
        return chunk


def measure(size: int) -> dict[str, Any]:
    """Seal and open one content, and say what that took; raises ValueError where another one came back."""
    tenant_id = uuid4()
    flow = Flow(size)
    before = _start()
    object_id = _seal(tenant_id, flow)
    sealed = _since(before)
    before = _start()
    digest, read = _open(tenant_id, object_id)
    opened = _since(before)
    if (read, digest) != (size, flow.sha256.digest()):
        raise ValueError("another content came back")
    most = max(sealed["extra_bytes"], opened["extra_bytes"])
    return {
        "size_bytes": size,
        "seal": sealed,
        "open": opened,
        "target_bytes": TARGET_BYTES,
        "meets_target": most <= TARGET_BYTES,
    }


def _seal(tenant_id: UUID, flow: Flow) -> UUID:
    from auditvault.core.ids import uuid7
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.large import seal_large

    at = datetime.now(UTC)
    with tenant_scope(region_alias(_REGION), tenant_id) as connection:
        said = seal_large(
            connection,
            region=_REGION,
            tenant_id=tenant_id,
            subject_id=uuid4(),
            record_id=uuid7(at),
            role="input",
            stream=flow,
            at=at,
        )
    return UUID(str(said["object"]))


def _open(tenant_id: UUID, object_id: UUID) -> tuple[bytes, int]:
    from auditvault.ledger.scope import region_alias, tenant_scope
    from auditvault.vault.erasures.pending import refuse_while_restore_pending
    from auditvault.vault.opening import objects_by_id, stream_stored

    digest, read = hashlib.sha256(), 0
    with tenant_scope(region_alias(_REGION), tenant_id) as connection:
        stored = objects_by_id(connection, [object_id])[object_id]
        permit = refuse_while_restore_pending(connection, _REGION)
        streamed = stream_stored(permit=permit, tenant_id=tenant_id, stored=stored)
        for chunk in streamed.chunks:
            digest.update(chunk)
            read += len(chunk)
    return digest.digest(), read


def _start() -> tuple[int, float, float]:
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS"), time.monotonic(), time.process_time()


def _since(before: tuple[int, float, float]) -> dict[str, Any]:
    used, began, cpu = before
    return {
        "extra_bytes": max(0, _memory("VmHWM") - used),
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise LookupError(name)


def main() -> None:
    """Measure and print."""
    import django

    django.setup()
    measure(_WARM_UP_SIZE)
    json.dump(measure(SIZE), sys.stdout)


if __name__ == "__main__":
    main()
