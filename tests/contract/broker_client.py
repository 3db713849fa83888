"""An MQTT client for tests: connect, publish and subscribe with a wait for the answer."""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from local.certificates import KeyPair

ANSWER_S = 5.0
SILENCE_S = 0.5


class RefusedError(Exception):
    """The broker did not let the client in."""


class BrokerClient:
    """One connection. Use it as a context manager."""

    def __init__(
        self,
        port: int,
        ca: Path,
        identity: KeyPair | None,
        client_id: str,
        *,
        session_s: int = 0,
        version: int = mqtt.MQTTv5,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        five = version == mqtt.MQTTv5
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(version),
            clean_session=None if five else session_s == 0,
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=str(ca))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        self._client.tls_set_context(context)
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1, retain=True)
        self._properties = None
        if five:
            self._properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            self._properties.SessionExpiryInterval = session_s
        self._clean_start = session_s == 0
        self._five = five
        self._port = port
        self._connected: queue.Queue[ReasonCode | None] = queue.Queue()
        self._answers: dict[int, queue.Queue[Any]] = {}
        self._guard = threading.Lock()
        self.disconnected = threading.Event()
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.assigned_client_id: str | None = None
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _client, _data, message: self.messages.put(message)

    def __enter__(self) -> Self:
        try:
            if self._five:
                self._client.connect(
                    "127.0.0.1",
                    self._port,
                    clean_start=self._clean_start,
                    properties=self._properties,
                )
            else:
                self._client.connect("127.0.0.1", self._port)
            self._client.loop_start()
            reason = self._connected.get(timeout=ANSWER_S)
        except OSError as error:
            raise RefusedError(repr(error)) from error
        if reason is None or reason.is_failure:
            self._client.loop_stop()
            raise RefusedError(str(reason))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def cut(self) -> None:
        """Drop the connection without a DISCONNECT."""
        socket = self._client.socket()
        assert socket is not None
        socket.close()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Publish and wait for the acknowledgement: 0, or the reason code of a refusal."""
        with self._guard:
            sent = self._client.publish(topic, payload, qos=qos, retain=retain)
            answer = self._answers.setdefault(sent.mid, queue.Queue())
        reason: ReasonCode = answer.get(timeout=ANSWER_S)
        # "No matching subscribers" (0x10) is a success too.
        return int(reason.value) if reason.is_failure else 0

    def send_without_waiting(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 and go on."""
        self._client.publish(topic, payload, qos=1)

    def acknowledge_nothing(self) -> None:
        """From now on messages are received and not acknowledged."""
        self._client.manual_ack_set(True)

    def subscribe(self, topic_filter: str) -> int:
        """Subscribe at QoS 1; the reason code."""
        with self._guard:
            _, number = self._client.subscribe(topic_filter, qos=1)
            assert number is not None
            answer = self._answers.setdefault(number, queue.Queue())
        return int(answer.get(timeout=ANSWER_S)[0].value)

    def next_message(self) -> mqtt.MQTTMessage:
        """The next message; fails where none comes."""
        return self.messages.get(timeout=ANSWER_S)

    def hears_nothing(self) -> bool:
        """Whether no message comes for a while."""
        try:
            self.messages.get(timeout=SILENCE_S)
        except queue.Empty:
            return True
        return False

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.assigned_client_id = getattr(properties, "AssignedClientIdentifier", None)
        self._connected.put(reason)

    def _on_disconnect(self, *_arguments: object) -> None:
        # Under TLS 1.3 a client learns only after its handshake that it is not wanted.
        self._connected.put(None)
        self.disconnected.set()

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        with self._guard:
            answer = self._answers.setdefault(mid, queue.Queue())
        answer.put(reason)

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _data: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: object,
    ) -> None:
        with self._guard:
            answer = self._answers.setdefault(mid, queue.Queue())
        answer.put(reasons)


@contextmanager
def connected(client: BrokerClient) -> Iterator[BrokerClient]:
    """The client, connected."""
    with client:
        yield client
