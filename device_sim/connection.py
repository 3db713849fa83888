"""One device's connection: mTLS, MQTT 5, Last Will, retries.

The AWS IoT Device SDK reconnects by itself with exponential backoff and full jitter, so that
a fleet does not come back at one instant. What was not acknowledged when a connection ended
is published again here, until it is acknowledged or older than ``give_up_s``.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Final

from awscrt import io, mqtt5
from awscrt.exceptions import AwsCrtError
from awsiot import mqtt5_client_builder

from traksense.contracts.topics import Channel

from .endpoints import Device, Endpoints
from .notices import state
from .tally import Message, Tally

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 30
PING_TIMEOUT_MS: Final = 10_000
ACK_TIMEOUT_S: Final = 60
SESSION_EXPIRY_S: Final = 3600
"""A command sent while the device is away reaches it if it is back by then."""
MIN_RECONNECT_MS: Final = 250
MAX_RECONNECT_MS: Final = 15_000
MAX_BACKLOG: Final = 1000
"""Messages that a device keeps while it has no connection; the oldest give way."""

_FIRST_REFUSAL: Final = 0x80
_NO_SUBSCRIBER: Final = 0x10


@dataclass(frozen=True, slots=True)
class Network:
    """What all connections of a process share: the broker's address and one network thread."""

    host: str
    port: int
    ca: str
    bootstrap: Any

    @classmethod
    def of(cls, endpoints: Endpoints) -> Network:
        """The network of an endpoints file."""
        loop = io.EventLoopGroup(1)
        bootstrap = io.ClientBootstrap(loop, io.DefaultHostResolver(loop))
        return cls(endpoints.host, endpoints.port, str(endpoints.ca), bootstrap)

    @property
    def is_loopback(self) -> bool:
        """Whether the broker is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class DeviceConnection:
    """Publishes for one device and hears its commands.

    ``publish``, ``flush``, ``drop``, ``resume`` and ``close`` belong to the sending thread.
    ``on_command(payload)`` and ``on_connected(first)`` are called in the network thread.
    """

    def __init__(
        self,
        device: Device,
        network: Network,
        tally: Tally,
        *,
        on_command: Callable[[bytes], None],
        on_connected: Callable[[bool], None],
        give_up_s: float,
    ) -> None:
        self.device = device
        self.last_error: str | None = None
        """Why the last attempt to connect failed; None once one succeeded."""
        self._tally = tally
        self._on_command = on_command
        self._on_connected = on_connected
        self._give_up_s = give_up_s
        self._backlog: deque[Message] = deque()
        self._connected = Event()
        self._stopped = Event()
        self._stopped.set()
        self._ever_connected = False
        self._leaving = False
        self._client = self._build(network)

    def _build(self, network: Network) -> Any:
        limits = mqtt5.ExtendedValidationAndFlowControlOptions
        will = mqtt5.PublishPacket(
            topic=self.device.topic(Channel.STATE),
            # Fixed when the device connects: a time stamp in it would be a lie.
            payload=state("offline", None),
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=True,
        )
        return mqtt5_client_builder.mtls_from_path(
            cert_filepath=str(self.device.cert),
            pri_key_filepath=str(self.device.key),
            ca_filepath=network.ca,
            endpoint=network.host,
            port=network.port,
            client_bootstrap=network.bootstrap,
            client_id=self.device.thing_name,
            will=will,
            keep_alive_interval_sec=KEEP_ALIVE_S,
            ping_timeout_ms=PING_TIMEOUT_MS,
            ack_timeout_sec=ACK_TIMEOUT_S,
            session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_POST_SUCCESS,
            session_expiry_interval_sec=SESSION_EXPIRY_S,
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.FULL,
            min_reconnect_delay_ms=MIN_RECONNECT_MS,
            max_reconnect_delay_ms=MAX_RECONNECT_MS,
            # AWS IoT Core takes 100 publishes/s of a connection; a local broker has no limit.
            extended_validation_and_flow_control_options=(
                limits.NONE if network.is_loopback else limits.AWS_IOT_CORE_DEFAULTS
            ),
            enable_metrics_collection=False,
            on_publish_received=self._received,
            on_lifecycle_connection_success=self._opened,
            on_lifecycle_connection_failure=self._not_opened,
            on_lifecycle_disconnection=self._closed,
            on_lifecycle_stopped=self._has_stopped,
        )

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connected.is_set()

    @property
    def ever_connected(self) -> bool:
        """Whether there has been one."""
        return self._ever_connected

    @property
    def stopped(self) -> bool:
        """Whether the client is at rest: no connection, and no attempt at one."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Begin to connect, and keep connected."""
        self._stopped.clear()
        self._client.start()

    def publish(self, message: Message) -> None:
        """Publish with QoS 1; kept for later while there is no connection."""
        self._tally.published(message)
        self._send(message)

    def flush(self) -> None:
        """Publish again what was kept; give up what is too old or too much."""
        backlog = self._backlog
        oldest_kept = time.monotonic() - self._give_up_s
        # Nearly in the order of their age, so that looking at the first is enough.
        while backlog and backlog[0].born < oldest_kept:
            self._tally.failed(backlog.popleft(), "not acknowledged in time")
        while len(backlog) > MAX_BACKLOG:
            self._tally.failed(backlog.popleft(), "no room to keep it while there is no connection")
        if self.connected:
            for _ in range(len(backlog)):
                self._send(backlog.popleft())

    def drop(self) -> None:
        """Cut the connection without a DISCONNECT, as a power cut does: the Will is due."""
        self._connected.clear()
        # Without a packet the SDK closes the socket and says nothing to the broker.
        self._client.stop()

    def resume(self) -> None:
        """Connect again after ``drop``; the client must have ``stopped``."""
        self.start()

    def leave(self) -> None:
        """End the session with a DISCONNECT: no Will, nothing kept for later."""
        self._leaving = True
        self._client.stop(mqtt5.DisconnectPacket(session_expiry_interval_sec=0))

    def wait_stopped(self, timeout_s: float) -> bool:
        """Wait for ``leave`` or ``drop`` to be done."""
        return self._stopped.wait(timeout_s)

    def _send(self, message: Message) -> None:
        if not self.connected:
            self._backlog.append(message)
            return
        packet = mqtt5.PublishPacket(
            topic=message.topic,
            payload=message.payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=message.retain,
        )
        try:
            future = self._client.publish(packet)
        except AwsCrtError as error:
            log.debug("%s: publish: %s", self.device.thing_name, error)
            self._backlog.append(message)
        else:
            future.add_done_callback(partial(self._completed, message))

    def _completed(self, message: Message, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            self._tally.retried()
            self._backlog.append(message)
            return
        code = int(future.result().puback.reason_code)
        if code >= _FIRST_REFUSAL:
            self._tally.failed(message, f"refused by the broker (0x{code:02x})")
        else:
            self._tally.acknowledged(message, routed=code != _NO_SUBSCRIBER)

    def _opened(self, _: Any) -> None:
        first, self._ever_connected = not self._ever_connected, True
        self.last_error = None
        self._connected.set()
        self._client.subscribe(
            mqtt5.SubscribePacket(
                [mqtt5.Subscription(self.device.topic(Channel.CMD), mqtt5.QoS.AT_LEAST_ONCE)]
            )
        ).add_done_callback(self._subscribed)
        self._on_connected(first)

    def _subscribed(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            # The connection broke meanwhile; the next one subscribes again.
            log.debug("%s: subscribe: %s", self.device.thing_name, error)
        elif any(int(code) >= _FIRST_REFUSAL for code in future.result().reason_codes):
            log.error("%s: the broker refused its command topic", self.device.thing_name)

    def _not_opened(self, failure: Any) -> None:
        connack = failure.connack_packet
        reason = failure.exception
        name = getattr(reason, "name", None) or str(reason)
        if connack is not None and connack.reason_code is not None:
            name = f"{name} ({getattr(connack.reason_code, 'name', connack.reason_code)})"
        if self.last_error is None:
            log.warning("%s: cannot connect: %s", self.device.thing_name, name)
        self.last_error = name

    def _closed(self, disconnection: Any) -> None:
        self._connected.clear()
        if not self._leaving:
            self._tally.disconnected()
            reason = getattr(disconnection.exception, "name", None) or disconnection.exception
            log.info("%s: connection lost: %s", self.device.thing_name, reason)

    def _has_stopped(self, _: Any) -> None:
        self._stopped.set()

    def _received(self, publication: Any) -> None:
        self._on_command(bytes(publication.publish_packet.payload))
