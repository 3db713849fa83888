"""More devices than a local platform's demo has: made and given certificates through its API.

What was made stays: names are ``sim-0001`` and on, and their credentials lie beside the endpoints
file, in ``simulated/``, so that the next run with as many devices asks the API for nothing.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from .endpoints import Device, Endpoints, EndpointsError

FOLDER: Final = "simulated"
PREFIX: Final = "sim-"
AT_ONCE: Final = 100
"""Devices that the API provisions in one call."""
ROWS: Final = 10_000
"""Devices of one import."""
TIMEOUT_S: Final = 120


def enough(path: Path, endpoints: Endpoints, count: int) -> Endpoints:
    """The endpoints with as many simulated devices as are wanted, made where they are missing.

    They are like the demo's own ones that stand alone. Raises EndpointsError.
    """
    there = [device for device in endpoints.devices if device.simulated and device.connects]
    missing = count - len(there)
    if missing <= 0:
        return endpoints
    models = [device for device in there if device.gateway is None]
    if not models:
        raise EndpointsError(f"{path}: no simulated device that others could be made like")
    folder = path.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    more = [_like(models[n % len(models)], n + 1, folder) for n in range(missing)]
    lacking = [each for each in more if not (_exists(each.cert) and _exists(each.key))]
    if lacking:
        api = _Api.of(path)
        for tenant in sorted({device.tenant for device in lacking}):
            api.give([device for device in lacking if device.tenant == tenant])
    return replace(endpoints, devices=(*endpoints.devices, *more))


def _like(model: Device, number: int, folder: Path) -> Device:
    made = replace(model, name=f"{PREFIX}{number:04d}")
    cert = folder / f"{made.thing_name}.crt"
    return replace(made, cert=cert, key=cert.with_suffix(".key"))


def _exists(path: Path | None) -> bool:
    return path is not None and path.is_file()


@dataclass(frozen=True, slots=True)
class _Api:
    """The platform's API, as its operator."""

    url: str
    token: str

    @classmethod
    def of(cls, path: Path) -> _Api:
        """Log in as the endpoints file says. Raises EndpointsError."""
        document = json.loads(path.read_bytes())
        users = document.get("users") or []
        operator = next((user for user in users if user.get("role") == "internal_ops"), None)
        if operator is None or not document.get("api_url"):
            raise EndpointsError(f"{path}: --provision needs api_url and an operator in users")
        login = {"email": operator["email"], "password": operator["password"]}
        public = cls(document["api_url"], "")
        return cls(public.url, public.call("POST", "/api/auth/login", login)["id_token"])

    def give(self, devices: Sequence[Device]) -> None:
        """Make those of one tenant's devices that are not there, and give all a new key."""
        tenant = devices[0].tenant
        ids = {item["name"]: item["id"] for item in self._listed(tenant)}
        new = [device for device in devices if device.name not in ids]
        for part in _parts(new, ROWS):
            rows = [f"{each.name},{each.site},{each.template}" for each in part]
            content = "\n".join(["name,site,template", *rows])
            made = self.call("POST", "/api/devices/import", content, tenant)
            ids |= {item["name"]: item["id"] for item in made["items"]}
        for part in _parts(devices, AT_ONCE):
            wanted = {ids[each.name]: each for each in part}
            body = {"devices": list(wanted)}
            for item in self.call("POST", "/api/devices/provision", body, tenant)["items"]:
                self._keep(wanted[item["device_id"]], item, tenant)

    def _keep(self, device: Device, item: Mapping[str, Any], tenant: str) -> None:
        if item["private_key"] is None:
            # It has certificates whose keys are lost: they make room.
            path = f"/api/devices/{item['device_id']}"
            self.call("POST", f"{path}/revoke", {}, tenant)
            item = self.call("POST", f"{path}/provision", {}, tenant)
        assert device.cert is not None
        assert device.key is not None
        # The key first: a certificate that lies there says that both do.
        _write(device.key, item["private_key"])
        _write(device.cert, item["certificate"])

    def _listed(self, tenant: str) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = self.call("GET", f"/api/devices?q={PREFIX}&limit=500{cursor}", None, tenant)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={quote(page['next_cursor'])}"

    def call(self, method: str, path: str, body: object, tenant: str | None = None) -> Any:
        """One call; its answer. Raises EndpointsError with what the API says."""
        is_text = isinstance(body, str)
        headers = {"Content-Type": "text/csv" if is_text else "application/json",
                   "Accept-Language": "en"}  # fmt: skip
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if tenant is not None:
            headers["X-Tenant"] = tenant
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the platform's own address
            self.url + path, None if body is None else data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = json.loads(error.read() or b"{}").get("detail", error.reason)
            raise EndpointsError(f"{method} {path}: {error.code} {said}") from error
        except OSError as error:
            raise EndpointsError(f"{self.url} cannot be reached: {error}") from error


def _parts(devices: Sequence[Device], size: int) -> Iterator[list[Device]]:
    rest = iter(devices)
    while part := list(islice(rest, size)):
        yield part


def _write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
