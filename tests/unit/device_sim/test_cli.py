"""The command line: what it refuses, and how it says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device_sim.cli import main

DEVICE = {"tenant": "acme", "site": "plant", "name": "a", "cert": "/none.crt", "key": "/none.key"}


@pytest.fixture
def endpoints(tmp_path: Path) -> str:
    file = tmp_path / "endpoints.json"
    mqtt = {"host": "127.0.0.1", "port": 1, "ca": "/none"}
    spare = {**DEVICE, "name": "spare", "simulated": False}
    file.write_text(json.dumps({"mqtt": mqtt, "devices": [DEVICE, spare]}))
    return str(file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "9"], "9 devices were asked for, the endpoints file has 1"),
        (["--provision"], "--provision goes with --devices"),
        (["--replay", "x.csv"], "--replay needs --point"),
        (["--point", "temp"], "--point goes with --replay"),
        (["--step", "5"], "--step goes with --replay"),
        (["--shift-to-now"], "--shift-to-now goes with --replay"),
        (["--replay", "x.csv", "--point", "p", "--devices", "1"], "choose one with --device"),
        (["--replay", "x.csv", "--point", "p", "--faults", "late"], "'late' does not go with"),
        (["--replay", "x.csv", "--point", "p", "--batch", "1001"], "--batch is at most 1000"),
        (["--replay", "none.csv", "--point", "p"], "none.csv cannot be read: No such file"),
        (["--replay", "x.csv", "--point", "p", "--device", "globex/b"], "no device 'globex/b'"),
        ([], "acme_a: /none.crt does not exist"),
    ],
)
def test_a_mistake_is_one_clear_line(
    endpoints: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--endpoints", endpoints, *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert message in said.err


@pytest.mark.parametrize(
    "options",
    [
        ["--devices", "0"],
        ["--devices", "many"],
        ["--rate", "-1"],
        ["--rate", "nan"],
        ["--duration", "inf"],
        ["--speed", "fast"],
        ["--step", "0"],
        ["--faults", "late,flood"],
    ],
)
def test_a_value_that_is_none_is_refused_with_the_usage(
    endpoints: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--endpoints", endpoints, *options])
    assert end.value.code == 2
    assert "usage: python -m device_sim" in capsys.readouterr().err


def test_no_endpoints_file_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--endpoints", str(tmp_path / "none.json")]) == 2
    assert "does not exist; start the platform first" in capsys.readouterr().err
