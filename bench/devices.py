"""An import of 10,000 devices and the provisioning of 1,000, by the API of a platform of its own.

Over HTTP as an operator's program does it: one call imports all, then calls for a hundred devices
each give them keys and certificates, one call after the other. The broker's access list follows
meanwhile. What it says of admission is the time until the last of them may connect.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from bench.platform import Platform
from bench.results import Figures
from local.endpoints import Endpoints

DEVICES: Final = 10_000
PROVISIONED: Final = 1_000
AT_ONCE: Final = 100
ROUNDS: Final = 3
TEMPLATE: Final = "chiller-v1"
_ADMISSION_S: Final = 30.0


def run(figures: Figures) -> None:
    """Start a platform a round, and time both."""
    for _ in range(ROUNDS):
        with (
            tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory,
            Platform(Path(directory) / "home") as platform,
        ):
            _round(platform.endpoints, Path(directory) / "home", figures)


def _round(endpoints: Endpoints, home: Path, figures: Figures) -> None:
    device = endpoints.devices[0]
    operator = _Operator(endpoints, device.tenant)
    rows = [f"bulk-{n:05d},{device.site},{TEMPLATE},R{n % 100}" for n in range(DEVICES)]
    content = "\n".join(["name,site,template,metadata.room", *rows])

    started = time.perf_counter()
    operator.send("/api/devices/import?dry_run=true", content.encode(), "text/csv")
    figures.add("import_dry_run_s", time.perf_counter() - started, "s")
    started = time.perf_counter()
    made = operator.send("/api/devices/import", content.encode(), "text/csv")
    figures.add("import_10000_devices_s", time.perf_counter() - started, "s")
    figures.add("import_points", made["points"], "points")

    ids = [item["id"] for item in made["items"][:PROVISIONED]]
    keys: set[str] = set()
    started = time.perf_counter()
    for first in range(0, PROVISIONED, AT_ONCE):
        body = json.dumps({"devices": ids[first : first + AT_ONCE]}).encode()
        answer = operator.send("/api/devices/provision", body, "application/json")
        keys |= {item["private_key"] for item in answer["items"]}
    done = time.perf_counter()
    figures.add("provision_1000_devices_s", done - started, "s")
    assert len(keys - {None}) == PROVISIONED, "not every device got a key of its own"

    access_list = home / "broker" / "devices.acl"
    last = f"user {device.tenant}_{made['items'][PROVISIONED - 1]['name']}\n"
    while last not in access_list.read_text("ascii"):
        assert time.perf_counter() - done < _ADMISSION_S, "the broker was not told"
        time.sleep(0.02)
    figures.add("provision_admitted_after_s", time.perf_counter() - done, "s")


class _Operator:
    """An operator's program."""

    def __init__(self, endpoints: Endpoints, tenant: str) -> None:
        self._url = endpoints.api_url
        user = next(each for each in endpoints.users if each.tenant is None)
        self._headers = {"X-Tenant": tenant}
        login = json.dumps({"email": user.email, "password": user.password}).encode()
        token = self.send("/api/auth/login", login, "application/json", public=True)["id_token"]
        self._headers["Authorization"] = f"Bearer {token}"

    def send(self, path: str, body: bytes, content_type: str, *, public: bool = False) -> Any:
        """A POST; its answer as JSON. Raises urllib's errors."""
        headers = {} if public else self._headers
        request = urllib.request.Request(
            self._url + path, body, {**headers, "Content-Type": content_type}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
