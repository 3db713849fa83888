"""Exports: rows a second and the memory of one worker, beside ``psql \\copy`` of the same rows.

Ten million readings of 500 points in a week, five of its days closed and two in rows. The worker
is a process of its own that calls the chunk handler for one chunk after the other; its S3 is the
emulator's, in a third process. psql writes a file. Both take turns in one run on one server, and
what both wrote has to be the same, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import psycopg
import pyarrow.parquet as pq

from bench.results import Figures
from bench.servers import embedded_postgres
from bench.storage_server import Server, fresh
from local.home import Home
from local.ports import free_port
from local.postgres_programs import find_programs
from traksense.db.connection import Database
from traksense.db.segments import SqlSegmentStore
from traksense.domain.zip_stream import header_length
from traksense.services.export_work import entry_name
from traksense.services.segments import Segments

DEVICES: Final = 50
POINTS: Final = 10
"""Of each device; one of them is a bool."""
DAYS: Final = 7
READINGS: Final = 10_000_000
CHUNKS: Final = 5
"""Of 100 points each: as many rows as the plan gives a chunk."""
ROUNDS: Final = 2
_BUCKET: Final = "bench-exports"
_REGION: Final = "us-east-1"
_STEP: Final = timedelta(days=DAYS) * (DEVICES * POINTS) / READINGS
"""Between two readings of a point."""
_ENDED_S: Final = 30

_LOAD: Final = """
INSERT INTO public.m_raw (ts, v_num, v_bool, point_sk)
SELECT g.ts,
       CASE WHEN d.type = 'num' THEN round((20 + 10 * random())::numeric, 2)::float8 END,
       CASE WHEN d.type = 'bool' THEN random() < 0.5 END, d.point_sk
