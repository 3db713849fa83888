"""``python -m infra_cdk.recovery``: a drill of the restore, against real servers.

``--from URL --to URL`` backs the first one up, restores it into a new database on the second one's
server, compares rows and checksums table by table, and applies the tombstones to the copy.
``--restored URL`` does the last part alone, for a database that was restored by other means.
The exit status is 0 only where all of it is right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import psycopg

from traksense.domain.errors import PermanentError, RetryableError
from traksense.services.erasure import Tombstone

from . import drill, graves
from .backup import DrillFailed, programs

FAILED: Final = 1
IMPOSSIBLE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    given = _parser().parse_args(arguments)
    say = _nothing if given.json else print
    try:
        tombstones = _tombstones(given)
        if given.restored is not None:
            outcome = drill.check(given.restored, tombstones, say=say)
        else:
            outcome = _whole(given, tombstones, say)
    except (DrillFailed, PermanentError, RetryableError, psycopg.Error, OSError) as error:
        print(f"drill: {error}", file=sys.stderr)
        return IMPOSSIBLE
    if given.json:
        print(json.dumps({**asdict(outcome), "passed": outcome.passed}, indent=2))
    else:
        _show(outcome)
    return 0 if outcome.passed else FAILED


def _whole(
    given: argparse.Namespace, tombstones: Sequence[Tombstone], say: drill.Say
) -> drill.Outcome:
    if given.source is None or given.server is None:
        raise DrillFailed("say --from and --to, or --restored")
    return drill.run(
        given.source,
        given.server,
        given.database,
        programs=programs(given.programs, given.source),
        tombstones=tombstones,
        keep=given.keep,
        say=say,
    )


def _show(outcome: drill.Outcome) -> None:
    print(f"{outcome.rows:,} rows in {outcome.tables} tables")
    if outcome.backup_bytes:
        print(f"backup: {outcome.backup_bytes / 1e6:.1f} MB")
    for each in outcome.differences:
        print(f"DIFFERENT {each}")
    for each in outcome.missing_migrations:
        print(f"NOT MIGRATED {each}")
    back = ", ".join(outcome.brought_back) or "nobody"
    print(f"tombstones: {outcome.tombstones}; brought back and erased again: {back}")
    if outcome.left:
        print(f"LEFT {outcome.left} rows of tenants that were erased")
    print("the drill passed" if outcome.passed else "THE DRILL FAILED")


def _tombstones(given: argparse.Namespace) -> list[Tombstone]:
    if given.tombstones is not None:
        if not given.tombstones.is_dir():
            raise DrillFailed(f"{given.tombstones} is no folder")
        return graves.from_folder(given.tombstones)
    if given.tombstones_bucket is not None:
        if given.region is None:
            raise DrillFailed("say --region with --tombstones-bucket")
        from traksense.aws.s3 import Bucket, S3Tombstones

        return list(S3Tombstones(Bucket(given.tombstones_bucket, given.region)).buried())
    raise DrillFailed(
        "say --tombstones or --tombstones-bucket: a restore without them undoes erasures"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.recovery", description=__doc__)
    parser.add_argument("--from", dest="source", metavar="URL", help="as one who sees every row")
    parser.add_argument("--to", dest="server", metavar="URL", help="a server; any database of it")
    parser.add_argument("--database", default="traksense_drill", help="the one that is made")
    parser.add_argument("--keep", action="store_true", help="do not drop it afterwards")
    parser.add_argument("--restored", metavar="URL", help="check this one, and restore nothing")
    parser.add_argument("--programs", type=Path, help="folder of pg_dump, where PATH's is too old")
    parser.add_argument("--tombstones", type=Path, metavar="FOLDER")
    parser.add_argument("--tombstones-bucket", metavar="NAME")
    parser.add_argument("--region", help="of the bucket")
    parser.add_argument("--json", action="store_true")
    return parser


def _nothing(_line: str) -> None:
    """Say nothing: the answer is for programs."""


if __name__ == "__main__":
    sys.exit(main())
