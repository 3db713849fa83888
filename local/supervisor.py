"""Starts the whole platform, watches over it, and stops it.

The order: home; then the database, the certificates, the broker's program and the AWS emulator,
side by side; then all that needs them; then READY. The demo's simulator and history come last.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from . import process_identity, prometheus
from .announcement import summary
from .background import Background
from .children import AWS, CHILDREN, specs
from .demo_access import device_endpoints, ensure_people
from .endpoints import Endpoints, MqttEndpoint, UserEndpoint
from .environment import RunFacts
from .errors import StartupError
from .home import MAILBOX_KEY, Home, read_json
from .logs import PlatformLog
from .ports import free_port, is_free, owner_of
from .process_identity import ProcessIdentity
from .processes import ProcessTree, TreeFailedError
from .servers import ServerWatch, WatchedServer
from .settings import LocalSettings
from .signals import StopRequestedError, StopSignals

if TYPE_CHECKING:
    from .certificates import CertificateAuthority
    from .demo.seed import DemoFleet
    from .mosquitto import Broker
    from .mosquitto.find_or_install import MosquittoProgram
    from .postgres import EmbeddedPostgres
    from .things import Things, ThingsWatch

Result = TypeVar("Result")

READY_TIMEOUT_S: Final = 60.0
LEFTOVER_TIMEOUT_S: Final = 12.0
"""A child whose supervisor was killed ends by itself, or is ended, within ten seconds."""
SERVER_STOP_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The database, ready for the functions."""

    admin_url: str
    logins: Mapping[str, str]
    fleet: DemoFleet | None


