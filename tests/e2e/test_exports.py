"""Exports on the whole platform: asked for, mailed, fetched, cancelled, killed, forgotten."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import psutil
import psycopg
import pytest

from local.home import Home
from tests.support.platform import RunningPlatform, running, wait_until
from traksense.contracts.buckets import EXPORTS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
STEP = timedelta(milliseconds=50)
ROWS = 1_500_000
"""So many take a worker some seconds: they are one chunk."""
DEVICE, POINT = "reserva-01", "temperatura"


def at(row: int) -> datetime:
    return START + row * STEP


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running(tmp_path_factory.mktemp("exports") / "home") as started:
        with psycopg.connect(started.endpoints.database_url) as connection:
            connection.execute(
                "INSERT INTO public.m_raw (point_sk, ts, v_num)"
                " SELECT k.point_sk, %s::timestamptz + g * interval '50 milliseconds',"
                " (g %% 1000) / 8.0 FROM generate_series(0, %s - 1) AS g, public.points p"
                " JOIN public.devices d ON d.id = p.device_id"
                " JOIN public.tenants t ON t.id = d.tenant_id"
                " JOIN public.dim_point k ON k.point_id = p.id"
                " WHERE t.slug = 'umc' AND d.name = %s AND p.name = %s",
                (START, ROWS, DEVICE, POINT),
            )
        yield started


@pytest.fixture
def api(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with platform.api() as client:
        yield client


def child(platform: RunningPlatform, module: str) -> psutil.Process:
    return next(p for p in platform.processes() if p.cmdline()[-1:] == [module])


def bucket(platform: RunningPlatform) -> Any:
    told = child(platform, "local.aws").environ()
    return boto3.session.Session().client(
        "s3",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
    )


def left(platform: RunningPlatform, export: str) -> list[str]:
    """Objects and open uploads of an export."""
    s3 = bucket(platform)
    objects = s3.list_objects_v2(Bucket=EXPORTS.name).get("Contents", [])
    uploads = s3.list_multipart_uploads(Bucket=EXPORTS.name).get("Uploads", [])
    return [each["Key"] for each in [*objects, *uploads] if f"/{export}/" in each["Key"]]


def ask(api: httpx.Client, rows: int, **more: Any) -> str:
    wanted = {
        "device": DEVICE,
        "points": [POINT],
        "from": START.isoformat(),
        "to": at(rows).isoformat(),
        "agg": "raw",
        "format": "csv",
    }
    answer = api.post("/api/exports", json=wanted | more)
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


def job(api: httpx.Client, export: str) -> dict[str, Any]:
    answer = api.get(f"/api/exports/{export}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def completed(api: httpx.Client, export: str, within_s: float = 60) -> dict[str, Any]:
    wait_until(
        "the end of the export",
        lambda: job(api, export)["status"] not in ("PENDING", "PROCESSING"),
        within_s,
    )
    found = job(api, export)
    assert found["status"] == "COMPLETED", found
    return found


def expected(rows: int) -> Iterator[str]:
    """The lines of the file, made without the database."""
    yield "ts,site,device,point,value,unit,quality"
    site = "reservatorio"
    for row in range(rows):
        moment = f"{at(row):%Y-%m-%dT%H:%M:%S}"
        fraction = f"{at(row).microsecond:06d}".rstrip("0")
        ts = f"{moment}.{fraction}Z" if fraction else f"{moment}Z"
        yield f"{ts},{site},{DEVICE},{POINT},{row % 1000 / 8:g},°C,0"


def assert_is_whole(content: bytes, rows: int) -> None:
    """Every row, once, in order. The site's name is the demo's business."""
    lines = content.decode("utf-8").split("\r\n")
    assert lines.pop() == ""
    assert len(lines) == rows + 1
    for found, wanted in zip(lines, expected(rows), strict=True):
        cells, own = found.split(","), wanted.split(",")
        assert [cells[0], *cells[2:]] == [own[0], *own[2:]]


def link_in_the_mail(platform: RunningPlatform, to: str, after: int) -> str:
    def newest() -> str | None:
        for path in sorted((Home(platform.home).aws / "mail").glob("*"), reverse=True):
            if path.stat().st_mtime_ns > after:
                found = re.search(rb"http://127\.0\.0\.1:\d+/d/[A-Za-z0-9_-]+", _whole(path))
                if found is not None:
                    return found[0].decode()
        return None

    link: str = wait_until(f"a mail to {to}", newest, 15)
    return link


def _whole(path: Any) -> bytes:
    content: bytes = path.read_bytes()
    return content.replace(b"=\r\n", b"").replace(b"=\n", b"").replace(b"=3D", b"=")


def test_an_export_is_mailed_and_its_link_opens_with_no_session(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    before, clock = time.time_ns(), time.monotonic()
    export = ask(api, 100_000)
    link = link_in_the_mail(platform, "whoever asked", before)
    assert time.monotonic() - clock < 10
    done = completed(api, export)
    assert (done["record_count"], done["progress"]) == (100_000, 1)
    fetched = httpx.get(link, follow_redirects=True, timeout=30)
    assert fetched.status_code == 200
    assert len(fetched.content) == done["file_size"]
    assert "attachment" in fetched.headers["content-disposition"]
    assert_is_whole(fetched.content, 100_000)
    with platform.api(tenant="globex") as stranger:
        assert stranger.get(f"/api/exports/{export}").status_code == 404
        assert stranger.get(f"/api/exports/{export}/download").status_code == 404
        assert stranger.post(f"/api/exports/{export}/cancel").status_code == 404


def test_an_address_that_takes_no_e_mail_is_told_by_the_page_and_tried_once(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    address = api.get("/api/me").json()["email"]
    told = child(platform, "local.aws").environ()
    ses = boto3.session.Session().client(
        "sesv2",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
    )
    ses.put_suppressed_destination(EmailAddress=address, Reason="BOUNCE")
    try:
        mails = {path.name for path in (Home(platform.home).aws / "mail").glob("*")}
        export = ask(api, 10)
        completed(api, export)
        wait_until(
            "what came of the e-mail", lambda: job(api, export)["notification"] == "refused", 20
        )
        assert {path.name for path in (Home(platform.home).aws / "mail").glob("*")} == mails
        assert api.get(f"/api/exports/{export}/download").status_code == 302
        counted = httpx.get(f"{platform.endpoints.api_url}/metrics").text
        assert re.search(r'traksense_export_mails_total\{outcome="refused"\} 1\b', counted)
    finally:
        ses.delete_suppressed_destination(EmailAddress=address)


def move_back(platform: RunningPlatform, export: str, hours: float) -> None:
    """Have an export and its links be so much older."""
    for table, key, columns in (
        ("exports", "id", ("created_at", "started_at", "finished_at", "expires_at", "notified_at")),
        ("export_links", "export_id", ("created_at", "expires_at")),
    ):
        moved = ", ".join(f"{name} = {name} - make_interval(hours => %s)" for name in columns)
        with psycopg.connect(platform.endpoints.database_url) as connection:
            changed = connection.execute(
                f"UPDATE public.{table} SET {moved} WHERE {key} = %s",
                (*(hours for _ in columns), export),
            )
            assert changed.rowcount == 1


def test_a_link_is_good_for_a_day_and_then_says_so_in_the_persons_language(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    before = time.time_ns()
    export = ask(api, 1_000)
    completed(api, export)
    link = link_in_the_mail(platform, "whoever asked", before)
    move_back(platform, export, 23)
    fetched = httpx.get(link, follow_redirects=True, timeout=30)
    assert fetched.status_code == 200
    assert_is_whole(fetched.content, 1_000)

    move_back(platform, export, 1)
    for language, words in (("pt-BR", "não vale mais"), ("en", "no longer valid")):
        over = httpx.get(link, headers={"Accept-Language": language}, timeout=30)
        assert over.status_code == 410
        assert over.headers["content-type"].startswith("text/html")
        assert f'lang="{language}"' in over.text
        assert words in over.text.lower()
    wait_until("the file to be gone", lambda: not left(platform, export), 90, 0.5)
    assert job(api, export)["status"] == "EXPIRED"


def written(platform: RunningPlatform, export: str) -> int:
    ((rows,),) = platform.query(
        "SELECT coalesce(sum(rows_so_far), 0) FROM public.export_chunks"
        " WHERE export_id = %s AND done_at IS NULL",
        export,
    )
    return int(rows)


def test_a_cancelled_export_stops_within_seconds_and_leaves_nothing(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    export = ask(api, ROWS)
    wait_until("a worker in mid-chunk", lambda: written(platform, export) > 0, 20, 0.02)
    assert api.post(f"/api/exports/{export}/cancel").status_code < 300
    cancelled = time.monotonic()
    wait_until("nothing in the bucket", lambda: not left(platform, export), 5, 0.1)
    time.sleep(max(0.0, 5.0 - (time.monotonic() - cancelled)))
    assert left(platform, export) == []
    assert job(api, export)["status"] == "CANCELLED"
    assert api.get(f"/api/exports/{export}/download").status_code in (404, 409, 410)


def test_a_worker_that_is_killed_in_mid_chunk_costs_no_row_and_doubles_none(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    export = ask(api, ROWS)
    wait_until("a worker in mid-chunk", lambda: written(platform, export) > 0, 20, 0.02)
    host = child(platform, "local.functions_host")
    os.kill(host.pid, signal.SIGKILL)
    done = completed(api, export, 120)
    assert done["record_count"] == ROWS
    answer = api.get(f"/api/exports/{export}/download", follow_redirects=True)
    assert answer.status_code == 200
    assert_is_whole(answer.content, ROWS)
    wait_until("no staging object", lambda: len(left(platform, export)) == 1, 10)


def test_what_the_emulator_held_is_expired_after_a_restart(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    export = ask(api, 1_000)
    completed(api, export)
    assert platform.stop() == 0
    platform.start()
    with platform.api() as again:
        wait_until("the export to expire", lambda: job(again, export)["status"] == "EXPIRED", 30)
        answer = again.get(f"/api/exports/{export}/download")
        assert answer.status_code == 410, answer.text


def test_an_export_that_was_running_at_a_stop_is_begun_again(platform: RunningPlatform) -> None:
    with platform.api() as api:
        export = ask(api, ROWS)
        wait_until("a worker in mid-chunk", lambda: written(platform, export) > 0, 20, 0.02)
    platform.query(
        "UPDATE public.exports SET created_at = now() - interval '2 minutes' WHERE id = %s"
        " RETURNING id",
        export,
    )
    assert platform.stop() == 0
    platform.start()
    with platform.api() as api:
        assert completed(api, export, 120)["record_count"] == ROWS
    assert platform.query("SELECT attempt FROM public.exports WHERE id = %s", export) == [(2,)]
