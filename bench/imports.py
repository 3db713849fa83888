"""How long each function takes to import: the part of a cold start that is ours.

A fresh interpreter, without the environment of the project, imports the handler's module out of
the packages of `make build HOST=1`, laid out and compiled ahead as in Lambda; the interpreter's
own start is taken off.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from bench.results import Figures
from infra_cdk.packaging.machine import Machine
from infra_cdk.packaging.making import make
from infra_cdk.packaging.targets import for_this_machine
from traksense.contracts.functions import FUNCTIONS, Function

ROUNDS: Final = 15
PYTHON: Final = (
    "import sys, sysconfig;"
    "print(sys.version.split()[0], '--enable-optimizations' in sysconfig.get_config_var("
    "'CONFIG_ARGS'))"
)


def run(figures: Figures) -> None:
    """Measure every function of the manifest, in turn, several times."""
    with tempfile.TemporaryDirectory() as folder:
        target = for_this_machine(Path(folder) / "build-host")
        make(target)
        machine = Machine(Path(folder) / "machine", target.folder)
        version, optimised = machine.run(FUNCTIONS[0], PYTHON).split()
        how = "built with" if optimised == "True" else "built WITHOUT"
        print(f"Python {version}, {how} optimisations (Lambda's has them)", flush=True)
        for function in FUNCTIONS:
            _seconds(machine, function, _importing(function))  # unpacked, read once
        for _ in range(ROUNDS):
            for function in FUNCTIONS:
                nothing = _seconds(machine, function, "pass")
                took = _seconds(machine, function, _importing(function)) - nothing
                figures.add(f"import_ms_{function.name}", took * 1000, "ms")


def _importing(function: Function) -> str:
    return f"import {function.handler.partition(':')[0]}"


def _seconds(machine: Machine, function: Function, code: str) -> float:
    started = time.perf_counter()
    machine.run(function, code)
    return time.perf_counter() - started
