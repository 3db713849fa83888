"""The home of one local platform: its folders, its lock, its secrets, its state.

Everything in it belongs to the person who started the platform and to nobody else.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .errors import StartupError

MIN_FREE_BYTES: Final = 500_000_000
"""An empty database with its write-ahead log, two weeks of demo history, and some air."""

SECRET_BYTES: Final = 24
MAILBOX_KEY: Final = "mailbox"
"""The secret in the address of the page that shows e-mails."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one local platform."""

    root: Path

    @property
    def endpoints_file(self) -> Path:
        """What a client of this platform needs to know: addresses, users, devices."""
        return self.root / "endpoints.json"

    @property
    def secrets_file(self) -> Path:
        """The random passwords of this platform."""
        return self.root / "secrets.json"

    @property
    def lock_file(self) -> Path:
        """Held as long as a platform runs on this home."""
        return self.root / "platform.lock"

    @property
    def state_file(self) -> Path:
        """Process numbers, start times and ports of the run."""
        return self.root / "platform.json"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.root / "logs"

    @property
    def log_file(self) -> Path:
        """The platform's own log, one JSON object a line."""
        return self.logs / "traksense.jsonl"

    @property
    def certificates(self) -> Path:
        """Folder of the certificate authorities and of all that they signed."""
        return self.root / "certificates"

    @property
    def device_certificates(self) -> Path:
        """Folder of the devices' certificates and keys, by thing name."""
        return self.certificates / "devices"

    @property
    def broker(self) -> Path:
        """Folder (as root: a link to it) of the broker's configuration and store."""
        return self.root / "broker"

    @property
    def postgres(self) -> Path:
        """Folder (as root: a link to it) of the embedded database."""
        return self.root / "postgres"

    @property
    def metrics(self) -> Path:
        """Folder through which the processes share their metrics."""
        return self.root / "metrics"

    @property
    def dead_letters(self) -> Path:
        """Folder of what the queues gave up."""
        return self.root / "dead-letters"

    def dead_letter_file(self, queue: str) -> Path:
        """What one queue gave up, one JSON object a line."""
        return self.dead_letters / f"{queue}.jsonl"

    @property
    def aws(self) -> Path:
        """Folder of what the AWS emulator must keep, such as users."""
        return self.root / "aws"

    @property
    def run(self) -> Path:
        """Folder of stamps: what was done once, and who runs now."""
        return self.root / "run"

    def create(self) -> None:
        """Make the folders, readable by their owner only.

        Raises StartupError where that is not allowed or the disk is full.
        """
        try:
            for folder in (
                self.root,
                self.logs,
                self.certificates,
                self.device_certificates,
                self.metrics,
                self.dead_letters,
                self.aws,
                self.run,
            ):
                folder.mkdir(mode=0o700, parents=folder == self.root, exist_ok=True)
            self.root.chmod(0o700)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"\0" * 4096)
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise unusable(self.root, error) from error
        if free < MIN_FREE_BYTES:
            raise StartupError(
                f"only {free // 1_000_000} MB are free where {self.root} is: free at least "
                f"{MIN_FREE_BYTES // 1_000_000} MB or set TRAKSENSE_HOME to another disk"
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this home. Raises StartupError where another platform runs on it.

        The kernel lets go of the lock when its holder dies, however it dies.
        """
        with self.lock_file.open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise StartupError(
                    f"another platform (pid {holder}) runs on this home, {self.root}: stop it, "
                    "or set TRAKSENSE_HOME, TRAKSENSE_HTTP_PORT and TRAKSENSE_MQTT_PORT for a "
                    "second one"
                ) from error
            self.lock_file.chmod(0o600)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
            file.truncate(0)

    def secrets(self) -> Secrets:
        """The random secrets of this platform."""
        return Secrets(self)

    def read_state(self) -> dict[str, Any]:
        """What the last ``write_state`` wrote; empty where there is nothing readable."""
        return read_json(self.state_file)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state in one step."""
        write_json(self.state_file, state)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Random secrets by name, kept in a file that only its owner reads."""

    home: Home

    def secret(self, name: str) -> str:
        """The secret of this name, made at its first use. Safe in a URL.

        Raises StartupError where the file is damaged: making new secrets would lock
        the platform out of its own database.
        """
        path = self.home.secrets_file
        with folder_lock(self.home.root):
            known: dict[str, str] = {}
            if path.exists():
                try:
                    known = json.loads(path.read_bytes())
                except ValueError as error:
                    raise StartupError(
                        f"{path} is damaged: restore it, or delete {self.home.root} to start anew"
                    ) from error
            if name not in known:
                known[name] = secrets.token_urlsafe(SECRET_BYTES)
                write_json(path, known)
            return known[name]


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file that we wrote; empty where it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step, mode 0600."""
    write_atomically(path, json.dumps(value, indent=2).encode() + b"\n")


def write_atomically(path: Path, content: bytes, owner: tuple[int, int] | None = None) -> None:
    """Replace a file in one step, mode 0600, for ``owner`` (uid, gid) where given.

    The temporary file is made exclusively and never through a link, so that a folder which
    belongs to a less trusted account cannot send our writing elsewhere.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if owner is not None:
                os.fchown(file.fileno(), *owner)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes, as long as it takes to add something to it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def unusable(path: Path, error: OSError) -> StartupError:
    """The one line for a folder that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StartupError(f"no space left for {path}: free some or set TRAKSENSE_HOME elsewhere")
    reason = error.strerror or str(error)
    return StartupError(
        f"cannot write to {path} ({reason}): set TRAKSENSE_HOME to a folder of yours"
    )
