"""Compression: what is due goes in order, what cannot now is told, and a run ends in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from traksense.services.compression import BUDGET_S, Compression, CompressionReport, DueChunk

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Chunks:
    """Chunks by level; those whose name says so are held by somebody."""

    def __init__(self, **levels: list[DueChunk]) -> None:
        self.levels = levels
        self.asked: dict[str, datetime] = {}
        self.done: list[str] = []

    def due(self, level: str, before: datetime) -> list[DueChunk]:
        self.asked[level] = before
        return self.levels.get(level, [])

    def compress(self, chunk: str) -> bool:
        self.done.append(chunk)
        return "held" not in chunk


def run(chunks: Chunks, ticks: Iterator[float] | None = None) -> CompressionReport:
    timer = (lambda: 0.0) if ticks is None else ticks.__next__
    return Compression(chunks, timedelta(days=3), now=lambda: NOW, timer=timer).close()


def test_each_level_is_asked_for_what_ended_so_long_ago() -> None:
    chunks = Chunks()
    assert run(chunks) == CompressionReport()
    assert {level: NOW - before for level, before in chunks.asked.items()} == {
        "raw": timedelta(days=3),
        "1m": timedelta(days=7),
        "5m": timedelta(days=7),
        "1h": timedelta(days=14),
    }


def test_what_is_held_waits_and_the_others_are_done() -> None:
    chunks = Chunks(
        raw=[DueChunk("held", False), DueChunk("b", False), DueChunk("held late", True)],
        **{"1m": [DueChunk("c", True), DueChunk("held too", False)]},
    )
    assert run(chunks) == CompressionReport(
        compressed=1, recompressed=1, waiting=1, complete=False
    ), "days of readings alone are counted as waiting"
    assert chunks.done == ["held", "b", "held late", "c", "held too"]


def test_a_run_ends_in_time_and_says_what_it_left() -> None:
    chunks = Chunks(raw=[DueChunk(str(n), False) for n in range(4)])
    report = run(chunks, iter([0.0, 1.0, 2.0, BUDGET_S + 1, BUDGET_S + 2]))
    assert (report.compressed, report.waiting, report.complete) == (2, 2, False)
    assert chunks.done == ["0", "1"]
