"""Finding mosquitto on this machine, or bringing it into the platform's own folder.

What is not there is downloaded from the system's own package archive, whose signatures apt
checks, and unpacked beside our other files. Nothing is installed into the system, as root
neither: the package would start a broker of its own at once and at every boot.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import StartupError
from ..home import Home
from ..unprivileged import ServiceUser, service_user, software_directory, spawn_kwargs

PLACES: Final = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/mosquitto/sbin",
    "/usr/local/opt/mosquitto/sbin",
)
"""Where packages put it: often not on the PATH of people who are no administrators."""

OLDEST: Final = (2, 0)
APT_TIMEOUT_S: Final = 180.0
_APT_OPTIONS: Final = ("-o", "Acquire::http::Timeout=15", "-o", "Acquire::Retries=1")


@dataclass(frozen=True, slots=True)
class MosquittoProgram:
    """A mosquitto that runs on this machine."""

    path: Path
    version: str
    library_path: str | None
    """LD_LIBRARY_PATH that it needs, or None where the system has its libraries."""

    def environment(self, directory: Path) -> dict[str, str]:
        """The whole environment to run it in; its clock is UTC."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "TZ": "UTC",
            "LC_ALL": "C",
        }
        if self.library_path is not None:
            environment["LD_LIBRARY_PATH"] = self.library_path
        return environment


def find_or_install(
    home: Home,
    search_path: str | None = None,
    places: tuple[str, ...] = PLACES,
) -> MosquittoProgram:
    """The mosquitto to use: the system's, one brought here before, or one downloaded now.

    ``search_path`` stands for PATH. Raises StartupError saying what to install where there is
    none and none can be had.
    """
    user = service_user()
    searched = os.pathsep.join((search_path or os.environ.get("PATH", os.defpath), *places))
    found = shutil.which("mosquitto", path=searched)
    too_old = None
    if found is not None:
        program = _runnable(Path(found), None, user)
        if program is not None and _number(program.version) >= OLDEST:
            return program
        too_old = program.version if program else None
    target = software_directory(home) / "mosquitto"
    if not target.is_dir():
        _download(target, too_old, _tools(search_path))
    program = _unpacked(target, user)
    if program is None:
        raise StartupError(
            f"the mosquitto in {target} does not run on this machine: delete that folder, and "
            + _advice()
        )
    return program


def _unpacked(target: Path, user: ServiceUser | None) -> MosquittoProgram | None:
    folders = {
        path.parent
        for pattern in ("usr/lib/**/*.so*", "lib/**/*.so*")
        for path in target.glob(pattern)
    }
    library_path = os.pathsep.join(map(str, sorted(folders))) or None
    return _runnable(target / "usr" / "sbin" / "mosquitto", library_path, user)


def _runnable(
    path: Path, library_path: str | None, user: ServiceUser | None
) -> MosquittoProgram | None:
    """The program if it runs under the account that it is to run under, else None."""
    candidate = MosquittoProgram(path, "", library_path)
    try:
        # Asked for help, it prints its version and ends with status 3.
        said = subprocess.run(
            [path, "-h"],
            cwd="/",
            env=candidate.environment(Path("/")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
            **spawn_kwargs(user),
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"mosquitto version (\d+\.\d+[.\w]*)", said)
    return MosquittoProgram(path, version.group(1), library_path) if version else None


def _number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class _Tools:
    apt_get: str
    dpkg: str

    def apt(self, arguments: list[str], options: list[str], directory: Path) -> str:
        return _run([self.apt_get, *_APT_OPTIONS, *options, *arguments], directory)


def _tools(search_path: str | None) -> _Tools | None:
    apt_get = shutil.which("apt-get", path=search_path)
    dpkg = shutil.which("dpkg", path=search_path)
    return _Tools(apt_get, dpkg) if apt_get and dpkg else None


def _download(target: Path, too_old: str | None, tools: _Tools | None) -> None:
    """Unpack mosquitto, and the libraries that this machine lacks, into ``target``."""
    problem = (
        f"mosquitto {too_old} is too old (2.0 or newer is needed)"
        if too_old
        else "mosquitto is not installed"
    )
    if tools is None:
        raise StartupError(f"{problem}: {_advice()}")
    unfinished = Path(tempfile.mkdtemp(prefix="mosquitto.", dir=target.parent))
    try:
        packages, files = unfinished / "packages", unfinished / "files"
        packages.mkdir()
        try:
            _fetch(tools, [], packages)
        except _CommandFailedError:
            # The system has no lists, or such old ones that the archive has moved on.
            _fetch(tools, _lists_of_our_own(tools, unfinished / "apt"), packages)
        for package in sorted(packages.glob("*.deb")):
            _run([tools.dpkg, "-x", str(package), str(files)], unfinished)
        files.chmod(0o755)
        try:
            files.rename(target)
        except OSError:
            # Another platform of this machine may have been quicker: its copy is as good.
            if not target.is_dir():
                raise
    except (OSError, subprocess.SubprocessError, _CommandFailedError) as error:
        raise StartupError(f"{problem} and downloading it failed ({error}): {_advice()}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch(tools: _Tools, options: list[str], packages: Path) -> None:
    """Download mosquitto and those of its dependencies that this machine lacks."""
    plan = tools.apt(
        ["--simulate", "--no-install-recommends", "install", "mosquitto"], options, packages
    )
    lacking = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    tools.apt(["download", *sorted({"mosquitto", *lacking})], options, packages)


def _lists_of_our_own(tools: _Tools, state: Path) -> list[str]:
    """Fetch the archive's lists into a folder of ours; the options that make apt use them."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    options = [
        "-o", f"Dir::State={state}/state",
        "-o", f"Dir::State::lists={state}/state/lists",
        "-o", f"Dir::Cache={state}/cache",
    ]  # fmt: skip
    if os.geteuid() == 0:
        # apt's own account cannot enter our folder.
        options += ["-o", "APT::Sandbox::User=root"]
    tools.apt(["-o", "APT::Update::Error-Mode=any", "update"], options, state)
    return options


class _CommandFailedError(Exception):
    """A command ended badly; ``str`` is the line that says why."""


def _run(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=APT_TIMEOUT_S,
    )
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines()
        errors = [line for line in lines if line.startswith("E:")]
        raise _CommandFailedError((errors or lines or [f"{command[0]} failed"])[0])
    return done.stdout


def _advice() -> str:
    if platform.system() == "Darwin":
        return "install it with: brew install mosquitto"
    return (
        "install it with: sudo apt-get install mosquitto (Debian, Ubuntu) or your package manager"
    )
