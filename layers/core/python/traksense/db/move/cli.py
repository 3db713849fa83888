"""``python -m traksense.db.move``: the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
from psycopg.conninfo import make_conninfo

from traksense import bootstrap
from traksense.db.connection import Database
from traksense.db.move import preflight
from traksense.db.move.configuration import Configuration
from traksense.db.move.errors import MoveRefused
from traksense.db.move.fence import Fence
from traksense.db.move.ledger import Ledger
from traksense.db.move.mover import Different, Mover, Outcome
from traksense.db.move.progress import Say, say_on_screen
from traksense.db.move.rollups import Rollups
from traksense.db.move.servers import APPLICATION_NAME, Pair, Server, explain
from traksense.db.move.telemetry import Telemetry
from traksense.domain.errors import DatabaseAway, PermanentError
from traksense.services.maintenance import MaintenanceService
from traksense.settings.function import FunctionSettings

NEXT = """
Everything is on the target. What is left to do:
  1. let DATABASE_URL of the functions, or of the platform, name the target, and start them
     anew; the target's logins are made by whoever makes those of the functions
  2. messages that were given back meanwhile come again by themselves
  3. when the platform runs: python -m traksense.db.move --to URL --finish
  4. keep the old server, read-only as it is, for as long as you may want to look back, then
     remove it. Until 1. is done, --reopen lets it go on instead."""


def main(arguments: Sequence[str] | None = None, say: Say = say_on_screen) -> int:
    """0: done as asked; 1: refused, different or broken off, and the last line says why."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, say)
    except Different as error:
        _show(error.outcome, say)
        return _failed(str(error))
    except (PermanentError, DatabaseAway) as error:
        return _failed(str(error))
    except psycopg.Error as error:
        return _failed(f"{explain(error)}. Nothing is lost: run the same command again")
    except KeyboardInterrupt:
        return _failed("broken off. Nothing is lost: the same command goes on")


