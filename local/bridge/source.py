"""The bridge's MQTT connection: a persistent session on the broker's platform listener.

MQTT 3.1.1, because reading with paho is half as fast again as with MQTT 5 (whose properties are
unpacked for every message), and nothing here needs MQTT 5: in-flight messages are bounded by the
broker, the session lasts as long as the broker keeps it, and a retained copy is known by its flag.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

logger = logging.getLogger(__name__)

KEEPALIVE_S: Final = 30
RECONNECT_MAX_S: Final = 5
QOS: Final = 1


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the platform's listener is and how to prove who we are."""

    port: int
    ca: Path
    certificate: Path
    key: Path
    host: str = "127.0.0.1"

    def tls(self) -> ssl.SSLContext:
        """A context that trusts our own authority only. Raises OSError for unreadable files."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Packet:
    """One PUBLISH of the broker's."""

    packet_id: int
    topic: str
    payload: bytes
    duplicate: bool
    retained: bool


class Receiver(Protocol):
    """Who gets what the source reads. Called in the network thread: return quickly."""

    def connected(self, *, session_present: bool) -> None:
        """The connection stands; ``session_present``: the broker still had our session."""

    def disconnected(self) -> None:
        """The connection is gone."""

    def subscribed(self) -> None:
        """All subscriptions stand."""

    def receive(self, packet: Packet) -> None:
        """A message arrived; it stays with the broker until it is acknowledged."""


class BrokerSource:
    """Reads from the broker, and acknowledges what it is told to."""

    def __init__(
        self,
        client_id: str,
        filters: Iterable[str],
        receiver: Receiver,
        address: BrokerAddress,
        *,
        tls: bool = True,
    ) -> None:
        """``tls`` off is for tests against a broker of their own."""
        self._filters = [(topic_filter, QOS) for topic_filter in filters]
        self._receiver = receiver
        self._address = address
        self._failure: Exception | None = None
        self._complained = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        if tls:
            self._client.tls_set_context(address.tls())
        self._client.reconnect_delay_set(1, RECONNECT_MAX_S)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background and keep connecting, however long the broker is away."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Send what was acknowledged, take leave and return. The session stays."""
        self._client.disconnect()
        self._client.loop_stop()

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Tell the broker that it may forget these packets."""
        for packet_id in packet_ids:
            self._client.ack(packet_id, QOS)

    def reconnect(self) -> None:
        """Drop the connection, so that the broker delivers again all that is unacknowledged."""
        connection = self._client.socket()
        if not isinstance(connection, socket.socket):
            return
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            logger.debug("the connection was gone already: %s", error)

    def check(self) -> None:
        """Raise what ended the network thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _on_connect(
        self,
        client: mqtt.Client,
        _userdata: object,
        flags: mqtt.ConnectFlags,
        reason: Any,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._complain(f"the broker refuses the bridge: {reason}")
            return
        self._complained = False
        session_present = flags.session_present
        logger.info("connected to the broker", extra={"session_present": session_present})
        self._guard(lambda: self._receiver.connected(session_present=session_present))
        # Also into a standing session: a new version may have other filters.
        client.subscribe(self._filters)

    def _on_connect_fail(self, _client: mqtt.Client, _userdata: object) -> None:
        self._complain(f"no broker on port {self._address.port}: trying again until there is one")

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: object,
        reason: Any,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            logger.error("lost the broker (%s): connecting again", reason)
        self._guard(self._receiver.disconnected)

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[Any],
        _properties: object,
    ) -> None:
        refused = [
            topic_filter
            for (topic_filter, _), reason in zip(self._filters, reasons, strict=True)
            if reason.is_failure
        ]
        if refused:
            self._failure = ConnectionRefusedError(
                f"the broker refuses subscriptions to {', '.join(refused)}"
            )
        else:
            self._guard(self._receiver.subscribed)

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        packet = Packet(
            message.mid, message.topic, bytes(message.payload), message.dup, bool(message.retain)
        )
        self._guard(lambda: self._receiver.receive(packet))

    def _guard(self, call: Callable[[], None]) -> None:
        # An exception here would end paho's thread without a word, and the queue with it.
        try:
            call()
        except Exception as error:
            self._failure = error
            raise

    def _complain(self, message: str) -> None:
        """Once for each outage at full volume, then quietly."""
        logger.log(logging.DEBUG if self._complained else logging.ERROR, message)
        self._complained = True
