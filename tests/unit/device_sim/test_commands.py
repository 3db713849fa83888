"""A device's side of commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from device_sim.commands import CommandDesk
from device_sim.models import build
from device_sim.models.normalised import rfc3339
from tests.unit.device_sim.support_fleet import NOW, device


def command(**fields: Any) -> bytes:
    body = {"schema": "v1", "cmd_id": "01A", "op": "stop", "params": {}, "by": "somebody"}
    return json.dumps({**body, "expires_at": rfc3339(NOW + 60), **fields}).encode()


def ack(desk: CommandDesk, payload: bytes, now: float = NOW) -> dict[str, Any]:
    answer = desk.receive(payload, now)
    assert answer is not None
    body: dict[str, Any] = json.loads(answer.payload)
    return body


def test_a_command_is_carried_out_and_acknowledged() -> None:
    chiller = build(device("chiller-v1"))
    assert ack(CommandDesk(chiller), command()) == {
        "schema": "v1", "cmd_id": "01A", "ok": True, "ts_exec": rfc3339(NOW), "err": None,
    }  # fmt: skip
    assert chiller.at(NOW + 1)["modo"] == "OFF"


def test_a_repeated_command_is_acknowledged_again_and_not_repeated() -> None:
    chiller = build(device("chiller-v1"))
    desk = CommandDesk(chiller)
    first = ack(desk, command())
    chiller.execute("start", {}, NOW + 1)
    assert ack(desk, command(), NOW + 2) == first
    assert chiller.at(NOW + 3)["modo"] != "OFF"


def test_an_expired_command_does_nothing() -> None:
    chiller = build(device("chiller-v1"))
    answer = ack(CommandDesk(chiller), command(expires_at=rfc3339(NOW)))
    assert (answer["ok"], answer["err"]) == (False, "expired")
    assert chiller.at(NOW + 1)["modo"] != "OFF"


@pytest.mark.parametrize("op", ["make_coffee", None, 7])
def test_an_unknown_operation_is_refused(op: object) -> None:
    answer = ack(CommandDesk(build(device("chiller-v1"))), command(op=op))
    assert (answer["ok"], answer["err"]) == (False, "unknown_op")


def test_a_device_that_only_replays_knows_no_operation() -> None:
    assert ack(CommandDesk(None), command())["err"] == "unknown_op"


@pytest.mark.parametrize("kind", ["gateway-tds", "gateway-khomp"])
def test_gateways_know_no_operation(kind: str) -> None:
    assert ack(CommandDesk(build(device(kind))), command())["err"] == "unknown_op"


@pytest.mark.parametrize("kind", ["inverter-parsec", "inverter-je02"])
def test_a_drive_stops_and_starts(kind: str) -> None:
    drive = build(device(kind))
    desk = CommandDesk(drive)
    assert ack(desk, command())["ok"]
    hour = range(int(NOW), int(NOW + 7200), 60)
    assert {drive.at(float(ts))["status"] for ts in hour} == {"STOP"}
    assert ack(desk, command(cmd_id="01B", op="start"))["ok"]
    assert "RUN" in {drive.at(float(ts) + 1)["status"] for ts in hour}


@pytest.mark.parametrize("where", ["top", "params"])
def test_the_ack_waits_for_the_pulse(where: str) -> None:
    fields: dict[str, Any] = {"op": "reset_fault"}
    fields |= {"pulse_ms": 500} if where == "top" else {"params": {"pulse_ms": 500}}
    answer = CommandDesk(build(device("chiller-v1"))).receive(command(**fields), NOW)
    assert answer is not None
    assert answer.due == pytest.approx(NOW + 0.5)


@pytest.mark.parametrize("pulse", [0, -1, 60_001, 1.5, True, "500"])
def test_a_foolish_pulse_is_refused(pulse: object) -> None:
    answer = ack(
        CommandDesk(build(device("chiller-v1"))), command(op="reset_fault", pulse_ms=pulse)
    )
    assert not answer["ok"]
    assert answer["err"].startswith("bad_params")


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"cmd_id":7}', b'{"cmd_id":""}'])
def test_what_names_no_command_is_not_acknowledged(payload: bytes) -> None:
    assert CommandDesk(build(device("chiller-v1"))).receive(payload, NOW) is None


@pytest.mark.parametrize("expires_at", ["soon", "2030-01-01T00:00:00", 12])
def test_an_expiry_that_cannot_be_read_is_refused(expires_at: object) -> None:
    answer = ack(CommandDesk(build(device("chiller-v1"))), command(expires_at=expires_at))
    assert answer["err"].startswith("bad_command")
