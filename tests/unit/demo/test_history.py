from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from device_sim.endpoints import Device, EndpointsError
from device_sim.models import build
from local.demo import catalogue
from local.demo.history import MARGIN_S, WINDOW_S, Backfill, Source, demo_sources, messages
from local.demo.progress import DAY_S, Progress, Span

UNTIL = 1_760_000_040  # 2025-10-09T08:54:00Z
RETENTION_S = 2 * DAY_S
SINCE = UNTIL - (RETENTION_S - MARGIN_S)

DEVICE = Device("acme", "plant", "chiller-01", None, None, template="chiller-v1")
SOURCE = Source.of(DEVICE)

Body = dict[str, Any]


class HastyStop:
    """Never waits; remembers how long it was to wait."""

    def __init__(self) -> None:
        self.requested = False
        self.waits: list[float] = []

    def __bool__(self) -> bool:
        return self.requested

    def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return self.requested


class Taker:
    """An ingest handler that keeps what it took, and may refuse some or stop the run."""

    def __init__(self) -> None:
        self.calls: list[list[Body]] = []
        self.taken: list[Body] = []
        self.refuse: Counter[str] = Counter()
        self.stop_after: tuple[int, HastyStop] | None = None

    def __call__(self, event: dict[str, Any], _context: object) -> dict[str, Any]:
        failures = []
        bodies = []
        for record in event["Records"]:
            body = json.loads(record["body"])
            body["receives"] = int(record["attributes"]["ApproximateReceiveCount"])
            bodies.append(body)
            if self.refuse[record["messageId"]] > 0:
                self.refuse[record["messageId"]] -= 1
                failures.append({"itemIdentifier": record["messageId"]})
            else:
                self.taken.append(body)
        self.calls.append(bodies)
        if self.stop_after is not None and len(self.calls) >= self.stop_after[0]:
            self.stop_after[1].requested = True
        return {"batchItemFailures": failures}


def backfill(
    taker: Taker, path: Path, stop: HastyStop | None = None, now: float = UNTIL
) -> Backfill:
    progress = Progress.resume(path / "history.json", UNTIL)
    chosen = HastyStop() if stop is None else stop
    return Backfill([SOURCE], taker, progress, RETENTION_S, chosen, lambda: now)


def instants(bodies: list[Body]) -> list[int]:
    return [body["received_at"] // 1000 for body in bodies]


EVERY_MINUTE = {minute + SOURCE.second for minute in range(SINCE, UNTIL, 60)}


def test_every_minute_up_to_the_margin_of_the_retention_is_sent_once(tmp_path: Path) -> None:
    taker = Taker()
    assert backfill(taker, tmp_path).run()
    sent = instants(taker.taken)
    assert len(sent) == len(set(sent))
    assert set(sent) == EVERY_MINUTE


def test_the_newest_day_comes_first_and_an_event_is_in_the_order_of_time(tmp_path: Path) -> None:
    taker = Taker()
    backfill(taker, tmp_path).run()
    days = [datetime.fromtimestamp(instants(call)[0], UTC).date() for call in taker.calls]
    assert days == sorted(days, reverse=True)
    assert max(instants(taker.calls[0])) == max(EVERY_MINUTE)
    for call in taker.calls:
        assert instants(call) == sorted(instants(call))
        assert max(instants(call)) - min(instants(call)) < WINDOW_S


def test_a_message_is_what_the_device_would_have_sent_and_arrived_when_it_was_made() -> None:
    (message, *_rest) = messages([SOURCE], Span(UNTIL - 60, UNTIL))
    body = json.loads(message.body)
    ts = UNTIL - 60 + SOURCE.second
    assert body["topic"] == "traksense/acme/plant/chiller-01/telem"
    assert body["client_id"] == "acme_chiller-01"
    assert body["received_at"] == ts * 1000 == message.sent_at_ms
    assert b64decode(body["payload"]) == build(DEVICE).payloads(float(ts))[0]


def test_messages_of_one_event_have_ids_of_their_own() -> None:
    ids = [message.message_id for message in messages([SOURCE, SOURCE], Span(UNTIL - 3600, UNTIL))]
    assert len(ids) == len(set(ids)) == 120


def test_only_what_came_back_is_sent_again_and_later_each_time(tmp_path: Path) -> None:
    taker = Taker()
    ids = [m.message_id for m in messages([SOURCE], Span(UNTIL - 54 * 60, UNTIL))]
    taker.refuse.update({ids[0]: 3, ids[5]: 1})
    stop = HastyStop()
    assert backfill(taker, tmp_path, stop).run()
    assert [len(call) for call in taker.calls[:4]] == [54, 2, 1, 1]
    assert [call[0]["receives"] for call in taker.calls[:4]] == [1, 2, 3, 4]
    assert stop.waits[:3] == [1.0, 2.0, 4.0]
    assert set(instants(taker.taken)) == EVERY_MINUTE
    assert len(taker.taken) == len(EVERY_MINUTE)


def test_it_rests_as_long_as_it_worked(tmp_path: Path) -> None:
    ticks = iter(range(0, 100_000, 7))
    stop, taker = HastyStop(), Taker()
    progress = Progress.resume(tmp_path / "history.json", UNTIL)
    Backfill(
        [SOURCE], taker, progress, RETENTION_S, stop, lambda: UNTIL, lambda: float(next(ticks))
    ).run()
    assert stop.waits == [7.0] * len(taker.calls)


def test_a_run_that_is_stopped_ends_at_once_and_the_next_one_completes_it(tmp_path: Path) -> None:
    taker, stop = Taker(), HastyStop()
    taker.stop_after = (9, stop)
    assert not backfill(taker, tmp_path, stop).run()
    assert len(taker.calls) == 9
    before = set(instants(taker.taken))
    assert before < EVERY_MINUTE

    again = Taker()
    assert backfill(again, tmp_path).run()
    assert before | set(instants(again.taken)) == EVERY_MINUTE
    whole_day = {ts for ts in EVERY_MINUTE if ts >= UNTIL - UNTIL % DAY_S}
    assert not whole_day & set(instants(again.taken)), "a day that was done is not sent again"


def test_a_finished_history_sends_nothing(tmp_path: Path) -> None:
    backfill(Taker(), tmp_path).run()
    again = Taker()
    assert backfill(again, tmp_path).run()
    assert again.calls == []


def test_what_fell_out_of_the_retention_meanwhile_is_left_out(tmp_path: Path) -> None:
    taker = Taker()
    assert backfill(taker, tmp_path, now=UNTIL + DAY_S + 30).run()
    oldest = UNTIL + DAY_S + 30 - (RETENTION_S - MARGIN_S)
    assert min(instants(taker.taken)) >= oldest
    assert {ts for ts in EVERY_MINUTE if ts >= oldest + 60} <= set(instants(taker.taken))


def test_a_platform_that_was_off_for_longer_than_the_retention_sends_nothing(
    tmp_path: Path,
) -> None:
    taker = Taker()
    assert backfill(taker, tmp_path, now=UNTIL + 2 * RETENTION_S).run()
    assert taker.calls == []


def test_an_answer_that_makes_no_sense_loses_no_message(tmp_path: Path) -> None:
    taker = Taker()
    answers = iter([{"batchItemFailures": [{"itemIdentifier": ""}]}])

    def strange_once(event: dict[str, Any], context: object) -> Any:
        return next(answers, None) or taker(event, context)

    progress = Progress.resume(tmp_path / "history.json", UNTIL)
    assert Backfill([SOURCE], strange_once, progress, RETENTION_S, HastyStop(), lambda: UNTIL).run()
    assert set(instants(taker.taken)) == EVERY_MINUTE


def test_progress_is_told_from_nothing_to_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "local.demo.history")
    backfill(Taker(), tmp_path).run()
    told = [record.getMessage() for record in caplog.records]
    percents = [int(text.split()[1]) for text in told]
    assert told[-1] == "history 100 %"
    assert percents == sorted(set(percents))
    assert len(percents) > 10


