"""The devices that the database knows, as the broker's access list takes them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from traksense.db.connection import Database
from traksense.db.queries import load as load_queries
from traksense.domain.errors import DatabaseAway

from .mosquitto import BrokerDevice

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 2.0


def list_things(database: Database) -> tuple[BrokerDevice, ...]:
    """Every device with an identity of its own. Raises DatabaseAway."""
    with database.transaction("traksense_ops") as cursor:
        rows = cursor.execute(load_queries("things")["list_things"]).fetchall()
    return tuple(BrokerDevice(tenant, site, name, mac) for tenant, site, name, mac in rows)


class ThingsWatch:
    """Tells of devices that are added or removed while the platform runs.

    In AWS, provisioning attaches a policy; here the broker's access list has to follow.
    """

    def __init__(
        self,
        database_url: str,
        known: tuple[BrokerDevice, ...],
        on_change: Callable[[tuple[BrokerDevice, ...]], bool],
    ) -> None:
        """``on_change`` says whether it took note; otherwise it is told again."""
        self._database_url = database_url
        self._on_change = on_change
        self._stopped = threading.Event()
        self.known = known
        """The devices as they were last seen."""
        self._thread = threading.Thread(target=self._run, name="things", daemon=True)

    def start(self) -> None:
        """Begin to look, every ``INTERVAL_S``."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _run(self) -> None:
        database = Database(self._database_url, application_name="traksense-things")
        while not self._stopped.wait(INTERVAL_S):
            try:
                found = list_things(database)
            except DatabaseAway as error:
                logger.debug("the devices cannot be read now: %s", error)
                continue
            if found != self.known and self._on_change(found):
                self.known = found
        database.close()
