"""The command line of the simulator."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from . import fleet, provision, recording, replay
from .connection import Network
from .endpoints import Device, Endpoints, EndpointsError, load
from .faults import Fault
from .models import DEFAULT_SEED, Model, build
from .recording import RecordingError
from .session import (
    CHILD_PROGRESS_EVERY_S,
    PROGRESS_EVERY_S,
    Control,
    NotConnectedError,
    Progress,
    connect,
)
from .station import Station
from .tally import Tally

SECONDS_PER_REPORT = 5.0
"""How often a device reports when no rate is given."""
MAX_BATCH = 1000
MAX_SPEED = float("inf")
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class UsageError(ValueError):
    """Options that do not go together; the message says which."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator; the process' exit code.

    0: everything published was acknowledged. 1: something failed, or no connection. 2: the
    options, the endpoints file or the recording do not do.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, format="device_sim: %(message)s",
        level=logging.INFO if options.verbose else logging.WARNING,
    )  # fmt: skip
    try:
        check(options)
        endpoints = load(options.endpoints)
        return _replay(options, endpoints) if options.replay else _fleet(options, endpoints)
    except (UsageError, EndpointsError, RecordingError) as error:
        print(f"device_sim: {error}", file=sys.stderr)
        return EXIT_USAGE
    except NotConnectedError as error:
        print(
            f"device_sim: no connection to mqtts://{endpoints.host}:{endpoints.port}: {error}",
            file=sys.stderr,
        )
        return EXIT_FAILED


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m device_sim",
        description="Simulates devices over mTLS MQTT: a live fleet, or the replay of a CSV.",
    )
    add = parser.add_argument
    add("--endpoints", type=Path, default=Path(".local/endpoints.json"), metavar="FILE",
        help="broker and devices (default: %(default)s)")  # fmt: skip
    add("--devices", type=_count, metavar="N",
        help="the first N simulated devices (default: all)")  # fmt: skip
    add("--provision", action="store_true",
        help="have a local platform make those that --devices asks for and it lacks")  # fmt: skip
    add("--rate", type=_positive, metavar="R",
        help="messages per second over the whole fleet (default: one every "
        f"{SECONDS_PER_REPORT:g} s a device; a replay: no limit)")  # fmt: skip
    add("--duration", type=_positive, metavar="S", help="seconds (default: until stopped)")
    add("--faults", type=_faults, default=frozenset(), metavar="LIST",
        help="comma-separated: " + ",".join(Fault))  # fmt: skip
    add(
        "--seed", default=str(DEFAULT_SEED), help="equal seeds, equal values (default: %(default)s)"
    )
    add("--json", action="store_true", help="end with the count as one JSON object")
    add("--child", action="store_true",
        help="run under a supervisor: end at the end of stdin, wait for the broker as long as "
        "it takes")  # fmt: skip
    add("--connect-timeout", type=_positive, default=30.0, metavar="S",
        help="give up when no device has connected by then (default: %(default)g)")  # fmt: skip
    add("--give-up", type=_positive, default=120.0, metavar="S",
        help="count a message as failed when it is not acknowledged by then "
        "(default: %(default)g)")  # fmt: skip
    add("--verbose", action="store_true", help="also tell of lost connections")
    group = parser.add_argument_group("replay")
    add = group.add_argument
    add("--replay", type=Path, metavar="FILE.csv", help="a CSV with the columns timestamp,value")
    add("--point", metavar="NAME", help="the point that the values are of")
    add("--device", metavar="TENANT/NAME",
        help="the device that replays (default: the first one that no simulator uses)")  # fmt: skip
    add("--shift-to-now", action="store_true", help="move all times so that the last is now")
    add("--step", type=_step, metavar="SECONDS", help="time between rows, instead of the file's")
    add("--speed", type=_speed, metavar="X|max",
        help="X times as fast as recorded (default: max)")  # fmt: skip
    add("--batch", type=_count, metavar="K", help="rows in one message (default: 1)")
    return parser


def check(options: argparse.Namespace) -> None:
    """Raises UsageError where options do not go together."""
    if options.provision and options.devices is None:
        raise UsageError("--provision goes with --devices N")
    if options.replay is None:
        for name in ("point", "device", "step", "speed", "batch"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} goes with --replay")
        if options.shift_to_now:
            raise UsageError("--shift-to-now goes with --replay")
        return
    if not options.point:
        raise UsageError("--replay needs --point NAME")
    if options.devices is not None:
        raise UsageError("--devices does not go with --replay; choose one with --device")
    if Fault.LATE in options.faults:
        raise UsageError("the fault 'late' does not go with --replay: its times are the file's")
    if options.batch is not None and options.batch > MAX_BATCH:
        raise UsageError(f"--batch is at most {MAX_BATCH}")


