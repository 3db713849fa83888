"""Running servers under an account that owns nothing, when the platform was started by root.

PostgreSQL refuses to run as root and mosquitto should not. The account is one that every system
has: *nobody* owns no file of anyone's, and which packages are installed later does not change
the choice. No account is made, and no folder's mode is widened to let it in: what it must read
lies in folders of its own outside the home.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from . import process_identity
from .errors import StartupError
from .home import Home, unusable

ACCOUNTS: Final = ("nobody", "daemon")
BASES: Final = (Path("/var/lib/traksense"), Path("/var/tmp/traksense"))  # noqa: S108
OWNER_FILE: Final = "home"
"""In a home's folder outside the home: the path of the home that it belongs to."""


END_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """An unprivileged account that exists on this machine."""

    name: str
    uid: int
    gid: int


def service_user() -> ServiceUser | None:
    """The account for servers, or None when we are no root and they run as we do."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServiceUser(name, entry.pw_uid, entry.pw_gid)
    raise StartupError(
        f"started as root, and this system has none of the accounts {', '.join(ACCOUNTS)} to run "
        "PostgreSQL and mosquitto under: start it as another user"
    )


def spawn_kwargs(user: ServiceUser | None) -> dict[str, Any]:
    """Arguments for ``subprocess`` that make the child run as ``user``."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def service_directory(home: Home, name: str) -> Path:
    """A folder that the servers' account owns and only it (and root) can enter.

    Without root it is ``home/name``; as root it lies outside the home, which links to it. A home
    that was deleted starts empty again, one that was moved keeps its folder, and a copy of a home
    does not share its original's.
    """
    link = home.root / name
    user = service_user()
    try:
        if user is None:
            link.mkdir(mode=0o700, exist_ok=True)
            return link
        directory = _directory_outside(home, name)
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.stat().st_uid != user.uid:
            _give(directory, user)
        if not link.is_symlink() or link.readlink() != directory:
            link.unlink(missing_ok=True)
            link.symlink_to(directory)
    except OSError as error:
        raise unusable(link, error) from error
    return directory


def software_directory(home: Home) -> Path:
    """A folder for programs that the servers' account may run but not change."""
    if service_user() is None:
        directory = home.root / "software"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory
    directory = _base() / "software"
    directory.mkdir(mode=0o755, exist_ok=True)
    return directory


def forget(home: Home) -> None:
    """Delete what a home keeps outside itself, for one that is to be deleted too."""
    for link in (home.broker, home.postgres):
        if link.is_symlink():
            directory = link.readlink()
            link.unlink()
            if directory.parent.parent in BASES and directory.is_dir():
                _end_servers_on(directory)
                shutil.rmtree(directory)
                if [path.name for path in directory.parent.iterdir()] == [OWNER_FILE]:
                    shutil.rmtree(directory.parent)


def _directory_outside(home: Home, name: str) -> Path:
    base = _base()
    root = str(home.root.resolve())
    link = home.root / name
    if link.is_symlink():
        linked = link.readlink()
        owner_file = linked.parent / OWNER_FILE
        if linked.is_dir() and linked.parent.parent in BASES and owner_file.is_file():
            owner = owner_file.read_text(encoding="utf-8")
            if owner == root:
                return linked
            if not Path(owner).exists():
                owner_file.write_text(root, encoding="utf-8")
                return linked
    own = base / hashlib.sha256(root.encode()).hexdigest()[:16]
    own.mkdir(mode=0o711, exist_ok=True)
    (own / OWNER_FILE).write_text(root, encoding="utf-8")
    directory = own / name
    if directory.exists() and not link.is_symlink():
        # Left by a home of this path that was deleted: its secrets are gone with it.
        _end_servers_on(directory)
        shutil.rmtree(directory)
    return directory


def _base() -> Path:
    """The first of the places that is root's own, made at need."""
    for base in BASES:
        try:
            base.mkdir(mode=0o711, exist_ok=True)
            found = base.lstat()
        except OSError:
            continue
        # In /var/tmp anyone could have made it before us.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022:
            return base
    raise StartupError(
        f"cannot make a folder that an unprivileged account can enter in any of "
        f"{', '.join(str(base.parent) for base in BASES)}: start the platform as another user"
    )


def _end_servers_on(directory: Path) -> None:
    user = service_user()
    for process in psutil.process_iter(["cmdline", "uids"]):
        arguments = process.info["cmdline"] or []
        ours = user is not None and process.info["uids"] and process.info["uids"].real == user.uid
        if ours and any(argument.startswith(f"{directory}/") for argument in arguments):
            identity = process_identity.of(process.pid)
            if identity is not None:
                process_identity.end(identity, END_TIMEOUT_S)


def _give(directory: Path, user: ServiceUser) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
