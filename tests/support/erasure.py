"""Places outside the database that an erasure empties, and a store that is killed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from traksense.db.connection import Database
from traksense.db.erasure import SqlErasureStore
from traksense.domain.errors import RetryableError
from traksense.services.erasure import ErasedPlaces, Tombstone
from traksense.services.tenant_erasure import ErasureReport, TenantErasure


class Killed(BaseException):
    """The process ends here."""


@dataclass
class FakePlaces:
    """Things, users, retained messages and files, by name, and a ledger of tombstones."""

    enabled: set[str] = field(default_factory=set)
    things: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    kept_topics: set[str] = field(default_factory=set)
    files: dict[UUID, int] = field(default_factory=dict)
    graves: dict[UUID, Tombstone] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    """Names of places that cannot be reached."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def places(self) -> ErasedPlaces:
        """As the job takes them."""
        return ErasedPlaces(
            things=_Things(self),
            users=_Users(self),
            retained=_Retained(self),
            objects=_Objects(self),
            ledger=_Ledger(self),
            queue_depths=self._depths,
        )

    @contextmanager
    def reached(self, name: str) -> Iterator[None]:
        """One call at a time, refused where the place is away."""
        if name in self.away:
            raise RetryableError(f"{name} is away")
        with self._lock:
            yield

    def _depths(self) -> Mapping[str, int]:
        with self.reached("queues"):
            return dict(self.queued)


@dataclass
class _Things:
    all: FakePlaces

    def turn_off(self, certificate: str) -> int:
        thing_name, _, _ = certificate.split(" ")
        with self.all.reached("things"):
            was = thing_name in self.all.enabled
            self.all.enabled.discard(thing_name)
            return int(was)

    def remove(self, thing_name: str) -> int:
        with self.all.reached("things"):
            assert thing_name not in self.all.enabled
            was = thing_name in self.all.things
            self.all.things.discard(thing_name)
            return int(was)


@dataclass
class _Users:
    all: FakePlaces

    def remove(self, email: str, tenant_id: UUID) -> None:
        with self.all.reached("users"):
            self.all.users.discard(email)


@dataclass
class _Retained:
    all: FakePlaces

    def clear(self, topic: str) -> None:
        with self.all.reached("retained"):
            self.all.kept_topics.discard(topic)


@dataclass
class _Objects:
    all: FakePlaces

    def remove(self, tenant_id: UUID, most: int) -> int:
        with self.all.reached("objects"):
            gone = min(self.all.files.get(tenant_id, 0), most)
            self.all.files[tenant_id] = self.all.files.get(tenant_id, 0) - gone
            return gone


@dataclass
class _Ledger:
    all: FakePlaces

    def bury(self, tombstone: Tombstone) -> None:
        with self.all.reached("ledger"):
            self.all.graves[tombstone.tenant_id] = tombstone

    def buried(self) -> Iterable[Tombstone]:
        with self.all.reached("ledger"):
            return list(self.all.graves.values())


def outside_of(url: str) -> FakePlaces:
    """Places that hold what the database names, of all tenants; each thing has a certificate."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT t.slug || '_' || d.name,"
            " concat_ws('/', 'traksense', t.slug, s.slug, d.name, 'state')"
            " FROM devices d JOIN tenants t ON t.id = d.tenant_id"
            " JOIN sites s ON s.id = d.site_id WHERE d.gateway_id IS NULL"
        ).fetchall()
        users = {user for (user,) in connection.execute("SELECT email FROM users")}
        tenants = [tenant for (tenant,) in connection.execute("SELECT id FROM tenants")]
    things = {thing for thing, _ in rows}
    return FakePlaces(
        enabled=set(things),
        things=set(things),
        users=users,
        kept_topics={topic for _, topic in rows},
        files=dict.fromkeys(tenants, 2_500),
    )


class MortalStore(SqlErasureStore):
    """A store whose process is killed before, or after, so many of its transactions."""

    def __init__(self, database: Database, lives: int, *, commits: bool) -> None:
        super().__init__(database)
        self._left = lives
        self._commits = commits

    @contextmanager
    def _asked(self, name: str, **parameters: Any) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        self._left -= 1
        if self._left < 0 and not self._commits:
            raise Killed
        with super()._asked(name, **parameters) as cursor:
            yield cursor
        if self._left < 0:
            raise Killed


class Clock:
    """Now, and later where a test says so."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def run_to_the_end(
    store: SqlErasureStore, places: FakePlaces, clock: Clock | None = None, most: int = 20
) -> ErasureReport:
    """Run until nothing goes on, with waits over at once; the last report."""
    clock = clock or Clock()
    erasure = TenantErasure(store, places.places(), now=clock)
    for _ in itertools.repeat(None, most):
        report = erasure.run()
        if report.finished or not report.going_on:
            return report
        clock.ahead += timedelta(minutes=20)
    raise AssertionError(f"not finished after {most} runs")
