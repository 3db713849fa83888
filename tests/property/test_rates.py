"""However messages are split over batches and containers and repeated, each counts once."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from traksense.domain import rates
from traksense.domain.rates import Arrival, Claim

DEVICE = UUID(int=7)


@given(
    rate=st.integers(1, 5),
    batches=st.lists(st.lists(st.integers(1, 80), max_size=60), max_size=12),
)
def test_each_message_counts_once_and_what_was_admitted_stays_admitted(
    rate: int, batches: list[list[int]]
) -> None:
    admitted: list[int] = []
    kept: list[int] = []
    kept_bytes = counted = 0
    for batch in batches:
        arrivals = [Arrival(place, mark, 4000) for place, mark in enumerate(batch)]
        was_admitted = set(admitted)
        verdict = rates.judge(
            Claim(DEVICE, 0, rate, [], arrivals), admitted, kept, len(kept), kept_bytes
        )
        admitted += verdict.admitted
        kept += [each.mark for each in verdict.kept]
        kept_bytes += sum(each.size for each in verdict.kept)
        counted += len(verdict.counted)
        for arrival in arrivals:
            assert (arrival.place in verdict.surplus) == (arrival.mark not in admitted)
        assert not {batch[place] for place in verdict.surplus} & was_admitted
        assert verdict.is_over == (len(admitted) > rate or bool(verdict.surplus))
    distinct = {mark for batch in batches for mark in batch}
    assert len(set(admitted)) == len(admitted) == min(len(distinct), rates.BOUND * rate)
    assert len(set(kept)) == len(kept) <= rates.KEPT_IN_HOUR
    assert kept_bytes <= rates.KEPT_BYTES_IN_HOUR
    if len(distinct) > rates.BOUND * rate:
        assert len(kept) + counted >= len(distinct) - rates.BOUND * rate


@given(rate=st.integers(1, 1_000_000))
def test_a_device_is_counted_before_it_is_past_its_rate(rate: int) -> None:
    assert 1 <= rates.near(rate) <= rate
