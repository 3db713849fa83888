"""Who may connect to the local broker: devices with an active certificate, as the database says."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from traksense.contracts import topics
from traksense.db.connection import Database
from traksense.db.queries import load as load_queries
from traksense.domain.errors import DatabaseAway
from traksense.services.certificate_requests import facts

from .mosquitto import BrokerDevice

if TYPE_CHECKING:
    from .certificates import CertificateAuthority
    from .demo.seed import DemoDevice

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
"""A revoked device has to be off within five seconds."""


@dataclass(frozen=True, slots=True)
class Things:
    """Who may connect, and which certificates may no more."""

    devices: tuple[BrokerDevice, ...] = ()
    revoked: Mapping[int, str] = field(default_factory=dict)
    """Serial number to thing name."""


def list_things(database: Database) -> Things:
    """What the database says now. Raises DatabaseAway."""
    queries = load_queries("things")
    with database.transaction("traksense_ops") as cursor:
        devices = cursor.execute(queries["list_things"]).fetchall()
        revoked = cursor.execute(queries["list_revoked"]).fetchall()
    return Things(
        tuple(BrokerDevice(tenant, site, name, mac) for tenant, site, name, mac in devices),
        {int(serial, 16): thing for serial, thing in revoked},
    )


def note_demo(
    database: Database, authority: CertificateAuthority, devices: Iterable[DemoDevice]
) -> None:
    """Have the demo's devices count as provisioned, with the certificates that lie in the home."""
    rows = []
    for device in devices:
        thing = topics.thing_name(device.tenant, device.name)
        pair = authority.device_certificate(thing)
        known = facts(pair.certificate.read_text("ascii"))
        rows.append(
            {
                "device_id": device.id,
                "thing_name": thing,
                "certificate_id": known.fingerprint,
                "arn": f"arn:aws:iot:us-east-1:123456789012:cert/{known.fingerprint}",
                "serial_number": known.serial_number,
                "expires_at": known.expires_at,
            }
        )
    with database.transaction("traksense_owner") as cursor:
        cursor.execute(
            load_queries("things")["note_demo_certificates"],
            {"rows": msgspec.json.encode(rows).decode("utf-8")},
        )


class ThingsWatch:
    """Tells of devices that are provisioned, moved, revoked or removed while the platform runs.

    In AWS, the registry does it; here the broker's files have to follow.
    """

    def __init__(
        self,
        database_url: str,
        known: Things,
        on_change: Callable[[Things], bool],
    ) -> None:
        """``on_change`` says whether it took note; otherwise it is told again."""
        self._database_url = database_url
        self._on_change = on_change
        self._stopped = threading.Event()
        self.known = known
        """What was seen last."""
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
