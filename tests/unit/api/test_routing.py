"""How routes are declared, and how requests of many threads stay apart."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

import pytest
from chalice.app import Blueprint

from functions.api.app import app
from functions.api.auditing import Audited, NotAudited
from functions.api.models.health import HealthAnswer
from functions.api.routing import EVERYONE, REGISTRY, Call, route
from functions.api.services import services
from functions.api.validation import NoParams
from functions.made import Made
from local.gateway.chalice_api import per_thread
from traksense.contracts.metrics import Metric
from traksense.db.connection import Database
from traksense.domain.errors import ConfigurationError
from traksense.observability import NoMetrics, metrics
from traksense.settings.api import CognitoSettings
from traksense.wiring.api import ApiServices, api

from .support import World, call, outside


def view(call: Call[NoParams, None]) -> HealthAnswer:
    """Answers nothing."""
    raise NotImplementedError


def undescribed(call: Call[NoParams, None]) -> HealthAnswer:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("path", "roles", "declared", "complaint"),
    [
        ("/api/new", frozenset(), view, "names no role"),
        ("/health", EVERYONE, view, "registered twice"),
        ("/api/new", EVERYONE, undescribed, "does not say what it is for"),
    ],
)
def test_a_careless_route_cannot_be_registered(
    path: str, roles: Any, declared: Any, complaint: str
) -> None:
    before = dict(REGISTRY)
    with pytest.raises(ValueError, match=complaint):
        route(
            Blueprint(__name__),
            "GET",
            path,
            roles=roles,
            audit=Audited("tests.try"),
            response=HealthAnswer,
        )(declared)
    assert before == REGISTRY


def test_a_route_that_writes_cannot_be_registered_without_being_audited() -> None:
    before = dict(REGISTRY)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with pytest.raises(ValueError, match="may change something and is not audited"):
            route(
                Blueprint(__name__),
                method,  # type: ignore[arg-type]
                "/api/new",
                roles=EVERYONE,
                audit=NotAudited("nobody would want to know"),
                response=HealthAnswer,
            )(view)
    with pytest.raises(TypeError, match="audit"):
        route(Blueprint(__name__), "GET", "/api/new", roles=EVERYONE, response=HealthAnswer)  # type: ignore[call-arg]
    assert before == REGISTRY


@pytest.mark.parametrize("action", ["", "devices", "Devices.list", "devices.list.all"])
def test_an_action_has_the_form_of_one(action: str) -> None:
    with pytest.raises(ValueError, match="is no action"):
        Audited(action)


def test_a_route_that_is_not_audited_says_why() -> None:
    with pytest.raises(ValueError, match="says why"):
        NotAudited(" ")


def test_requests_of_many_threads_never_see_each_others_tenant(world: World) -> None:
    per_thread(app)

    def ask(n: int) -> set[str]:
        tenant = (world.acme, world.globex)[n % 2]
        try:
            answers = [call("GET", "/api/devices", tenant.viewer) for _ in range(25)]
        finally:
            world.database.close()  # this thread's connection
        return {item["tenant"] for answer in answers for item in answer.json["items"]}

    threads = 8
    together = Barrier(threads)

    def start(n: int) -> set[str]:
        together.wait()
        return ask(n)

    with ThreadPoolExecutor(threads) as pool:
        seen = list(pool.map(start, range(threads)))
    assert seen == [{"acme"}, {"globex"}] * (threads // 2)


def test_services_are_made_once_and_only_when_needed(world: World) -> None:
    made: list[int] = []

    def make() -> ApiServices:
        made.append(1)
        return services.get()

    lazy = Made(make)
    assert lazy.made is None
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: lazy.get(), range(50)))
    assert len(set(map(id, found))) == 1
    assert made == [1]


def test_a_missing_setting_is_named_before_anything_connects() -> None:
    with pytest.raises(ConfigurationError, match="COGNITO_USER_POOL_ID"):
        CognitoSettings.from_environment({"AWS_REGION": "us-east-1"})


class Counting(NoMetrics):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        if not metric.name.startswith("Cache"):  # another test's subject
            self.seen.append((metric.name, label))

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        self.seen.append((metric.name, label))


@pytest.fixture
def counting(world: World) -> Iterator[Counting]:
    sink = Counting()
    metrics.use(sink)
    yield sink
    metrics.use(NoMetrics())


def test_requests_are_counted_only_where_no_gateway_of_ours_counts_them(
    world: World, counting: Counting
) -> None:
    before = services.get()
    path = f"/api/devices/{world.acme.device}"
    call("GET", path, world.acme.viewer)
    assert counting.seen == []
    with closing(Database(world.url)) as database:
        services.use(api(database, outside(world.login), counts_requests=True))
        call("GET", path, world.acme.viewer)
        services.use(before)
    assert counting.seen == [
        ("Requests", "200"),
        ("RequestDuration", "/api/devices/{device_id}"),
    ]
