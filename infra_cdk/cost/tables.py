"""The tables of docs/reference/costs.md, which the tests hold to what this prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from infra_cdk.settings import StageSettings, context_of_file, read
from traksense.settings.function import FunctionSettings
from traksense.settings.retention import RetentionSettings

from .bill import Bill, bill
from .limits import busy_ingest_calls, by_kinesis_usd, by_sqs_usd
from .measured import Measured
from .prices import load, regions
from .workload import Workload

FLEETS: Final = (100, 10_000, 1_000_000)
INTERVAL_S: Final = 60
POINTS: Final = 10
PARTS: Final = (
    "devices", "queues", "functions", "database", "network", "API and page", "exports",
    "operations",
)  # fmt: skip


def all_of(measured: Measured) -> str:
    """Every table, each under the heading that its page has for it."""
    prod = read(context_of_file(stage="prod"))
    dev = read(context_of_file(stage="dev"))
    parts = [
        _titled(region, _by_part(region, (prod, dev), measured)) for region in regions()
    ]  # fmt: skip
    parts.append(_titled("Load", _load(prod, measured)))
    parts.append(_titled("Turns", _turns(prod, measured)))
    return "\n\n".join(parts)


def rewritten(page: str, measured: Measured) -> str:
    """A page with each of its tables as it is now: what stands between a heading and the next."""
    for table in all_of(measured).split("\n\n### "):
        title, _, body = table.removeprefix("### ").partition("\n")
        page = re.sub(
            rf"(?ms)^### {re.escape(title)}\n.*?(?=^##|\Z)", f"### {title}\n{body}\n\n", page
        )
    return page


def fleet(devices: int, settings: StageSettings) -> Workload:
    """The workload that the tables are about."""
    return Workload(
        devices=devices,
        interval_s=INTERVAL_S,
        points=POINTS,
        batching=settings.ingest.batching,
        retention=RetentionSettings.from_environment(settings.functions.environment),
        raw_days=FunctionSettings.from_environment(
            {"DATABASE_URL": "postgresql://none", **settings.functions.environment}
        ).raw_retention_days,
    )


def _by_part(
    region: str, stages: tuple[StageSettings, StageSettings], measured: Measured
) -> Iterator[Sequence[str]]:
    prod, dev = stages
    prices = load(region)
    bills = [bill(fleet(FLEETS[0], dev), dev, measured, prices)]
    bills += [bill(fleet(devices, prod), prod, measured, prices) for devices in FLEETS]
    yield ("USD a month", f"{FLEETS[0]}, dev", *(f"{devices:,}, prod" for devices in FLEETS))
    for part in PARTS:
        yield (part, *(_usd(each.usd_of(part)) for each in bills))
    yield ("**all**", *(f"**{_usd(each.usd)}**" for each in bills))
    counts = (FLEETS[0], *FLEETS)
    yield (
        "a device",
        *(f"{each.usd / n:.2f}" for each, n in zip(bills, counts, strict=True)),
    )


def _load(prod: StageSettings, measured: Measured) -> Iterator[Sequence[str]]:
    prices = load(regions()[0])  # sa-east-1
    loads = [fleet(devices, prod) for devices in FLEETS]
    bills = [bill(each, prod, measured, prices) for each in loads]
    yield ("", *(f"{devices:,} devices" for devices in FLEETS))
    yield ("messages a second", *(f"{each.messages_per_s:,.1f}" for each in loads))
    yield ("readings a second", *(f"{each.readings_per_s:,.0f}" for each in loads))
    yield (
        "calls of ingest at once",
        *(f"{busy_ingest_calls(each, measured):.2f}" for each in loads),
    )
    yield ("databases", *(_databases(each) for each in bills))
    yield ("the queue `ingest`, USD a month", *(_usd(by_sqs_usd(each, prices)) for each in loads))
    yield (
        "a Kinesis stream in its place, USD a month",
        *(_usd(by_kinesis_usd(each, prices)) for each in loads),
    )


def _turns(prod: StageSettings, measured: Measured) -> Iterator[Sequence[str]]:
    yield ("1,000,000 devices, USD a month", *regions())
    as_built, straight, sparing, both = [], [], [], []
    for region in regions():
        prices = load(region)
        plain = fleet(FLEETS[-1], prod)
        less = replace(plain, retention=replace(plain.retention, minutes_days=60))
        as_built.append(_usd(bill(plain, prod, measured, prices).usd))
        straight.append(_usd(bill(replace(plain, basic_ingest=True), prod, measured, prices).usd))
        sparing.append(_usd(bill(less, prod, measured, prices).usd))
        rare = replace(less, basic_ingest=True, interval_s=INTERVAL_S * 5)
        both.append(_usd(bill(rare, prod, measured, prices).usd))
    yield ("as it is", *as_built)
    yield ("with Basic Ingest", *straight)
    yield ("minutes kept 60 days instead of 365", *sparing)
    yield ("both, and readings every five minutes", *both)


def _databases(each: Bill) -> str:
    if each.databases is None:
        return "–"
    found = each.databases
    return f"{found.count} × `{found.instance.name}`, {found.storage_gb:,} GB"


def _usd(usd: float) -> str:
    return f"{usd:,.0f}" if usd >= 10 else f"{usd:.2f}"


def _titled(title: str, rows: Iterator[Sequence[str]]) -> str:
    header, *body = rows
    lines = [f"### {title}", "", _row(header), _row(["---"] * len(header))]
    return "\n".join([*lines, *map(_row, body)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
