"""The database under the storage benchmark: its fleet, its sizes, the CPU of its sessions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psutil
import psycopg

from bench.storage_data import STATES, Source
from traksense.db.migrate import migrate

NAME: Final = "bench_storage"
BYTES_A_READING: Final = 360
"""What has to be free, by the reading: 240 for the predecessor's row and index, the rest for
rollups, segments, and the rows of days that are not closed yet."""
BYTES_AT_LEAST: Final = 4_000_000_000
"""Beside that: the write-ahead log and its archive of a checkpoint."""

_TENANT: Final = """
WITH tenant AS (
    INSERT INTO public.tenants (slug, name) VALUES ('acme', 'Acme') RETURNING id
), site AS (
    INSERT INTO public.sites (tenant_id, slug, name) SELECT id, 'plant', 'Plant' FROM tenant
    RETURNING id, tenant_id
), template AS (
    INSERT INTO public.device_templates (code, version, name, published_at)
    VALUES ('bench', 1, 'Bench', now()) RETURNING id
)
SELECT site.tenant_id, site.id, template.id FROM site, template
"""
_ENGINE: Final = "SELECT public.storage_engine()"

_SIZES: Final[dict[tuple[str, str], LiteralString]] = {
    ("plain", "rows"): (
        "SELECT coalesce(sum(pg_catalog.pg_total_relation_size(i.inhrelid)), 0)::bigint"
        " FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'public.m_raw'::regclass"
        " AND c.relname >= to_char(%(first)s AT TIME ZONE 'UTC', '\"m_raw_\"YYYYMMDD')"
        " AND c.relname < to_char(%(end)s AT TIME ZONE 'UTC', '\"m_raw_\"YYYYMMDD')"
    ),
    ("plain", "closed"): (
        "SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint"
        " FROM public.closed_days k JOIN pg_catalog.pg_class c"
        " ON c.relname IN ('m_raw_' || to_char(k.day, 'YYYYMMDD'),"
        "                  'm_segment_' || to_char(k.day, 'YYYYMMDD'))"
        " WHERE k.state = 'closed' AND c.relnamespace = 'public'::regnamespace"
    ),
    ("plain", "closed readings"): (
        "SELECT coalesce(sum(readings), 0)::bigint FROM public.closed_days WHERE state = 'closed'"
    ),
    ("plain", "rollups"): (
        "SELECT sum(pg_catalog.pg_total_relation_size(t.relid))::bigint"
        " FROM unnest(ARRAY['r_1m', 'r_5m', 'r_1h']) AS r(name)"
        " CROSS JOIN LATERAL pg_catalog.pg_partition_tree(('public.' || r.name)::regclass) t"
    ),
    ("timescale", "rows"): (
        "SELECT coalesce(sum(d.total_bytes), 0)::bigint"
        " FROM chunks_detailed_size('public.m_raw') d"
        " JOIN timescaledb_information.chunks c USING (chunk_schema, chunk_name)"
        " WHERE c.range_start >= %(first)s AND c.range_end <= %(end)s"
    ),
    ("timescale", "closed"): (
        "SELECT coalesce(sum(d.total_bytes), 0)::bigint"
        " FROM chunks_detailed_size('public.m_raw') d"
        " JOIN timescaledb_information.chunks c USING (chunk_schema, chunk_name)"
        " WHERE c.is_compressed"
    ),
    ("timescale", "closed readings"): (
        "SELECT count(*) FROM public.m_raw WHERE ts < ("
        " SELECT max(range_end) FROM timescaledb_information.chunks"
        " WHERE hypertable_name = 'm_raw' AND is_compressed)"
    ),
    ("timescale", "rollups"): (
        "SELECT sum(hypertable_size(format('%%I.%%I', materialization_hypertable_schema,"
        " materialization_hypertable_name)::regclass))::bigint"
        " FROM timescaledb_information.continuous_aggregates"
    ),
}


@dataclass(frozen=True, slots=True)
class Server:
    """A migrated database with a tenant in it."""

    url: str
    engine: str
    """``plain`` or ``timescale``."""
    tenant_id: UUID
    site_id: UUID
    template_id: UUID

    def one(self, sql: LiteralString, **parameters: Any) -> Any:
        """The value of a query of one row and column, as the administrator."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(sql, parameters).fetchone()
        assert row is not None, sql
        return row[0]

    def execute(self, sql: LiteralString, **parameters: Any) -> None:
        """A statement as the administrator, outside of any transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql, parameters)

    def bytes_of_rows(self, first: datetime, end: datetime) -> int:
        """What the days between two midnights UTC take in rows, with their index."""
        return int(self.one(_SIZES[self.engine, "rows"], first=first, end=end))

    def closed(self) -> tuple[int, int]:
        """What the closed days take, and how many readings they hold."""
        return (
            int(self.one(_SIZES[self.engine, "closed"])),
            int(self.one(_SIZES[self.engine, "closed readings"])),
        )

    def bytes_of_rollups(self) -> int:
        """What all levels take."""
        return int(self.one(_SIZES[self.engine, "rollups"]))

    def backend_cpu_s(self, application: str) -> float:
        """CPU seconds of the sessions of an application so far. They have to run on this host."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            pids = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = %s",
                (application,),
            ).fetchall()
        times = [psutil.Process(pid).cpu_times() for (pid,) in pids]
        return sum(each.user + each.system for each in times)

    def add(self, source: Source) -> None:
        """A device and its points."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
                " VALUES (%s, %s, %s, %s) RETURNING id",
                (self.tenant_id, self.site_id, self.template_id, source.name),
            ).fetchone()
            assert row is not None
            connection.cursor().executemany(
                "INSERT INTO public.points"
                " (tenant_id, device_id, position, name, type, unit, enum_values)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    (self.tenant_id, row[0], position, name, type_, unit,
                     list(STATES) if type_ == "enum" else None)
                    for position, (name, type_, unit) in enumerate(source.points)
                ],
            )  # fmt: skip

    def points(self, device: str, only: Sequence[str] = ("num",)) -> list[tuple[UUID, UUID, str]]:
        """(device_id, point_id, name) of the points of these types, by position."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT d.id, p.id, p.name FROM public.devices d"
                " JOIN public.points p ON p.device_id = d.id"
                " WHERE d.name = %s AND p.type = ANY (%s) ORDER BY p.position",
                (device, list(only)),
            ).fetchall()


