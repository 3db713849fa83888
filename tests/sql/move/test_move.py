"""Everything moves to another server, between any two engines, and nothing is lost or doubled."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import fleet
from tests.support import move as mv
from tests.support.move import Route


def add_news(url: str) -> None:
    """A dead letter, an event and an alarm, and a point whose key must never be given out again."""
    mv.run(
        url,
        "INSERT INTO public.ingest_errors (fingerprint, received_at, last_received_at, topic,"
        " reason, detail, payload) SELECT sha256('x'), now(), now(), 't', 'r', 'd', '\\x00ff'",
        "INSERT INTO public.device_events (tenant_id, device_id, event_id, event_type, ts,"
        " received_at) SELECT tenant_id, id, 'e', 'x', now(), now() FROM public.devices LIMIT 2",
        "INSERT INTO public.device_alarms (tenant_id, device_id, code, severity, active, ts,"
        " received_at) SELECT tenant_id, id, 'c', 'low', true, now(), now() FROM public.devices"
        " LIMIT 1",
        'UPDATE public.device_state SET reported = \'{"firmware": "1.10"}\', last_seen = now()',
        "INSERT INTO public.points (tenant_id, device_id, name, type) SELECT tenant_id, id, 'gone',"
        " 'num' FROM public.devices LIMIT 1",
        "DELETE FROM public.dim_point WHERE point_id IN"
        " (SELECT id FROM public.points WHERE name = 'gone')",
        "DELETE FROM public.points WHERE name = 'gone'",
    )


def test_everything_is_on_the_other_server(route: Route) -> None:
    mv.fill(route.source)
    add_news(route.source)
    code, said = mv.move(route)
    assert code == 0, said.lines
    assert mv.readings(route.target) == mv.readings(route.source)
    assert mv.tables(route.target) == mv.tables(route.source)
    for level in mv.LEVELS:
        edge = min(mv.refreshed(url)[level] for url in (route.source, route.target))
        found = mv.rollups(route.target, level, edge)
        assert found == mv.rollups(route.source, level, edge)
        assert min(bucket for _, bucket in found) < datetime.now(UTC) - timedelta(days=50)
    days = [
        line for line in said.lines if re.fullmatch(r"\d{4}-\d\d-\d\d +[\d,]+ +[\d,]+  ok", line)
    ]
    assert len(days) == 5
    assert "ingestion was stopped for" in said


def test_a_new_point_gets_a_key_that_none_ever_had(plain: Route) -> None:
    add_news(plain.source)
    last = mv.run(plain.source, "SELECT last_value FROM public.dim_point_point_sk_seq")[0][0]
    assert mv.move(plain)[0] == 0
    mv.run(
        plain.target,
        "INSERT INTO public.points (tenant_id, device_id, name, type)"
        " SELECT tenant_id, id, 'new', 'num' FROM public.devices LIMIT 1",
    )
    assert mv.run(plain.target, "SELECT max(point_sk) FROM public.dim_point") == [(last + 1,)]


def test_rollups_of_readings_that_are_gone_survive_what_the_target_does_next(route: Route) -> None:
    mv.fill(route.source)
    assert mv.move(route)[0] == 0
    old = datetime.now(UTC) - timedelta(days=6)
    before = {level: mv.rollups(route.target, level, old) for level in mv.LEVELS}
    service = ingest_service(route.target)
    late = fleet.record(
        fleet.telem("acme", "chiller-1"), fleet.normalised(mv.ago(days=3.5), temp=1.25)
    )
    assert service.ingest(sqs.messages(fleet.event(late))).stored == 1
    service.close()
    mv.maintain(route.target, "refresh_rollups", "close_days", "refresh_rollups")
    assert {level: mv.rollups(route.target, level, old) for level in mv.LEVELS} == before


def test_messages_come_along_packed_or_not(route: Route) -> None:
    device = route.seeded.devices["acme_chiller-1"]
    for days in (0, 3):
        mv.run(
            route.source,
            "SELECT public.add_messages(array_agg(d), array_agg(t), array_agg('topic' || n),"
            f" array_agg(sha256(n::text::bytea))) FROM (SELECT '{device}'::uuid AS d, n,"
            f" now() - interval '{days} days' - n * interval '1 minute' AS t"
            " FROM generate_series(1, 300) n) m",
        )
    mv.maintain(route.source, "refresh_rollups", "close_days")
    code, said = mv.move(route)
    assert code == 0, said.lines
    messages = (
        "SELECT m.device_id, m.message_id, m.received_at, m.topic, m.payload"
        " FROM public.raw_messages m ORDER BY m.received_at"
    )
    assert mv.run(route.target, messages) == mv.run(route.source, messages)
    assert len(mv.run(route.target, messages)) == 600
