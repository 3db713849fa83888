"""All packages of a target: folders, and a ZIP of each."""

from __future__ import annotations

from . import layers, sources
from .archive import size_of, write
from .compiling import compile_ahead
from .names import CODE
from .targets import LAMBDA_PYTHON, ROOT, Target


def make(target: Target) -> None:
    """Make them, and print how large each is. Raises subprocess.CalledProcessError."""
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
            runs_in = "/var/task" if name == CODE else "/opt"
            compile_ahead(target.python, folder, runs_in)
        packed = folder.with_suffix(".zip")
        write(folder, packed)
        print(
            f"build: {target.folder.name}/{name}: {size_of(folder) / 1e6:.1f} MB, "
            f"zipped {packed.stat().st_size / 1e6:.1f} MB"
        )
