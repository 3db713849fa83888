"""``python -m infra_cdk.cost --devices N --interval S --points P --stage prod``: a month's bill.

Line by line, with the unit price's date. ``--tables`` prints those of
docs/reference/costs.md, and ``--write`` puts them there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from infra_cdk.settings import SettingsError, StageSettings, context_of_file, read
from traksense.domain.errors import ConfigurationError
from traksense.settings.function import FunctionSettings
from traksense.settings.retention import RetentionSettings

from . import tables
from .bill import Bill, bill
from .limits import remarks
from .measured import NotMeasured
from .measured import load as load_measured
from .prices import NoPrice, load, regions
from .sizing import UnknownClass
from .workload import Workload

DEFAULT_REGION: Final = "sa-east-1"
PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "costs.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        measured = load_measured()
        if given.tables:
            print(tables.all_of(measured))
            return 0
        if given.write:
            PAGE.write_text(tables.rewritten(PAGE.read_text("utf-8"), measured), "utf-8")
            return 0
        settings = read({**context_of_file(), **_chosen(given)})
        workload = workload_of(given, settings)
        billed = bill(workload, settings, measured, load(given.region))
    except (SettingsError, ConfigurationError, NoPrice, NotMeasured, UnknownClass) as error:
        print(f"cost: {error}", file=sys.stderr)
        return 2
    notes = list(remarks(workload, settings, billed, measured))
    if given.json:
        print(
            json.dumps(
                {
                    "usd": round(billed.usd, 2),
                    "lines": [asdict(line) for line in billed.lines],
                    "remarks": notes,
                },
                indent=2,
            )
        )
    else:
        print(text_of(workload, billed, notes, given.region))
    return 0


def workload_of(given: argparse.Namespace, settings: StageSettings) -> Workload:
    """What the arguments and the stage's environment ask for. Raises ConfigurationError."""
    environment = dict(settings.functions.environment)
    if given.minute_days is not None:
        environment["TRAKSENSE_MINUTE_RETENTION_DAYS"] = str(given.minute_days)
    return Workload(
        devices=given.devices,
        interval_s=given.interval,
        points=given.points,
        batching=settings.ingest.batching,
        retention=RetentionSettings.from_environment(environment),
        raw_days=FunctionSettings.from_environment(
            {"DATABASE_URL": "postgresql://none", **environment}
        ).raw_retention_days,
        age_days=given.age_days,
        basic_ingest=given.basic_ingest or settings.ingest.basic_ingest,
    )


def text_of(workload: Workload, billed: Bill, notes: Sequence[str], region: str) -> str:
    """The bill for people."""
    rows = [("part", "price", "quantity", "USD", "price as of")]
    rows += [
        (line.part, line.price, f"{line.quantity:,.0f}", f"{line.usd:,.2f}", line.as_of)
        for line in billed.lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{workload.devices:,} devices, each {workload.points} points every "
        f"{workload.interval_s:g} s, after {workload.age_days} days, in {region}: "
        f"{workload.messages_per_s:,.1f} messages and {workload.readings_per_s:,.0f} readings a "
        "second",
        "",
    ]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (2, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines += [
        "",
        f"{billed.usd:,.2f} USD a month, before taxes; "
        f"{billed.usd / workload.devices:,.4f} a device; "
        f"{billed.usd / workload.readings * 1e6:,.4f} a million readings",
    ]
    if billed.databases is not None:
        found = billed.databases
        lines.append(
            f"database: {found.count} × {found.instance.name} with {found.storage_gb:,} GB"
        )
    lines += [f"note: {note}" for note in notes]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.cost", description=__doc__)
    parser.add_argument("--devices", type=_at_least_one, default=100)
    parser.add_argument("--interval", type=_seconds, default=60.0, help="seconds between messages")
    parser.add_argument("--points", type=_at_least_one, default=10, help="of each device")
    parser.add_argument("--stage", default="prod", help="of cdk.json")
    parser.add_argument("--database", choices=("rds", "aurora", "external"))
    parser.add_argument("--region", choices=regions(), default=_region_of_environment())
    parser.add_argument(
        "--age-days", type=_at_least_one, default=365, help="days of stored history"
    )
    parser.add_argument("--minute-days", type=_at_least_one, help="days that minutes are kept")
    parser.add_argument("--basic-ingest", action="store_true", help="telemetry past the broker")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put them there")
    parser.add_argument("--tables", action="store_true", help="those of docs/reference/costs.md")
    return parser


def _region_of_environment() -> str:
    named = os.environ.get("AWS_REGION", DEFAULT_REGION)
    return named if named in regions() else DEFAULT_REGION


def _chosen(given: argparse.Namespace) -> dict[str, str]:
    database = {} if given.database is None else {"database": given.database}
    return {"stage": given.stage, **database}


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0.1 <= number <= 86_400:
        raise argparse.ArgumentTypeError("between 0.1 and 86400")
    return number


if __name__ == "__main__":
    sys.exit(main())