FROM generate_series(%(first)s, %(end)s - interval '1 microsecond', %(step)s) AS g (ts)
CROSS JOIN public.dim_point d
ORDER BY g.ts, d.point_sk
"""
_COPY: Final = """\\copy (
SELECT replace((r.ts AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS ts, w.site, w.device, w.point,
       r.value, w.unit, r.qual AS quality
FROM (
    SELECT s.slug AS site, d.name AS device, p.name AS point, p.unit, p.id, g.day AS start
    FROM public.points p JOIN public.devices d ON d.id = p.device_id
    JOIN public.sites s ON s.id = d.site_id
    CROSS JOIN generate_series('{first}'::timestamptz, '{last}'::timestamptz, '1 day') AS g (day)
    ORDER BY s.slug, d.name, p.name, g.day OFFSET 0
) w
CROSS JOIN LATERAL (
    SELECT m.ts, m.qual,
           CASE WHEN m.v_num IS NOT NULL THEN m.v_num::text
                WHEN m.v_bool THEN 'true' WHEN NOT m.v_bool THEN 'false' ELSE m.v_text END AS value
    FROM public.ts_measure_tenant m
    WHERE m.point_id = w.id AND m.ts >= w.start AND m.ts < w.start + interval '1 day'
      AND m.stored >= w.start AND m.stored < w.start + interval '1 day'
    ORDER BY m.ts OFFSET 0
) r
) TO '{file}' WITH (FORMAT csv, HEADER)"""
"""The quickest statement for these rows that we know: its order is that of its loops, without a
sort of everything. psql takes it in one line."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured on."""

    server: Server
    first: datetime
    end: datetime
    environment: dict[str, str]
    """Of a worker."""
    directory: Path

    @property
    def s3(self) -> Any:
        """The emulator's."""
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        url, key, secret = (self.environment[name] for name in names)
        return boto3.client(
            "s3", region_name=_REGION, endpoint_url=url, aws_access_key_id=key,
            aws_secret_access_key=secret,
        )  # fmt: skip


def run(figures: Figures) -> None:
    """Load, write in turns, compare."""
    # A week of whole days, the two youngest of which are still rows.
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with (
        tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory,
        embedded_postgres() as url,
        fresh(url, READINGS) as server,
        _emulator() as environment,
    ):
        bench = Bench(
            server, end - timedelta(days=DAYS), end,
            {
                **environment,
                "DATABASE_URL": server.url,
                "TRAKSENSE_EXPORTS_BUCKET": _BUCKET,
                "TRAKSENSE_METRICS": "none",
                "TRAKSENSE_LOG_LEVEL": "WARNING",
            },
            Path(directory),
        )  # fmt: skip
        rows = _load(bench)
        print(f"{rows:,} readings of {DEVICES * POINTS} points", flush=True)
        for number in range(ROUNDS):
            _round(bench, rows, figures, is_first=number == 0)


def _round(bench: Bench, rows: int, figures: Figures, *, is_first: bool) -> None:
    copied = bench.directory / "copy.csv"
    copy_s = _copy(bench, copied)
    figures.add("export_psql_copy_rows_per_s", rows / copy_s, "rows/s")
    peaks = []
    for format_, name in (("csv", "csv"), ("csv.gz", "gzip"), ("parquet", "parquet")):
        export = _planned(bench, format_)
        took = _worker(bench, export, "s3")
        assert took["rows"] == rows, f"{format_}: {took['rows']:,} of {rows:,} rows"
        figures.add(f"export_{name}_rows_per_s", rows / took["seconds"], "rows/s")
        figures.add(f"export_{name}_rss_mb", took["peak_mb"], "MB")
        figures.add(f"export_{name}_worker_cpu_s", took["cpu_s"], "s")
        peaks.append(took["peak_mb"])
        if format_ == "csv":
            figures.add("export_csv_vs_copy_ratio", copy_s / took["seconds"], "×")
        objects = _objects(bench, export, f"export_{name}_bytes_per_row", rows, figures)
        if format_ == "parquet":
            assert _parquet_rows(objects) == rows
        elif is_first:
            assert _digest(objects, format_) == _digest_of_copy(copied), "the files differ"
        bench_s3 = bench.s3
        for key in _keys(bench, export):
            bench_s3.delete_object(Bucket=_BUCKET, Key=key)
    figures.add("export_worker_rss_mb", max(peaks), "MB")
    alone = _worker(bench, _planned(bench, "csv"), "none")
    figures.add("export_csv_without_s3_rows_per_s", rows / alone["seconds"], "rows/s")
    copied.unlink()


def _load(bench: Bench) -> int:
    server = bench.server
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT %s, %s, %s, 'chiller-' || lpad(n::text, 3, '0')"
            " FROM generate_series(1, %s) AS n",
            (server.tenant_id, server.site_id, server.template_id, DEVICES),
        )
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, position, name, type, unit)"
            " SELECT d.tenant_id, d.id, n, 'temp_agua_' || n, CASE n WHEN 0 THEN 'bool' ELSE 'num'"
            " END, CASE WHEN n > 0 THEN '°C' END"
            " FROM public.devices d, generate_series(0, %s - 1) AS n",
            (POINTS,),
        )
        connection.execute(
            "SELECT public.ensure_raw_partitions(%s, current_date + 1)", (bench.first.date(),)
        )
        for day in range(DAYS):
            start = bench.first + timedelta(days=day)
            span = {"first": start, "end": start + timedelta(days=1), "step": _STEP}
            connection.execute(_LOAD, span)
        # What close-days waits for; the rollups are another benchmark's subject.
        connection.execute("UPDATE public.rollup_state SET refreshed = now()")
        database = Database(server.url)
        try:
            report = Segments(SqlSegmentStore(database)).close()
        finally:
            database.close()
        assert report.closed == DAYS - 2, report
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT count(*) FROM public.raw_readings").fetchone()
    assert row is not None
    return int(row[0])


