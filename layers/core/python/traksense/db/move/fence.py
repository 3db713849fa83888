"""The fence: nobody writes to the source any more, everybody may still read from it.

New sessions of the database begin read-only, and the old ones are ended. What a function wants to
write is refused with SQLSTATE 25006, which is an error to try again after: messages go back to
their queue.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from psycopg import sql

from traksense.db.move.errors import MoveRefused
from traksense.db.move.servers import Server

QUIET_POLLS: Final = 3
"""How often in a row no old session may be found: one that is just beginning shows up late."""
POLL_S: Final = 0.1
GIVE_UP_S: Final = 30.0


class Fence:
    """Around the source."""

    def __init__(self, source: Server) -> None:
        self._source = source

    def missing_rights(self) -> list[str]:
        """What this login would have to be allowed, to raise the fence."""
        row = self._source.login.execute(self._source.queries["fence_rights"]).fetchone()
        if row is None:
            return []
        may_alter, may_signal, may_see, out_of_reach, prepared = row
        user, database = self._source.login.info.user, self._source.facts.database
        missing = []
        if not may_alter:
            missing.append(
                f"{user} may not change the settings of the database: "
                f"ALTER DATABASE {database} OWNER TO {user}"
            )
        if not may_see:
            missing.append(
                f"{user} may not see when other sessions began: GRANT pg_read_all_stats TO {user}"
            )
        if out_of_reach:
            missing.append(
                f"{user} may not end the sessions of {', '.join(out_of_reach)}: "
                + (
                    "they are superusers, use one for the move"
                    if may_signal
                    else f"GRANT pg_signal_backend TO {user}"
                )
            )
        if prepared:
            missing.append(f"{prepared} prepared transactions are open: commit or roll them back")
        return missing

    def is_up(self) -> bool:
        """Whether the source is read-only to everybody."""
        row = self._source.login.execute(self._source.queries["is_fenced"]).fetchone()
        return row is not None and bool(row[0])

    def raise_up(self) -> int:
        """Let nobody write any more; how many sessions were ended. Raises MoveRefused."""
        source = self._source
        name = sql.Identifier(source.facts.database)
        source.login.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
        row = source.login.execute(source.queries["clock"]).fetchone()
        if row is None:
            raise MoveRefused("the source does not tell the time")
        return self._end_sessions(row[0])

    def _end_sessions(self, fenced_at: datetime) -> int:
        source = self._source
        own = source.pids
        deadline = time.monotonic() + GIVE_UP_S
        ended = quiet = 0
        while quiet < QUIET_POLLS:
            row = source.login.execute(
                source.queries["end_sessions"], {"own": own, "fenced_at": fenced_at}
            ).fetchone()
            found = 0 if row is None else int(row[0])
            ended = max(ended, found)
            quiet = 0 if found else quiet + 1
            if time.monotonic() > deadline:
                raise MoveRefused(
                    f"{found} sessions of the source do not end: end them, and run the same "
                    "command again"
                )
            time.sleep(POLL_S)
        return ended

    def take_down(self) -> None:
        """Let everybody write again."""
        self._source.login.execute(
            sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(
                sql.Identifier(self._source.facts.database)
            )
        )
