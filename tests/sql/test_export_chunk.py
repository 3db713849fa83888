"""Chunks of exports: exactly what the database holds, in every form, by every try."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import random
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pyarrow.parquet as pq
import pytest

from tests.support import exports, fleet, rollups, segments
from tests.support.exports import MemoryFiles, PlannedChunk, chunk_row
from traksense.db.connection import Database
from traksense.db.export_rows import SqlExportRows
from traksense.db.export_work import SqlExportWork
from traksense.domain.exports import Run
from traksense.domain.readings import Value
from traksense.domain.zip_stream import Entry, central_directory, header_length
from traksense.services.export_chunk import ExportChunks
from traksense.services.export_csv import RFC_4180
from traksense.services.export_slices import Part, Slicer
from traksense.services.export_work import ExportEnded, entry_name

HEADER = ["ts", "site", "device", "point", "value", "unit", "quality"]
TEXTS = [
    "plain", 'with "quotes"', "a,b;c", "two\nlines", "two\r\nlines", "\ttab", "=1+1", "+55 11",
    "-5", "@SUM(A1)", "", " spaces ", "água ☃ 🧊", "'", '"', "\\", "\\N", "ends with\n", "\r",
    "\uff1d1", "a=b",
]  # fmt: skip
NUMBERS = [7.35, -0.0, 0.1, 1e20, 1.5e-7, -273.15, 1 / 3, 123456789.123, 5e-324, 2.0**53, 21.0]
ODD_NUMBER = ("-odd", "num", 'm"3;h')
ODD_TEXT = ('=cmd|",\nx', "text", None)
START = datetime.combine(segments.day(6), datetime.min.time(), UTC)
END = datetime.combine(segments.day(-1), datetime.min.time(), UTC)


@pytest.fixture(scope="module")
def seeded(module_database_url: str) -> fleet.Seeded:
    """Readings of every type in closed days, in open ones, and rollups that were refreshed."""
    url = module_database_url
    found = fleet.seed(url)
    with psycopg.connect(url) as connection:
        for name, type_, unit in (ODD_NUMBER, ODD_TEXT):
            row = connection.execute(
                "WITH made AS (INSERT INTO public.points (tenant_id, device_id, name, type, unit)"
                " VALUES (%s, %s, %s, %s, %s) RETURNING id)"
                " SELECT id FROM made",
                (found.tenants["acme"], found.devices["acme_chiller-2"], name, type_, unit),
            ).fetchone()
            assert row is not None
            found.points["acme_chiller-2", name] = row[0]
        for name, sk in connection.execute(
            "SELECT p.name, k.point_sk FROM public.points p JOIN public.dim_point k"
            " ON k.point_id = p.id WHERE p.name = ANY (%s)",
            ([ODD_NUMBER[0], ODD_TEXT[0]],),
        ).fetchall():
            found.sks["acme_chiller-2", name] = sk
        connection.execute(
            "SELECT public.ensure_raw_partitions(current_date - 16, current_date + 3)"
        )
    rows: dict[tuple[int, int], Value] = {}
    for thing in ("acme_chiller-1", "acme_chiller-2", "globex_chiller-1"):
        for ago in (5, 4, 1, 0):
            sk = found.sks[thing, "temp"]
            for n in range(300):
                rows[sk, segments.at(ago, n * 30, n % 3 * 1234)] = NUMBERS[n % len(NUMBERS)]
            for n, text in enumerate(TEXTS):
                rows[found.sks[thing, "note"], segments.at(ago, n * 60 + 0.25)] = text
            for n in range(100):
                rows[found.sks[thing, "compressor_on"], segments.at(ago, n * 45)] = n % 3 == 0
                rows[found.sks[thing, "mode"], segments.at(ago, n * 45)] = ["OFF", "COOL"][n % 2]
    for ago in (5, 0):
        for n in range(30):
            at = segments.at(ago, n * 60)
            rows[found.sks["acme_chiller-2", ODD_NUMBER[0]], at] = float(n)
            rows[found.sks["acme_chiller-2", ODD_TEXT[0]], at] = TEXTS[n % len(TEXTS)]
    segments.write(url, rows)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE public.m_raw SET qual = 3 WHERE extract(minute FROM ts) = 7")
    return found


@pytest.fixture(scope="module")
def url(module_database_url: str, seeded: fleet.Seeded, engine: str) -> str:
    """The same, with the older days closed where the engine closes days, and rollups computed."""
    database = Database(module_database_url)
    rollups.refresh(database)
    database.close()
    if engine == "plain":
        report = segments.close(module_database_url)
        assert report.closed >= 2
    return module_database_url


@contextmanager
def worker(url: str, files: MemoryFiles, **options: Any) -> Iterator[ExportChunks]:
    """The service, with connections of its own."""
    database = Database(url)
    try:
        yield ExportChunks(SqlExportWork(database), SqlExportRows(database), files, **options)
    finally:
        database.close()


def write(url: str, run: Run, number: int = 0, files: MemoryFiles | None = None) -> bytes:
    """Write a chunk; the object. What is recorded of it is true."""
    files = files or MemoryFiles()
    with worker(url, files) as chunks:
        rows = chunks.write(run, number)
    row = chunk_row(url, run, number)
    assert not files.open
    data = files.objects[row["staging_key"]]
    assert row["staging_key"].startswith(f"{run.tenant_id}/{run.export_id}/staging/")
    assert (row["row_count"], row["rows_so_far"]) == (rows, rows)
    assert row["byte_count"] == len(data)
    return data


THINGS = ("acme_chiller-1", "acme_chiller-2")


def parts(seeded: fleet.Seeded, *things: str) -> list[tuple[UUID, datetime, datetime]]:
    """Every point of these devices over all of the time, by device and name."""
    keys = sorted(key for key in seeded.points if key[0] in (things or THINGS))
    return [(seeded.points[key], START, END) for key in keys]


def expected_raw(
    url: str, points: Sequence[UUID], start: datetime = START, end: datetime = END
) -> list[tuple[Any, ...]]:
    """The readings of these points as the database has them, in the order of the file."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT array_position(%s::uuid[], k.point_id), r.ts, s.slug, d.name, p.name, p.type,"
            " p.unit, r.v_num, r.v_bool, r.v_text, r.qual"
            f" FROM public.{'raw_readings' if _is_plain(connection) else 'm_raw'} r"
            " JOIN public.dim_point k USING (point_sk) JOIN public.points p ON p.id = k.point_id"
            " JOIN public.devices d ON d.id = p.device_id JOIN public.sites s ON s.id = d.site_id"
            " WHERE k.point_id = ANY (%s) AND r.ts >= %s AND r.ts < %s ORDER BY 1, 2".encode(),
            (list(points), list(points), start, end),
            binary=True,
        ).fetchall()
    return [row[1:] for row in rows]