@contextmanager
def fresh(admin_url: str, readings: int) -> Iterator[Server]:
    """A database of this server, dropped afterwards. Raises RuntimeError where it has no room."""
    _check_room(admin_url, readings)
    url = urlunsplit(urlsplit(admin_url)._replace(path=f"/{NAME}"))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {NAME}")
    try:
        migrate(url)
        with psycopg.connect(url) as connection:
            tenant = connection.execute(_TENANT).fetchone()
            engine = connection.execute(_ENGINE).fetchone()
        assert tenant is not None
        assert engine is not None
        yield Server(url, engine[0], *tenant)
    finally:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def _check_room(admin_url: str, readings: int) -> None:
    needed = BYTES_AT_LEAST + BYTES_A_READING * readings
    with psycopg.connect(admin_url) as connection:
        row = connection.execute("SELECT pg_catalog.current_setting('data_directory')").fetchone()
    assert row is not None
    if not Path(row[0]).exists():
        print(f"the server is elsewhere: it needs {needed / 1e9:.0f} GB of disk", flush=True)
        return
    free = shutil.disk_usage(row[0]).free
    print(f"disk: {needed / 1e9:.0f} GB needed, {free / 1e9:.0f} GB free", flush=True)
    if free < needed:
        raise RuntimeError(f"{readings:,} readings need {needed:,} bytes in {row[0]}, {free:,} are")
