"""Running mosquitto for one home: start or adopt, reload, save, stop."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psutil
from cryptography import x509

from .. import process_identity
from ..certificates import CertificateAuthority
from ..errors import StartupError
from ..home import Home, read_json, write_atomically, write_json
from ..ports import free_port, is_free, owner_of
from ..process_identity import ProcessIdentity
from ..settings import LocalSettings
from ..unprivileged import service_directory, service_user, spawn_kwargs
from .configuration import BrokerDevice, BrokerFiles, access_list, configuration, digest
from .find_or_install import MosquittoProgram, find_or_install
from .probe import answers

START_TIMEOUT_S: Final = 30.0
"""Long enough to read back a large store."""
STOP_TIMEOUT_S: Final = 30.0
SAVE_INTERVAL_S: Final = 1.0
POLL_S: Final = 0.02
MAX_LOG_BYTES: Final = 20_000_000
MAX_OPEN_FILES: Final = 65_536


class BrokerAway(Exception):
    """The broker did not do what it was asked for; it may when asked again."""


class Broker:
    """The MQTT broker of one home.

    It runs in a session of its own and outlives whoever started it, so that devices stay
    connected and messages queue while the platform restarts. The next start on the same home
    adopts it if it is the very process that was recorded, with the same configuration, and
    replaces it otherwise.
    """

    def __init__(
        self,
        home: Home,
        settings: LocalSettings,
        authority: CertificateAuthority | None = None,
        program: MosquittoProgram | None = None,
    ) -> None:
        """``program`` None: found or downloaded at the first start."""
        self._home = home
        self._mqtt_port = settings.mqtt_port
        self._authority = authority or CertificateAuthority(home.certificates)
        self._program = program
        self._record_file = home.run / "broker.json"
        self._cut_off_file = home.run / "cut-off.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._stop_saving = threading.Event()
        self._saver: threading.Thread | None = None
        self.platform_port = 0
        """Loopback port of the platform's own listener, once started or adopted."""
        self.identity: ProcessIdentity | None = None
        """The broker's process, once started or adopted."""
        self.adopted = False
        """Whether the last ``start`` found a live broker and kept it."""

    @property
    def log_file(self) -> Path:
        """What mosquitto says."""
        return self._home.logs / "mosquitto.log"

    def start(
        self, devices: Iterable[BrokerDevice], revoked: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        """Start or adopt the broker, with access for these devices.

        ``revoked`` are certificates that no longer let anybody in: serial number to thing name.

        Raises StartupError where its port is in use, it cannot be had, or it does not come up.
        """
        if self._program is None:
            self._program = find_or_install(self._home)
        self._let_go()
        devices = tuple(devices)
        files = BrokerFiles(service_directory(self._home, "broker"))
        record = read_json(self._record_file)
        running = _recorded(record)
        if running is not None and not process_identity.is_alive(running):
            running = None
        running = running or _running_on(files)
        last_port = int(record.get("platform_port", 0))
        if running is not None and self._adopt(running, record, files, devices, revoked):
            self._keep_saved()
            return
        if running is not None:
            process_identity.end(running, STOP_TIMEOUT_S)
        if not is_free(self._mqtt_port):
            raise _port_in_use(self._mqtt_port)
        self.platform_port = _platform_port(last_port, self._mqtt_port)
        text, digested = self._write_files(files)
        self._write(files.configuration, text.encode())
        self._write(files.access_list, access_list(devices).encode())
        self._revoke(files, revoked)
        self._spawn(files, self._program)
        # Nobody is connected to a broker that has just begun.
        self._keep_cut_off(revoked)
        self._keep_record(digested)
        self._keep_saved()

    def stop(self) -> None:
        """Stop the broker. It saves sessions, queued and retained messages first."""
        self._stop_saving.set()
        if self._saver is not None:
            self._saver.join()
            self._saver = None
        if self.identity is not None:
            process_identity.end(self.identity, STOP_TIMEOUT_S)
        if self._process is not None:
            self._process.wait()
        self.identity = self._process = None

    def reload(
        self, devices: Iterable[BrokerDevice], revoked: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        """Replace the devices' access list and revocations, and end what was revoked since.

        mosquitto adds the list of revocations that it reads to those that it read before, and
        OpenSSL goes by the newest. Nobody else is disconnected. Raises StartupError where a file
        cannot be written, BrokerAway where a connection could not be ended: then ask again.
        """
        files = BrokerFiles(service_directory(self._home, "broker"))
        self._write(files.access_list, access_list(devices).encode())
        self._revoke(files, revoked)
        self._trim_log()
        self._signal(signal.SIGHUP)
        self._cut_off(revoked)

    def _cut_off(self, revoked: Mapping[int, str]) -> None:
        """End the live connections of things with a certificate that was revoked since.

        mosquitto has no other way than to take a session over under its client id, which only the
        platform's own listener allows. One that holds another good certificate is back at once.
        What was cut off is on record, so that a supervisor that dies in between leaves it to the
        next one.
        """
        done = set(read_json(self._cut_off_file).get("serials", ()))
        due = {thing for serial, thing in revoked.items() if f"{serial:x}" not in done}
        identity = self._authority.bridge_certificate()
        for thing in sorted(due):
            if not answers(self.platform_port, self._authority.ca_path, identity, thing):
                raise BrokerAway(f"the session of {thing} could not be taken over")
        if due or len(done) != len(revoked):
            self._keep_cut_off(revoked)

    def _keep_cut_off(self, revoked: Mapping[int, str]) -> None:
        write_json(self._cut_off_file, {"serials": [f"{serial:x}" for serial in sorted(revoked)]})

    def _revoke(self, files: BrokerFiles, revoked: Mapping[int, str]) -> bool:
        """Write the list of revocations where it is another than before; whether it was."""
        issued: datetime | None = None
        if files.revocations.exists():
            last = x509.load_pem_x509_crl(files.revocations.read_bytes())
            signed_by_us = last.issuer == self._authority.subject
            if signed_by_us and {each.serial_number for each in last} == set(revoked):
                return False
            issued = last.last_update_utc if signed_by_us else None
        self._write(files.revocations, self._authority.revocation_list(set(revoked), issued))
        return True

    def _let_go(self) -> None:
        """Reap what we started before, if it has died since."""
        if self._process is not None:
            self._process.poll()

    def alive(self) -> bool:
        """Whether the broker's process runs."""
        return self.identity is not None and process_identity.is_alive(self.identity)

    def save(self) -> None:
        """Have the broker write its store to disk now."""
        self._signal(signal.SIGUSR1)

    def _adopt(
        self,
        running: ProcessIdentity,
        record: dict[str, Any],
        files: BrokerFiles,
        devices: Iterable[BrokerDevice],
        revoked: Mapping[int, str],
    ) -> bool:
        self.adopted = False
        if _recorded(record) != running:
            return False
        self.platform_port = int(record.get("platform_port", 0))
        if record.get("configuration") != self._write_files(files, dry=True)[1]:
            return False
        if not answers(
            self.platform_port, self._authority.ca_path, self._authority.bridge_certificate()
        ):
            return False
        self.identity, self.adopted = running, True
        wanted = access_list(devices).encode()
        is_outdated = self._revoke(files, revoked)
        if not files.access_list.exists() or files.access_list.read_bytes() != wanted:
            self._write(files.access_list, wanted)
            is_outdated = True
        if is_outdated:
            self._signal(signal.SIGHUP)
        try:
            self._cut_off(revoked)
        except BrokerAway as error:
            raise StartupError(f"mosquitto keeps a device that was revoked: {error}") from error
        return True

    def _write_files(self, files: BrokerFiles, *, dry: bool = False) -> tuple[str, str]:
        """Copy the certificates for the broker; its configuration and the digest of it all."""
        assert self._program is not None
        server = self._authority.server_certificate()
        ca, platform_ca = self._authority.ca_path, self._authority.platform_ca_path
        text = configuration(
            files,
            mqtt_port=self._mqtt_port,
            platform_port=self.platform_port,
            ca=ca,
            platform_ca=platform_ca,
            server_certificate=server.certificate,
            server_key=server.key,
        )
        contents = [path.read_bytes() for path in (ca, platform_ca, *server)]
        if not dry:
            for path, content in zip((ca, platform_ca, *server), contents, strict=True):
                self._write(files.copy_of(path), content)
        program = f"{self._program.path} {self._program.version}"
        return text, digest(text, program.encode(), *contents)

    def _write(self, path: Path, content: bytes) -> None:
        user = service_user()
        try:
            write_atomically(path, content, (user.uid, user.gid) if user else None)
        except OSError as error:
            raise StartupError(f"cannot write {path}: {error.strerror}") from error

    def _spawn(self, files: BrokerFiles, program: MosquittoProgram) -> None:
        self._trim_log()
        start = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as output, _many_open_files():
            try:
                process = subprocess.Popen(
                    [program.path, "-c", files.configuration],
                    cwd=files.directory,
                    env=program.environment(files.directory),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    **spawn_kwargs(service_user()),
                )
            except OSError as error:
                raise StartupError(f"cannot run {program.path}: {error}") from error
        self.log_file.chmod(0o600)
        self.identity = process_identity.of(process.pid)
        if self._comes_up(process):
            self._process, self.adopted = process, False
            return
        self.identity = None
        with self.log_file.open("rb") as log:
            log.seek(start)
            said = log.read().decode(errors="replace")
        if "Address already in use" in said and not is_free(self._mqtt_port):
            raise _port_in_use(self._mqtt_port)
        lines = [line for line in said.splitlines() if line.strip()]
        raise StartupError(
            f"mosquitto did not start: {lines[-1] if lines else 'it said nothing'} "
            f"(see {self.log_file})"
        )

    def _comes_up(self, process: subprocess.Popen[bytes]) -> bool:
        bridge = self._authority.bridge_certificate()
        deadline = time.monotonic() + START_TIMEOUT_S
        up = False
        try:
            while not up and process.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
                up = answers(self.platform_port, self._authority.ca_path, bridge)
        finally:
            if not up:
                process.kill()
                process.wait()
        return up

    def _keep_record(self, digested: str) -> None:
        assert self.identity is not None
        write_json(
            self._record_file,
            {
                "pid": self.identity.pid,
                "started_at": self.identity.started_at,
                "mqtt_port": self._mqtt_port,
                "platform_port": self.platform_port,
                "configuration": digested,
            },
        )

    def _keep_saved(self) -> None:
        """Save each second: mosquitto's own shortest interval is two."""
        if self._saver is not None and self._saver.is_alive():
            return
        self._stop_saving.clear()
        self._saver = threading.Thread(target=self._save_regularly, name="broker-save", daemon=True)
        self._saver.start()

    def _save_regularly(self) -> None:
        while not self._stop_saving.wait(SAVE_INTERVAL_S):
            self.save()

    def _signal(self, number: signal.Signals) -> None:
        identity = self.identity
        if identity is not None and process_identity.is_alive(identity):
            with suppress(ProcessLookupError):
                os.kill(identity.pid, number)

    def _trim_log(self) -> None:
        # It is open for appending in the broker: cut in place, it goes on from the start.
        if self.log_file.exists() and self.log_file.stat().st_size > MAX_LOG_BYTES:
            kept = self.log_file.read_bytes()[-MAX_LOG_BYTES // 2 :]
            write_atomically(self.log_file.with_suffix(".log.1"), kept)
            os.truncate(self.log_file, 0)


def _platform_port(last: int, taken: int) -> int:
    """The last start's port where it is free: mosquitto knows sessions' listeners by it."""
    if last not in (0, taken) and is_free(last):
        return last
    port = taken
    while port == taken:
        port = free_port()
    return port


def _recorded(record: dict[str, Any]) -> ProcessIdentity | None:
    try:
        return ProcessIdentity(int(record["pid"]), float(record["started_at"]))
    except (KeyError, TypeError, ValueError):
        return None


def _running_on(files: BrokerFiles) -> ProcessIdentity | None:
    """A mosquitto on this folder that nobody recorded: its starter died in between."""
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "mosquitto" and str(files.configuration) in (
            process.info["cmdline"] or ()
        ):
            return process_identity.of(process.pid)
    return None


@contextmanager
def _many_open_files() -> Iterator[None]:
    """Children begun inside may hold a socket a device: the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _port_in_use(port: int) -> StartupError:
    return StartupError(
        f"port {port}{owner_of(port)} is in use, and devices connect there: stop what uses it, or "
        "set TRAKSENSE_MQTT_PORT to another one"
    )
