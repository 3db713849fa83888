"""``python -m infra_cdk.packaging [--host]``: make what Lambda gets, and say how large it is."""

from __future__ import annotations

import argparse
import subprocess
import sys

from . import layers, sources
from .archive import size_of, write
from .compiling import compile_ahead
from .targets import LAMBDA_PYTHON, ROOT, Target, for_lambda, for_this_machine


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.packaging", description=__doc__)
    parser.add_argument(
        "--host", action="store_true", help="for this machine, in build-host/, rather than Lambda"
    )
    target = for_this_machine() if parser.parse_args().host else for_lambda()
    try:
        make(target)
    except subprocess.CalledProcessError as error:
        print(
            f"build: {error.cmd[0]} failed: is the network there, and is layers/*/requirements.txt "
            "up to date (make lock)?",
            file=sys.stderr,
        )
        return 1
    return 0


def make(target: Target) -> None:
    """All packages of a target: folders, and a ZIP of each."""
    folders = {layer.name: layers.make(layer, target) for layer in layers.LAYERS}
    folders["core"] = sources.make_core(target)
    folders["functions"] = sources.make_functions(target)
    if target.python is None:
        print(
            f"build: no Python {LAMBDA_PYTHON} here: nothing is compiled ahead, and functions "
            f"start more slowly. `{ROOT / '.venv/bin/uv'} python install {LAMBDA_PYTHON}` gets one."
        )
    for name, folder in folders.items():
        if target.python is not None:
            runs_in = "/var/task" if name == "functions" else "/opt"
            compile_ahead(target.python, folder, runs_in)
        packed = folder.with_suffix(".zip")
        write(folder, packed)
        print(
            f"build: {target.folder.name}/{name}: {size_of(folder) / 1e6:.1f} MB, "
            f"zipped {packed.stat().st_size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    sys.exit(main())
