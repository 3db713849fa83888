"""A local platform for a benchmark, in a home of its own, with nobody playing its devices."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from local import unprivileged
from local.endpoints import DeviceEndpoint, Endpoints
from local.home import Home
from local.ports import free_port

_START_S: Final = 90.0


class Platform:
    """Running between ``with`` and its end; ``start_s`` is how long READY took."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[str] | None = None
        self._environment = {
            **os.environ,
            "TRAKSENSE_HOME": str(home),
            "TRAKSENSE_HTTP_PORT": str(free_port()),
            "TRAKSENSE_MQTT_PORT": str(free_port()),
            "TRAKSENSE_DEMO": "data",
            # What is measured is the way, not how often one person may go it.
            "TRAKSENSE_TENANT_REQUESTS_PER_MINUTE": "1000000",
            "TRAKSENSE_USER_REQUESTS_PER_MINUTE": "1000000",
            "TRAKSENSE_ADDRESS_REQUESTS_PER_MINUTE": "1000000",
        }
        self._environment.pop("DATABASE_URL", None)
        self.start_s = 0.0

    @property
    def endpoints_file(self) -> Path:
        """Where the platform wrote how to reach it."""
        return self._home / "endpoints.json"

    @property
    def endpoints(self) -> Endpoints:
        """How to reach it."""
        return Endpoints.read(self.endpoints_file)

    def start(self) -> None:
        """Start and wait for READY; raises RuntimeError with what was printed."""
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        printed = []
        for line in self._process.stdout:
            printed.append(line)
            if line.startswith("READY "):
                self.start_s = time.perf_counter() - started
                return
            if time.perf_counter() - started > _START_S:
                break
        self.stop()
        raise RuntimeError("the platform did not get ready:\n" + "".join(printed[-30:]))

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=60)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        unprivileged.forget(Home(self._home))


def connect(endpoints: Endpoints, device: DeviceEndpoint) -> mqtt.Client:
    """An MQTT client with a device's certificate, connected and running in its own thread."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{device.tenant}_{device.name}")
    context = ssl.create_default_context(cafile=endpoints.mqtt.ca)
    context.load_cert_chain(device.cert, device.key)
    client.tls_set_context(context)
    client.connect(endpoints.mqtt.host, endpoints.mqtt.port)
    client.loop_start()
    return client
