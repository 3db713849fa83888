"""From the request of an export of 100,000 rows to its e-mail, on a whole platform."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.commands import _post
from bench.platform import Platform
from bench.results import Figures
from local.aws.mailbox import Mailbox
from local.endpoints import DeviceEndpoint, Endpoints
from local.home import Home

ROWS: Final = 100_000
ROUNDS: Final = 3
_STEP: Final = timedelta(seconds=1)
_POLL_S: Final = 0.05
_LONGEST_S: Final = 120

_POINT: Final = (
    "SELECT k.point_sk, p.name FROM public.points p"
    " JOIN public.dim_point k ON k.point_id = p.id"
    " JOIN public.devices d ON d.id = p.device_id JOIN public.tenants t ON t.id = d.tenant_id"
    " WHERE t.slug = %s AND d.name = %s AND p.type = 'num' ORDER BY p.position LIMIT 1"
)
_LOAD: Final = (
    "INSERT INTO public.m_raw (ts, v_num, point_sk)"
    " SELECT g.ts, round((20 + random())::numeric, 2)::float8, %(point)s"
    " FROM generate_series(%(start)s, %(end)s - interval '1 microsecond', %(step)s) AS g (ts)"
)


def run(figures: Figures) -> None:
    """Start a platform, give an idle device its readings, and time exports of them."""
    with tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory:
        home = Path(directory) / "home"
        with Platform(home) as platform:
            _measure(platform.endpoints, Mailbox(Home(home).aws / "mail"), figures)


def _measure(endpoints: Endpoints, mailbox: Mailbox, figures: Figures) -> None:
    device = next(each for each in endpoints.devices if not each.simulated)
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    start = end - ROWS * _STEP
    point = _load(endpoints.database_url, device, start, end)
    wanted = {
        "device": device.name, "points": [point], "from": start.isoformat(),
        "to": end.isoformat(), "agg": "raw", "format": "csv",
    }  # fmt: skip
    user = next(
        each
        for each in endpoints.users
        if each.role == "customer_admin" and each.tenant == device.tenant
    )
    given = {"email": user.email, "password": user.password}
    token = str(_post(f"{endpoints.api_url}/api/auth/login", given)["id_token"])
    for _ in range(ROUNDS):
        known = _links(mailbox)
        started = time.perf_counter()
        export = _post(f"{endpoints.api_url}/api/exports", wanted, token)
        while not (new := _links(mailbox) - known):
            assert time.perf_counter() - started < _LONGEST_S, "no e-mail came"
            time.sleep(_POLL_S)
        figures.add("export_100k_to_email_s", time.perf_counter() - started, "s")
        with urllib.request.urlopen(new.pop(), timeout=30) as answer:
            lines = sum(1 for _ in answer)
        assert lines == ROWS + 1, f"export {export['id']} has {lines:,} lines"


def _load(url: str, device: DeviceEndpoint, start: datetime, end: datetime) -> str:
    """Give a point of the device so many readings; its name."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_POINT, (device.tenant, device.name)).fetchone()
        assert row is not None, f"{device.name} has no number"
        connection.execute(
            "SELECT public.ensure_raw_partitions(%s, %s)", (start.date(), end.date())
        )
        connection.execute("DELETE FROM public.m_raw WHERE point_sk = %s", (row[0],))
        span: dict[str, Any] = {"point": row[0], "start": start, "end": end, "step": _STEP}
        connection.execute(_LOAD, span)
    return str(row[1])


def _links(mailbox: Mailbox) -> set[str]:
    """The links to files that were mailed so far."""
    return {
        word
        for mail in mailbox.newest_first()
        for word in mail.text.split()
        if word.startswith("http") and "/d/" in word
    }
