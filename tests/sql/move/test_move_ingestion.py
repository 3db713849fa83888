"""A move while devices send, and one that is killed: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import fleet, rollups
from tests.support import move as mv
from tests.support.move import Route
from traksense.services.ingest import IngestService
from traksense.services.rollups import LEVELS

SENDERS = ("chiller-1", "chiller-2")


class Devices(threading.Thread):
    """Devices that send to wherever the platform is, and the queue that keeps what comes back."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.service: IngestService = ingest_service(url)
        self.acknowledged: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self.given_back = 0
        self.dead_letters = 0
        self.failures: list[BaseException] = []
        self.over = threading.Event()
        self._sent = 0

    def send(self) -> None:
        """A batch: what came back, and something new, half of it late by up to three days."""
        for device in SENDERS:
            self._sent += 1
            now = datetime.now(UTC)
            for at in (now, now - timedelta(days=self._sent % 4, seconds=100)):
                payload = fleet.normalised(at.isoformat(), temp=float(self._sent))
                self.waiting.append(fleet.record(fleet.telem("acme", device), payload))
        batch, self.waiting = self.waiting, []
        result = self.service.ingest(sqs.messages(fleet.event(*batch)))
        self.dead_letters += sum(result.reasons.values())
        self.given_back += len(result.failed)
        for each in batch:
            kept = self.waiting if each["messageId"] in result.failed else self.acknowledged
            kept.append(each)

    def run(self) -> None:
        """Send until it is over."""
        try:
            while not self.over.is_set():
                self.send()
                time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            self.failures.append(error)

    def stop(self) -> None:
        """Send no more."""
        self.over.set()
        self.join(60)
        assert self.failures == []

    def switch(self, url: str) -> None:
        """From now on the platform is elsewhere."""
        self.service.close()
        self.service = ingest_service(url)

    def instants(self) -> set[datetime]:
        """Those of everything that was acknowledged."""
        bodies = [json.loads(fleet.body_payload(each)) for each in self.acknowledged]
        return {datetime.fromisoformat(body["ts"]) for body in bodies}


def assert_rollups_are_those_of_the_readings(url: str) -> None:
    mv.maintain(url, "refresh_rollups")
    edges = mv.refreshed(url)
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE traksense_owner")
        readings = rollups.stored_readings(connection)
    for level, step in LEVELS.items():
        expected = {
            key: bucket[1:]
            for key, bucket in rollups.recomputed(readings, step).items()
            if key[1] < edges[level]
        }
        assert mv.rollups(url, level, edges[level]) == expected, level


def test_what_is_acknowledged_while_it_moves_is_there_once(route: Route) -> None:
    mv.fill(route.source, old_rollups=False)
    devices = Devices(route.source)
    devices.start()
    code, said = mv.move(route, "--lag", "1", "--rounds", "3")
    time.sleep(0.2)
    devices.stop()
    assert code == 0, said.lines
    assert devices.given_back > 0
    moved = mv.readings(route.source)
    assert mv.readings(route.target) == moved
    devices.switch(route.target)
    devices.send()
    devices.service.close()
    assert devices.waiting == []
    assert devices.dead_letters == 0
    points = {route.seeded.sks[f"acme_{device}", "temp"] for device in SENDERS}
    stored = mv.readings(route.target)
    assert devices.instants() <= {ts for point, ts in stored if point in points}
    assert moved.items() <= stored.items()
    assert_rollups_are_those_of_the_readings(route.target)


def start(route: Route, *options: str) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "traksense.db.move", "--to", route.target, *options],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"DATABASE_URL": route.source},
    )  # fmt: skip


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


HALT = "hashtextextended('a day is half there', 0)"


def halt_at(url: str, instant: str) -> None:
    """Let whoever adds the reading of this instant wait for a lock that the test holds."""
    mv.run(
        url,
        "CREATE FUNCTION public.halt() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN PERFORM pg_advisory_xact_lock({HALT}); RETURN NEW; END $$",
        "CREATE TRIGGER halt BEFORE INSERT ON public.m_raw FOR EACH ROW"
        f" WHEN (NEW.ts = '{instant}') EXECUTE FUNCTION public.halt()",
    )


def wait_until_someone_waits(connection: psycopg.Connection[Any]) -> None:
    for _ in range(600):
        row = connection.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE"
            " d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"
        ).fetchone()
        if row is not None and row[0]:
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_a_move_that_is_killed_in_the_middle_of_a_day_goes_on(route: Route) -> None:
    mv.run(
        route.source,
        "SELECT public.ensure_raw_partitions(current_date - 2, current_date + 1)",
        "INSERT INTO public.m_raw (ts, v_num, point_sk) SELECT g, 1, 1 FROM"
        " generate_series(current_date - 2, now(), interval '10 seconds') g",
    )
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    halt_at(route.target, f"{yesterday} 12:00Z")
    with psycopg.connect(route.target) as halting:
        halting.execute(f"SELECT pg_advisory_xact_lock({HALT})".encode())
        process = start(route, "--copy-only")
        try:
            wait_until_someone_waits(halting)
        finally:
            kill(process)
    assert len(mv.readings(route.target)) == 8640  # the day before is there, this one is not
    mv.run(route.target, "DROP TRIGGER halt ON public.m_raw")
    code, said = mv.move(route)
    assert code == 0, said.lines
    assert mv.readings(route.target) == mv.readings(route.source)
    assert sum(", equal, day" in line for line in said.lines) == 2


def test_a_move_that_is_killed_behind_the_fence_goes_on_from_there(plain: Route) -> None:
    mv.fill(plain.source)
    process = start(plain)
    assert process.stdout is not None
    try:
        assert any("sessions ended" in line for line in process.stdout)
    finally:
        kill(process)
    assert mv.is_read_only(plain.source)
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert "going on from there" in said
    assert mv.readings(plain.target) == mv.readings(plain.source)
    assert mv.tables(plain.target) == mv.tables(plain.source)


def test_late_readings_of_a_closed_day_come_along(plain: Route) -> None:
    mv.fill(plain.source, old_rollups=False)
    assert mv.move(plain, "--copy-only")[0] == 0
    mv.maintain(plain.target, "close_days")  # somebody runs the target's jobs already
    devices = Devices(plain.source)
    for _ in range(8):
        devices.send()
    devices.service.close()
    closed = mv.run(plain.target, "SELECT count(*) FROM public.closed_days")
    assert closed[0][0] > 0
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert mv.readings(plain.target) == mv.readings(plain.source)
    assert_rollups_are_those_of_the_readings(plain.target)


def test_behind_the_fence_messages_go_back_and_reading_goes_on(plain: Route) -> None:
    mv.fill(plain.source, old_rollups=False)
    devices = Devices(plain.source)
    devices.send()
    assert mv.move(plain)[0] == 0
    devices.send()
    assert (devices.given_back, devices.dead_letters) == (4, 0)
    assert mv.run(plain.source, "SELECT count(*) FROM public.ingest_errors") == [(0,)]
    code, said = mv.move(plain, "--reopen")
    assert code == 0, said.lines
    devices.send()
    devices.service.close()
    assert (devices.waiting, devices.dead_letters) == ([], 0)
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert mv.readings(plain.target) == mv.readings(plain.source)
