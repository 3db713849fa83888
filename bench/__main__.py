"""``make bench``: every benchmark, or those that are named."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bench import (
    api,
    audit,
    commands,
    devices,
    export_mail,
    exports,
    imports,
    ingest,
    latency,
    startup,
    storage,
)
from bench.bars import print_bars
from bench.results import Figures
from bench.servers import embedded_postgres


def _ingest(figures: Figures) -> None:
    with embedded_postgres() as url:
        ingest.run(url, figures)


BENCHMARKS: dict[str, Callable[[Figures], None]] = {
    "ingest": _ingest,
    "storage": storage.run,
    "storage_timescale": storage.run_on_timescale,
    "latency": latency.run,
    "api": api.run,
    "audit": audit.run,
    "commands": commands.run,
    "devices": devices.run,
    "exports": exports.run,
    "export_mail": export_mail.run,
    "imports": imports.run,
    "startup": startup.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a table, write the results file."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME",
                        help=f"which: {', '.join(BENCHMARKS)} (default: all)")  # fmt: skip
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    for name in options.names or BENCHMARKS:
        figures = Figures()
        print(f"\n{name}", flush=True)
        BENCHMARKS[name](figures)
        figures.print()
        print_bars(figures)
        if not options.no_write:
            figures.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
