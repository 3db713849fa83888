"""More simulated devices than there are, made through an API that answers over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from device_sim import provision
from device_sim.endpoints import EndpointsError, load


class Api(ThreadingHTTPServer):
    """The four calls that the simulator makes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.devices: dict[str, str] = {}
        self.full: set[str] = set()
        """Ids of devices that have as many certificates as they may."""
        self.asked: list[str] = []
        self.keys = 0

    def answer(self, method: str, path: str, body: bytes) -> Any:
        self.asked.append(f"{method} {path.partition('?')[0]}")
        if path == "/api/auth/login":
            return {"id_token": "a token"}
        if path == "/api/devices/import":
            names = [line.split(",")[0] for line in body.decode().splitlines()[1:]]
            self.devices |= {name: f"id-{name}" for name in names}
            return {"items": [{"name": name, "id": self.devices[name]} for name in names]}
        if path == "/api/devices/provision":
            return {"items": [self.issue(each) for each in json.loads(body)["devices"]]}
        if path.endswith("/revoke"):
            self.full.discard(path.split("/")[3])
            return {"revoked": 2}
        if path.endswith("/provision"):
            return self.issue(path.split("/")[3])
        items = [{"name": name, "id": each} for name, each in self.devices.items()]
        return {"items": items, "next_cursor": None}

    def issue(self, device: str) -> dict[str, Any]:
        if device in self.full:
            return {"device_id": device, "certificate": None, "private_key": None}
        self.keys += 1
        return {"device_id": device, "certificate": "cert", "private_key": f"key {self.keys}"}


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = json.dumps(self.server.answer(self.command, self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def file(tmp_path: Path, api: Api) -> Path:
    path = tmp_path / "endpoints.json"
    device = {
        "tenant": "acme", "site": "plant", "template": "vaccine-fridge", "simulated": True,
        "cert": str(tmp_path / "c"), "key": str(tmp_path / "k"),
    }  # fmt: skip
    path.write_text(
        json.dumps(
            {
                "api_url": f"http://127.0.0.1:{api.server_port}",
                "users": [{"email": "a@b.example", "password": "x", "role": "internal_ops"}],
                "mqtt": {"host": "127.0.0.1", "port": 8883, "ca": "ca"},
                "devices": [{**device, "name": "fridge-1"}],
            }
        )
    )
    return path


def test_what_is_missing_is_made_once_and_kept(file: Path, api: Api) -> None:
    endpoints = provision.enough(file, load(file), 4)
    names = [device.name for device in endpoints.fleet(4)]
    assert names == ["fridge-1", "sim-0001", "sim-0002", "sim-0003"]
    assert api.asked == [
        "POST /api/auth/login", "GET /api/devices", "POST /api/devices/import",
        "POST /api/devices/provision",
    ]  # fmt: skip
    keys = {(file.parent / "simulated" / f"acme_{name}.key").read_text() for name in names[1:]}
    assert keys == {"key 1", "key 2", "key 3"}
    for kept in (file.parent / "simulated").iterdir():
        assert kept.stat().st_mode & 0o077 == 0
    api.asked.clear()
    assert len(provision.enough(file, load(file), 4).fleet(4)) == 4
    assert api.asked == []


def test_a_device_whose_keys_were_lost_gets_a_new_one(file: Path, api: Api) -> None:
    api.devices["sim-0001"] = "id-sim-0001"
    api.full.add("id-sim-0001")
    provision.enough(file, load(file), 2)
    assert (file.parent / "simulated" / "acme_sim-0001.key").read_text() == "key 1"
    assert "POST /api/devices/import" not in api.asked


def test_no_more_than_there_are_asks_for_nothing(file: Path, api: Api) -> None:
    assert provision.enough(file, load(file), 1) == load(file)
    assert api.asked == []


def test_nobody_there_is_said(file: Path, api: Api) -> None:
    document = json.loads(file.read_text())
    document["api_url"] = "http://127.0.0.1:1"
    file.write_text(json.dumps(document))
    with pytest.raises(EndpointsError, match="cannot be reached"):
        provision.enough(file, load(file), 2)
