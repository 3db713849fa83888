"""A device as its firmware sees it: one mTLS connection to a running platform."""

from __future__ import annotations

import json
import ssl
import threading
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from local.endpoints import DeviceEndpoint, MqttEndpoint

WAIT_S = 15.0


class TestDevice:
    """Connects as one of the platform's devices; a context manager."""

    __test__ = False  # no test class, whatever its name begins with

    def __init__(
        self,
        broker: MqttEndpoint,
        device: DeviceEndpoint,
        *,
        will: dict[str, Any] | None = None,
        client_id: str | None = None,
    ) -> None:
        self.device = device
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"{device.tenant}_{device.name}",
            protocol=mqtt.MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=broker.ca)
        context.load_cert_chain(device.cert, device.key)
        self.client.tls_set_context(context)
        if will is not None:
            self.client.will_set(self.topic("state"), json.dumps(will), qos=1, retain=True)
        self.received: list[tuple[str, bytes]] = []
        self._connected = threading.Event()
        self._answers: dict[int, int] = {}
        self._answered = threading.Condition()
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.on_message = lambda _c, _u, m: self.received.append((m.topic, m.payload))
        self._broker = broker

    def topic(self, channel: str) -> str:
        """One of the device's own topics."""
        d = self.device
        return f"traksense/{d.tenant}/{d.site}/{d.name}/{channel}"

    def __enter__(self) -> Self:
        self.client.connect(self._broker.host, self._broker.port)
        self.client.loop_start()
        assert self._connected.wait(WAIT_S), "the broker did not answer"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """The cable is cut: the connection ends without a DISCONNECT."""
        connection = self.client.socket()
        assert connection is not None
        self.client.loop_stop()
        connection.close()

    def publish(self, channel: str, payload: Any, *, retain: bool = False) -> int:
        """Publish at QoS 1 and wait; the reason code of the broker's answer."""
        return self.publish_to(self.topic(channel), payload, retain=retain)

    def publish_to(self, topic: str, payload: Any, *, retain: bool = False) -> int:
        """Publish to any topic at QoS 1 and wait; the reason code of the broker's answer."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        sent = self.client.publish(topic, raw, qos=1, retain=retain)
        with self._answered:
            assert self._answered.wait_for(lambda: sent.mid in self._answers, WAIT_S), topic
            return self._answers[sent.mid]

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        assert not code.is_failure, str(code)
        self._connected.set()

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: Any, _props: Any) -> None:
        with self._answered:
            self._answers[mid] = int(code.value)
            self._answered.notify_all()
