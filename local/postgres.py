"""The embedded PostgreSQL: the binaries of a wheel, a data folder in the home, loopback only."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psutil
import psycopg

from . import process_identity
from .errors import StartupError
from .home import Home, read_json, write_atomically, write_json
from .ports import free_port, is_free
from .postgres_configuration import CONFIGURATION, HOST_BASED_AUTHENTICATION, digest
from .postgres_programs import PostgresPrograms, find_programs
from .process_identity import ProcessIdentity
from .unprivileged import (
    ServiceUser,
    service_directory,
    service_user,
    spawn_kwargs,
)

DATABASE: Final = "traksense"
ADMINISTRATOR: Final = "postgres"

START_TIMEOUT_S: Final = 180.0
"""Long enough to replay the write-ahead log after a crash."""
STOP_TIMEOUT_S: Final = 30.0
LEFTOVER_TIMEOUT_S: Final = 15.0
"""How long the children of a server that was killed may take to notice."""
POLL_S: Final = 0.01


class EmbeddedPostgres:
    """The database server of one home.

    It outlives whoever started it. The next start on the same home adopts it if it is the very
    process that was recorded, with the same configuration, and replaces it otherwise.
    """

    def __init__(self, home: Home, port: int | None = None) -> None:
        """``port`` None: any free one, the same again at the next start while it is free."""
        self._home = home
        self._wanted_port = port
        self._record_file = home.run / "postgres.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.identity: ProcessIdentity | None = None
        """The postmaster, once started or adopted."""
        self.adopted = False
        """Whether the last ``start`` found a live server and kept it."""

    @property
    def admin_url(self) -> str:
        """URL of the administrator, for the platform's own database."""
        password = quote(self._home.secrets().secret("postgres_password"), safe="")
        return f"postgresql://{ADMINISTRATOR}:{password}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> str:
        """Start or adopt the server, make the database at need, and return ``admin_url``.

        Raises StartupError with the server's last word where it does not come up.
        """
        self._let_go()
        user = service_user()
        directory = service_directory(self._home, "postgres")
        programs = find_programs(self._home, user)
        data = directory / "data"
        configuration = digest(programs.version)
        record = read_json(self._record_file)
        self.adopted = self._adopt(data, record, configuration)
        if not self.adopted:
            _clear_the_way(data)
            _check_version(data, programs)
            _write_configuration(directory, user)
            if not data.exists():
                self._initialise(directory, programs, user)
            self._start_on_a_free_port(directory, programs, user, int(record.get("port", 0)))
            self._keep_record(configuration)
        self._ensure_database()
        return self.admin_url

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, everything else is kept."""
        if self.identity is not None:
            process_identity.end(self.identity, STOP_TIMEOUT_S, signal.SIGINT)
        if self._process is not None:
            self._process.wait()
        self.identity = self._process = None

    def _let_go(self) -> None:
        """Reap what we started before, if it has died since."""
        if self._process is not None:
            self._process.poll()

    def alive(self) -> bool:
        """Whether the postmaster runs."""
        return self.identity is not None and process_identity.is_alive(self.identity)

    def _adopt(self, data: Path, record: dict[str, Any], configuration: str) -> bool:
        running = _recorded(record)
        if (
            running is None
            or record.get("configuration") != configuration
            or self._wanted_port not in (None, record.get("port"))
            or running != _postmaster(data)
        ):
            return False
        self._port = int(record["port"])
        self.identity = running
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            self.identity = None
            return False
        return True

    def _keep_record(self, configuration: str) -> None:
        assert self.identity is not None
        write_json(
            self._record_file,
            {
                "pid": self.identity.pid,
                "started_at": self.identity.started_at,
                "port": self._port,
                "configuration": configuration,
            },
        )

    def _initialise(
        self, directory: Path, programs: PostgresPrograms, user: ServiceUser | None
    ) -> None:
        """Make the data folder under another name first: a half-made one is never used."""
        unfinished = directory / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password_file = directory / f"password-{secrets.token_hex(4)}"
        owner = (user.uid, user.gid) if user else None
        password = self._home.secrets().secret("postgres_password")
        write_atomically(password_file, password.encode(), owner)
        try:
            done = subprocess.run(
                [
                    programs.path("initdb"),
                    f"--pgdata={unfinished}",
                    f"--username={ADMINISTRATOR}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--no-instructions",
                ],
                cwd=directory,
                env=_environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                **spawn_kwargs(user),
            )
        except OSError as error:
            raise StartupError(f"cannot run PostgreSQL's initdb: {error}") from error
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            raise StartupError(f"PostgreSQL's initdb failed: {_last_word(done.stdout)}")
        unfinished.rename(directory / "data")

    def _start_on_a_free_port(
        self, directory: Path, programs: PostgresPrograms, user: ServiceUser | None, last_port: int
    ) -> None:
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        port = self._wanted_port or last_port or free_port()
        while True:
            if not is_free(port):
                port = self._another_port(port)
            said = self._start_once(directory, programs, user, port)
            if said is None:
                self._port = port
                return
            if "Address already in use" in said:
                port = self._another_port(port)
            elif "shared memory block" in said and time.monotonic() < deadline:
                # The children of a killed server take a moment to see that it is gone.
                time.sleep(0.1)
            else:
                raise StartupError(f"PostgreSQL did not start: {_last_word(said)}")

    def _another_port(self, port: int) -> int:
        if self._wanted_port is not None:
            raise StartupError(f"port {port}, meant for PostgreSQL, is in use: choose another")
        return free_port()

    def _start_once(
        self, directory: Path, programs: PostgresPrograms, user: ServiceUser | None, port: int
    ) -> str | None:
        """Start the server; None when it is up, else what it said."""
        log = self._home.logs / "postgres-start.log"
        server_log = directory / "log"
        before = _sizes(server_log)
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    [
                        programs.path("postgres"),
                        "-D",
                        str(directory / "data"),
                        "-c",
                        f"config_file={directory / 'postgresql.conf'}",
                        "-c",
                        f"hba_file={directory / 'pg_hba.conf'}",
                        "-c",
                        f"log_directory={server_log}",
                        "-p",
                        str(port),
                    ],
                    cwd=directory,
                    env=_environment(directory),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    **spawn_kwargs(user),
                )
            except OSError as error:
                raise StartupError(f"cannot run PostgreSQL: {error}") from error
        identity = process_identity.of(process.pid)
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            lines = _lock_file_lines(directory / "data")
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                self._process, self.identity = process, identity
                return None
            time.sleep(POLL_S)
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait(STOP_TIMEOUT_S)
            return f"it was not ready after {START_TIMEOUT_S:.0f} s: see {server_log}"
        said = log.read_text(errors="replace") + _written_since(before, server_log)
        return said or f"it ended with status {process.returncode}"

    def _url(self, database: str) -> str:
        return f"{self.admin_url.rpartition('/')[0]}/{database}"

    def _ensure_database(self) -> None:
        try:
            with psycopg.connect(
                self._url("postgres"), autocommit=True, connect_timeout=30
            ) as connection:
                known = connection.execute(
                    "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (DATABASE,)
                ).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error as error:
            self.stop()
            raise StartupError(f"PostgreSQL started but refuses us: {error}") from error


def _write_configuration(directory: Path, user: ServiceUser | None) -> None:
    owner = (user.uid, user.gid) if user else None
    write_atomically(directory / "postgresql.conf", CONFIGURATION.encode(), owner)
    write_atomically(directory / "pg_hba.conf", HOST_BASED_AUTHENTICATION.encode(), owner)


def _check_version(data: Path, programs: PostgresPrograms) -> None:
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    if version != programs.version:
        raise StartupError(
            f"the data in {data} is PostgreSQL {version}'s and the embedded server is "
            f"{programs.version}: dump it with the old one, or move it away to start empty"
        )


def _recorded(record: dict[str, Any]) -> ProcessIdentity | None:
    try:
        identity = ProcessIdentity(int(record["pid"]), float(record["started_at"]))
    except (KeyError, TypeError, ValueError):
        return None
    return identity if process_identity.is_alive(identity) else None


def _lock_file_lines(data: Path) -> list[str]:
    """Lines of postmaster.pid: pid, data folder, start, port, socket, address, key, status."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _postmaster(data: Path) -> ProcessIdentity | None:
    """The live server of this data folder, whoever started it."""
    lines = _lock_file_lines(data)
    if not lines or not lines[0].lstrip("-").isdigit():
        return None
    identity = process_identity.of(abs(int(lines[0])))
    if identity is None:
        return None
    try:
        arguments = psutil.Process(identity.pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return identity if str(data) in arguments else None


def _clear_the_way(data: Path) -> None:
    """End a server that cannot be adopted; remove the lock file of one that is gone.

    PostgreSQL refuses a lock file whose number now belongs to some other process.
    """
    running = _postmaster(data)
    if running is not None:
        process_identity.end(running, STOP_TIMEOUT_S, signal.SIGINT)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _sizes(logs: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in logs.glob("*.log")}


def _written_since(before: dict[Path, int], logs: Path) -> str:
    said = ""
    for path, size in _sizes(logs).items():
        with path.open("rb") as file:
            # A log of last week's same day is cut to nothing when it is opened again.
            file.seek(before.get(path, 0) if before.get(path, 0) <= size else 0)
            said += file.read().decode(errors="replace")
    return said


def _environment(directory: Path) -> dict[str, str]:
    # No secret of ours goes on to a server, and no PG… setting of the person's own reaches it.
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "LC_ALL": "C",
        "TZ": "UTC",
    }


def _last_word(said: str) -> str:
    """The line of a server's output that says why, without its time stamp."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reasons = [line for line in lines if re.search(r"\b(FATAL|PANIC|error)\b:", line)]
    line = (reasons or lines or ["it said nothing"])[-1]
    return re.sub(r"^.*?(?=(FATAL|PANIC):)", "", line)
