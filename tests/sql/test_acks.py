"""Acks of commands against a real PostgreSQL: bound to their device, counted once, in any order."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions import sqs
from tests.support import fleet
from tests.support.fleet import Seeded, channel, event, record
from traksense.contracts.topics import Channel
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.event_store import SqlEventStore
from traksense.db.maintenance import SqlMaintenanceStore
from traksense.services.device_events import DeviceEventsService
from traksense.services.directory import Directory

THING = "acme_chiller-1"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def service(database: Database, seeded: Seeded) -> DeviceEventsService:
    return made(database)


def made(database: Database) -> DeviceEventsService:
    return DeviceEventsService(Directory(SqlDirectoryLoader(database)), SqlEventStore(database))


def commands(url: str, seeded: Seeded, many: int, thing: str = THING, **how: Any) -> list[str]:
    with psycopg.connect(url) as connection:
        return [fleet.add_command(connection, seeded, thing, **how) for _ in range(many)]


def ack(cmd_id: str, *, ok: bool = True, thing: str = THING, err: str | None = None,
        at_ms: int | None = None) -> dict[str, Any]:  # fmt: skip
    tenant, device = thing.split("_")
    payload = {
        "schema": "v1", "cmd_id": cmd_id, "ok": ok, "ts_exec": "2025-10-07T02:34:12Z", "err": err,
    }  # fmt: skip
    return record(channel(tenant, device, Channel.ACK), payload, at_ms)


def take(service: DeviceEventsService, *records: dict[str, Any]) -> Any:
    return service.take(sqs.messages(event(*records)))


def row(url: str, cmd_id: str) -> tuple[Any, ...]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT status, ok, err, acked_at IS NOT NULL, ts_exec FROM public.commands"
            " WHERE cmd_id = %s",
            (cmd_id,),
        ).fetchone()
    assert found is not None
    return found


def letters(url: str) -> Counter[str]:
    with psycopg.connect(url) as connection:
        return Counter(r for (r,) in connection.execute("SELECT reason FROM public.ingest_errors"))


DONE_AT = datetime(2025, 10, 7, 2, 34, 12, tzinfo=UTC)


def test_an_ack_settles_its_command_and_only_the_first_counts(
    database_url: str, seeded: Seeded, service: DeviceEventsService
) -> None:
    good, bad = commands(database_url, seeded, 2)
    batch = [ack(good), ack(bad, ok=False, err="jammed"), ack(good, ok=False, err="no")]
    assert take(service, *batch).settled == {"acked": 1, "error": 1}
    for again in (ack(good, ok=False, err="no"), ack(bad), batch[0]):
        result = take(service, again)
        assert (result.settled, result.reasons, result.failed) == ({}, {}, [])
    assert row(database_url, good) == ("acked", True, None, True, DONE_AT)
    assert row(database_url, bad) == ("error", False, "jammed", True, DONE_AT)


def test_an_ack_of_another_devices_command_is_a_dead_letter_and_settles_nothing(
    database_url: str, seeded: Seeded, service: DeviceEventsService
) -> None:
    (mine,) = commands(database_url, seeded, 1)
    (theirs,) = commands(database_url, seeded, 1, "globex_chiller-1")
    result = take(
        service,
        ack(mine, thing="acme_chiller-2"),
        ack(mine, thing="globex_chiller-1"),
        ack(theirs),
        ack(mine, ok=False, err="mine it is"),
    )
    assert (result.failed, dict(result.reasons)) == ([], {"unknown_command": 3})
    assert row(database_url, mine)[0] == "error"
    assert row(database_url, theirs) == ("pending", None, None, False, None)
    assert letters(database_url) == {"unknown_command": 3}


def test_a_command_times_out_and_a_late_ack_is_kept_and_changes_no_status(
    database_url: str, seeded: Seeded, database: Database, service: DeviceEventsService
) -> None:
    due, answered = commands(database_url, seeded, 2, timeout_s=1)
    (other,) = commands(database_url, seeded, 1, "globex_chiller-1", timeout_s=60)
    take(service, ack(answered))
    store = SqlMaintenanceStore(database)
    assert store.time_out_commands(datetime.now(UTC) - timedelta(seconds=5)) == 0
    assert store.time_out_commands(datetime.now(UTC) + timedelta(seconds=5)) == 1
    assert store.time_out_commands(datetime.now(UTC) + timedelta(seconds=5)) == 0
    assert row(database_url, due)[0] == "timeout"
    assert row(database_url, answered)[0] == "acked"
    assert row(database_url, other)[0] == "pending"
    assert take(service, ack(due)).settled == {"late": 1}
    assert row(database_url, due) == ("timeout", True, None, True, DONE_AT)
    assert take(service, ack(due, ok=False)).settled == {}


def test_an_ack_that_arrives_after_its_time_is_late_although_no_sweep_has_been(
    database_url: str, seeded: Seeded, service: DeviceEventsService
) -> None:
    (cmd_id,) = commands(database_url, seeded, 1, timeout_s=-5)
    assert take(service, ack(cmd_id)).settled == {"late": 1}
    assert row(database_url, cmd_id)[:2] == ("timeout", True)
    (in_time,) = commands(database_url, seeded, 1, timeout_s=-5)
    assert take(service, ack(in_time, at_ms=fleet.now_ms() - 60_000)).settled == {"acked": 1}


def test_a_thousand_concurrent_acks_thrice_in_random_order_leave_a_thousand_acked_once(
    database_url: str, seeded: Seeded
) -> None:
    things = [THING, "acme_chiller-2", "globex_chiller-1", "globex_chiller-2"]
    sent = {
        cmd_id: thing for thing in things for cmd_id in commands(database_url, seeded, 250, thing)
    }
    settled: Counter[str] = Counter()
    guard = threading.Lock()
    given = [(cmd_id, thing) for cmd_id, thing in sent.items() for _ in range(3)]
    random.Random(7).shuffle(given)
    batches = [given[n : n + 10] for n in range(0, len(given), 10)]

    def worker(mine: list[list[tuple[str, str]]]) -> None:
        database = Database(database_url)
        with closing(database):
            service = made(database)
            for batch in mine:
                records = [ack(cmd_id, thing=thing) for cmd_id, thing in batch]
                result = take(service, *records)
                while result.failed:  # as its queue would bring it again
                    with guard:
                        settled.update(result.settled)
                    again = [each for each in records if each["messageId"] in result.failed]
                    result = take(service, *again)
                with guard:
                    settled.update(result.settled)
                assert result.reasons == {}

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(worker, [batches[n::6] for n in range(6)]))
    assert settled == {"acked": 1000}
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT status, count(*), count(acked_at), count(DISTINCT cmd_id)"
            " FROM public.commands GROUP BY status"
        ).fetchall()
    assert found == [("acked", 1000, 1000, 1000)]
    assert letters(database_url) == {}


def test_an_ack_and_the_time_out_that_meet_leave_one_of_them(
    database_url: str, seeded: Seeded, database: Database, service: DeviceEventsService
) -> None:
    """The ack is being written when the sweep comes: it passes the row over."""
    (cmd_id,) = commands(database_url, seeded, 1, timeout_s=1)
    with psycopg.connect(database_url) as other:
        other.execute(
            "UPDATE public.commands SET status = 'acked', acked_at = now(), ok = true"
            " WHERE cmd_id = %s",
            (cmd_id,),
        )
        later = datetime.now(UTC) + timedelta(seconds=5)
        assert SqlMaintenanceStore(database).time_out_commands(later) == 0
        other.commit()
        assert SqlMaintenanceStore(database).time_out_commands(later) == 0
    assert row(database_url, cmd_id)[0] == "acked"


def test_ingestion_cannot_read_what_was_commanded_nor_change_it(
    database_url: str, seeded: Seeded, database: Database
) -> None:
    commands(database_url, seeded, 1)
    for statement in (
        "SELECT params FROM public.commands",
        "SELECT op, sent_by FROM public.commands",
        "UPDATE public.commands SET device_id = gen_random_uuid()",
        "UPDATE public.commands SET expires_at = now()",
        "DELETE FROM public.commands",
        "INSERT INTO public.commands (cmd_id) VALUES ('x')",
    ):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            database.transaction("traksense_ingest") as cursor,
        ):
            cursor.execute(statement.encode())