class _Run:
    """The parts of one run, put together."""

    def __init__(
        self, options: argparse.Namespace, endpoints: Endpoints,
        crew: Sequence[tuple[Device, Model | None]],
    ) -> None:  # fmt: skip
        for device, _ in crew:
            for path in (device.cert, device.key):
                if path is None or not path.is_file():
                    raise EndpointsError(f"{device.thing_name}: {path} does not exist")
        if not endpoints.ca.is_file():
            raise EndpointsError(f"mqtt.ca: {endpoints.ca} does not exist")
        self.options = options
        self.control = Control()
        self.tally = Tally()
        network = Network.of(endpoints)
        self.stations = [
            Station(
                device, model, network, self.tally, faults=options.faults, seed=options.seed,
                give_up_s=options.give_up, wake=self.control.wake,
            )
            for device, model in crew
        ]  # fmt: skip
        self.random = Random(f"{options.seed}/fleet")
        self.say = _writer(to_stderr=options.json)
        self.progress = Progress(
            self.tally, self.stations, self.say,
            CHILD_PROGRESS_EVERY_S if options.child else PROGRESS_EVERY_S,
        )  # fmt: skip

    def connect(self) -> None:
        """Connect; raises NotConnectedError."""
        _listen_for_the_end(self.control, child=self.options.child)
        timeout = None if self.options.child else self.options.connect_timeout
        connect(self.stations, self.control, timeout_s=timeout)

    def conclude(self) -> int:
        """Print the count; the exit code."""
        for remark in self.tally.remarks():
            self.say(remark)
        if self.options.json:
            print(json.dumps(self.tally.as_dict()), flush=True)
        else:
            print(self.tally.line(), flush=True)
        return EXIT_OK if self.tally.complete else EXIT_FAILED


def _fleet(options: argparse.Namespace, endpoints: Endpoints) -> int:
    if options.provision:
        endpoints = provision.enough(options.endpoints, endpoints, options.devices)
    devices = endpoints.fleet(options.devices)
    run = _Run(options, endpoints, [(device, build(device, options.seed)) for device in devices])
    rate = options.rate or len(devices) / SECONDS_PER_REPORT
    run.say(
        f"{len(devices)} devices, {rate:g} messages/s, to mqtts://{endpoints.host}:{endpoints.port}"
    )
    run.connect()
    fleet.run(
        run.stations, run.tally, run.control, run.progress, rate=rate,
        duration_s=options.duration, faults=options.faults, random=run.random,
        drain_s=options.give_up,
    )  # fmt: skip
    return run.conclude()


def _replay(options: argparse.Namespace, endpoints: Endpoints) -> int:
    device = endpoints.find(options.device) if options.device else endpoints.idle_device()
    if device.points is not None and options.point not in device.points:
        raise UsageError(
            f"{device.tenant}/{device.name} has no point {options.point!r}; "
            f"it has {', '.join(sorted(device.points))}"
        )
    recorded = recording.read(options.replay)
    run = _Run(options, endpoints, [(device, None)])
    run.connect()
    rows = recorded.timed(
        shift_to_us=int(time.time() * 1000) * 1000 if options.shift_to_now else None,
        step_us=None if options.step is None else round(options.step * 1_000_000),
    )
    run.say(
        f"{len(rows)} values of {options.point} as {device.tenant}/{device.name}, "
        f"{recorded.missing} empty cells left out"
    )
    replay.run(
        run.stations[0], run.tally, run.control, run.progress,
        recording.messages(rows, options.point, options.batch or 1),
        pace=replay.Pace(_finite(options.speed), options.rate), duration_s=options.duration,
        faults=options.faults, random=run.random, drain_s=options.give_up,
    )  # fmt: skip
    return run.conclude()


def _listen_for_the_end(control: Control, *, child: bool) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: control.stop())
    if child:

        def watch() -> None:
            # Not through sys.stdin: its lock, held by this thread, would block the exit.
            while os.read(0, 4096):
                continue
            control.stop()

        threading.Thread(target=watch, name="stdin", daemon=True).start()


def _writer(*, to_stderr: bool) -> Callable[[str], None]:
    def write(line: str) -> None:
        print(line, file=sys.stderr if to_stderr else sys.stdout, flush=True)

    return write


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _step(text: str) -> float:
    value = _positive(text)
    if value < 1e-6:
        raise argparse.ArgumentTypeError("a step is at least a microsecond")
    return value


def _speed(text: str) -> float:
    return MAX_SPEED if text == "max" else _positive(text)


def _finite(speed: float | None) -> float | None:
    return None if speed in (None, MAX_SPEED) else speed


def _faults(text: str) -> frozenset[Fault]:
    try:
        return frozenset(Fault(name.strip()) for name in text.split(",") if name.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: the faults are {', '.join(Fault)}") from None
