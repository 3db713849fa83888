"""What a hostile hour of the database does to a batch: it goes back, and nothing is lost by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions import sqs
from tests.support.fleet import Seeded, event, normalised, record, telem
from traksense.services.ingest import IngestService

NOW = datetime.now(UTC).replace(microsecond=0)
TOPIC = telem("acme", "chiller-1")


def stamp(seconds_ago: float = 0) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat()


def batch(n: int = 5) -> list[dict[str, Any]]:
    return [record(TOPIC, normalised(stamp(i), temp=float(i))) for i in range(n)]


def take(service: IngestService, records: list[dict[str, Any]]) -> Any:
    return service.ingest(sqs.messages(event(*records)))


def rows(url: str, *queries: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        for query in queries:
            cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def kept(url: str) -> tuple[Any, ...]:
    query = "SELECT (SELECT count(*) FROM m_raw), (SELECT count(*) FROM ingest_errors)"
    return rows(url, query)[0]


def assert_goes_back_then_is_stored_once(
    url: str, service: IngestService, *, mend: str, records: list[dict[str, Any]]
) -> None:
    assert take(service, records).failed == [each["messageId"] for each in records]
    assert kept(url) == (0, 0)
    rows(url, mend)
    assert (take(service, records).failed, take(service, records).stored) == ([], 0)
    assert kept(url) == (len(records), 0)


def test_a_connection_that_breaks_during_commit_neither_loses_nor_doubles(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    rows(
        database_url,
        "CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON public.device_state"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.die()",
    )
    assert_goes_back_then_is_stored_once(
        database_url, ingest, mend="DROP TRIGGER die ON public.device_state", records=batch()
    )


def test_a_slice_that_a_deadlock_undid_is_written_again_at_once(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    rows(
        database_url,
        "CREATE SEQUENCE public.tries",
        "CREATE FUNCTION public.meet() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$"
        " BEGIN IF nextval('public.tries') <= 2 THEN RAISE EXCEPTION 'a circle'"
        " USING ERRCODE = 'deadlock_detected'; END IF; RETURN NULL; END $$",
        "CREATE TRIGGER meet AFTER UPDATE ON public.device_state"
        " FOR EACH STATEMENT EXECUTE FUNCTION public.meet()",
    )
    result = take(ingest, batch())
    assert (result.failed, result.stored) == ([], 5)
    assert kept(database_url) == (5, 0)


def test_a_server_that_went_away_since_the_last_batch_costs_no_batch(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    take(ingest, batch(1))
    rows(
        database_url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert take(ingest, batch(5)).failed == []
    assert kept(database_url) == (5, 0)


def test_a_read_only_database_returns_the_batch(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    name = database_url.rsplit("/", 1)[1]
    rows(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    records = batch()
    assert take(ingest, records).failed == [each["messageId"] for each in records]
    assert kept(database_url) == (0, 0)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert take(ingest, records).stored == 5


@pytest.mark.parametrize(
    ("half_done", "rest", "error"),
    [
        (
            "ALTER TABLE public.m_raw RENAME COLUMN v_num TO v_number",
            "ALTER TABLE public.m_raw RENAME COLUMN v_number TO v_num",
            psycopg.errors.UndefinedColumn,
        ),
        (
            "REVOKE INSERT ON public.m_raw FROM traksense_ingest",
            "GRANT INSERT ON public.m_raw TO traksense_ingest",
            psycopg.errors.InsufficientPrivilege,
        ),
        pytest.param(
            "ALTER TABLE public.m_raw ADD COLUMN novel integer NOT NULL",
            "ALTER TABLE public.m_raw DROP COLUMN novel",
            psycopg.errors.NotNullViolation,
            marks=pytest.mark.engine("plain"),  # a table with columns refuses such a one
        ),
    ],
)
def test_a_half_done_deployment_returns_the_batch_and_fills_no_dead_letters(
    database_url: str,
    ingest: IngestService,
    seeded: Seeded,
    half_done: str,
    rest: str,
    error: type[Exception],
) -> None:
    rows(database_url, half_done)
    records = batch()
    with pytest.raises(error):
        take(ingest, records)
    assert kept(database_url) == (0, 0)
    rows(database_url, rest)
    assert take(ingest, records).stored == 5
    assert kept(database_url) == (5, 0)


@pytest.mark.engine("plain")
def test_a_day_whose_partition_cannot_be_made_returns_its_readings(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    partition = f"public.m_raw_{NOW - timedelta(days=3):%Y%m%d}"
    rows(database_url, f"ALTER TABLE public.m_raw DETACH PARTITION {partition}")
    records = [record(TOPIC, normalised(stamp(3 * 86_400), temp=1.0))]
    assert_goes_back_then_is_stored_once(
        database_url, ingest, mend=f"DROP TABLE {partition}", records=records
    )


def test_one_row_of_a_locked_device_returns_the_slice_in_bounded_time(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    take(ingest, [record(telem("acme", "chiller-2"), normalised(stamp(), temp=1.0))])
    ingest._store._database._lock_timeout = "200"  # type: ignore[attr-defined]
    records = batch(1)
    with psycopg.connect(database_url) as other:
        other.execute(
            "SELECT FROM device_state WHERE device_id = %s FOR UPDATE",
            (seeded.devices["acme_chiller-1"],),
        )
        assert take(ingest, records).failed == [records[0]["messageId"]]
    assert take(ingest, records).failed == []
    assert kept(database_url) == (2, 0)


def test_names_without_end_do_not_grow_what_a_device_reports(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    for n in range(12):
        payload = normalised(stamp(n), temp=1.0)
        payload["meta"] = {f"made-up-{n}": "x" * 3000}
        take(ingest, [record(TOPIC, payload)])
    (size,) = rows(
        database_url,
        "SELECT max(length(reported::text)) FROM device_state",
    )[0]
    assert 3000 < size <= 16_384
    assert kept(database_url) == (12, 0)


def test_a_whole_message_of_junk_is_one_dead_letter_of_bounded_size(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    head, tail = b'{"schema":"v1","ts":"2025-01-01T00:00:00Z","points":[', b"1]}"
    junk = head + b"1," * ((128 * 1024 - len(head) - len(tail)) // 2) + tail
    result = take(ingest, [record(TOPIC, junk), *batch(3)])
    assert (result.failed, result.stored) == ([], 3)
    assert rows(
        database_url,
        "SELECT octet_length(payload), length(detail) <= 2000, jsonb_array_length(errors)"
        " FROM ingest_errors",
    ) == [(len(junk), True, 100)]
