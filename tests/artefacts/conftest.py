"""What `make build HOST=1` makes, made anew from this tree, once for each worker of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_cdk.packaging.machine import Machine
from infra_cdk.packaging.making import make
from infra_cdk.packaging.targets import for_this_machine


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders and ZIP files for this machine's interpreter."""
    target = for_this_machine(tmp_path_factory.mktemp("packages") / "build-host")
    make(target)
    return target.folder


@pytest.fixture(scope="session")
def machine(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which they are unpacked."""
    return Machine(tmp_path_factory.mktemp("machine"), packages)