def test_an_interrupted_day_is_not_written_down_as_done(tmp_path: Path) -> None:
    taker, stop = Taker(), HastyStop()
    taker.stop_after = (1, stop)
    backfill(taker, tmp_path, stop).run()
    assert Progress.resume(tmp_path / "history.json", UNTIL).days == set()
    backfill(Taker(), tmp_path).run()
    assert Progress.resume(tmp_path / "history.json", UNTIL).days == {
        date(2025, 10, 9), date(2025, 10, 8), date(2025, 10, 7)
    }  # fmt: skip


def endpoints(tmp_path: Path, devices: list[dict[str, Any]]) -> Path:
    path = tmp_path / "endpoints.json"
    mqtt = {"host": "127.0.0.1", "port": 8883, "ca": "/ca.crt"}
    path.write_text(json.dumps({"mqtt": mqtt, "devices": devices}))
    return path


def entry(tenant: str, name: str, **more: Any) -> dict[str, Any]:
    return {"tenant": tenant, "site": "s", "name": name, "cert": "/c", "key": "/k",
            "simulated": True, "template": "chiller-v1"} | more  # fmt: skip


def test_only_simulated_devices_of_the_demo_have_a_past(tmp_path: Path) -> None:
    path = endpoints(
        tmp_path,
        [
            entry("umc", "chiller-01"),
            entry("umc", "reserva-01", template="generic-sensor", simulated=False),
            entry("umc", "load-0001"),
        ],
    )
    assert [s.topic for s in demo_sources(path)] == ["traksense/umc/s/chiller-01/telem"]


def test_a_gateway_known_by_its_mac_address_publishes_on_its_own_topic(tmp_path: Path) -> None:
    device = next(d for _, d in catalogue.load().devices() if d.template == "gateway-tds")
    gateway = {"mac": device.mac, "children": [child.code for child in device.children]}
    path = endpoints(tmp_path, [entry("umc", device.name, template="gateway-tds", gateway=gateway)])
    (source,) = demo_sources(path)
    assert source.topic == f"tds_new/devices/{device.mac}/telemetry"
    assert source.client_id == f"umc_{device.name}"


def test_a_platform_that_never_started_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(EndpointsError, match="start the platform first"):
        demo_sources(tmp_path / "endpoints.json")
