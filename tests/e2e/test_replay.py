"""Real sensor data through the real path: every value compared, to the last digit."""

from __future__ import annotations

import csv
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.platform import RunningPlatform, simulate, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MACHINE = DATA / "machine_temperature_system_failure.csv"
AMBIENT = DATA / "ambient_temperature_system_failure.csv"

needs_data = pytest.mark.skipif(
    not MACHINE.exists(), reason=f"the sensor recordings are not in {DATA}"
)


def recording(path: Path) -> list[tuple[datetime, str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [(datetime.fromisoformat(r["timestamp"]).replace(tzinfo=UTC), r["value"]) for r in rows]


def read_all(api: httpx.Client, device: str, point: str, start: datetime) -> list[list[Any]]:
    """Every reading of a point, page by page."""
    rows: list[list[Any]] = []
    begin: str | None = start.isoformat().replace("+00:00", "Z")
    while begin:
        answer = api.get(
            "/api/data/points",
            params={
                "device": device, "point": point, "from": begin, "agg": "raw", "thin": "none",
                "max_points": 5000,
            },
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        series = answer.json()["series"][0]
        rows += series["rows"]
        begin = series["next_from"]
    return rows


def device_id(api: httpx.Client, name: str) -> str:
    items = api.get("/api/devices", params={"limit": 500}).json()["items"]
    return next(str(item["id"]) for item in items if item["name"] == name)


def count(platform: RunningPlatform, point: str) -> int:
    rows = platform.query(
        "SELECT count(*) FROM raw_readings JOIN dim_point d USING (point_sk)"
        " JOIN points p ON p.id = d.point_id JOIN tenants t ON t.id = p.tenant_id"
        " WHERE t.slug = 'globex' AND p.name = %s",
        point,
    )
    return int(rows[0][0])


@needs_data
def test_every_row_of_a_recording_that_fits_is_stored_and_read_back_exactly(
    platform: RunningPlatform,
) -> None:
    rows = recording(MACHINE)
    before = datetime.now(UTC) - timedelta(days=14)
    result = simulate(
        platform, "--replay", str(MACHINE), "--point", "temperatura", "--device",
        "globex/reserva-01", "--shift-to-now", "--step", "50", "--speed", "max",
    )  # fmt: skip
    assert (result["published"], result["acknowledged"], result["failed"]) == (22_695, 22_695, 0)
    wait_until("all is stored", lambda: count(platform, "temperatura") >= 22_695, timeout_s=60)
    with platform.api("viewer", "globex") as api:
        found = read_all(api, device_id(api, "reserva-01"), "temperatura", before)
    assert len(found) == len(rows) == 22_695
    stamps = [datetime.fromisoformat(ts) for ts, _, _ in found]
    assert {b - a for a, b in itertools.pairwise(stamps)} == {timedelta(seconds=50)}
    for (_, wanted), (ts, value, qual) in zip(rows, found, strict=True):
        # To the last digit that a double has: the recording writes 17 of them here and there.
        assert value == float(wanted), ts
        assert Decimal(repr(value)) == Decimal(repr(float(wanted)))
        assert qual == 0


@needs_data
def test_rows_outside_of_the_raw_retention_become_dead_letters_and_the_rest_is_stored(
    platform: RunningPlatform,
) -> None:
    rows = recording(AMBIENT)
    last = rows[-1][0]
    kept = timedelta(days=14)
    # An hour of leeway on either side of the border, which moves while the replay runs.
    surely_in = {ts for ts, _ in rows if last - ts < kept - timedelta(hours=1)}
    maybe_in = {ts for ts, _ in rows if last - ts < kept + timedelta(hours=1)}
    result = simulate(
        platform, "--replay", str(AMBIENT), "--point", "contagem", "--device",
        "globex/reserva-01", "--shift-to-now", "--speed", "max",
    )  # fmt: skip
    assert (result["published"], result["failed"]) == (len(rows), 0)

    def accounted() -> bool:
        refused = platform.query(
            "SELECT coalesce(sum(occurrences), 0) FROM ingest_errors WHERE reason = 'ts_too_old'"
        )
        return int(refused[0][0]) + count(platform, "contagem") >= len({ts for ts, _ in rows})

    wait_until("every row is stored or refused", accounted, timeout_s=60)
    stored = count(platform, "contagem")
    assert len(surely_in) <= stored <= len(maybe_in)
