"""Presence events out of mosquitto's log, in the shape that AWS IoT publishes.

AWS publishes a message on ``$aws/events/presence/{connected|disconnected}/{clientId}`` whenever a
client comes or goes (AWS IoT developer guide, "Lifecycle events"). mosquitto says the same in its
log, which ``log_dest topic`` publishes below ``$SYS/broker/log``. Only devices have presence here:
clients whose id is a thing name.

``versionNumber`` grows with each connection of a client and is the same for its connect and its
disconnect, as is ``sessionIdentifier``. Both live in memory; the version never falls below the
clock's milliseconds, so that it also grows over a restart of the bridge.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from local.platform_name import PLATFORM_NAME
from traksense.contracts.topics import PresenceTopic, TopicError, split_thing_name

LOG_FILTERS: Final = ("$SYS/broker/log/N", "$SYS/broker/log/E")
"""Where mosquitto publishes its notices, and its errors: a takeover is one to it."""

LONGEST_WAIT_MS: Final = 60_000
"""mosquitto drops a notice that waited 20 s for us: a time further off is another clock's."""

CLIENT_ID: Final = "n/a"
"""What ``clientid()`` gives for a message that came from no client (AWS IoT SQL reference)."""

_CONNECTED: Final = re.compile(
    r"(?:(?P<at>[\dTZ:-]+): )?New client connected from \S+ as (?P<client>[\w-]+) "
    r"\(.*?(?:u'(?P<user>[^']*)')?\)\."
)
# mosquitto 2.1 adds the client's address in brackets.
_GONE: Final = re.compile(
    r"(?:(?P<at>[\dTZ:-]+): )?Client (?P<client>[\w-]+)(?: \[[^\]]*\])? "
    r"(?P<how>disconnected|closed its connection|has exceeded timeout|already connected|"
    r"been disconnected)(?P<why>.*)"
)
_SOCKET_ERROR: Final = re.compile(
    r"(?:(?P<at>[\dTZ:-]+): )?(?:Bad socket read/write on client|Socket error on client) "
    r"(?P<client>[\w-]+)\b.*"
)


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """One event: its topic and its JSON payload."""

    topic: PresenceTopic
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Connection:
    session: str
    version: int


class PresenceLog:
    """Reads the broker's notices, one after another."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._open: dict[str, _Connection] = {}
        self._last_version: dict[str, int] = {}
        self._held: set[str] = set()
        """Devices whose client id the platform holds at this moment."""

    def read(self, line: str) -> PresenceEvent | None:
        """The event that a line reports; None for a line about anything else."""
        if match := _CONNECTED.fullmatch(line):
            client = match["client"]
            if not _is_thing(client):
                return None
            if match["user"] == PLATFORM_NAME:
                return self._taken_over(client, self._timestamp(match["at"]))
            self._held.discard(client)
            connection = self._new_connection(client)
            self._open[client] = connection
            return self._event(client, connection, self._timestamp(match["at"]), None)
        match = _GONE.fullmatch(line) or _SOCKET_ERROR.fullmatch(line)
        if match is None or not _is_thing(match["client"]):
            return None
        client = match["client"]
        if client in self._held:
            # The platform's own connection under a device's name comes and goes unsaid.
            self._held.discard(client)
            return None
        # A connection that began before this process did gets a name of its own.
        known = self._open.pop(client) if client in self._open else None
        connection = known or self._new_connection(client)
        return self._event(client, connection, self._timestamp(match["at"]), _reason(match))

    def _taken_over(self, client: str, timestamp: int) -> PresenceEvent:
        """The platform took a device's session over, to cut it off: the device is gone.

        The broker has said already that the device's own connection was closed for a newer one,
        which tells nobody that it is offline.
        """
        self._held.add(client)
        self._open.pop(client, None)
        reason = "SERVER_INITIATED_DISCONNECT"
        return self._event(client, self._new_connection(client), timestamp, reason)

    def _new_connection(self, client: str) -> _Connection:
        version = max(self._last_version.get(client, 0) + 1, self._now_ms())
        self._last_version[client] = version
        return _Connection(str(uuid.uuid4()), version)

    def _timestamp(self, logged_at: str | None) -> int:
        # The log's clock counts whole seconds; ours is finer, but later where a line waited.
        now = self._now_ms()
        logged = _milliseconds(logged_at)
        if logged is None or abs(now - logged) > LONGEST_WAIT_MS:
            return now
        return min(now, logged + 999)

    def _event(
        self, client: str, connection: _Connection, timestamp: int, reason: str | None
    ) -> PresenceEvent:
        fields: dict[str, object] = {
            "clientId": client,
            "timestamp": timestamp,
            "eventType": "connected" if reason is None else "disconnected",
            "sessionIdentifier": connection.session,
            # In AWS the certificate's id; here the certificate's common name.
            "principalIdentifier": client,
            "versionNumber": connection.version,
        }
        if reason is not None:
            fields["clientInitiatedDisconnect"] = reason == "CLIENT_INITIATED_DISCONNECT"
            fields["disconnectReason"] = reason
        return PresenceEvent(
            PresenceTopic(reason is None, client),
            json.dumps(fields, separators=(",", ":")).encode("utf-8"),
        )


def _milliseconds(logged_at: str | None) -> int | None:
    """A log line's time, Unix seconds or RFC 3339, in milliseconds since the Unix epoch."""
    if logged_at is None:
        return None
    if logged_at.isdigit():
        return int(logged_at) * 1000
    try:
        return int(datetime.fromisoformat(logged_at).timestamp() * 1000)
    except ValueError:
        return None


def _is_thing(client: str) -> bool:
    try:
        split_thing_name(client)
    except TopicError:
        return False
    return True


def _reason(match: re.Match[str]) -> str:
    """AWS IoT's word for why a client went."""
    groups = match.groupdict()
    how, why = groups.get("how"), groups.get("why") or ""
    if how == "disconnected":
        if why in (".", ""):
            return "CLIENT_INITIATED_DISCONNECT"
        return "AUTH_ERROR" if "not authori" in why else "CLIENT_ERROR"
    return {
        "has exceeded timeout": "MQTT_KEEP_ALIVE_TIMEOUT",
        "already connected": "DUPLICATE_CLIENTID",
        "been disconnected": "SERVER_INITIATED_DISCONNECT",
    }.get(how or "", "CONNECTION_LOST")
