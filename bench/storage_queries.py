"""Questions put to the API's handler, and to the predecessor's table.

An event goes in as API Gateway hands it to Lambda, with the claims that its authorizer verified,
and the answer comes out as a browser gets it: JSON, gzipped. Of the predecessor only its SQL and
the fetching of the rows are timed, nothing of an API.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from bench.predecessor import Predecessor
from bench.results import LOAD, Figures
from bench.storage_load import CHILLER, FLEET, fleet_name
from bench.storage_server import Server
from functions.api.app import app

API: Final = "traksense-api"
CALLS: Final = 120
ROUNDS: Final = 3
WARM: Final = 10
"""Calls before a round that do not count."""
PREDECESSOR_S: Final = 8.0
"""The predecessor's calls of a round end after so long, and after a round that took twice as long
there is no other: with 30 million readings some take a minute each."""
LEAST_CALLS: Final = 3


@dataclass(frozen=True, slots=True)
class Question:
    """One call, and the same one of the predecessor."""

    path: str
    query: Mapping[str, Sequence[str]]
    rows: tuple[int, int]
    """Least and most rows of all series of a right answer."""
    of_predecessor: Callable[[Predecessor], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Span:
    """What there is to ask about."""

    first: datetime
    end: datetime


class Asker:
    """Makes questions, and asks them."""

    def __init__(self, server: Server, span: Span, predecessor: Predecessor | None) -> None:
        self._server = server
        self._span = span
        self._predecessor = predecessor
        self._random = random.Random(11)
        points = server.points(CHILLER)
        with_history = server.one(
            "SELECT count(DISTINCT r.point_sk) FROM public.r_1h r"
            " JOIN public.dim_point d ON d.point_sk = r.point_sk"
            " WHERE d.device_id = %(device)s AND r.bucket < %(end)s",
            device=points[0][0],
            end=span.end - timedelta(days=1),
        )
        self._device = points[0][0]
        self._points = points[:with_history]
        """Of the chiller, those that report for all of the days."""
        self._devices = [
            (all_points[0][0], len(all_points))
            for name in (CHILLER, *(fleet_name(n) for n in range(1, FLEET + 1)))
            if (all_points := server.points(name, ("num", "bool", "enum", "text")))
        ]
        claims = {
            "sub": str(uuid.UUID(int=1)),
            "email": "ana@acme.example",
            "cognito:groups": "viewer",
            "custom:tenant_id": str(server.tenant_id),
            "token_use": "id",
        }
        self._context = {"httpMethod": "GET", "authorizer": {"claims": claims}}

    def measure(self, figures: Figures, suffix: str = "", rounds: int = ROUNDS) -> None:
        """Every question, in rounds; the predecessor's turn comes after each."""
        questions: dict[str, Callable[[int], Question]] = {
            "query_24h_1m": self._day_by_minutes,
            "query_30d_1h": self._month_by_hours,
            "query_30d_1m": self._month_by_minutes,
            "query_10x24h_1m": self._ten_days_by_minutes,
            "query_latest": self._latest,
        }
        for name, make in questions.items():
            print(name + suffix, flush=True)
            self._check(make(0), make(1))
            asks_predecessor = self._predecessor is not None and not suffix
            for _ in range(rounds):
                figures.add(LOAD, os.getloadavg()[0], "processes")
                p95 = self._round(figures, name + suffix, make)
                if asks_predecessor:
                    started = time.perf_counter()
                    of_predecessor = self._round_of_predecessor(figures, name, make)
                    figures.add(f"{name}_vs_predecessor_ratio", of_predecessor / p95, "×")
                    asks_predecessor = time.perf_counter() - started < 2 * PREDECESSOR_S

    def _round(self, figures: Figures, name: str, make: Callable[[int], Question]) -> float:
        events = [self._event(make(number)) for number in range(-WARM, CALLS)]
        for event in events[:WARM]:
            _app(event)
        took: list[float] = []
        server, client = self._server.backend_cpu_s(API), time.process_time()
        for event in events[WARM:]:
            started = time.perf_counter()
            answer = _app(event)
            took.append(time.perf_counter() - started)
            assert answer["statusCode"] == 200, answer
        client = time.process_time() - client
        server = self._server.backend_cpu_s(API) - server
        p50, p95 = _percentiles(took)
        figures.add(f"{name}_client_cpu_ms", client / CALLS * 1e3, "ms")
        figures.add(f"{name}_server_cpu_ms", server / CALLS * 1e3, "ms")
        figures.add(f"{name}_p50_ms", p50, "ms")
        figures.add(f"{name}_p95_ms", p95, "ms")
        return p95

    def _round_of_predecessor(
        self, figures: Figures, name: str, make: Callable[[int], Question]
    ) -> float:
        assert self._predecessor is not None
        took: list[float] = []
        ends = time.perf_counter() + PREDECESSOR_S
        while len(took) < CALLS and (len(took) < LEAST_CALLS or time.perf_counter() < ends):
            question = make(len(took))
            started = time.perf_counter()
            question.of_predecessor(self._predecessor)
            took.append(time.perf_counter() - started)
        p50, p95 = _percentiles(took)
        figures.add(f"{name}_predecessor_p50_ms", p50, "ms")
        figures.add(f"{name}_predecessor_p95_ms", p95, "ms")
        return p95

    def _check(self, *questions: Question) -> None:
        """What is timed has to be right: as many rows as there are, the predecessor's values."""
        for question in questions:
            answer = _app(self._event(question))
            assert answer["statusCode"] == 200, answer
            body = answer["body"]
            if answer.get("isBase64Encoded"):
                body = gzip.decompress(base64.b64decode(body))
            body = json.loads(body)
            series = body.get("series")
            if series is None:
                rows = [item for item in body["items"] if item["ts"] is not None]
            else:
                assert not any(each["truncated"] for each in series), body
                rows = [row for each in series for row in each["rows"]]
            least, most = question.rows
            assert least <= len(rows) <= most, (question, len(rows))
            if self._predecessor is None:
                continue
            theirs = question.of_predecessor(self._predecessor)
            assert len(theirs) == len(rows), (question, len(theirs), len(rows))
            if series is not None:
                ours = sorted(row[1] for row in rows)
                for a, b in zip(ours, sorted(row[2] for row in theirs), strict=True):
                    assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9), (question, a, b)

    def _event(self, question: Question) -> dict[str, Any]:
        return {
            "resource": question.path,
            "path": question.path,
            "httpMethod": "GET",
            "headers": {
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate, br",
                "Accept-Language": "pt-BR",
            },
            "multiValueQueryStringParameters": {k: list(v) for k, v in question.query.items()},
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                **self._context,
                "resourcePath": question.path,
                "requestId": str(uuid.uuid4()),
            },
            "body": None,
            "isBase64Encoded": False,
        }

    def _series(
        self, points: Sequence[tuple[UUID, UUID, str]], first: datetime, end: datetime,
        agg: str, width: LiteralString,
    ) -> Question:  # fmt: skip
        buckets = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1)}[agg]
        whole = len(points) * ((end - first) // buckets)
        ids = [point_id for _, point_id, _ in points]
        return Question(
            "/api/data/points",
            {
                "device": [str(self._device)],
                "point": [str(each) for each in ids],
                "from": [first.isoformat()],
                "to": [end.isoformat()],
                "agg": [agg],
                "max_points": [str(max(2_000, whole + 2))],
            },
            # A bucket more where the window begins and ends within one.
            (round(whole * 0.99), whole + len(points)),
            lambda table: table.buckets(width, self._device, ids, first, end),
        )

    def _some_day(self, number: int) -> tuple[datetime, datetime]:
        """Every second window is the last 24 hours; the others lie anywhere, on a minute."""
        end = self._span.end
        if number % 2:
            minutes = (end - self._span.first) // timedelta(minutes=1) - 24 * 60
            end -= timedelta(minutes=self._random.randrange(minutes))
        return end - timedelta(days=1), end

    def _point(self, number: int) -> tuple[UUID, UUID, str]:
        return self._points[number % len(self._points)]

    def _day_by_minutes(self, number: int) -> Question:
        return self._series([self._point(number)], *self._some_day(number), "1m", "1 minute")

    def _month(self) -> tuple[datetime, datetime]:
        end = self._span.end.replace(minute=0)
        return end - timedelta(days=30), end

    def _month_by_hours(self, number: int) -> Question:
        return self._series([self._point(number)], *self._month(), "1h", "1 hour")

    def _month_by_minutes(self, number: int) -> Question:
        return self._series([self._point(number)], *self._month(), "1m", "1 minute")

    def _ten_days_by_minutes(self, number: int) -> Question:
        first = number * 10 % len(self._points)
        points = (self._points + self._points)[first : first + 10]
        return self._series(points, *self._some_day(number), "1m", "1 minute")

    def _latest(self, number: int) -> Question:
        """Of the chiller with all its history, and in turn of a device that is new."""
        device, points = self._devices[0 if number % 2 == 0 else number // 2 % FLEET + 1]
        return Question(
            "/api/data/latest",
            {"device": [str(device)]},
            (points, points),
            lambda table: table.latest(device),
        )


def _app(event: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = app(event, None)
    return answer


def _percentiles(took: Sequence[float]) -> tuple[float, float]:
    """p50 and p95 in milliseconds."""
    ordered = sorted(took)
    return ordered[len(ordered) // 2] * 1e3, ordered[int(len(ordered) * 0.95)] * 1e3
