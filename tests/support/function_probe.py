"""``python -m tests.support.function_probe FUNCTION``: makes a function's services as Lambda would.

It prints, in JSON, which environment variables the platform's own code read on the way, and which
adapters of AWS the services hold, under which name. Nothing is asked of anybody. A process of its
own, so that nothing was imported, made or read before.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
OURS: Final = tuple(
    str(ROOT / folder) + os.sep for folder in ("layers/core/python/traksense", "functions")
)
"""Where code is whose reads count; libraries read what they like."""
OF_ADAPTERS: Final = "traksense.aws."
MAKES_CLIENTS: Final = "traksense.aws.clients"

GIVEN: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_REGION": "sa-east-1",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_LAMBDA_FUNCTION_NAME": "traksense-test",
    "COGNITO_CLIENT_ID": "client",
    "COGNITO_USER_POOL_ID": "sa-east-1_pool",
    "DATABASE_URL": "postgresql://probe@127.0.0.1:1/traksense",
    "TRAKSENSE_DATABASE_ADMINISTRATOR": "arn:aws:secretsmanager:sa-east-1:1:secret:admin",
    "TRAKSENSE_EXPORTS_BUCKET": "exports",
    "TRAKSENSE_EXPORT_STATE_MACHINE": "arn:aws:states:sa-east-1:1:stateMachine:exports",
    "TRAKSENSE_MAIL_CONFIGURATION_SET": "traksense-test",
    "TRAKSENSE_MAIL_FROM": "TrakSense <no-reply@traksense.example>",
    "TRAKSENSE_QUEUE_URLS": "ingest=https://sqs.sa-east-1.amazonaws.com/1/ingest",
    "TRAKSENSE_TOMBSTONES_BUCKET": "tombstones",
    "TRAKSENSE_WEB_URL": "https://panel.traksense.example",
}
"""Values of what is required, or changes what is wired. The rest has defaults."""


@dataclass(frozen=True, slots=True)
class Held:
    """An adapter, or one method of it, under a name of an object that holds it."""

    holder: str
    """``module:class``."""
    name: str
    adapter: str
    """``module:class``."""
    method: str | None
    """Where a method alone was handed over."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What making a function's services showed."""

    reads: frozenset[str]
    held: frozenset[Held]
    loaded: frozenset[str]
    """Modules of ours that are loaded then."""


@functools.cache
def probed(function: str, told: frozenset[str], authentication: str) -> Probed:
    """Make a function's services where the environment is what ``told`` names of ``GIVEN``."""
    environment = {name: GIVEN[name] for name in told if name in GIVEN}
    if "TRAKSENSE_DATABASE_AUTH" in told:
        environment["TRAKSENSE_DATABASE_AUTH"] = authentication
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.function_probe", function],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return Probed(
        frozenset(found["reads"]),
        frozenset(Held(*each) for each in found["held"]),
        frozenset(found["loaded"]),
    )


class _Recording(os._Environ):  # type: ignore[type-arg]
    """The environment, which notes what our own code asks it for."""

    reads: Final[set[str]] = set()

    def __getitem__(self, key: str) -> str:
        _note(key)
        value: str = super().__getitem__(key)
        return value

    def __contains__(self, key: object) -> bool:
        _note(str(key))
        return super().__contains__(key)


def _note(key: str) -> None:
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename.startswith("<frozen "):
        frame = frame.f_back
    if frame.f_code.co_filename.startswith(OURS):
        _Recording.reads.add(key)


def _services(handler: str) -> Iterator[Any]:
    """What the modules behind a handler make at the first call."""
    importlib.import_module(handler.partition(":")[0])
    from functions.made import Made

    for name in [name for name in sys.modules if name.startswith("functions.")]:
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, Made) and value.made is None:
                yield value.get()
            elif _is_maker(value) and value.__wrapped__.__module__ == name:
                yield value()


def _is_maker(value: object) -> bool:
    return (
        isinstance(value, functools._lru_cache_wrapper) and not inspect.signature(value).parameters
    )


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, by name."""
    if isinstance(value, Mapping):
        yield from ((str(key), each) for key, each in list(value.items()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (("", each) for each in value)
    elif isinstance(value, functools.partial):
        yield from (("", each) for each in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, types.MethodType):
        yield "", value.__self__
    elif _is_maker(value):
        yield "", value.__wrapped__
        yield "", value()
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in cells)
    elif type(value).__module__.startswith(("traksense.", "functions.")):
        for kind in type(value).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if hasattr(value, name):
                    yield name, getattr(value, name)
        yield from getattr(value, "__dict__", {}).items()


def _walk(roots: list[Any]) -> set[Held]:
    found: set[Held] = set()
    seen: dict[int, Any] = {}
    waiting = [("", root, "") for root in roots]
    while waiting:
        holder, value, name = waiting.pop()
        method = None
        adapter = value
        if isinstance(value, types.MethodType):
            adapter, method = value.__self__, value.__name__
        if _is_adapter(adapter):
            found.add(Held(holder, name, _named(type(adapter)), method))
        if id(value) in seen or isinstance(value, type):
            continue
        seen[id(value)] = value  # kept, so that no id is given twice
        own = _named(type(value))
        is_ours = own.startswith(("traksense.", "functions."))
        for part_name, part in _parts(value):
            # A container is part of who holds it, and so is what a method is of.
            waiting.append((own, part, part_name) if is_ours else (holder, part, name))
    return found


def _is_adapter(value: object) -> bool:
    module = type(value).__module__
    return module.startswith(OF_ADAPTERS) and module != MAKES_CLIENTS


def _named(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _main(function: str) -> None:
    os.environ.__class__ = _Recording
    from traksense.contracts.functions import FUNCTIONS

    (contract,) = [each for each in FUNCTIONS if each.name == function]
    held = _walk(list(_services(contract.handler)))
    if any(each.adapter.endswith(":RdsIamPasswords") for each in held):
        from traksense.settings.login import AwsCredentials

        AwsCredentials.from_environment()  # what it reads at each connection
    loaded = [name for name in sys.modules if name.startswith(("traksense.", "functions."))]
    shown = [[each.holder, each.name, each.adapter, each.method] for each in held]
    print(json.dumps({"reads": sorted(_Recording.reads), "held": shown, "loaded": loaded}))


if __name__ == "__main__":
    _main(sys.argv[1])
