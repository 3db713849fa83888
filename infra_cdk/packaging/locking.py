"""``python -m infra_cdk.packaging.locking``: what the layers hold, pinned with hashes.

The versions are those of requirements.txt, so that Lambda runs what the tests ran; of them, a
layer has what its part of pyproject.toml needs on Lambda's Python and processor.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from .layers import DEPS, LAYERS
from .targets import LAMBDA_PYTHON, ROOT, UV

ALONE: Final = "chalice"
"""Taken without its dependencies: they are those of its commands (pip, botocore, a prompt)."""
HEADER: Final = "# Made by `make lock` from pyproject.toml and requirements.txt.\n"


def wanted() -> dict[str, list[str]]:
    """What each layer is to hold, as pyproject.toml says it."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_some = project["optional-dependencies"]
    return {
        layer.name: project["dependencies"] if layer is DEPS else of_some[layer.name]
        for layer in LAYERS
    }


def lock(layer: str, requirements: list[str]) -> None:
    """Write a layer's requirements.txt. Raises subprocess.CalledProcessError."""
    resolved = _compile(
        [each for each in requirements if _name(each) != ALONE], "--no-strip-extras"
    )
    alone = _compile([each for each in requirements if _name(each) == ALONE], "--no-deps")
    target = ROOT / "layers" / layer / "requirements.txt"
    target.write_text(HEADER + resolved + alone)


def _compile(requirements: list[str], *options: str) -> str:
    if not requirements:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        source.write_text("\n".join(requirements))
        constraints = Path(folder) / "constraints.txt"
        pinned = re.findall(r"^([\w.\[\],-]+==\S+)", (ROOT / "requirements.txt").read_text(), re.M)
        constraints.write_text("\n".join(pinned))
        return subprocess.run(
            [
                UV, "pip", "compile", "--quiet", "--no-config", "--generate-hashes",
                "--no-emit-index-url", "--no-annotate", "--no-header", *options,
                *("--python-platform", "aarch64-manylinux_2_28"),
                *("--python-version", LAMBDA_PYTHON), *("-c", constraints), source,
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout  # fmt: skip


def _name(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    for layer_name, its_requirements in wanted().items():
        lock(layer_name, its_requirements)
