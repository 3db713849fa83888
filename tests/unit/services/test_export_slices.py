"""Parts that are cut into slices: nothing is left out, nothing is read twice."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from traksense.services.export_slices import BATCH_SLICES, Part, Slice, Slicer

T0 = datetime(2025, 10, 7, 2, 34, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)


def read(read_slice: Slice, instants: list[datetime]) -> list[datetime]:
    """What the database would answer."""
    first, end = bisect_left(instants, read_slice.start), bisect_left(instants, read_slice.end)
    return instants[first:end][: read_slice.most]


def read_all(
    slicer: Slicer, readings: dict[UUID, list[datetime]]
) -> tuple[list[tuple[UUID, datetime]], int]:
    """What a worker writes, and how many statements it takes."""
    found: list[tuple[UUID, datetime]] = []
    batches = 0
    while batch := slicer.batch():
        batches += 1
        assert len(batch) <= BATCH_SLICES
        for each in batch:
            rows = read(each, readings[each.point_id])
            found += [(each.point_id, ts) for ts in rows]
            if not slicer.saw(each, len(rows), rows[-1] if rows else None):
                break
    return found, batches


@given(
    gaps=st.lists(st.integers(1, 10**10), max_size=60),
    most=st.integers(1, 20),
    planned=st.sampled_from([0, 1, 1_000, 10**9]),
    span=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_every_reading_is_read_once_and_in_order(
    gaps: list[int], most: int, planned: int, span: timedelta
) -> None:
    instants, at = [], T0 - timedelta(hours=1)
    for gap in gaps:
        at += timedelta(microseconds=gap)
        instants.append(at)
    parts = [Part(point, T0, T0 + span, most) for point in (ONE, TWO)]
    found, _ = read_all(Slicer(parts, planned), {ONE: instants, TWO: instants})
    inside = [ts for ts in instants if T0 <= ts < T0 + span]
    assert found == [(point, ts) for point in (ONE, TWO) for ts in inside]


def test_a_dense_point_is_found_out_once() -> None:
    instants = [T0 + timedelta(seconds=n) for n in range(100_000)]
    part = Part(ONE, T0, T0 + timedelta(days=2), 1_000)
    found, batches = read_all(Slicer([part], 0), {ONE: instants})
    assert len(found) == len(instants)
    assert batches < 10


def test_sparse_points_share_a_statement() -> None:
    part = Part(ONE, T0, T0 + timedelta(days=14), 1_000)
    assert len(Slicer([part] * 200, 200).batch()) == BATCH_SLICES


def test_slices_of_days_end_at_midnight() -> None:
    slicer = Slicer([Part(ONE, T0, T0 + timedelta(days=10), 1_000)], 2_000)
    first, *more = slicer.batch()
    assert first.start == T0
    for each in more:
        assert (each.start.hour, each.start.minute, each.start.microsecond) == (0, 0, 0)
