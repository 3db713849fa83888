"""What must be so before a move begins, and what is shown of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from traksense.db import migrate
from traksense.db.move.errors import MoveRefused
from traksense.db.move.fence import Fence
from traksense.db.move.ledger import Ledger
from traksense.db.move.servers import Server
from traksense.settings.reading import Engine

ROW_BYTES: Final = 100
"""What a reading takes as a row with its index, before days are closed or compressed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a move would have to do."""

    readings: int
    days: int
    source_bytes: int
    needed_bytes: int
    missing_rights: tuple[str, ...]


def check_servers(source: Server, target: Server) -> None:
    """Raises MoveRefused where these two cannot be source and target."""
    if source.facts.identity == target.facts.identity:
        raise MoveRefused("the target is the source: both addresses lead to the same database")
    if target.facts.is_standby:
        raise MoveRefused("the target is a standby: it takes no writes")
    if source.facts.is_standby:
        raise MoveRefused("the source is a standby: name the primary, whose writers have to stop")
    if not has_schema(source):
        raise MoveRefused("the source has no schema of this platform: DATABASE_URL must name it")


def has_schema(server: Server) -> bool:
    """Whether any migration was ever applied there."""
    row = server.login.execute(server.queries["has_schema"]).fetchone()
    return row is not None and bool(row[0])


def check_jobs(source: Server) -> None:
    """Raises MoveRefused where the source has long work to do: the target's, which finds nothing to
    do before the rows are there, would take itself for finished.
    """
    left = source.rows("jobs_left")
    if left:
        number, name = left[0]
        raise MoveRefused(
            f"the source has not finished job {number:04d}_{name}: see how far it is with "
            "python -m traksense.db.migrate --status, or do all of it with --jobs"
        )


def migrate_target(target: Server, engine: Engine) -> int:
    """Bring the target's schema to that of this version; how many migrations that took."""
    return len(migrate.migrate(target.url, engine=engine))


def check_schemas(source: Server, target: Server) -> None:
    """Raises MoveRefused where the schemas are not of one version."""
    here, there = (_versions(server) for server in (source, target))
    newest = max(max(here, default=0), max(there, default=0))
    if max(here, default=0) < newest:
        raise MoveRefused(
            f"the source's schema is {max(here, default=0):04d} and the target's {newest:04d}: "
            "run python -m traksense.db.migrate on the source first"
        )
    if max(there, default=0) < newest:
        raise MoveRefused(
            f"the source's schema is {newest:04d}, newer than this program: use the newer one"
        )


def _versions(server: Server) -> dict[int, str]:
    return dict(server.rows("versions"))


def check_unused(target: Server, ledger: Ledger) -> None:
    """Raises MoveRefused, before anything is changed there, where the target is somebody's."""
    if not has_schema(target):
        found = target.login.execute(target.queries["relations"]).fetchall()
        if found:
            raise MoveRefused(
                f"the target has tables of something else, such as public.{found[0][0]}: use an "
                "empty database"
            )
    elif not ledger.exists() and target.value("has_tenants"):
        raise MoveRefused(
            "the target has tenants already, and no move from this source was begun there: use an "
            "empty database"
        )


def check_target(source: Server, target: Server, ledger: Ledger) -> None:
    """Raises MoveRefused where the migrated target holds anything but a move from this source."""
    if not ledger.exists():
        if target.value("has_readings"):
            raise MoveRefused("the target has readings already: use an empty database")
        return
    move = ledger.move()
    if move.source != source.facts.identity:
        raise MoveRefused("the target is being filled from another source: use an empty one")
    if move.phase == "done":
        raise MoveRefused(
            "everything was moved already. What the target has taken since is not on the "
            "source: --finish forgets the move, --reopen lets the source go on instead"
        )


def plan(source: Server, counts: dict[Any, int]) -> Plan:
    """What a move would have to do."""
    readings = sum(counts.values())
    return Plan(
        readings,
        len(counts),
        int(source.value("telemetry_bytes")),
        # Readings as rows, and everything else as it is.
        readings * ROW_BYTES + source.facts.bytes,
        tuple(Fence(source).missing_rights()),
    )
