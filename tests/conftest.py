"""Fixtures that every part of the suite shares.

What needs a database runs on each storage engine: on plain PostgreSQL always, and on TimescaleDB
where TIMESCALE_URL names a server that has it. ``@pytest.mark.engine("plain")`` is for what only
one of them has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import database as db
from traksense.db.engine import StorageEngine

TESTS = Path(__file__).parent
ONE_AT_A_TIME = ("contract", "e2e")
"""Folders whose tests start servers and watch the clock: they share one worker, in order."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "engine(name): runs on this storage engine only")


def pytest_report_header() -> str | None:
    """Say which engines are tested."""
    return None if db.timescale_url() else db.NO_TIMESCALE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it once more where it is not overlooked."""
    if db.timescale_url() is None:
        terminalreporter.section("storage engines", yellow=True)
        terminalreporter.line(db.NO_TIMESCALE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with a database, once on each engine."""
    if "engine" not in metafunc.fixturenames:
        return
    available = db.engines()
    marker = metafunc.definition.get_closest_marker("engine")
    wanted = available if marker is None else marker.args
    absent = pytest.mark.skip(reason=db.NO_TIMESCALE)
    params = [
        pytest.param(name, marks=() if name in available else absent, id=name) for name in wanted
    ]
    metafunc.parametrize("engine", params, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, and what drives whole servers on a single one."""
    others = [item for item in items if _is_for_another_engine(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        group = "servers" if folder in ONE_AT_A_TIME else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _is_for_another_engine(item: pytest.Item) -> bool:
    """Whether one case of a test, marked by itself, is not for the engine that it would run on."""
    marker = item.get_closest_marker("engine")
    engine = getattr(item, "callspec", None) and item.callspec.params.get("engine")  # type: ignore[attr-defined]
    return marker is not None and engine is not None and engine not in marker.args


class Servers:
    """The servers of this run, each started when it is first asked for."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._urls: dict[str, str] = {}

    def url(self, engine: StorageEngine) -> str:
        """URL of the administrator of the one with this engine; a template is made on it."""
        if engine not in self._urls:
            named = db.timescale_url() if engine == "timescale" else None
            url = named or self._stack.enter_context(db.server(self._directory))
            self._stack.enter_context(db.template(url, engine))
            self._urls[engine] = url
        return self._urls[engine]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that the tests may do anything with."""
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("postgres"), stack)


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> StorageEngine:
    """The storage engine that a test runs on; plain where a database is asked for dynamically."""
    name: StorageEngine = getattr(request, "param", "plain")
    return name


@pytest.fixture(scope="session")
def admin_url(engine: StorageEngine, servers: Servers) -> str:
    """URL of the administrator of a server with this engine."""
    return servers.url(engine)


@pytest.fixture
def database_url(admin_url: str) -> Iterator[str]:
    """A fresh, migrated database, for one test."""
    with db.fresh_database(admin_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(admin_url: str) -> Iterator[str]:
    """A fresh, migrated database, for the tests of one file."""
    with db.fresh_database(admin_url) as url:
        yield url
