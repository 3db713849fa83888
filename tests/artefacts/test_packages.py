"""What `make build` makes for Lambda: how large it is, what it needs, and that it is the same
each time.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from infra_cdk.packaging import layers
from infra_cdk.packaging.archive import size_of
from infra_cdk.packaging.compiling import compile_ahead
from infra_cdk.packaging.making import make
from infra_cdk.packaging.targets import Target, for_lambda
from traksense.contracts.functions import FUNCTIONS, Function

OF_THE_SYSTEM = {
    *("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0"),
    *("ld-linux-aarch64.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
    "libresolv.so.2",
}
"""Shared libraries that manylinux wheels may expect (PEP 600), and Amazon Linux 2023 has."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages for Lambda."""
    target = replace(for_lambda(), folder=tmp_path_factory.mktemp("built") / "build")
    make(target)
    return target.folder


def test_the_layer_that_every_function_has_is_small(built: Path) -> None:
    assert size_of(built / "deps") <= layers.MOST_BYTES


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_a_function_with_all_its_layers_may_be_deployed(built: Path, function: Function) -> None:
    names = ("functions", "deps", "core", *function.layers)
    assert sum(size_of(built / name) for name in names) <= layers.MOST_BYTES_OF_ALL


def test_a_second_build_has_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = replace(for_lambda(), folder=tmp_path / "elsewhere")
    make(again)
    archives = sorted(path.name for path in built.glob("*.zip"))
    assert len(archives) == 5
    for name in archives:
        assert (again.folder / name).read_bytes() == (built / name).read_bytes(), name


def _programs(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def test_every_library_is_for_lambda_and_finds_those_that_it_needs(built: Path) -> None:
    """What is taken out of a layer is needed by nothing that stays, where it cannot be run."""
    looked_at = 0
    for layer in ("deps", "keys", "parquet"):
        programs = list(_programs(built / layer))
        there = {path.name for path in programs}
        for path in programs:
            with path.open("rb") as file:
                elf = ELFFile(file)
                assert elf["e_machine"] == "EM_AARCH64", path
                needed = {
                    tag.needed
                    for section in elf.iter_sections()
                    if isinstance(section, DynamicSection)
                    for tag in section.iter_tags("DT_NEEDED")
                }
            assert needed <= there | OF_THE_SYSTEM, f"{path.name}: {needed - there}"
            looked_at += 1
    assert looked_at > 20


def test_what_is_compiled_ahead_is_taken_without_looking_at_the_source(built: Path) -> None:
    python = for_lambda().python
    if python is None:
        pytest.skip("no Python of Lambda's version here: nothing was compiled ahead")
    # By that Python, since each version hashes differently.
    program = (
        "import importlib.util as u, pathlib, struct, sys\n"
        "looked_at = 0\n"
        "for source in pathlib.Path(sys.argv[1]).rglob('*.py'):\n"
        "    compiled = pathlib.Path(u.cache_from_source(source)).read_bytes()\n"
        "    assert compiled[:4] == u.MAGIC_NUMBER, source\n"
        "    flags, = struct.unpack('<I', compiled[4:8])\n"
        "    assert flags == 0b01, source\n"  # PEP 552: by hash, and the hash is not checked
        "    assert compiled[8:16] == u.source_hash(source.read_bytes()), source\n"
        "    looked_at += 1\n"
        "assert looked_at > 500, looked_at\n"
    )
    subprocess.run([python, "-I", "-c", program, built], check=True)


def test_a_module_that_does_not_compile_stops_the_build(tmp_path: Path) -> None:
    target: Target = for_lambda()
    if target.python is None:
        pytest.skip("no Python of Lambda's version here: nothing was compiled ahead")
    (tmp_path / "broken.py").write_text("def\n", "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        compile_ahead(target.python, tmp_path, "/opt")
