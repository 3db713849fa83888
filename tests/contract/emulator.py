"""A real emulator process in a home of its own, and clients of it."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.aws.identifiers import PoolIds, pool_ids
from traksense.aws.cognito import Cognito

PASSWORD = "a long enough passphrase"
TENANT = "7b0c7a52-0a52-4a6e-9d0e-111111111111"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_child(module: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a child of the platform and wait until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if '"event": "ready"' in line:
            return process
    process.communicate()
    raise AssertionError(f"{module} ended with {process.returncode}:\n{''.join(said)}")


def stop_child(process: subprocess.Popen[str]) -> int:
    """Let the child see that whoever started it is gone; its exit code."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.read()
    process.stdout.close()
    return process.wait(15)


@dataclass
class Emulator:
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    _clients: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @classmethod
    def start(cls, home: Path, **more: str) -> Emulator:
        """``more``: environment besides what every emulator gets."""
        environment = {
            "TRAKSENSE_HOME": str(home),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
            "AWS_ACCESS_KEY_ID": f"AKIA{secrets.token_hex(8).upper()}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
            "TRAKSENSE_MQTT_PORT": "8883",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "TRAKSENSE_WEB_URL": "http://127.0.0.1:8000",
            "PYTHONWARNINGS": "error",
            **more,
        }
        return cls(home, environment, start_child("local.aws", environment))

    def restart(self) -> None:
        self.stop()
        self.process = start_child("local.aws", self.environment)

    def stop(self) -> None:
        assert stop_child(self.process) == 0

    def kill(self) -> None:
        self.process.kill()
        stop_child(self.process)
        self.process = start_child("local.aws", self.environment)

    @property
    def port(self) -> int:
        return int(self.environment["AWS_ENDPOINT_URL"].rpartition(":")[2])

    @property
    def ids(self) -> PoolIds:
        return pool_ids(self.home)

    def client(
        self,
        service: str,
        *,
        key_id: str | None = None,
        secret: str | None = None,
        signature: str = "v4",
    ) -> Any:
        """A boto3 client with the run's keys, or with others."""
        wanted = (service, key_id or "", secret or "", signature)
        if wanted not in self._clients:
            self._clients[wanted] = boto3.session.Session().client(
                service,
                endpoint_url=self.environment["AWS_ENDPOINT_URL"],
                region_name="us-east-1",
                aws_access_key_id=key_id or self.environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=secret or self.environment["AWS_SECRET_ACCESS_KEY"],
                config=Config(signature_version=signature, retries={"max_attempts": 1}),
            )
        return self._clients[wanted]

    def admin(self) -> Any:
        """A client of Cognito that signs every call."""
        client = self.client("cognito-idp")
        client.meta.events.register_first(
            "choose-signer.cognito-identity-provider.*", _always_v4, unique_id="always-v4"
        )
        return client

    def cognito(self) -> Cognito:
        """The platform's adapter."""
        return Cognito(self.ids.client_id, "us-east-1", lambda _region: self.admin())

    def jwks(self) -> dict[str, Any]:
        status, body = self.get(f"/{self.ids.user_pool_id}/.well-known/jwks.json")
        assert status == 200
        keys: dict[str, Any] = json.loads(body)
        return keys

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            assert not [
                h for h, _ in response.getheaders() if h.lower().startswith("access-control")
            ]
            return response.status, response.read()
        finally:
            connection.close()


def _always_v4(**_: Any) -> str:
    return "v4"