def _is_plain(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT public.storage_engine()").fetchone()
    assert row is not None
    return row[0] == "plain"


def stamp(ts: datetime) -> str:
    utc = ts.astimezone(UTC)
    fraction = f".{utc.microsecond:06}".rstrip("0") if utc.microsecond else ""
    return f"{utc:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def read_csv(data: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(
        csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True)
    )


def as_read(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A reading of the database as what the cells of a line say."""
    ts, site, device, name, type_, unit, number, flag, text, quality = row
    value = {"num": number, "bool": {True: "true", False: "false"}.get(flag)}.get(type_, text)
    return stamp(ts), site, device, name, segments.bits(value), unit or "", str(quality)


def as_meant(cells: list[str], types: dict[str, str]) -> tuple[Any, ...]:
    ts, site, device, name, value, unit, quality = cells
    meant = float(value) if types[name] == "num" else value
    return ts, site, device, name, segments.bits(meant), unit, quality


def point_types(rows: list[tuple[Any, ...]]) -> dict[str, str]:
    return {row[3]: row[4] for row in rows}


def test_a_csv_holds_every_reading_of_the_database_and_nothing_else(
    url: str, seeded: fleet.Seeded
) -> None:
    wanted = parts(seeded)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(wanted, 3000)], start=START, end=END
    )
    data = write(url, run)
    expected = expected_raw(url, [part[0] for part in wanted])
    assert len(expected) == 2 * 4 * (300 + len(TEXTS) + 200) + 2 * 2 * 30
    found = read_csv(data)
    types = point_types(expected)
    assert found[0] == HEADER
    assert [as_meant(cells, types) for cells in found[1:]] == [as_read(row) for row in expected]
    row = chunk_row(url, run)
    assert row["row_count"] == len(expected)
    assert row["sha256"] == hashlib.sha256(data).digest()
    assert row["crc32"] == zlib.crc32(data)


def test_lines_end_as_rfc_4180_wants_and_texts_keep_their_own_line_ends(
    url: str, seeded: fleet.Seeded
) -> None:
    part = (seeded.points["acme_chiller-1", "note"], START, END)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk([part])], start=START, end=END
    )
    data = write(url, run)
    lines = [b",".join((stamp(row[0]).encode(), b"plant,chiller-1,note", _quoted(row[8]), b"",
                        str(row[9]).encode())) + b"\r\n"
             for row in expected_raw(url, [part[0]])]  # fmt: skip
    assert data == b"ts,site,device,point,value,unit,quality\r\n" + b"".join(lines)


def _quoted(text: str) -> bytes:
    needs = not text or any(sign in text for sign in '",;\r\n')
    return ('"' + text.replace('"', '""') + '"' if needs else text).encode()


def test_slices_that_are_cut_short_lose_nothing(url: str, seeded: fleet.Seeded) -> None:
    """Dense points: the first guess is wrong, and later ones are too."""
    wanted = parts(seeded)
    points = [part[0] for part in wanted]
    database = Database(url)
    rows = SqlExportRows(database)
    tenant = seeded.tenants["acme"]
    known = rows.points(tenant, points)
    for most in (37, 299, 300, 301):
        slicer = Slicer([Part(*part, most) for part in wanted], 0)
        found: list[bytes] = []
        while batch := slicer.batch():
            for lines in rows.lines(tenant, "raw", batch, known, RFC_4180):
                assert lines.rows <= most
                found.append(lines.data)
                if not slicer.saw(lines.slice, lines.rows, lines.last):
                    break
        expected = expected_raw(url, points)
        types = point_types(expected)
        assert [as_meant(cells, types) for cells in read_csv(b"".join(found))] == [
            as_read(row) for row in expected
        ], most
    database.close()


def test_bounds_are_of_each_part_and_exclusive_at_the_end(url: str, seeded: fleet.Seeded) -> None:
    temp = seeded.points["acme_chiller-1", "temp"]
    at = [datetime.fromtimestamp(segments.at(5, n * 30) / 1e6, UTC) for n in (3, 6, 9)]
    chunk = PlannedChunk([(temp, at[0], at[1]), (temp, at[1], at[1]), (temp, at[1], at[2])])
    run = exports.running_export(
        url, seeded.tenants["acme"], [chunk, chunk], start=at[0], end=at[2]
    )
    first, second = read_csv(write(url, run)), read_csv(write(url, run, 1))
    assert [cells[0] for cells in first[1:]] == [
        stamp(row[0]) for row in expected_raw(url, [temp], at[0], at[2])
    ]
    assert len(first) == 7
    assert second == first[1:], "only the first chunk has the header"


def test_a_gzip_of_several_chunks_is_one_file(url: str, seeded: fleet.Seeded) -> None:
    chunks = [PlannedChunk([part]) for part in parts(seeded)]
    chunks.append(PlannedChunk([]))
    plain = exports.running_export(url, seeded.tenants["acme"], chunks, start=START, end=END)
    packed = exports.running_export(
        url, seeded.tenants["acme"], chunks, start=START, end=END, format_="csv.gz"
    )
    expected = b"".join(write(url, plain, n) for n in range(len(chunks)))
    written = [write(url, packed, n) for n in range(len(chunks))]
    assert gzip.decompress(b"".join(written)) == expected
    assert all(chunk_row(url, packed, n)["crc32"] == zlib.crc32(data)
               for n, data in enumerate(written))  # fmt: skip


def test_an_export_of_nothing_has_its_header(url: str, seeded: fleet.Seeded) -> None:
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk([])], start=START, end=END
    )
    assert write(url, run) == b"ts,site,device,point,value,unit,quality\r\n"


@pytest.mark.parametrize("agg", ["1m", "5m", "1h"])
def test_rollups_are_those_that_the_charts_show(url: str, seeded: fleet.Seeded, agg: str) -> None:
    wanted = parts(seeded)
    points = [part[0] for part in wanted]
    with (
        closing(Database(url)) as database,
        database.transaction("traksense_app", seeded.tenants["acme"]) as cursor,
    ):
        rows = cursor.execute(
            "SELECT m.bucket, d.name, p.name, m.avg, m.min, m.max, m.count, p.unit"
            f" FROM public.ts_measure_{agg}_tenant m JOIN public.points p ON p.id = m.point_id"
            " JOIN public.devices d ON d.id = p.device_id WHERE m.point_id = ANY (%s)"
            " ORDER BY array_position(%s::uuid[], m.point_id), m.bucket".encode(),
            (points, points),
            binary=True,
        ).fetchall()
    assert len(rows) > 8
    made = {}
    for format_ in ("csv", "parquet"):
        run = exports.running_export(
            url, seeded.tenants["acme"], [PlannedChunk(wanted)],
            start=START, end=END, agg=agg, format_=format_,
        )  # fmt: skip
        made[format_] = write(url, run)
    header, *found = read_csv(made["csv"])
    assert header == ["ts", "site", "device", "point", "avg", "min", "max", "count", "unit"]
    assert [
        (ts, device, name, *(segments.bits(float(n)) for n in numbers), int(count), unit or None)
        for ts, _site, device, name, *numbers, count, unit in found
    ] == [
        (stamp(ts), device, name, *map(segments.bits, numbers), count, unit)
        for ts, device, name, *numbers, count, unit in rows
    ]
    table = pq.read_table(io.BytesIO(made["parquet"]))
    assert table.column_names == header
    assert [
        (row["ts"], row["device"], row["point"],
         *(segments.bits(row[n]) for n in ("avg", "min", "max")), row["count"], row["unit"])
        for row in table.to_pylist()
    ] == [
        (ts, device, name, *map(segments.bits, numbers), count, unit)
        for ts, device, name, *numbers, count, unit in rows
    ]  # fmt: skip


def test_parquet_has_each_value_in_the_column_of_its_type(url: str, seeded: fleet.Seeded) -> None:
    wanted = parts(seeded)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(wanted)], start=START, end=END,
        format_="parquet",
    )  # fmt: skip
    data = write(url, run)
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    expected = expected_raw(url, [part[0] for part in wanted])
    assert [
        (row["ts"], row["site"], row["device"], row["point"], segments.bits(row["value"]),
         row["value_bool"], row["value_text"], row["unit"], row["quality"])
        for row in file.read().to_pylist()
    ] == [
        (ts, site, device, name, segments.bits(number), flag, text, unit, quality)
        for ts, site, device, name, _type, unit, number, flag, text, quality in expected
    ]  # fmt: skip
    assert chunk_row(url, run)["sha256"] == hashlib.sha256(data).digest()


def test_parquet_of_several_chunks_is_an_archive_of_files(url: str, seeded: fleet.Seeded) -> None:
    chunks = [PlannedChunk([part]) for part in parts(seeded)]
    run = exports.running_export(
        url, seeded.tenants["acme"], chunks, start=START, end=END, format_="parquet"
    )
    written = [write(url, run, n) for n in range(len(chunks))]
    entries: list[Entry] = []
    for n, data in enumerate(written):
        name, row = entry_name(n), chunk_row(url, run, n)
        size = row["byte_count"] - header_length(name)
        assert row["sha256"] == hashlib.sha256(data[header_length(name) :]).digest()
        entries.append(Entry(name, END, size, row["crc32"], entries[-1].end if entries else 0))
    archive = b"".join(written) + central_directory(entries)
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        assert found.testzip() is None
        tables = [pq.read_table(io.BytesIO(found.read(name))) for name in found.namelist()]
    expected = expected_raw(url, [chunk.parts[0][0] for chunk in chunks])
    assert [ts for table in tables for ts in table["ts"].to_pylist()] == [
        row[0] for row in expected
    ]


def test_a_brazilian_spreadsheet_reads_times_numbers_and_texts_as_they_are(
    url: str, seeded: fleet.Seeded
) -> None:
    wanted = parts(seeded, "acme_chiller-2")
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(wanted)], start=START, end=END,
        for_spreadsheet=True, locale="pt-BR",
    )  # fmt: skip
    data = write(url, run)
    assert data.startswith(b"\xef\xbb\xbfts;site;device;point;value;unit;quality\r\n")
    found = read_csv(data.removeprefix(b"\xef\xbb\xbf"), ";")[1:]
    zone = ZoneInfo("America/Sao_Paulo")
    for cells, row in zip(found, expected_raw(url, [p[0] for p in wanted]), strict=True):
        ts, _site, _device, name, type_, unit, number, flag, text, _quality = row
        at = f"{ts.astimezone(zone):%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".")
        assert cells[0] == at.replace(".", ",")
        assert cells[3] == ("'" + name if name[0] in "=-" else name)
        assert cells[5] == (unit or "")
        if type_ == "num":
            assert "." not in cells[4]
            assert segments.bits(float(cells[4].replace(",", "."))) == segments.bits(number)
        elif type_ == "bool":
            assert cells[4] == ("true" if flag else "false")
        else:
            is_formula = text[:1] in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
            assert cells[4] == ("'" + text if text and is_formula else text)


def test_an_english_spreadsheet_has_commas_and_points(url: str, seeded: fleet.Seeded) -> None:
    part = (seeded.points["acme_chiller-1", "temp"], START, END)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk([part])], start=START, end=END,
        for_spreadsheet=True, time_zone="Asia/Kolkata",
    )  # fmt: skip
    data = write(url, run).removeprefix(b"\xef\xbb\xbf").decode()
    midnight = START + timedelta(days=1)
    first = midnight.astimezone(ZoneInfo("Asia/Kolkata"))
    assert data.split("\r\n")[1] == f"{first:%Y-%m-%d %H:%M:%S},plant,chiller-1,temp,7.35,°C,0"


def test_another_tenants_points_are_not_read(url: str, seeded: fleet.Seeded) -> None:
    stolen = (seeded.points["globex_chiller-1", "temp"], START, END)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk([stolen])], start=START, end=END
    )
    assert read_csv(write(url, run)) == [HEADER]


def test_another_tenants_chunk_is_not_there(url: str, seeded: fleet.Seeded) -> None:
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(parts(seeded))], start=START, end=END
    )
    stolen = Run(seeded.tenants["globex"], run.export_id, run.attempt)
    files = MemoryFiles()
    with worker(url, files) as chunks, pytest.raises(ExportEnded):
        chunks.write(stolen, 0)
    assert not files.objects
    assert not files.open


def test_a_second_call_writes_nothing(url: str, seeded: fleet.Seeded) -> None:
    files = MemoryFiles()
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(parts(seeded))], start=START, end=END
    )
    write(url, run, files=files)
    before = dict(files.objects)
    with worker(url, files) as chunks:
        assert chunks.write(run, 0) is None
    assert files.objects == before


def test_of_two_workers_on_one_chunk_one_is_recorded_and_the_other_leaves_nothing(
    url: str, seeded: fleet.Seeded
) -> None:
    files = MemoryFiles()
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(parts(seeded))], start=START, end=END
    )
    ready = threading.Barrier(2)

    def work() -> int | None:
        with worker(url, files) as chunks:
            ready.wait()
            return chunks.write(run, 0)

    running = [segments.in_background(work) for _ in range(2)]
    for thread, _ in running:
        thread.join()
    rows = chunk_row(url, run)
    answers = [result[0] for _, result in running]
    assert sorted(answers, key=str) in ([rows["row_count"], None], [None, rows["row_count"]])
    assert list(files.objects) == [rows["staging_key"]]
    assert not files.open


def test_a_chunk_whose_upload_fails_is_written_by_the_next_try(
    url: str, seeded: fleet.Seeded
) -> None:
    files = MemoryFiles(fails_after=20_000)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(parts(seeded))], start=START, end=END
    )
    with worker(url, files) as chunks, pytest.raises(exports.FilesAway):
        chunks.write(run, 0)
    assert not files.open
    assert chunk_row(url, run)["done_at"] is None
    files.fails_after = None
    assert len(read_csv(write(url, run, files=files))) > 1000


def test_a_worker_of_a_cancelled_export_stops_and_leaves_nothing(
    url: str, seeded: fleet.Seeded
) -> None:
    """Cancelled while it is read: the clock says that a second is over after each slice."""
    files = MemoryFiles()
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(parts(seeded))], start=START, end=END
    )
    ticks = iter(range(10_000))

    def clock() -> float:
        tick = next(ticks)
        if tick == 3:
            with psycopg.connect(url) as connection:
                connection.execute(
                    "UPDATE public.exports SET status = 'CANCELLED', finished_at = now()"
                    " WHERE id = %s",
                    (run.export_id,),
                )
        return tick * 1.0

    with worker(url, files, clock=clock) as chunks, pytest.raises(ExportEnded):
        chunks.write(run, 0)
    assert not files.open
    assert not files.objects
    with psycopg.connect(url) as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state = 'active'"
        ).fetchone()
    assert left == (0,)


def test_an_export_that_is_cancelled_as_a_chunk_ends_keeps_no_object(
    url: str, seeded: fleet.Seeded
) -> None:
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk(parts(seeded))], start=START, end=END
    )

    class CancelsAtTheEnd(MemoryFiles):
        def create(self, key: str, *, awaits_head: bool) -> exports.MemoryObject:
            made = super().create(key, awaits_head=awaits_head)
            close: Callable[[bytes], None] = made.close

            class Cancels(exports.MemoryObject):
                def close(self, head: bytes = b"") -> None:
                    made.data = self.data
                    close(head)
                    with psycopg.connect(url) as connection:
                        connection.execute(
                            "UPDATE public.exports SET status = 'CANCELLED', finished_at = now()"
                            " WHERE id = %s",
                            (run.export_id,),
                        )

            return Cancels(self, key, awaits_head)

    files = CancelsAtTheEnd()
    with worker(url, files) as chunks, pytest.raises(ExportEnded):
        chunks.write(run, 0)
    assert not files.objects


def test_a_point_that_was_erased_meanwhile_is_left_out(url: str, seeded: fleet.Seeded) -> None:
    part = (seeded.points["acme_chiller-1", "mode"], START, END)
    gone = (UUID(int=random.Random(1).getrandbits(128)), START, END)
    run = exports.running_export(
        url, seeded.tenants["acme"], [PlannedChunk([gone, part])], start=START, end=END
    )
    assert len(read_csv(write(url, run))) == 401
