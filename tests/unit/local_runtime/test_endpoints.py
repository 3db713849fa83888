from __future__ import annotations

from pathlib import Path

import pytest

from device_sim.endpoints import load as load_for_the_simulator
from local.endpoints import DeviceEndpoint, Endpoints, GatewayEndpoint, MqttEndpoint, UserEndpoint
from local.errors import StartupError

ENDPOINTS = Endpoints(
    api_url="http://127.0.0.1:8000",
    mqtt=MqttEndpoint("127.0.0.1", 8883, "/home/ca.crt"),
    database_url="postgresql://postgres@127.0.0.1/traksense",
    users=(
        UserEndpoint("admin@acme.example", "secret", "customer_admin", "acme"),
        UserEndpoint("ops@traksense.example", "secret", "internal_ops", None),
    ),
    devices=(
        DeviceEndpoint("acme", "plant", "chiller", "/c.crt", "/c.key", False, "chiller"),
        DeviceEndpoint(
            "acme", "plant", "gw", "/g.crt", "/g.key", True, "tds_gateway",
            GatewayEndpoint("aa:bb:cc:dd:ee:ff", ("D01", "D02")),
        ),
    ),
)  # fmt: skip


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    ENDPOINTS.write(path)
    assert Endpoints.read(path) == ENDPOINTS
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_simulator_reads_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    ENDPOINTS.write(path)
    found = load_for_the_simulator(path)
    assert found.idle_device().name == "chiller"
    (gateway,) = found.fleet()
    assert gateway.gateway is not None
    assert gateway.gateway.children == ("D01", "D02")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="make run"):
        Endpoints.read(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["", "[]", '{"api_url": "x"}'])
def test_a_damaged_file_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(text)
    with pytest.raises(StartupError, match="damaged"):
        Endpoints.read(path)