def _planned(bench: Bench, format_: str) -> str:
    """An export of everything, as the plan leaves it; its id."""
    with psycopg.connect(bench.server.url) as connection:
        row = connection.execute(
            "INSERT INTO public.exports (tenant_id, requested_by, email, locale, range_from,"
            " range_to, agg, format, time_zone, status, started_at) VALUES (%s, 'bench',"
            " 'ana@acme.example', 'en', %s, %s, 'raw', %s, 'UTC', 'PROCESSING', now())"
            " RETURNING id",
            (bench.server.tenant_id, bench.first, bench.end, format_),
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO public.export_chunks (tenant_id, export_id, number, attempt, point_ids,"
            " starts, ends, planned_rows)"
            " SELECT %(tenant)s, %(export)s, o.chunk, 1, array_agg(o.id ORDER BY o.n),"
            " array_agg(%(first)s::timestamptz), array_agg(%(end)s::timestamptz),"
            " %(rows)s::bigint / %(chunks)s::integer"
            " FROM (SELECT p.id, row_number() OVER w AS n,"
            " ntile(%(chunks)s::integer) OVER w - 1 AS chunk"
            " FROM public.points p JOIN public.devices d ON d.id = p.device_id"
            " WINDOW w AS (ORDER BY d.name, p.name)) o GROUP BY o.chunk",
            {
                "tenant": bench.server.tenant_id, "export": row[0], "first": bench.first,
                "end": bench.end, "rows": READINGS, "chunks": CHUNKS,
            },
        )  # fmt: skip
    return str(row[0])


def _worker(bench: Bench, export: str, sink: str) -> dict[str, float]:
    """Run a worker in a process of its own; what it says of itself."""
    done = subprocess.run(
        [
            sys.executable, "-m", "bench.export_worker",
            str(bench.server.tenant_id), export, str(CHUNKS), "--sink", sink,
        ],
        env={**os.environ, **bench.environment}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return took


def _copy(bench: Bench, file: Path) -> float:
    """Seconds that psql takes to write the same rows into a file."""
    statement = _COPY.format(
        first=bench.first.isoformat(), last=(bench.end - timedelta(days=1)).isoformat(), file=file
    )
    script = [
        "BEGIN",
        "SELECT pg_catalog.set_config('role', 'traksense_app', true),"
        f" pg_catalog.set_config('app.tenant_id', '{bench.server.tenant_id}', true),"
        " pg_catalog.set_config('datestyle', 'ISO', true),"
        " pg_catalog.set_config('work_mem', '32MB', true),"
        " pg_catalog.set_config('jit', 'off', true)",
        " ".join(statement.split()),
        "COMMIT",
    ]
    psql = find_programs(Home(bench.directory), None).path("psql")
    started = time.perf_counter()
    subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1",
         *(word for each in script for word in ("-c", each)), bench.server.url],
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - started


def _keys(bench: Bench, export: str) -> list[str]:
    """The objects of the chunks in their order."""
    with psycopg.connect(bench.server.url) as connection:
        return [
            key
            for (key,) in connection.execute(
                "SELECT staging_key FROM public.export_chunks WHERE export_id = %s ORDER BY number",
                (export,),
            )
        ]


def _objects(
    bench: Bench, export: str, figure: str, rows: int, figures: Figures
) -> Iterator[bytes]:
    s3, keys = bench.s3, _keys(bench, export)
    sizes = [s3.head_object(Bucket=_BUCKET, Key=key)["ContentLength"] for key in keys]
    figures.add(figure, sum(sizes) / rows, "bytes")
    return (s3.get_object(Bucket=_BUCKET, Key=key)["Body"].read() for key in keys)


def _digest(objects: Iterator[bytes], format_: str) -> str:
    """SHA-256 of the whole file, unpacked."""
    digest = hashlib.sha256()
    for data in objects:
        digest.update(zlib.decompress(data, 16 + zlib.MAX_WBITS) if format_ == "csv.gz" else data)
    return digest.hexdigest()


def _digest_of_copy(file: Path) -> str:
    """SHA-256 of what psql wrote, with the line ends of RFC 4180: no value here has its own."""
    digest = hashlib.sha256()
    with file.open("rb") as lines:
        while block := lines.read(1 << 24):
            digest.update(block.replace(b"\n", b"\r\n"))
    return digest.hexdigest()


def _parquet_rows(objects: Iterator[bytes]) -> int:
    """The rows of all files, each behind the header that it has in the archive."""
    rows = 0
    for number, data in enumerate(objects):
        file = pq.ParquetFile(io.BytesIO(data[header_length(entry_name(number)) :]))
        rows += sum(batch.num_rows for batch in file.iter_batches(columns=["ts"]))
    return rows


@contextmanager
def _emulator() -> Iterator[dict[str, str]]:
    """moto's S3 in a process of its own, with a bucket; the environment of who uses it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION,
    }
    try:
        s3 = boto3.client(
            "s3", region_name=_REGION, endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="bench", aws_secret_access_key="bench",
        )  # fmt: skip
        until = time.monotonic() + _ENDED_S
        while True:
            with contextlib.suppress(Exception):
                s3.create_bucket(Bucket=_BUCKET)
                break
            if time.monotonic() > until:
                raise RuntimeError("the emulator of S3 does not answer")
            time.sleep(0.2)
        yield environment
    finally:
        process.terminate()
        process.wait(_ENDED_S)
