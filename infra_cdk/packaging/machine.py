"""Packages laid out on this machine as Lambda lays them out: `/var/task`, `/opt`, and what its
runtime brings along.

What runs there is the bare interpreter: nothing of the source tree, nor of the environment that
this process runs in, can be imported. Source: AWS Lambda developer guide, "Packaging your layer
content" and "Lambda runtimes".
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from infra_cdk.packaging.names import CODE, EVERYWHERE
from traksense.contracts.functions import Function

BROUGHT_BY_LAMBDA: Final = (
    *("awslambdaric", "runtime_client*.so", "snapshot_restore_py.py", "simplejson"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"),
)
"""Names in site-packages: Lambda's runtime client, and boto3 with what it needs."""


@dataclass(frozen=True)
class Machine:
    """A folder in which packages are unpacked as on a machine of Lambda's."""

    folder: Path
    packages: Path
    """Where their ZIP files are."""
    python: Path = Path(sys._base_executable)  # type: ignore[attr-defined]

    @cached_property
    def task(self) -> Path:
        """`/var/task`."""
        return self._unpacked("var/task", (CODE,))

    @cached_property
    def runtime(self) -> Path:
        """`/var/runtime`: links to what this environment has of it."""
        folder = self.folder / "var" / "runtime"
        folder.mkdir(parents=True)
        site = Path(sysconfig.get_path("purelib"))
        for pattern in BROUGHT_BY_LAMBDA:
            (found,) = site.glob(pattern)
            (folder / found.name).symlink_to(found)
        return folder

    def opt(self, layers: Iterable[str]) -> Path:
        """`/opt` of a function that has these layers besides those that all have."""
        names = (*EVERYWHERE, *layers)
        return self._unpacked("-".join(names) + "/opt", names)

    def _unpacked(self, name: str, packages: Iterable[str]) -> Path:
        folder = self.folder / name
        if not folder.exists():
            for package in packages:
                with zipfile.ZipFile(self.packages / f"{package}.zip") as archive:
                    archive.extractall(folder)
        return folder

    def environment(self, function: Function) -> dict[str, str]:
        """What Lambda sets for each function, and nothing of this process's own."""
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": f"{self.opt(function.layers) / 'python'}:{self.runtime}",
            "LAMBDA_TASK_ROOT": str(self.task),
            "AWS_LAMBDA_FUNCTION_NAME": f"traksense-test-{function.name}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }

    def run(self, function: Function, code: str) -> str:
        """What a program prints that runs where a function does."""
        return subprocess.run(
            [self.python, "-S", "-s", "-c", code],
            cwd=self.task,
            env=self.environment(function),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
