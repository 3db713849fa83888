"""The worker of an export in a process of its own, so that its memory is its own.

Does what Lambda does: calls the chunk handler once for each chunk, one after the other, in one
warm container. Prints what it took as JSON. ``--sink none`` writes into nothing, to tell what the
sink itself takes.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

from functions.exports import chunk
from traksense import bootstrap
from traksense.services.export_chunk import ExportChunks, StagedObject


class _Nowhere:
    """Objects that are gone as soon as they are written."""

    def create(self, key: str, *, awaits_head: bool) -> StagedObject:  # noqa: ARG002
        """An object."""
        return _Nothing()

    def remove(self, key: str) -> None:
        """There is none."""


class _Nothing:
    def write(self, data: bytes) -> None:
        """Nothing is kept."""

    def close(self, head: bytes = b"") -> None:
        """Nothing is made."""

    def abandon(self) -> None:
        """Nothing is left."""


def peak_mb() -> float:
    """The most memory that this process ever had, in MB (10^6 bytes)."""
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, "the kernel tells no peak of memory"
    return int(found[1]) * 1024 / 1e6


def main() -> None:
    """Write the chunks of an export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tenant_id")
    parser.add_argument("export_id")
    parser.add_argument("chunks", type=int)
    parser.add_argument("--sink", choices=("s3", "none"), default="s3")
    options = parser.parse_args()
    if options.sink == "none":
        chunk.service.use(_without_sink())
    event = {"tenant_id": options.tenant_id, "export_id": options.export_id, "attempt": 1}
    started, cpu = time.perf_counter(), time.process_time()
    rows = [chunk.handler({**event, "chunk": n}, None)["rows"] for n in range(options.chunks)]
    took = {
        "rows": sum(rows),
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(took))


def _without_sink() -> ExportChunks:
    from traksense.db.export_rows import SqlExportRows
    from traksense.db.export_work import SqlExportWork

    _, database = bootstrap.start("export_chunk")
    return ExportChunks(SqlExportWork(database), SqlExportRows(database), _Nowhere())


if __name__ == "__main__":
    main()
