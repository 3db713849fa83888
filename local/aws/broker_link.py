"""The emulator's connection to the broker: publishes with MQTT 5, and waits for the PUBACK.

A connection that broke is never mended, but replaced: what had not been acknowledged on it was
answered as failed, and must not go out later with its expiry begun anew.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from local.bridge.source import BrokerAddress

logger = logging.getLogger(__name__)

CONNECT_S: Final = 3.0
ANSWER_S: Final = 5.0
"""Longest wait for a PUBACK: shorter than a client of the data plane waits for its answer."""
KEEPALIVE_S: Final = 30


class BrokerGone(Exception):
    """The message was not confirmed. Whether the broker has it is not known."""


class _Connection:
    """One MQTT connection, until it breaks."""

    def __init__(self, address: BrokerAddress) -> None:
        """Connect. Raises BrokerGone or OSError."""
        self._connected: queue.SimpleQueue[ReasonCode | None] = queue.SimpleQueue()
        self._answers: dict[int, queue.SimpleQueue[ReasonCode | None]] = {}
        self._is_broken = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"iot-data-{uuid.uuid4().hex[:12]}",
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.tls_set_context(address.tls())
        self._client.connect_timeout = CONNECT_S
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect(address.host, address.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()
        try:
            reason = self._connected.get(timeout=CONNECT_S)
        except queue.Empty:
            reason = None
        if reason is None or reason.is_failure:
            self.close()
            raise BrokerGone(f"the broker did not let us in: {reason}")

    @property
    def is_broken(self) -> bool:
        """Whether it can be used no more."""
        return self._is_broken

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties | None
    ) -> ReasonCode:
        """Publish and wait for the answer. Raises BrokerGone."""
        sent = self._client.publish(topic, payload, qos, retain, properties)
        answer = self._answer_of(sent.mid)
        try:
            if self._is_broken or sent.rc != mqtt.MQTT_ERR_SUCCESS:
                raise BrokerGone(f"the connection broke: {mqtt.error_string(sent.rc)}")
            reason = answer.get(timeout=ANSWER_S)
        except queue.Empty:
            reason = None
        finally:
            self._answers.pop(sent.mid, None)
        if reason is None:
            # Also after a time-out: what it still holds must not go out later.
            self.close()
            raise BrokerGone("the message was not acknowledged")
        return reason

    def close(self) -> None:
        """Take leave, and fail what still waits."""
        self._break()
        self._client.disconnect()
        self._client.loop_stop()

    def _answer_of(self, mid: int) -> queue.SimpleQueue[ReasonCode | None]:
        # Without a lock: paho calls back while it holds one that publish waits for. The answer
        # may be there before publish has returned.
        return self._answers.setdefault(mid, queue.SimpleQueue())

    def _break(self) -> None:
        self._is_broken = True
        for answer in list(self._answers.values()):
            answer.put(None)

    def _on_connect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _p: object
    ) -> None:
        self._connected.put(reason)

    def _on_disconnect(self, *_arguments: object) -> None:
        self._connected.put(None)
        self._break()

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, reason: ReasonCode, _p: object
    ) -> None:
        self._answer_of(mid).put(reason)


class BrokerLink:
    """Publishes for any number of threads over one connection, made when first needed."""

    def __init__(self, address: Callable[[], BrokerAddress]) -> None:
        """``address`` is asked at each connection: the broker may come later than we do, and
        come back on another port.
        """
        self._address = address
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expiry_s: int | None
    ) -> None:
        """Publish, and return after the PUBACK. Raises BrokerGone."""
        reason = self._open().publish(topic, payload, qos, retain, _properties(expiry_s))
        # "No matching subscribers" (0x10) is a success too.
        if reason.is_failure:
            raise BrokerGone(f"the broker refused the message: {reason}")

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> _Connection:
        with self._lock:
            if self._connection is None or self._connection.is_broken:
                self._connection = None
                try:
                    self._connection = _Connection(self._address())
                except OSError as error:
                    raise BrokerGone(f"there is no broker: {error}") from error
                logger.info("connected to the broker")
            return self._connection


def _properties(expiry_s: int | None) -> Properties | None:
    if expiry_s is None:
        return None
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = expiry_s
    return properties  # type: ignore[no-any-return]
