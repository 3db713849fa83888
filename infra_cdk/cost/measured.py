"""What the benchmarks measured of the platform, as far as a bill depends on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RESULTS_JSON: Final = Path(__file__).parents[2] / "bench" / "results.json"

_BENCH_INTERVAL_S: Final = 10
"""Each point of the storage benchmark reports so often (docs/reference/benchmarks.md)."""
_ROLLUP_ROWS_PER_MINUTE: Final = 1 + 1 / 5 + 1 / 60


class NotMeasured(Exception):
    """``bench/results.json`` lacks a figure; the message names it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of ``bench/results.json`` in SI units, as they are there: of the machine of the
    benchmarks, not of Lambda's or the database's."""

    ingest_s_per_reading: float
    """Time of the ingest function, the wait for the database included."""
    ingest_database_s_per_reading: float
    """CPU of its session in the server."""
    rollup_s_per_reading: float
    """CPU of server and client."""
    rollup_order_s_per_reading: float
    segment_s_per_reading: float
    refresh_s: float
    """Of a refresh that has next to nothing to do."""
    api_s_per_request: float
    """A day of a point by minutes, the page's most frequent heavy question."""
    api_database_s_per_request: float
    open_bytes_per_reading: float
    """A row with its index, until its day is closed."""
    closed_bytes_per_reading: float
    bytes_per_rollup_row: float


def load(path: Path = RESULTS_JSON) -> Measured:
    """The figures of the last benchmarks. Raises NotMeasured."""
    results = json.loads(path.read_text("utf-8"))

    def figure(name: str) -> float:
        try:
            return float(results[name]["value"])
        except KeyError:
            raise NotMeasured(f"{path.name} has no figure {name}: make bench") from None

    of_a_minute = figure("bytes_of_rollups_in_order_per_reading") * 60 / _BENCH_INTERVAL_S
    return Measured(
        ingest_s_per_reading=1 / figure("ingest_readings_per_s"),
        ingest_database_s_per_reading=figure("ingest_server_cpu_us_per_reading") / 1e6,
        rollup_s_per_reading=figure("rollup_cpu_s_per_million") / 1e6,
        rollup_order_s_per_reading=figure("rollup_order_cpu_s_per_million") / 1e6,
        segment_s_per_reading=figure("segment_encode_cpu_s_per_million") / 1e6,
        refresh_s=figure("rollup_cpu_ms_per_refresh") / 1000,
        api_s_per_request=figure("query_24h_1m_p50_ms") / 1000,
        api_database_s_per_request=figure("query_24h_1m_server_cpu_ms") / 1000,
        open_bytes_per_reading=figure("bytes_per_reading_day0"),
        closed_bytes_per_reading=figure("bytes_per_reading_closed"),
        bytes_per_rollup_row=of_a_minute / _ROLLUP_ROWS_PER_MINUTE,
    )
