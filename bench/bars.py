"""What the figures have to reach, and whether they do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from bench.results import LOAD, Figures


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit for a figure."""

    name: str
    limit: float
    unit: str
    is_least: bool = False
    """The figure has to be as much or more; else as much or less."""

    def missed_by(self, value: float) -> float | None:
        """By how much of the limit a value misses it; None: it does not."""
        short = self.limit - value if self.is_least else value - self.limit
        return short / self.limit if short > 0 else None


BARS: Final = (
    Bar("ingest_readings_per_s", 200_000, "readings/s", is_least=True),
    Bar("ingest_vs_copy_ratio", 0.5, "×", is_least=True),
    Bar("bytes_per_reading_day0", 100, "bytes"),
    Bar("bytes_per_reading_closed", 6, "bytes"),
    Bar("query_24h_1m_p95_ms", 15, "ms"),
    Bar("query_30d_1h_p95_ms", 15, "ms"),
    Bar("query_10x24h_1m_p95_ms", 80, "ms"),
    Bar("rollup_cpu_s_per_million", 1.5, "s"),
    Bar("late_backlog_s", 90, "s"),
    Bar("api_warm_p95_ms", 10, "ms"),
    Bar("api_round_trips", 1, "beyond own"),
    Bar("audit_added_ms", 1, "ms"),
    Bar("command_round_trip_p50_ms", 300, "ms"),
    Bar("import_10000_devices_s", 60, "s"),
    Bar("provision_1000_devices_s", 30, "s"),
    Bar("export_csv_vs_copy_ratio", 0.6, "×", is_least=True),
    Bar("export_worker_rss_mb", 256, "MB"),
    Bar("export_100k_to_email_s", 10, "s"),
    Bar("import_ms_ingest", 150, "ms"),
    Bar("import_ms_api", 300, "ms"),
)


def print_bars(figures: Figures) -> None:
    """A table of those of the figures that have one."""
    rows = [
        (prefix + bar.name, figures.median(prefix + bar.name), bar)
        for prefix in ("", "timescale_")
        for bar in BARS
        if prefix + bar.name in figures.by_name
    ]
    if not rows:
        return
    width = max(len(name) for name, *_ in rows)
    print(f"\n{'bar':<{width}}  {'figure':>12} {'limit':>14}")
    for name, value, bar in rows:
        missed = bar.missed_by(value)
        word = "met" if missed is None else f"MISSED by {missed:.0%}"
        limit = f"{'≥' if bar.is_least else '≤'} {bar.limit:,g} {bar.unit}"
        print(f"{name:<{width}}  {value:>12,.4g} {limit:>14}  {word}")
    cores = os.cpu_count() or 1
    for prefix in ("", "timescale_"):
        load = figures.median(prefix + LOAD) if prefix + LOAD in figures.by_name else 0.0
        if load > cores:
            print(
                f"{prefix}query_…_ms: the machine was busy with other work (a load of {load:.1f} "
                f"on {cores} cores), and these times tell of that; repeat them when it is idle"
            )
