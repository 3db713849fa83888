"""The platform through a typed client, generated from the description that it gives of itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.device import TestDevice
from tests.support.generated_client import NAME, generate
from tests.support.platform import RunningPlatform, wait_until

pytestmark = pytest.mark.e2e


class Generated:
    """The generated package, by the names that the description gives."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.package: Any = importlib.import_module(NAME)
        self.clients: list[Any] = []

    def call(self, subject: str, operation: str, client: Any, *names: Any, **given: Any) -> Any:
        """The whole answer of an operation: status, headers and what its model made of it."""
        module = importlib.import_module(f"{NAME}.api.{subject}.{operation}")
        return module.sync_detailed(*names, client=client, **given)

    def model(self, module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"{NAME}.models.{module}"), name)

    def anonymous(self) -> Any:
        return self._kept(self.package.Client(base_url=self.url))

    def _kept(self, client: Any) -> Any:
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.get_httpx_client().close()

    def as_user(self, email: str, password: str) -> Any:
        """Log in through the client itself."""
        body = self.model("login_body", "LoginBody")(email=email, password=password)
        tokens = self.call("auth", "login", self.anonymous(), body=body).parsed
        client = self.package.AuthenticatedClient(base_url=self.url, token=tokens.id_token)
        return self._kept(client)


@pytest.fixture(scope="module")
def generated(
    platform: RunningPlatform, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("client")
    url = platform.endpoints.api_url
    assert generate(httpx.get(f"{url}/schema").raise_for_status().content, folder) == ""
    sys.path.insert(0, str(folder))
    made = Generated(url)
    yield made
    made.close()
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def admin(platform: RunningPlatform, generated: Generated) -> Any:
    user = platform.user("customer_admin", "umc")
    return generated.as_user(user.email, user.password)


def test_somebody_logs_in_and_learns_who_she_is(generated: Generated, admin: Any) -> None:
    me = generated.call("auth", "me", admin).parsed
    assert (me.tenant, me.role.value) == ("umc", "customer_admin")


def test_a_list_is_read_page_by_page_as_models(generated: Generated, admin: Any) -> None:
    every = generated.call("devices", "list_devices", admin, limit=500).parsed
    paged, cursor = [], {}
    while True:
        page = generated.call("devices", "list_devices", admin, limit=1, **cursor).parsed
        paged += page.items
        if page.next_cursor is None:
            break
        cursor = {"cursor": page.next_cursor}
    assert [device.id for device in paged] == [device.id for device in every.items]
    assert all(isinstance(device.created_at, datetime) for device in paged)


def test_what_a_device_says_comes_back_typed(
    platform: RunningPlatform, generated: Generated, admin: Any
) -> None:
    endpoint = platform.idle_device("umc")
    listed = generated.call("devices", "list_devices", admin, limit=500, q=endpoint.name).parsed
    device = next(each for each in listed.items if each.name == endpoint.name)
    points = generated.call("devices", "get_points", admin, device.id).parsed
    point = next(each for each in points.items if each.type_.value == "num")
    with TestDevice(platform.endpoints.mqtt, endpoint) as connected:
        payload = {"schema": "v1", "points": [{"name": point.name, "v": 41.625}]}
        payload["ts"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        assert connected.publish("telem", payload) == 0

    def values() -> list[Any]:
        latest = generated.call("data", "latest_readings", admin, device=str(device.id)).parsed
        return [each.value for each in latest.items if each.point_id == point.id]

    wait_until("the reading is there", lambda: values() == [41.625])
    series = generated.call(
        "data",
        "list_readings",
        admin,
        device=str(device.id),
        point=[point.name],
        from_=datetime.now(UTC) - timedelta(minutes=5),
        agg=generated.model("list_readings_agg", "ListReadingsAgg").RAW,
    ).parsed.series
    assert [row[1] for row in series[0].rows][-1] == 41.625


def test_readings_are_exported_and_the_file_is_fetched(generated: Generated, admin: Any) -> None:
    now = datetime.now(UTC)
    body = generated.model("create_export", "CreateExport").from_dict(
        {
            "from": (now - timedelta(hours=1)).isoformat(),
            "to": now.isoformat(),
            "agg": "raw",
            "format": "csv",
        }
    )
    asked = generated.call("exports", "create_export", admin, body=body)
    assert asked.status_code == 202

    def job() -> Any:
        return generated.call("exports", "get_export", admin, asked.parsed.id).parsed

    wait_until("the end of the export", lambda: job().finished_at is not None, 30)
    done = job()
    assert (done.status.value, done.progress) == ("COMPLETED", 1)
    assert sum(part.rows for part in done.parts) == done.record_count
    opened = generated.call("exports", "download_export", admin, done.id)
    assert opened.status_code == 302
    assert len(httpx.get(opened.headers["location"], timeout=30).content) == done.file_size


def test_an_error_is_a_problem_with_its_type(generated: Generated, admin: Any) -> None:
    refused = generated.call("tenants", "list_tenants", admin)
    assert refused.status_code == 403
    assert refused.parsed.type_.value == "urn:traksense:problem:forbidden"
    nobody = generated.call("devices", "list_devices", generated.anonymous())
    assert (nobody.status_code, nobody.parsed.status) == (401, 401)