class Platform:
    """One run of the local platform, on a home that is locked for it."""

    def __init__(self, settings: LocalSettings, log: PlatformLog, signals: StopSignals) -> None:
        self._settings = settings
        self._home = Home(settings.home)
        self._log = log
        self._signals = signals
        self._tree = ProcessTree(log, on_change=self._record, on_end=self._forget)
        self._servers = ServerWatch(log)
        self._postgres: EmbeddedPostgres | None = None
        self._broker: Broker | None = None
        self._things: ThingsWatch | None = None
        self._database: Background[_Prepared] | None = None

    def wake(self) -> None:
        """Have the main thread look up from its waiting."""
        self._tree.wake()

    def run(self) -> None:
        """Start, stay until the end is asked for, stop.

        Raises what ended it otherwise (StartupError, TreeFailedError, TrakSenseError), after
        everything was stopped.
        """
        try:
            try:
                self._start()
                self._signals.starting = False
                while not self._signals.asked:
                    self._tree.step(0.5)
                    self._servers.check()
            finally:
                self._signals.starting = False
                self._stop()
        except StopRequestedError:
            self._log.emit("INFO", "stopped before it was up")

    def _start(self) -> None:
        settings, home = self._settings, self._home
        self._end_leftovers()
        _require_port(settings.http_port, "TRAKSENSE_HTTP_PORT", "the web page and the API")
        if not _broker_is_alive(home):
            _require_port(settings.mqtt_port, "TRAKSENSE_MQTT_PORT", "devices")
        prometheus.clear(home.metrics)

        # The slowest first: the emulator takes longest to import, the database to start.
        from .aws.identifiers import pool_ids

        facts = RunFacts(
            home=home.root,
            http_port=settings.http_port,
            mqtt_port=settings.mqtt_port,
            aws_port=free_port(),
            access_key=f"LOCAL{secrets.token_hex(8).upper()}",
            secret_key=secrets.token_urlsafe(30),
            functions_port=free_port(),
            functions_key=secrets.token_urlsafe(30),
            pool=pool_ids(home.root),
            log_level=settings.log_level,
        )
        for spec in specs((AWS,), facts, os.environ):
            self._tree.start(spec)
        self._database = Background("database", self._prepare_database)
        authority_made = Background("certificates", self._make_authority)
        program_found = Background("mosquitto", self._find_broker)
        prepared = self._result(self._database)
        authority = self._result(authority_made)
        things = self._admit(prepared, authority)
        broker = self._start_broker(authority, self._result(program_found), things)

        facts = replace(facts, broker_port=broker.platform_port, logins=prepared.logins)
        others = tuple(plan for plan in CHILDREN if plan is not AWS and not plan.demo)
        for spec in specs(others, facts, os.environ):
            self._tree.start(spec)
        self._watch_things(prepared, things, broker)
        self._wait_until_ready([AWS.name])
        people = Background(
            "users", lambda: ensure_people(facts, home, prepared.fleet, prepared.admin_url)
        )
        self._wait_until_ready()
        self._wait_until_healthy()
        endpoints = self._write_endpoints(authority, prepared, self._result(people))
        self._announce(endpoints)
        if settings.demo_traffic:
            demo = tuple(plan for plan in CHILDREN if plan.demo)
            for spec in specs(demo, facts, os.environ):
                self._tree.start(spec)

    def _result(self, background: Background[Result]) -> Result:
        """Wait for a part of the start while looking after the children that run already."""
        while not background.wait(0.02):
            self._tree.step(0.0)
        return background.result()

    def _prepare_database(self) -> _Prepared:
        from traksense.contracts.functions import FUNCTIONS
        from traksense.db.migrate import migrate

        from .logins import ensure

        admin_url = self._settings.database_url or self._start_postgres()
        for migration in migrate(admin_url, alone=True):
            self._log.emit("INFO", f"migration {migration.version:04d}_{migration.name} applied")
        if self._settings.database_url:
            # A server of somebody else's: no log-ins are left there. Each function takes its own
            # roles with the one that was given.
            logins = {function.name: admin_url for function in FUNCTIONS}
        else:
            logins = ensure(admin_url, self._home.secrets())
        fleet = None
        if self._settings.demo:
            from .demo.seed import seed

            fleet = seed(admin_url)
        return _Prepared(admin_url, logins, fleet)

    def _admit(self, prepared: _Prepared, authority: CertificateAuthority) -> Things:
        """Whom the broker lets in, the demo's devices among them."""
        from traksense.db.connection import Database

        from .things import list_things, note_demo

        database = Database(prepared.admin_url, application_name="traksense-start")
        try:
            if prepared.fleet is not None:
                note_demo(database, authority, prepared.fleet.devices)
            return list_things(database)
        finally:
            database.close()

    def _start_postgres(self) -> str:
        from .postgres import EmbeddedPostgres

        postgres = self._postgres = EmbeddedPostgres(self._home)
        admin_url = postgres.start()
        how = "found running" if postgres.adopted else "started"
        self._log.emit("INFO", f"PostgreSQL {how}")

        def restart() -> None:
            if postgres.start() != admin_url:
                raise TreeFailedError(
                    "PostgreSQL's port was taken while it was away: start the platform again"
                )

        self._servers.add(
            WatchedServer(
                "PostgreSQL",
                postgres.alive,
                restart,
                lambda: _last_line(self._home.logs / "postgres-start.log"),
            )
        )
        return admin_url

    def _make_authority(self) -> CertificateAuthority:
        from .certificates import CertificateAuthority

        authority = CertificateAuthority(self._home.certificates)
        authority.server_certificate()
        authority.bridge_certificate()
        return authority

    def _find_broker(self) -> MosquittoProgram:
        from .mosquitto.find_or_install import find_or_install

        return find_or_install(self._home)

    def _start_broker(
        self,
        authority: CertificateAuthority,
        program: MosquittoProgram,
        things: Things,
    ) -> Broker:
        from .mosquitto import Broker

        broker = self._broker = Broker(self._home, self._settings, authority, program)
        broker.start(things.devices, things.revoked)
        how = "found running" if broker.adopted else "started"
        self._log.emit("INFO", f"mosquitto {how}")
        port = broker.platform_port

        def restart() -> None:
            known = self._things.known if self._things else things
            broker.start(known.devices, known.revoked)
            if broker.platform_port != port:
                raise TreeFailedError(
                    "mosquitto's port was taken while it was away: start the platform again"
                )

        self._servers.add(
            WatchedServer("mosquitto", broker.alive, restart, lambda: _last_line(broker.log_file))
        )
        return broker

    def _watch_things(self, prepared: _Prepared, things: Things, broker: Broker) -> None:
        from .mosquitto import BrokerAway
        from .things import ThingsWatch

        def follow(found: Things) -> bool:
            try:
                broker.reload(found.devices, found.revoked)
            except (StartupError, BrokerAway) as error:
                self._log.emit("ERROR", f"the devices' access list is not up to date: {error}")
                return False
            self._log.emit("INFO", f"{len(found.devices)} devices may connect now")
            return True

        self._things = ThingsWatch(prepared.admin_url, things, follow)
        self._things.start()

    def _wait_until_ready(self, names: list[str] | None = None) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while missing := self._tree.not_ready(names):
            if time.monotonic() > deadline:
                raise StartupError(
                    f"{', '.join(missing)} did not get ready within {READY_TIMEOUT_S:.0f} s: "
                    f"see {self._home.log_file}"
                )
            self._tree.step(0.1)

    def _wait_until_healthy(self) -> None:
        url = f"http://127.0.0.1:{self._settings.http_port}/health"
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    if answer.status == 200:
                        return
                    said = f"status {answer.status}"
            except (urllib.error.URLError, OSError) as error:
                said = str(error)
            if time.monotonic() > deadline:
                raise StartupError(f"{url} does not answer ({said}): see {self._home.log_file}")
            self._tree.step(0.1)

    def _write_endpoints(
        self, authority: CertificateAuthority, prepared: _Prepared, users: list[UserEndpoint]
    ) -> Endpoints:
        from .gateway.mailbox import mailbox_url

        url = f"http://127.0.0.1:{self._settings.http_port}"
        endpoints = Endpoints(
            api_url=url,
            mqtt=MqttEndpoint("127.0.0.1", self._settings.mqtt_port, str(authority.ca_path)),
            database_url=prepared.admin_url,
            users=tuple(users),
            devices=tuple(device_endpoints(authority, prepared.fleet)),
            mailbox_url=mailbox_url(url, self._home.secrets().secret(MAILBOX_KEY)),
        )
        endpoints.write(self._home.endpoints_file)
        return endpoints

    def _announce(self, endpoints: Endpoints) -> None:
        print(summary(endpoints, self._home))
        print(f"READY {endpoints.api_url}", flush=True)

    def _stop(self) -> None:
        if self._database is None:
            return
        started = time.monotonic()
        self._log.emit("INFO", "stopping")
        insists = self._signals.insists
        if self._things is not None:
            self._things.stop()
        self._tree.stop(hurry=insists)
        # A server that is just being started is stopped as well, not left behind.
        deadline = time.monotonic() + SERVER_STOP_S
        while not (self._database.wait(0.05) or insists() or time.monotonic() > deadline):
            pass
        self._servers.settle(SERVER_STOP_S)
        servers = [server for server in (self._broker, self._postgres) if server is not None]
        stops = [(server, Background("stop", server.stop)) for server in servers]
        for server, stopping in stops:
            while not stopping.wait(0.05):
                if insists() and server.identity is not None:
                    process_identity.end(server.identity, 0.5, signal.SIGQUIT)
        self._home.write_state({})
        for _, stopping in stops:
            stopping.result()
        self._log.emit("INFO", f"stopped in {time.monotonic() - started:.1f} s")

    def _record(self, children: list[ProcessIdentity]) -> None:
        """Who runs, for the next start in case that this run is killed."""
        own = process_identity.of(os.getpid())
        self._home.write_state(
            {
                "pid": os.getpid(),
                "started_at": own.started_at if own else 0.0,
                "ports": {"http": self._settings.http_port, "mqtt": self._settings.mqtt_port},
                "children": [
                    {"pid": child.pid, "started_at": child.started_at} for child in children
                ],
            }
        )

    def _forget(self, pid: int) -> None:
        prometheus.forget_gauges(self._home.metrics, pid)

    def _end_leftovers(self) -> None:
        """Wait for the children of a run that was killed; end those that stay."""
        left = [child for child in _recorded(self._home) if process_identity.is_alive(child)]
        if not left:
            return
        self._log.emit("WARNING", f"{len(left)} processes of a killed run are still ending")
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        while any(map(process_identity.is_alive, left)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in left:
            process_identity.end(child, 1.0)


def _recorded(home: Home) -> list[ProcessIdentity]:
    found = home.read_state().get("children", [])
    try:
        return [ProcessIdentity(int(one["pid"]), float(one["started_at"])) for one in found]
    except (KeyError, TypeError, ValueError):
        return []


def _broker_is_alive(home: Home) -> bool:
    """Whether the broker of an earlier run may still have the devices' port."""
    record = read_json(home.run / "broker.json")
    try:
        identity = ProcessIdentity(int(record["pid"]), float(record["started_at"]))
    except (KeyError, TypeError, ValueError):
        return False
    return process_identity.is_alive(identity)


def _require_port(port: int, variable: str, who: str) -> None:
    if not is_free(port):
        raise StartupError(
            f"port {port}{owner_of(port)} is in use, and {who} should be there: stop what uses "
            f"it, or set {variable} to another one"
        )


def _last_line(path: Path) -> str:
    try:
        lines = path.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
