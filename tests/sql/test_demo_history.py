"""The history's own process against a real database, through the real ingest handler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from device_sim.endpoints import load as load_endpoints
from device_sim.models import build
from local.demo.history import MARGIN_S
from local.demo.progress import DAY_S
from local.demo.seed import DemoDevice, DemoFleet, seed
from local.home import Home
from traksense.db.connection import Database

RETENTION_DAYS = 1


def endpoint(device: DemoDevice) -> dict[str, Any]:
    codes = [child.code for child in device.children]
    return {
        "tenant": device.tenant,
        "site": device.site,
        "name": device.name,
        "cert": "/d.crt",
        "key": "/d.key",
        "simulated": device.simulated,
        "template": device.template,
        "gateway": {"mac": device.mac, "children": codes} if codes else None,
    }


class Platform:
    """As much of a platform as the history needs: a home, a database, its description."""

    def __init__(self, home: Home, database_url: str, fleet: DemoFleet) -> None:
        self.home = home
        self.database_url = database_url
        self.fleet = fleet
        self.children: list[subprocess.Popen[str]] = []
        document = {
            "mqtt": {"host": "127.0.0.1", "port": 8883, "ca": "/ca.crt"},
            "devices": [endpoint(device) for device in fleet.devices],
        }
        home.endpoints_file.write_text(json.dumps(document))

    def start(self) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "local.demo.history"],
            env={
                **os.environ,
                "TRAKSENSE_HOME": str(self.home.root),
                "DATABASE_URL": self.database_url,
                "TRAKSENSE_RAW_RETENTION_DAYS": str(RETENTION_DAYS),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.children.append(child)
        return child

    def progress(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home.run / "history.json").read_text())
        return found

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            connection.execute("SET LOCAL ROLE traksense_owner")
            return connection.execute(query, parameters).fetchall()


def a_platform(directory: Path, database_url: str) -> Iterator[Platform]:
    home = Home(directory / "home")
    home.create()
    made = Platform(home, database_url, seed(database_url))
    yield made
    for child in made.children:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Iterator[Platform]:
    yield from a_platform(tmp_path, database_url)


@pytest.fixture(scope="module")
def filled(
    tmp_path_factory: pytest.TempPathFactory, module_database_url: str
) -> Iterator[tuple[Platform, list[dict[str, Any]]]]:
    """A platform whose history is whole, and the log of how it came to be."""
    for made in a_platform(tmp_path_factory.mktemp("filled"), module_database_url):
        yield made, finish(made.start())


def wait_for_percent(child: subprocess.Popen[str], percent: int) -> None:
    """Read the child's log lines until it tells of at least that much progress."""
    assert child.stdout is not None
    for line in child.stdout:
        if json.loads(line).get("progress", -1) >= percent:
            return
    raise AssertionError(f"the history ended with {child.wait()} before {percent} %")


