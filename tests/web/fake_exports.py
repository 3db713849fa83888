"""Exports of the stand-in platform: kept in memory, and moved on by the tests."""

from __future__ import annotations

import time
import uuid
from typing import Any

from .fake_data import to_ts
from .fake_http import ProblemError, Request

FILE = b"ts,site,device,point,value,unit,quality\r\n"
KEEP_S = 24 * 3600


class FakeExports:
    """The jobs of all tenants, newest first, as the API shows them."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Idempotency key and body of each request, repeated ones included."""
        self.page = 50
        """Exports of a page at most."""
        self._keys: dict[str, dict[str, Any]] = {}

    def add(self, tenant: str, **given: Any) -> dict[str, Any]:
        """A job; what is not given is that of one that was just asked for."""
        now = time.time()
        job = {
            "id": str(uuid.uuid4()),
            "tenant": tenant,
            "status": "PENDING",
            "progress": 0,
            "record_count": None,
            "file_size": None,
            "created_at": at(now),
            "started_at": None,
            "finished_at": None,
            "expires_at": None,
            "error": None,
            "device": None,
            "points": None,
            "from": at(now - 86_400),
            "to": at(now),
            "agg": "raw",
            "format": "csv",
            "for_spreadsheet": False,
            "locale": "pt-BR",
            "requested_by": "ana@acme.example",
            "sha256": None,
        } | given
        is_over = job["status"] not in ("PENDING", "PROCESSING")
        job.setdefault("notification", "sent" if is_over else "pending")
        self.jobs.insert(0, job)
        return job

    def complete(
        self,
        job: dict[str, Any],
        rows: int = 2_000_000,
        size: int = 61_400_000,
        notification: str = "sent",
    ) -> None:
        """Let a job be done."""
        now = time.time()
        job.update(
            status="COMPLETED", progress=1, record_count=rows, file_size=size, finished_at=at(now),
            expires_at=at(now + KEEP_S), sha256="0f" * 32, notification=notification,
        )  # fmt: skip

    def answer(self, parts: list[str], email: str, device: str | None, request: Request) -> Any:
        """The JSON of a call under ``/api/exports``. Raises ProblemError."""
        tenant = request.tenant
        assert tenant, "the page names a tenant in each of these calls"
        if not parts:
            is_new = request.method == "POST"
            return self._ask(tenant, email, device, request) if is_new else self._list(request)
        job = self._find(tenant, parts[0])
        is_running = job["status"] in ("PENDING", "PROCESSING")
        if parts[1:] == ["cancel"] and request.method == "POST":
            if not is_running:
                raise ProblemError(409, "A exportação já terminou.", is_detail=True)
            job.update(status="CANCELLED", finished_at=at(time.time()))
        if parts[1:] == ["download"]:
            if job["status"] != "COMPLETED":
                raise ProblemError(409, "O arquivo não existe mais.", is_detail=True)
            name = f"traksense-{tenant}.{job['format']}"
            return {"url": f"/bucket/{name}", "file_name": name}
        return job

    def _ask(self, tenant: str, email: str, device: str | None, request: Request) -> dict[str, Any]:
        body = request.body
        self.asked.append((request.key, dict(body)))
        if request.key not in self._keys:
            given = {"device": device, "points": body.get("points"), "requested_by": email}
            for name in ("from", "to", "agg", "format", "locale", "for_spreadsheet"):
                given[name] = body[name]
            self._keys[request.key] = self.add(tenant, **given)
        return self._keys[request.key]

    def _list(self, request: Request) -> dict[str, Any]:
        jobs = [job for job in self.jobs if job["tenant"] == request.tenant]
        start = int(request.query.get("cursor", 0))
        end = start + min(int(request.query.get("limit", 50)), self.page)
        return {"items": jobs[start:end], "next_cursor": str(end) if end < len(jobs) else None}

    def _find(self, tenant: str, job_id: str) -> dict[str, Any]:
        found = (job for job in self.jobs if (job["tenant"], job["id"]) == (tenant, job_id))
        job = next(found, None)
        if job is None:
            raise ProblemError(404, "Not Found")
        return job

    def move(self) -> None:
        """Let some time go by: what waits begins, what runs goes on and ends."""
        for job in self.jobs:
            if job["status"] == "PENDING":
                job.update(status="PROCESSING", started_at=at(time.time()))
            elif job["status"] == "PROCESSING":
                job["progress"] = min(1, job["progress"] + 0.1)
                job["record_count"] = int(2_000_000 * job["progress"])
                if job["progress"] >= 1:
                    self.complete(job)


def at(seconds: float) -> str:
    """An instant of the clock as the API writes it."""
    return to_ts(int(seconds * 1e6))
