"""A small stand-in for the platform's HTTP side, to drive the page against.

It serves the page's files and the part of the API that the page calls, from plausible data of
two tenants, on a loopback port of its own. Tests change its mind through ``FakePlatform``.
``python -m tests.web.fake_api`` runs it alone, with readings that go on arriving.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .fake_data import PASSWORD, TIME_ZONES, USERS, Device, Point, make_fleet, to_ts
from .fake_exports import FILE, FakeExports
from .fake_http import ProblemError, Request

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"/vendor/echarts/": ROOT / "node_modules/echarts/dist", "/": ROOT / "web"}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


PARAMETERS = {
    "devices": frozenset({"limit", "cursor", "q"}),
    "data/latest": frozenset({"device"}),
    "exports": frozenset({"limit", "cursor", "status"}),
    "data/points": frozenset({"device", "point", "from", "to", "agg", "max_points", "thin"}),
}
"""Query parameters by path; any other is refused, as the API does."""


STEPS = frozenset({"/api/auth/challenge", "/api/auth/forgot", "/api/auth/reset"})
CODE = "123456"

WIDTHS_S = {"1m": 60, "5m": 300, "1h": 3600}


def rollups(
    rows: list[tuple[int, Any]], seconds: int
) -> list[tuple[int, float, float, float, int]]:
    """Buckets of readings (microseconds, value): begin, average, least, greatest, count."""
    width = seconds * 1_000_000
    buckets = groupby(rows, lambda row: row[0] // width * width)
    found = ((begin, [value for _, value in group]) for begin, group in buckets)
    return [(us, sum(vs) / len(vs), min(vs), max(vs), len(vs)) for us, vs in found]


class FakePlatform:
    """State of the stand-in, and how a test changes it."""

    def __init__(self) -> None:
        self.fleet: dict[str, Device] = make_fleet(time.time())
        self.exports = FakeExports()
        self.is_away = False
        """Answer every API call with 503, as a gateway does that finds nobody behind it."""
        self.failing_paths: set[str] = set()
        """Paths that answer 500."""
        self.loses_answers = False
        """Whether what is written is written, and the answer lost on its way."""
        self.refusals: dict[str, tuple[int, str]] = {}
        """Status and detail by which a path refuses what is written."""
        self.refuses_renewal = False
        self.thins = True
        """Whether a long ``num`` series is thinned where it may be; else it is cut."""
        self.auto_level: str | None = None
        """The level that ``auto`` takes of ``num`` points; None for the finest that fits."""
        self.raw_is_gone = False
        """Whether readings no longer reach back, so that ``auto`` is degraded."""
        self.available_from: str | None = None
        """Where what is kept begins, if that is after the window's beginning."""
        self.most_rows = 50_000
        """Rows of an answer's series, whatever was asked for."""
        self.device_page = 500
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and query of each API call, in order."""
        self.second_steps: set[str] = set()
        """Who is asked for the code of an app."""
        self.forgets_sessions = False
        """Whether a log-in under way took too long."""
        self.demands_setup = False
        """Whether a new person has to set an app up."""
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self.renewals = 0
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}

    def expire_sessions(self) -> None:
        """Make every ID token invalid; refresh tokens stay good."""
        with self._lock:
            self._tokens.clear()

    def device(self, name: str) -> Device:
        """The device of a name that is unique in the fleet."""
        return next(device for device in self.fleet.values() if device.name == name)

    def calls(self, path: str) -> list[dict[str, str]]:
        """The queries of the calls of one path so far."""
        return [query for called, query in self.requests if called == path]

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Any:
        """The JSON of an API call. Raises ProblemError."""
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.requests.append((parts.path, query))
        if self.is_away:
            raise ProblemError(503, "Service Unavailable")
        if parts.path in self.failing_paths:
            raise ProblemError(500, "Internal Server Error")
        content = json.loads(body) if body else {}
        if parts.path == "/api/auth/login" and method == "POST":
            return self._log_in(content)
        if parts.path in STEPS and method == "POST":
            return self._step(parts.path, content)
        if parts.path == "/api/auth/refresh" and method == "POST":
            return self._renew(content)
        user = self._user(headers)
        tenant = headers.get("X-Tenant")
        if tenant and user["role"] != "internal_ops":
            raise ProblemError(403, "Forbidden")
        locale = "en" if headers.get("Accept-Language", "").startswith("en") else "pt-BR"
        key = headers.get("Idempotency-Key", "")
        request = Request(query, content, locale, user["tenant"] or tenant, method, key)
        if method == "POST" and parts.path in self.refusals:
            raise ProblemError(*self.refusals[parts.path], is_detail=True)
        answer = self._route(parts.path, user, request)
        if method == "POST" and self.loses_answers:
            raise ProblemError(504, "Gateway Timeout")
        return answer

    def _log_in(self, content: Mapping[str, Any]) -> dict[str, Any]:
        email = content.get("email", "")
        if email not in USERS or content.get("password") != PASSWORD:
            raise ProblemError(401, "Unauthorized")
        if USERS[email]["role"] == "newcomer":
            return {"challenge": "NEW_PASSWORD_REQUIRED", "session": f"new:{email}"}
        if email in self.second_steps:
            return {"challenge": "SOFTWARE_TOKEN_MFA", "session": f"code:{email}"}
        return {**self._issue(email), "refresh_token": f"refresh:{email}"}

    def _step(self, path: str, content: Mapping[str, Any]) -> Any:
        """What follows a challenge, and a forgotten password."""
        self.steps.append((path, dict(content)))
        new = content.get("new_password")
        if new is not None and len(new) < 12:
            raise ProblemError(422, "Invalid", [("body.new_password", "Curta demais: 12.")])
        if content.get("code") not in (None, CODE):
            raise ProblemError(422, "Invalid", [("body.code", "O código está errado.")])
        if path != "/api/auth/challenge":
            return None
        kind, _, email = str(content["session"]).partition(":")
        if kind == "new" and self.demands_setup:
            secret = "ABCDEFGH" * 4
            uri = f"otpauth://totp/TrakSense?secret={secret}"
            return {"challenge": "MFA_SETUP", "session": f"code:{email}", "secret": secret,
                    "secret_uri": uri}  # fmt: skip
        if kind not in ("new", "code") or self.forgets_sessions:
            raise ProblemError(401, "Unauthorized")
        return {**self._issue("ana@acme.example"), "refresh_token": "refresh:ana@acme.example"}

    def _renew(self, content: Mapping[str, Any]) -> dict[str, Any]:
        self.renewals += 1
        kind, _, email = str(content.get("refresh_token", "")).partition(":")
        if self.refuses_renewal or kind != "refresh":
            raise ProblemError(401, "Unauthorized")
        return self._issue(email)

    def _issue(self, email: str) -> dict[str, Any]:
        with self._lock:
            token = f"id-{time.monotonic_ns()}"
            self._tokens[token] = email
        return {"id_token": token, "access_token": token, "expires_in": 3600}

    def _user(self, headers: Mapping[str, str]) -> dict[str, Any]:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        with self._lock:
            email = self._tokens.get(token)
        if email is None:
            raise ProblemError(401, "Unauthorized")
        return {"id": f"user-{email}", "email": email, **USERS[email]}

    def _route(self, path: str, user: dict[str, Any], request: Request) -> Any:
        parts = path.removeprefix("/api/").split("/")
        known = PARAMETERS.get("/".join(parts), frozenset())
        if not request.query.keys() <= known:
            raise ProblemError(422, "Unprocessable Content")
        if parts == ["me"]:
            zone = TIME_ZONES.get(request.tenant or "acme")
            if zone is None:
                raise ProblemError(404, "Not Found")
            return {**user, "time_zone": zone, "locale": "pt-BR"}
        if parts == ["devices"]:
            return self._list(request)
        if parts[0] == "devices" and len(parts) == 2:
            return self._device(parts[1], request).shape()
        if parts[0] == "devices" and parts[2:] == ["points"]:
            points = self._device(parts[1], request).points
            return {"items": [point.shape(request.locale) for point in points]}
        if parts == ["data", "latest"]:
            device = self._device(request.query["device"], request)
            return {"items": [point.latest() for point in device.points]}
        if parts == ["data", "points"]:
            return self._series(request)
        if parts[0] == "exports":
            device_id = request.body.get("device")
            name = self._device(device_id, request).name if device_id else None
            return self.exports.answer(parts[1:], user["email"], name, request)
        raise ProblemError(404, "Not Found")

    def _list(self, request: Request) -> dict[str, Any]:
        wanted = request.query.get("q", "").lower()
        devices = [
            device
            for device in sorted(self.fleet.values(), key=lambda d: (d.tenant, d.name))
            if request.tenant in (None, device.tenant) and wanted in device.name.lower()
        ]
        start = int(request.query.get("cursor", 0))
        end = start + min(int(request.query.get("limit", 50)), self.device_page)
        more = str(end) if end < len(devices) else None
        return {"items": [device.shape() for device in devices[start:end]], "next_cursor": more}

    def _device(self, device_id: str, request: Request) -> Device:
        device = self.fleet.get(device_id)
        if device is None or request.tenant not in (None, device.tenant):
            raise ProblemError(404, "Not Found")
        return device

    def _series(self, request: Request) -> dict[str, Any]:
        query = request.query
        device = self._device(query["device"], request)
        most = min(int(query.get("max_points", 2000)), self.most_rows)
        series = []
        for wanted in query["point"].split(","):
            point = next((p for p in device.points if wanted in (p.id, p.name)), None)
            if point is None:
                raise ProblemError(404, "Not Found")
            agg, rows = self._level(point, query, most)
            next_from = reduction = None
            is_long = len(rows) > most
            is_auto = query["agg"] == "auto"
            if is_long and is_auto and point.type != "num":
                reduction = "changes"
                rows = [row for n, row in enumerate(rows) if n == 0 or row[1] != rows[n - 1][1]]
                is_long = len(rows) > most
            elif is_long and point.type == "num" and self.thins and query.get("thin") != "none":
                reduction = "lttb"
                step = -(-len(rows) // most)
                rows = rows[:-1:step] + rows[-1:]
            if is_long and reduction != "lttb":
                next_from = to_ts(rows[most][0])
                rows = rows[:most]
            columns = "ts value qual" if agg == "raw" else "ts avg min max count"
            series.append(
                {
                    "device_id": device.id,
                    "point_id": point.id,
                    "name": point.name,
                    "type": point.type,
                    "unit": point.unit,
                    "agg": agg,
                    "degraded": is_auto and agg != "raw" and self.raw_is_gone,
                    "reduction": reduction,
                    "truncated": is_long,
                    "next_from": next_from,
                    "available_from": self.available_from if is_auto else None,
                    "columns": columns.split(),
                    "rows": [[to_ts(us), *values] for us, *values in rows],
                }
            )
        asked = {"requested_agg": query["agg"], "from": query["from"], "to": query["to"]}
        return {**asked, "series": series}

    def _level(self, point: Point, query: Mapping[str, str], most: int) -> tuple[str, list[Any]]:
        """The level asked for, or the finest that fits, and its rows."""
        rows = point.rows(query["from"], query["to"])
        levels: dict[str, list[Any]] = {"raw": [(us, value, 0) for us, value in rows]}
        if point.type == "num":
            levels |= {agg: rollups(rows, seconds) for agg, seconds in WIDTHS_S.items()}
        if query["agg"] != "auto":
            return query["agg"], levels[query["agg"]]
        if self.raw_is_gone and point.type == "num":
            del levels["raw"]
        if self.auto_level in levels:
            return self.auto_level, levels[self.auto_level]
        agg = next((agg for agg, rows in levels.items() if len(rows) <= most), [*levels][-1])
        return agg, levels[agg]


def _handler(platform: FakePlatform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/api/"):
                self._call()
            elif self.path.startswith("/bucket/"):
                self._send(200, "text/csv", FILE, self.path.rpartition("/")[2])
            else:
                self._file(urlsplit(self.path).path)

        def do_POST(self) -> None:
            self._call()

        def _call(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.title(): value for name, value in self.headers.items()}
            try:
                payload = platform.answer(self.command, self.path, headers, body)
            except ProblemError as problem:
                content = {
                    "type": "about:blank",
                    "title": str(problem),
                    "status": problem.status,
                    "detail": problem.detail,
                    "errors": problem.errors,
                }
                self._send(problem.status, "application/problem+json", _encode(content))
            else:
                # What has nothing to say has no body, as 202 and 204 of the API.
                body = b"" if payload is None else _encode(payload)
                self._send(200 if body else 202, "application/json", body)

        def _file(self, path: str) -> None:
            prefix = next(prefix for prefix in FOLDERS if path.startswith(prefix))
            file = FOLDERS[prefix] / (path.removeprefix(prefix) or "index.html")
            if ".." in path or not file.is_file() or file.suffix not in CONTENT_TYPES:
                self._send(404, "text/plain", b"")
            else:
                self._send(200, CONTENT_TYPES[file.suffix], file.read_bytes())

        def _send(
            self, status: int, content_type: str, content: bytes, name: str | None = None
        ) -> None:
            self.send_response(status)
            if name is not None:
                self.send_header("Content-Disposition", f'attachment; filename="{name}"')
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", "default-src 'self'")
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing: a test's output is its own."""

    return Handler


def _encode(payload: Any) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in mid-answer is no error here."""


class FakeServer:
    """Serves a platform on a loopback port while its ``with`` block lasts."""

    def __init__(self, platform: FakePlatform, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _handler(platform))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def run(report: Callable[[str], None] = print) -> None:
    """Serve until interrupted, with a reading of every point each five seconds."""
    platform = FakePlatform()
    with FakeServer(platform, 8099) as server:
        report(f"{server.url}  {', '.join(USERS)}  {PASSWORD}")
        try:
            while True:
                time.sleep(5)
                for device in platform.fleet.values():
                    device.speak(time.time())
                platform.exports.move()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    run()