def finish(child: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Its remaining log lines, when it has ended by itself and well."""
    assert child.stdout is not None
    lines = [json.loads(line) for line in child.stdout]
    assert child.wait(60) == 0, lines
    return lines


def check_whole(platform: Platform) -> None:
    """Every point that somebody simulates has each of its minutes once, and no dead letter."""
    progress = platform.progress()
    assert progress["finished"]
    until = progress["until"]
    minutes = (RETENTION_DAYS * DAY_S - MARGIN_S) // 60
    simulated = {d.id for d in platform.fleet.devices if d.simulated}
    simulated |= {c.id for d in platform.fleet.devices for c in d.children}
    found = platform.rows(
        "SELECT d.name, p.device_id, p.name, count(m.ts), count(DISTINCT m.ts),"
        " extract(epoch FROM min(m.ts)), extract(epoch FROM max(m.ts))"
        " FROM points p JOIN devices d ON d.id = p.device_id"
        " JOIN dim_point dp ON dp.point_id = p.id LEFT JOIN m_raw m USING (point_sk)"
        " GROUP BY 1, 2, 3"
    )
    assert len(found) > 100
    for device, device_id, point, count, instants, first, last in found:
        where = f"{device}/{point}"
        if device_id not in simulated:
            assert count == 0, where
            continue
        assert count == instants, where
        # What falls out of the retention while the history is made is left out, not refused.
        assert minutes - 5 <= count <= minutes, where
        assert until - 60 <= last < until, where
        assert first < until - RETENTION_DAYS * DAY_S + MARGIN_S + 400, where
    assert platform.rows("SELECT reason, detail FROM ingest_errors") == []


Filled = tuple[Platform, list[dict[str, Any]]]


def test_the_history_goes_through_the_real_handler_whole_and_without_a_dead_letter(
    filled: Filled,
) -> None:
    platform, lines = filled
    check_whole(platform)
    told = [line["progress"] for line in lines if "progress" in line]
    assert told == sorted(told)
    assert told[-1] == 100
    assert not [line for line in lines if line["level"] in ("WARNING", "ERROR")]


def test_a_device_was_last_seen_when_it_spoke_not_when_its_past_was_stored(filled: Filled) -> None:
    platform, _ = filled
    until = datetime.fromtimestamp(platform.progress()["until"], UTC)
    seen = platform.rows("SELECT last_seen FROM device_state WHERE last_seen IS NOT NULL")
    simulated = [d for d in platform.fleet.devices if d.simulated]
    assert len(seen) == len(simulated) + sum(len(d.children) for d in simulated)
    assert all(until - timedelta(minutes=2) < last_seen < until for (last_seen,) in seen)


def test_a_finished_history_is_not_made_again(filled: Filled) -> None:
    platform, _ = filled
    assert [line for line in finish(platform.start()) if "progress" in line] == []


def test_stored_values_are_those_of_the_simulators_models(filled: Filled) -> None:
    platform, _ = filled
    devices = load_endpoints(platform.home.endpoints_file).fleet()
    chiller = next(d for d in devices if d.template == "chiller-v1")
    model = build(chiller)
    found = platform.rows(
        "SELECT p.name, p.type, extract(epoch FROM m.ts)::float8, m.v_num, m.v_bool, m.v_text"
        " FROM m_raw m JOIN dim_point dp USING (point_sk) JOIN points p ON p.id = dp.point_id"
        " JOIN devices d ON d.id = p.device_id JOIN tenants t ON t.id = d.tenant_id"
        " WHERE t.slug = %(tenant)s AND d.name = %(name)s",
        tenant=chiller.tenant,
        name=chiller.name,
    )
    assert len(found) > 9 * 1000
    for name, kind, ts, number, boolean, text in found:
        stored = {"num": number, "bool": boolean, "enum": text, "text": text}[kind]
        assert stored == model.at(ts)[name], (name, ts)


def test_a_tenant_sees_the_history_of_its_own_devices(filled: Filled) -> None:
    platform, _ = filled
    database = Database(platform.database_url)
    try:
        for tenant, tenant_id in {(u.tenant, u.tenant_id) for u in platform.fleet.users}:
            if tenant_id is None:
                continue
            devices = [d for d in platform.fleet.devices if d.tenant == tenant]
            mine = {d.id for d in devices} | {c.id for d in devices for c in d.children}
            with database.transaction("traksense_app", tenant_id) as cursor:
                cursor.execute("SELECT DISTINCT device_id FROM public.ts_measure_tenant")
                seen = {row[0] for row in cursor.fetchall()}
            assert seen
            assert seen <= mine
    finally:
        database.close()


def test_a_history_that_was_killed_goes_on_and_doubles_nothing(platform: Platform) -> None:
    child = platform.start()
    wait_for_percent(child, 20)
    child.kill()
    child.communicate()
    progress = platform.progress()
    assert not progress["finished"]
    ((before,),) = platform.rows("SELECT count(*) FROM m_raw")
    assert before > 0

    finish(platform.start())
    assert platform.progress()["until"] == progress["until"]
    check_whole(platform)


@pytest.mark.parametrize("how", ["term", "stdin"])
def test_a_history_that_is_told_to_end_does_so_at_once_and_well(
    platform: Platform, how: str
) -> None:
    child = platform.start()
    wait_for_percent(child, 5)
    if how == "term":
        child.send_signal(signal.SIGTERM)
    else:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    started = time.monotonic()
    child.communicate(timeout=30)
    assert child.returncode == 0
    assert time.monotonic() - started < 8
    assert not platform.progress()["finished"]


def test_the_state_that_a_device_has_now_is_not_moved_by_its_past(platform: Platform) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(platform.database_url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        connection.execute(
            "UPDATE public.device_state SET is_online = false, state_at = %(now)s,"
            " last_seen = %(now)s",
            {"now": now},
        )
    child = platform.start()
    wait_for_percent(child, 10)
    child.terminate()
    child.communicate()
    found = platform.rows("SELECT DISTINCT is_online, state_at, last_seen FROM device_state")
    assert found == [(False, now, now)]


def test_a_home_without_endpoints_ends_with_a_line_that_says_what_to_do(
    platform: Platform,
) -> None:
    platform.home.endpoints_file.unlink()
    child = platform.start()
    output, _ = child.communicate(timeout=30)
    assert child.returncode == 1
    last = json.loads(output.splitlines()[-1])
    assert last["level"] == "ERROR"
    assert "start the platform first" in last["message"]
    assert "Traceback" not in output
