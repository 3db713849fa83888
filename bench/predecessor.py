"""The predecessor's table of readings, three uuids a row, and how it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

TABLE: Final = """
CREATE TABLE public.predecessor (
    ts timestamptz NOT NULL, tenant_id uuid NOT NULL, device_id uuid NOT NULL,
    point_id uuid NOT NULL, v_num float8, v_bool boolean, v_text text, unit text,
    qual smallint NOT NULL DEFAULT 0,
    UNIQUE (tenant_id, device_id, point_id, ts)
)
"""
_COPY: Final = """
INSERT INTO public.predecessor
    (ts, tenant_id, device_id, point_id, v_num, v_bool, v_text, unit, qual)
SELECT r.ts, d.tenant_id, d.device_id, d.point_id, r.v_num, r.v_bool, r.v_text, p.unit, r.qual
FROM public.raw_readings r
JOIN public.dim_point d ON d.point_sk = r.point_sk
JOIN public.points p ON p.id = d.point_id
WHERE r.ts >= %(first)s AND r.ts < %(end)s
  AND r.stored >= date_trunc('day', %(first)s::timestamptz, 'UTC') AND r.stored < %(end)s
ORDER BY r.ts
"""
_BUCKETS: Final[dict[str, LiteralString]] = {
    width: f"""
SELECT point_id, date_bin('{width}', ts, '2000-01-01 00:00Z') AS bucket,
       avg(v_num), min(v_num), max(v_num), count(*)
FROM public.predecessor
WHERE tenant_id = %s AND device_id = %s AND point_id = ANY (%s) AND ts >= %s AND ts < %s
GROUP BY 1, 2 ORDER BY 1, 2
"""
    for width in ("1 minute", "1 hour")
}
_LATEST: Final = """
SELECT DISTINCT ON (point_id) point_id, ts, v_num, v_bool, v_text, unit, qual
FROM public.predecessor
WHERE tenant_id = %s AND device_id = %s
ORDER BY point_id, ts DESC
"""


class Predecessor:
    """Its table, beside ours in one database, on a connection that stays open."""

    def __init__(self, url: str, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        # Planned anew each time: the general plan of its newest readings is by far the worse one.
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        self._connection.execute(TABLE)

    def copy(self, first: datetime, end: datetime) -> int:
        """Take over the readings between two instants, in the order of time; how many."""
        return self._connection.execute(_COPY, {"first": first, "end": end}).rowcount

    def buckets(
        self, width: LiteralString, device: UUID, points: Sequence[UUID], first: datetime,
        end: datetime,
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """(point_id, bucket, avg, min, max, count) out of raw readings: it has no rollups."""
        parameters = (self._tenant_id, device, list(points), first, end)
        return self._connection.execute(_BUCKETS[width], parameters).fetchall()

    def latest(self, device: UUID) -> list[tuple[Any, ...]]:
        """The newest reading of each point of a device."""
        return self._connection.execute(_LATEST, (self._tenant_id, device)).fetchall()

    def bytes(self) -> int:
        """With its index."""
        row = self._connection.execute(
            "SELECT pg_catalog.pg_total_relation_size('public.predecessor')"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Close its connection."""
        self._connection.close()
