"""The dependency layers: what is in each, and what of its wheels nobody runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .targets import ROOT, UV, Target

MOST_BYTES: Final = 40_000_000
"""Of the layer that every function has, unzipped: Lambda unpacks it at each cold start."""
MOST_BYTES_OF_ALL: Final = 250 * 1024 * 1024
"""Of a function with all its layers, unzipped (AWS, "Lambda quotas")."""

_EVERYWHERE: Final = (
    "**/__pycache__",  # of the machine that packed it; compiled anew
    "**/tests",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.pyx",
    "bin",  # commands, which nobody runs in Lambda
    "*.dist-info/RECORD",  # names what is taken out here
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_*.json",
    ".lock",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of dependencies."""

    name: str
    unused: tuple[str, ...]
    """Paths that are taken out, as globs."""

    @property
    def requirements(self) -> Path:
        """What it holds, pinned with hashes."""
        return ROOT / "layers" / self.name / "requirements.txt"


DEPS: Final = Layer(
    "deps",
    (
        # Chalice's commands and its deployment, which CDK does here.
        *(f"chalice/{name}" for name in (
            "api", "awsclient.py", "cdk", "cli", "config.py", "constants.py", "deploy",
            "invoke.py", "logs.py", "package.py", "pipeline.py", "policies.json",
            "policies-extra.json", "policy.py", "templates", "test.py", "vendored",
        )),
        "pydantic/v1",  # its first version, for whoever still uses that
        "pydantic/mypy.py",
        # Powertools' other half: of it, the formatter of logs and the metrics are used.
        *(f"aws_lambda_powertools/{name}" for name in (
            "event_handler", "utilities/batch", "utilities/data_masking",
            "utilities/feature_flags", "utilities/idempotency", "utilities/kafka",
            "utilities/parameters", "utilities/parser", "utilities/streaming",
            "utilities/validation", "utilities/data_classes",
        )),
        "tzdata/zoneinfo/right",
    ),
)  # fmt: skip
KEYS: Final = Layer("keys", ("pycparser*",))  # cffi's compiler; what runs is _cffi_backend
PARQUET: Final = Layer(
    "parquet",
    (
        "pyarrow/include",
        "pyarrow/includes",
        "pyarrow/src",
        # Arrow's other parts: remote storage, RPC, the query engine.
        "pyarrow/libarrow_flight*",
        "pyarrow/libarrow_python_flight*",
        "pyarrow/_flight*",
        "pyarrow/_substrait*",
        "pyarrow/_gcsfs*",
        "pyarrow/_azurefs*",
        "pyarrow/_orc*",
        "pyarrow/_dataset_orc*",
        "pyarrow/_hdfs*",
        "pyarrow/_pyarrow_cpp_tests*",
        # A ZIP makes copies of what were links to libarrow_python.so.N, which is what is loaded.
        "pyarrow/libarrow_python*.so",
        "pyarrow/libarrow_python*.so.*.*",
    ),
)
LAYERS: Final = (DEPS, KEYS, PARQUET)


def make(layer: Layer, target: Target) -> Path:
    """Install a layer's wheels and take out what nobody runs; its folder, ``/opt`` of Lambda.

    Raises subprocess.CalledProcessError where a wheel is missing or has another hash.
    """
    folder = target.folder / layer.name
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "python"
    python.mkdir(parents=True)
    subprocess.run(
        [
            UV, "pip", "install", "--quiet", "--no-config", *target.install_options,
            *("--target", python), *("--only-binary", ":all:"), "--no-deps", "--require-hashes",
            *("--link-mode", "copy"), *("-r", layer.requirements),
        ],
        check=True,
    )  # fmt: skip
    for path in _unused(python, (*_EVERYWHERE, *layer.unused)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return folder


def _unused(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from list(folder.glob(pattern))
