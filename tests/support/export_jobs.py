"""What exports need around the API: a state machine that notes its starts, and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg

from traksense.domain.errors import RetryableError
from traksense.domain.exports import Run
from traksense.services.export_mail import digest_of


@dataclass
class FakeExportRuns:
    """Notes what was started."""

    started: list[Run] = field(default_factory=list)
    is_away: bool = False

    def start(self, run: Run) -> None:
        if self.is_away:
            raise RetryableError("connection refused to 10.0.0.8")
        self.started.append(run)


@dataclass
class FakeExportFiles:
    """Has every file that is asked for, but for those that are gone."""

    gone: set[str] = field(default_factory=set)
    is_away: bool = False
    asked: list[tuple[str, str, str, timedelta]] = field(default_factory=list)

    def url(self, key: str, name: str, media_type: str, opens_for: timedelta) -> str | None:
        if self.is_away:
            raise RetryableError("connection refused to 10.0.0.9")
        self.asked.append((key, name, media_type, opens_for))
        return None if key in self.gone else f"https://files.example/{quote(key)}?signed=1"


def add_export(connection: psycopg.Connection[Any], tenant: Any, **columns: Any) -> Any:
    """An export of a tenant in any state, put straight into the database; its id.

    What is not given is that of one that was finished a moment ago.
    """
    row: dict[str, Any] = {
        "requested_by": "0a1b", "email": f"ana@{tenant.slug}.example", "locale": "pt-BR",
        "agg": "raw", "format": "csv", "time_zone": "America/Recife", "status": "COMPLETED",
    } | columns  # fmt: skip
    if row["status"] == "COMPLETED":
        row = {
            "planned_rows": 100, "record_count": 100, "file_size": 4_321,
            "file_key": f"{tenant.id}/of-{tenant.slug}.csv", "file_name": f"of-{tenant.slug}.csv",
            "sha256": b"\x0f" * 32,
        } | row  # fmt: skip
    if row["status"] == "FAILED":
        row = {"error": "timed_out"} | row
    names, values = list(row), list(row.values())
    moments = {
        "range_from": "now() - interval '2 days'",
        "range_to": "now() - interval '1 day'",
        "started_at": "now()",
        "finished_at": "NULL" if row["status"] in ("PENDING", "PROCESSING") else "now()",
        "expires_at": "now() + interval '1 day'" if row["status"] == "COMPLETED" else "NULL",
    }
    moments = {name: value for name, value in moments.items() if name not in row}
    query = (
        f"INSERT INTO public.exports (tenant_id, {', '.join([*names, *moments])})"
        f" VALUES (%s, {', '.join([*['%s'] * len(names), *moments.values()])}) RETURNING id"
    )
    found = connection.execute(query.encode(), [tenant.id, *values]).fetchone()
    assert found is not None
    return found[0]


def add_chunk(
    connection: psycopg.Connection[Any], tenant: Any, export_id: Any, number: int, rows: int
) -> None:
    """A part of an export of which so many rows are written."""
    point = next(iter(tenant.points.values()))
    connection.execute(
        "INSERT INTO public.export_chunks (tenant_id, export_id, attempt, number, point_ids,"
        " starts, ends, planned_rows, rows_so_far) VALUES (%s, %s, 1, %s, ARRAY[%s::uuid],"
        " ARRAY[now() - interval '2 days'], ARRAY[now() - interval '1 day'], 100, %s)",
        (tenant.id, export_id, number, point, rows),
    )


def add_link(connection: psycopg.Connection[Any], tenant: Any, export_id: Any, token: str) -> None:
    """A link that was mailed."""
    connection.execute(
        "INSERT INTO public.export_links (token_hash, tenant_id, export_id, expires_at)"
        " VALUES (%s, %s, %s, now() + interval '1 day')",
        (digest_of(token), tenant.id, export_id),
    )