def _failed(why: str) -> int:
    print(f"move: {why}", file=sys.stderr)  # noqa: T201
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m traksense.db.move",
        description="Move everything from DATABASE_URL to another server while ingestion goes on.",
    )
    parser.add_argument("--to", required=True, metavar="URL", help="the target's address")
    parser.add_argument(
        "--engine", choices=("auto", "plain", "timescale"), default="auto",
        help="what keeps the readings on the target (auto: TimescaleDB where the server has it)",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=int, default=10, metavar="N",
        help="copy what came meanwhile at most so often before writers are stopped (10)",
    )  # fmt: skip
    parser.add_argument(
        "--lag", type=float, default=120.0, metavar="SECONDS",
        help="stop writers when a round took no longer than this (120)",
    )  # fmt: skip
    parser.add_argument(
        "--recopy", type=_day, metavar="DAY",
        help="take the readings of a UTC day (YYYY-MM-DD) off the target first",
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say what would be done")
    what.add_argument("--copy-only", action="store_true", help="copy, and stop nobody")
    what.add_argument("--reopen", action="store_true", help="let the source be written to again")
    what.add_argument("--finish", action="store_true", help="forget the move, which is done")
    return parser


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


@contextmanager
def _pair(url: str, settings: FunctionSettings) -> Iterator[Pair]:
    with (
        closing(Server(settings.database_url, "source")) as source,
        closing(Server(url, "target")) as target,
        closing(Pair(source, target)) as pair,
    ):
        yield pair


def _run(options: argparse.Namespace, say: Say) -> int:
    settings = FunctionSettings.from_environment()
    with _pair(options.to, settings) as pair:
        preflight.check_servers(pair.source, pair.target)
        if not options.reopen and not options.finish:
            preflight.check_unused(pair.target, Ledger(pair.target))
        if options.dry_run:
            return _dry_run(pair, options, say)
        if not options.reopen and not options.finish:
            done = preflight.migrate_target(pair.target, options.engine)
            say(f"target: {done} migrations applied now, readings in {pair.target.engine}")
            preflight.check_schemas(pair.source, pair.target)
            preflight.check_jobs(pair.source)
        elif not preflight.has_schema(pair.target):
            raise MoveRefused("no move to this target was ever begun")
        with pair.only_move():
            return _move(pair, options, settings, say)


def _move(pair: Pair, options: argparse.Namespace, settings: FunctionSettings, say: Say) -> int:
    ledger = Ledger(pair.target)
    fence = Fence(pair.source)
    if options.reopen:
        return _reopen(pair, ledger, fence, say)
    if options.finish:
        return _finish(ledger, say)
    preflight.check_target(pair.source, pair.target, ledger)
    missing = fence.missing_rights()
    if missing and not options.copy_only:
        raise MoveRefused("the writers could not be stopped at the end: " + "; ".join(missing))
    if not ledger.exists():
        ledger.begin(pair.source.facts.identity)
    with (
        _maintenance(settings, pair.source.url) as source,
        _maintenance(settings, pair.target.url) as target,
    ):
        rollups = Rollups(pair, ledger, say, source=source, target=target)
        return _copy_and_finish(pair, ledger, rollups, options, say)


def _copy_and_finish(
    pair: Pair, ledger: Ledger, rollups: Rollups, options: argparse.Namespace, say: Say
) -> int:
    # What an earlier run found equal behind the fence it need not compare while nobody can write.
    is_fenced = ledger.move().phase == "fenced" and Fence(pair.source).is_up()
    readings, messages = (
        Telemetry(pair, ledger, name, say, trust_ledger=is_fenced)
        for name in ("readings", "messages")
    )
    mover = Mover(pair, ledger, Configuration(pair), [readings, messages], rollups, say)
    if options.recopy is not None:
        with pair.target.transaction():
            readings.remove_day(options.recopy)
            rollups.remove_day(options.recopy)
        say(f"readings {options.recopy:%Y-%m-%d}: taken off the target")
    if is_fenced:
        say("the source is read-only already: going on from there")
    else:
        ledger.set_phase("copying")
        mover.copy(max(1, options.rounds), options.lag)
    if options.copy_only:
        say("copied; the same command without --copy-only goes on from here")
        return 0
    outcome = mover.finish()
    _show(outcome, say)
    say(f"ingestion was stopped for {outcome.stopped_s:.1f} s up to now")
    for line in NEXT.splitlines():
        say(line)
    return 0


@contextmanager
def _maintenance(settings: FunctionSettings, url: str) -> Iterator[MaintenanceService]:
    # The rollups of the source are brought up to date once more when nobody else may write.
    writing = make_conninfo(url, options="-c default_transaction_read_only=off")
    database = Database(writing, application_name=APPLICATION_NAME)
    try:
        yield bootstrap.maintenance_of(replace(settings, database_url=writing), database)
    finally:
        database.close()


def _dry_run(pair: Pair, options: argparse.Namespace, say: Say) -> int:
    source = pair.source
    say(
        f"source: {source.facts.database}, PostgreSQL {source.facts.version // 10000}, "
        f"readings in {source.engine}"
    )
    counts = Telemetry.counts_of(source, "readings")
    plan = preflight.plan(source, counts)
    say(
        f"{plan.readings:,} readings of {plan.days} days,"
        f" {plan.source_bytes / 1e6:,.0f} MB of telemetry"
    )
    say(
        f"the target needs up to {plan.needed_bytes / 1e6:,.0f} MB,"
        " until its days are closed or compressed"
    )
    say(
        f"target: {pair.target.facts.database}, PostgreSQL {pair.target.facts.version // 10000}, "
        + ("migrated already" if preflight.has_schema(pair.target) else "to be migrated")
        + f", engine {options.engine}"
    )
    if preflight.has_schema(pair.target):
        preflight.check_target(source, pair.target, Ledger(pair.target))
    for line in plan.missing_rights:
        say(f"missing: {line}")
    return 1 if plan.missing_rights else 0


def _reopen(pair: Pair, ledger: Ledger, fence: Fence, say: Say) -> int:
    if not ledger.exists() or ledger.move().source != pair.source.facts.identity:
        raise MoveRefused("no move from this source to this target is under way")
    move = ledger.move()
    newest = pair.target.value("newest_reading")
    if move.phase == "done" and move.fenced_at and newest and newest > move.fenced_at:
        raise MoveRefused(
            f"the target has readings up to {newest:%Y-%m-%d %H:%M:%SZ}, newer than the move: "
            "it is in use, and what it has taken would be missing on the source"
        )
    fence.take_down()
    ledger.set_phase("copying")
    say("the source takes writes again; the move can go on later")
    return 0


def _finish(ledger: Ledger, say: Say) -> int:
    if not ledger.exists():
        say("no move is noted on the target: nothing to forget")
        return 0
    if ledger.move().phase != "done":
        raise MoveRefused("the move is not done: run it to its end, or drop the target database")
    ledger.drop()
    say("the move is forgotten; the source stays read-only")
    return 0


def _show(outcome: Outcome, say: Say) -> None:
    for kind, days in outcome.days.items():
        say(f"{'day':<12} {kind + ' source':>18} {'target':>14}  checksum")
        for day, each in days.items():
            verdict = "ok" if each.is_equal else "DIFFERENT"
            say(f"{day:%Y-%m-%d}   {each.source:>18,} {each.target:>14,}  {verdict}")
    for name, (here, there, is_equal) in outcome.tables.items():
        if here or there or not is_equal:
            say(f"{name:<20} {here:>10,} {there:>14,}  {'ok' if is_equal else 'DIFFERENT'}")
