"""The storage as a whole: bytes a reading, queries, rollups, what comes late.

Readings of equipment for 30 days and some live minutes of 10,000 points, on the embedded server or
on a TimescaleDB that TIMESCALE_URL names. SIZE=full is 30 million readings.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import closing
from datetime import datetime
from typing import Final

from bench import storage_late
from bench.predecessor import Predecessor
from bench.results import Figures
from bench.servers import embedded_postgres
from bench.storage_load import DEFAULT_SIZE, SIZES, Loader
from bench.storage_queries import Asker, Span
from bench.storage_server import Server, fresh
from traksense.db.retention import SqlRetentionStore

RAW_RETENTION_DAYS: Final = 31
_PAGES: Final = 16_384


def run(figures: Figures) -> None:
    """Measure on the embedded server. Raises ValueError for a SIZE that is none."""
    size = _size()
    with embedded_postgres() as url:
        _in_a_process(url, size, "", figures)


def run_on_timescale(figures: Figures) -> None:
    """Measure on the server that TIMESCALE_URL names, if it does. Raises ValueError like run."""
    size = _size()
    url = os.environ.get("TIMESCALE_URL", "")
    if url:
        _in_a_process(url, size, "timescale_", figures)
    else:
        print("TIMESCALE_URL is not set: nothing was measured on TimescaleDB", flush=True)


def _size() -> str:
    name = os.environ.get("SIZE", "") or DEFAULT_SIZE
    if name not in SIZES:
        raise ValueError(f"SIZE is {name!r}: it is one of {', '.join(SIZES)}")
    return name


def _in_a_process(url: str, size: str, prefix: str, figures: Figures) -> None:
    """A process of its own: handlers keep their database for as long as they live."""
    figures.size = size
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        measured = pool.apply(measure, (url, size, prefix))
    figures.by_name.update(measured.by_name)


def measure(admin_url: str, size_name: str, prefix: str) -> Figures:
    """All figures of one server."""
    size = SIZES[size_name]
    figures = Figures(prefix=prefix, size=size_name)
    with fresh(admin_url, size.readings) as server:
        print(f"engine {server.engine}, about {size.readings:,} readings", flush=True)
        expected = "timescale" if prefix else "plain"
        assert server.engine == expected, f"the server stores readings on {server.engine}"
        os.environ.update(
            DATABASE_URL=server.url,
            TRAKSENSE_LOG_LEVEL="WARNING",
            TRAKSENSE_METRICS="none",
            TRAKSENSE_RAW_RETENTION_DAYS=str(RAW_RETENTION_DAYS),
            AWS_REGION="us-east-1",
            COGNITO_USER_POOL_ID="us-east-1_bench",
            COGNITO_CLIENT_ID="bench",
        )
        _measure(server, size_name, figures, with_predecessor=not prefix)
    return figures


def _measure(server: Server, size: str, figures: Figures, *, with_predecessor: bool) -> None:
    predecessor = Predecessor(server.url, server.tenant_id) if with_predecessor else None
    loader = Loader(server, SIZES[size], figures, predecessor)
    with closing(loader.jobs.database):
        loader.load()
        _sizes(server, loader.readings, figures, predecessor)
        server.execute("VACUUM ANALYZE")  # as the server does of itself, at its own time
        asker = Asker(server, Span(loader.first, loader.end), predecessor)
        asker.measure(figures)
        loader.readings += storage_late.measure(server, loader.jobs, figures)
        if server.engine == "plain":
            _put_in_order(loader, figures)
            server.execute("VACUUM ANALYZE")
            figures.add(
                "bytes_of_rollups_in_order_per_reading",
                server.bytes_of_rollups() / loader.readings,
                "bytes",
            )
            asker.measure(figures, "_in_order")
    if predecessor is not None:
        predecessor.close()
    letters = server.one("SELECT count(*) FROM public.ingest_errors")
    assert letters == 0, f"{letters} messages became dead letters"
    live = figures.of("rollup_live_cpu_s_per_million")
    behind = figures.of("rollup_catch_up_cpu_s_per_million")
    assert live is not None
    assert behind is not None
    figures.add("rollup_cpu_s_per_million", max(live, behind), "s")


def _sizes(
    server: Server, readings: int, figures: Figures, predecessor: Predecessor | None
) -> None:
    size, closed = server.closed()
    figures.add("bytes_per_reading_closed", size / closed, "bytes")
    figures.add("bytes_of_rollups_per_reading", server.bytes_of_rollups() / readings, "bytes")
    if predecessor is not None:
        figures.add("bytes_per_reading_predecessor", predecessor.bytes() / readings, "bytes")


def _put_in_order(loader: Loader, figures: Figures) -> None:
    """Rewrite every month of rollups, which retention does once nothing late can reach it."""
    store = SqlRetentionStore(loader.jobs.database)
    far = datetime.fromisoformat("2100-01-01T00:00:00+00:00")
    with loader.jobs.cpu() as seconds:
        while (partition := store.begin_rewrite(far)) is not None:
            while store.rewrite_slice(partition, _PAGES):
                pass
            assert store.finish_rewrite(partition), f"{partition} was changed meanwhile"
    figures.add("rollup_order_cpu_s_per_million", seconds() / loader.readings * 1e6, "s")
