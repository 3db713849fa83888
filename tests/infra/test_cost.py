"""The cost model: its arithmetic by hand, its prices with their sources, its page as it prints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from infra_cdk.cost import tables
from infra_cdk.cost.__main__ import main
from infra_cdk.cost.bill import Bill, bill, ingest_calls_per_s
from infra_cdk.cost.limits import by_kinesis_usd, by_sqs_usd, remarks
from infra_cdk.cost.measured import Measured, NotMeasured
from infra_cdk.cost.measured import load as load_measured
from infra_cdk.cost.prices import PRICES_JSON, NoPrice, Price, Tier, load, regions
from infra_cdk.cost.sizing import LADDER, Need, UnknownClass, databases, stored_bytes
from infra_cdk.cost.workload import Workload
from infra_cdk.settings import StageSettings, context_of_file, read
from tests.unit.docs.pages import page

MEASURED = load_measured()
PROD = read(context_of_file(stage="prod"))
DEV = read(context_of_file(stage="dev"))
VIRGINIA = load("us-east-1")


def usd(billed: Bill, price: str) -> float:
    return next(line.usd for line in billed.lines if line.price == price)


def quantity(billed: Bill, price: str) -> float:
    return next(line.quantity for line in billed.lines if line.price == price)


def billed(workload: Workload, settings: StageSettings = PROD) -> Bill:
    return bill(workload, settings, MEASURED, VIRGINIA)


def test_each_tier_is_charged_at_its_own_price() -> None:
    price = Price("p", "call", 1000, "", "", (Tier(1000, 0.0), Tier(3000, 2.0), Tier(1e99, 1.0)))
    assert price.of(500) == 0
    assert price.of(1500) == pytest.approx(1.0)
    assert price.of(5000) == pytest.approx(2 * 2.0 + 2 * 1.0)


def test_a_hundred_devices_that_send_each_minute_by_hand() -> None:
    bill_of_100 = billed(tables.fleet(100, PROD))
    telemetry = 100 * 730 * 60
    state = 100 * 24 * 730 / 24
    commands = 100 * 730 / 24
    assert quantity(bill_of_100, "iot.connection_minutes") == 100 * 730 * 60
    assert usd(bill_of_100, "iot.connection_minutes") == pytest.approx(0.3504)
    assert quantity(bill_of_100, "iot.messages") == pytest.approx(telemetry + state + 3 * commands)
    assert quantity(bill_of_100, "iot.rules") == pytest.approx(telemetry + state)
    sent_received_deleted = 1.2
    polls = 2 * 5 * 730 * 180
    assert quantity(bill_of_100, "sqs.requests") == pytest.approx(
        (telemetry + state) * sent_received_deleted + polls
    )


def test_basic_ingest_takes_the_brokers_price_off_telemetry_and_nothing_else() -> None:
    usual = tables.fleet(10_000, PROD)
    with_it, without = billed(replace(usual, basic_ingest=True)), billed(usual)
    saved = quantity(without, "iot.messages") - quantity(with_it, "iot.messages")
    assert saved == pytest.approx(usual.messages)
    others = [line for line in without.lines if line.price != "iot.messages"]
    assert others == [line for line in with_it.lines if line.price != "iot.messages"]


def test_a_message_is_counted_by_its_size() -> None:
    small = tables.fleet(1, PROD)
    large = replace(small, points=2_000)
    assert (small.iot_messages_each, small.sqs_requests_each) == (1, 1)
    assert large.bytes_per_message == 64_160
    assert (large.iot_messages_each, large.sqs_requests_each) == (13, 2)


def test_a_busy_stage_calls_as_often_as_windows_end_until_batches_are_full() -> None:
    few, many = tables.fleet(60, PROD), tables.fleet(3_000_000, PROD)
    assert ingest_calls_per_s(few) == 1  # one message a second
    assert ingest_calls_per_s(tables.fleet(60_000, PROD)) == 5  # five pollers, a window of 1 s
    assert ingest_calls_per_s(many) == pytest.approx(50_000 / 4_500)


def test_storage_is_open_days_closed_days_and_the_rows_of_each_level() -> None:
    workload = replace(tables.fleet(100, PROD), age_days=1000)
    a_day, points = 1000 * 1440, 1000
    raw = a_day * (3 * MEASURED.open_bytes_per_reading + 11 * MEASURED.closed_bytes_per_reading)
    rows = points * (365 * 1440 + 730 * 288 + 1000 * 24)
    assert stored_bytes(workload, MEASURED) == pytest.approx(
        raw + rows * MEASURED.bytes_per_rollup_row
    )


def test_a_point_that_reports_seldom_has_no_more_rollup_rows_than_readings() -> None:
    hourly = replace(tables.fleet(100, PROD), interval_s=3600, age_days=1)
    rows = 1000 * 3 * 24
    raw = 1000 * 24 * MEASURED.open_bytes_per_reading
    assert stored_bytes(hourly, MEASURED) == pytest.approx(
        raw + rows * MEASURED.bytes_per_rollup_row
    )


def test_a_young_platform_stores_no_more_than_it_has_lived() -> None:
    old = tables.fleet(100, PROD)
    assert stored_bytes(replace(old, age_days=30), MEASURED) < stored_bytes(old, MEASURED) / 5


def test_the_database_is_never_smaller_than_the_stages_own() -> None:
    found = databases(Need(0.1, 0.5, 3), "db.m7g.large", 400)
    assert (found.count, found.instance.name, found.storage_gb) == (1, "db.m7g.large", 400)


def test_a_database_that_one_cannot_hold_becomes_several_that_carry_it_together() -> None:
    found = databases(Need(80, 300, 150_000), "db.m7g.large", 400)
    assert found.count == 3
    assert found.instance.sustained_vcpus * 3 >= 80
    assert found.instance.memory_gib * 3 >= 300
    assert found.storage_gb == 50_000


def test_a_class_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(UnknownClass, match=r"db\.x9\.huge"):
        databases(Need(1, 1, 1), "db.x9.huge", 20)


def test_two_zones_pay_twice_for_instance_and_storage() -> None:
    rds = replace(PROD.database.rds, multi_az=False)
    one_zone = replace(PROD, database=replace(PROD.database, rds=rds))
    workload = tables.fleet(10_000, PROD)
    twice, once = billed(workload), billed(workload, one_zone)
    for price in ("rds.db.m7g.large", "rds.storage_gb"):
        assert quantity(twice, price) == 2 * quantity(once, price)


@pytest.mark.parametrize("kind", ["rds", "aurora", "external"])
def test_each_kind_of_database_has_a_bill(kind: str) -> None:
    settings = read(context_of_file(stage="prod", database=kind))
    parts = {line.part for line in billed(tables.fleet(100, settings), settings).lines}
    assert ("database" in parts) is (kind != "external")


@pytest.mark.parametrize("settings", [DEV, PROD], ids=["dev", "prod"])
@pytest.mark.parametrize("price", ["iot.messages", "sqs.requests", "lambda.gb_seconds"])
def test_more_devices_never_cost_less(settings: StageSettings, price: str) -> None:
    costs = [usd(billed(tables.fleet(n, settings), settings), price) for n in (10, 1_000, 100_000)]
    assert costs == sorted(costs)
    assert costs[-1] > costs[0]


def test_a_fleet_beyond_quotas_is_told_so_and_a_small_one_is_not() -> None:
    small, large = tables.fleet(100, PROD), tables.fleet(2_000_000, PROD)
    assert list(remarks(small, PROD, billed(small), MEASURED)) == []
    told = " ".join(remarks(large, PROD, billed(large), MEASURED))
    for word in ("messages a second", "connections", "databases", "most_storage_gb"):
        assert word in told


def test_a_stream_is_cheaper_than_a_queue_only_from_some_size_on() -> None:
    few, many = tables.fleet(100, PROD), tables.fleet(1_000_000, PROD)
    assert by_kinesis_usd(few, VIRGINIA) > by_sqs_usd(few, VIRGINIA)
    assert by_kinesis_usd(many, VIRGINIA) < by_sqs_usd(many, VIRGINIA) / 10


def test_every_price_has_its_page_and_says_when_or_how_it_came() -> None:
    for name, price in json.loads(PRICES_JSON.read_text("utf-8"))["prices"].items():
        assert re.match(r"https://(aws|docs\.aws)\.amazon\.com/", price["page"]), name
        for region, here in price["regions"].items():
            if here["as_of"] == "estimated":
                assert here["note"], f"{name} in {region}"
            elif here["as_of"] != "as known":
                assert date(2026, 1, 1) <= date.fromisoformat(here["as_of"]), f"{name} in {region}"
            bounds = [up_to for up_to, _ in here["tiers"]]
            assert bounds[-1] is None, f"{name} in {region} ends"
            assert bounds[:-1] == sorted(bounds[:-1])


def test_both_regions_are_there_and_a_third_is_named() -> None:
    assert {"sa-east-1", "us-east-1"} <= set(regions())
    with pytest.raises(NoPrice, match="mars-north-1"):
        load("mars-north-1")


def test_a_price_that_is_not_there_is_named() -> None:
    with pytest.raises(NoPrice, match=r"no\.such\.price"):
        VIRGINIA["no.such.price"]


def test_no_price_lies_in_the_file_unused() -> None:
    used = {f"rds.{each.name}" for each in LADDER} | {"kinesis.shard_hours", "kinesis.put_units"}
    for stage in ("dev", "prod"):
        for kind in ("rds", "aurora"):
            settings = read(context_of_file(stage=stage, database=kind))
            lines = billed(tables.fleet(100, settings), settings).lines
            used |= {line.price for line in lines}
    assert VIRGINIA.names() == used


def test_a_figure_that_was_never_measured_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("{}")
    with pytest.raises(NotMeasured, match="bytes_of_rollups"):
        load_measured(results)


def test_a_reading_that_costs_more_to_write_makes_a_dearer_bill() -> None:
    workload = tables.fleet(1_000_000, PROD)
    slow = replace(MEASURED, ingest_s_per_reading=MEASURED.ingest_s_per_reading * 10)
    assert isinstance(slow, Measured)
    dear = usd(bill(workload, PROD, slow, VIRGINIA), "lambda.gb_seconds")
    assert dear > usd(billed(workload), "lambda.gb_seconds") * 2


def test_the_page_shows_what_the_command_prints() -> None:
    text = page("docs/reference/costs.md").text
    for table in tables.all_of(MEASURED).split("\n\n### "):
        assert table.removeprefix("### ") in text, "python -m infra_cdk.cost --write"


def test_writing_the_page_mends_its_tables_and_leaves_the_rest() -> None:
    text = page("docs/reference/costs.md").text
    spoilt = text.replace("| database |", "| nothing |")
    assert spoilt != text
    assert tables.rewritten(spoilt, MEASURED) == text


def test_the_command_prints_every_line_and_their_sum(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--devices", "100", "--interval", "60", "--points", "10", "--region", "us-east-1"]
    assert main([*asked, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["usd"] == pytest.approx(sum(line["usd"] for line in printed["lines"]), abs=0.01)
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert all(line["price"] in text for line in printed["lines"])
    assert f"{printed['usd']:,.2f} USD a month" in text


def test_a_stage_that_is_not_there_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "moon"]) == 2
    assert "moon" in capsys.readouterr().err
