"""``make fuzz``: thousands of generated requests of each role, over a database of its own."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support import database as db
from tests.support.fuzzing import ROLES, run, target


def main() -> int:
    """Run, print how it went; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=30, help="of an operation, at most")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--roles", nargs="*", default=ROLES, choices=ROLES)
    options = parser.parse_args()
    total, is_clean = 0, True
    with (
        tempfile.TemporaryDirectory() as folder,
        db.server(Path(folder) / "postgres") as admin_url,
        db.template(admin_url),
        db.fresh_database(admin_url) as url,
        target(url, Path(folder)) as running,
    ):
        for role in options.roles:
            started = time.monotonic()
            found = run(running, role, Path(folder), examples=options.examples, seed=options.seed)
            total += found.requests
            is_clean &= found.is_clean
            if not found.is_clean:
                print(found.report)
            counts = " ".join(f"{status}:{count}" for status, count in found.statuses.items())
            verdict = "clean" if found.is_clean else "NOT clean"
            seconds = time.monotonic() - started
            print(f"{role:15} {found.requests:6} requests {seconds:5.0f} s {verdict}  {counts}")
    print(f"{total} requests, seed {options.seed}: {'clean' if is_clean else 'NOT clean'}")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
