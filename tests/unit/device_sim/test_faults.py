"""Fault injection: what it adds, delays and shuffles, and what it never loses."""

from __future__ import annotations

from random import Random

import pytest

from device_sim.faults import Fault, FaultInjector, Outgoing, garbage
from device_sim.models import build
from device_sim.tally import Kind
from tests.unit.device_sim.support_fleet import NOW, device
from traksense.vendors import decode

MESSAGES = [Outgoing(b"%d" % i) for i in range(1000)]


def sent(*faults: Fault, seed: int = 1) -> list[Outgoing]:
    injector = FaultInjector(faults, Random(seed))
    out = [item for message in MESSAGES for item in injector.spread(message)]
    return out + injector.flush()


def test_without_faults_everything_goes_as_it_is() -> None:
    assert sent() == MESSAGES


def test_duplicates_repeat_and_lose_nothing() -> None:
    out = sent(Fault.DUPLICATE)
    assert len(out) > len(MESSAGES)
    assert list(dict.fromkeys(out)) == MESSAGES


def test_out_of_order_shuffles_and_loses_nothing() -> None:
    out = sent(Fault.OUT_OF_ORDER)
    assert out != MESSAGES
    assert sorted(out, key=lambda item: int(item.payload)) == MESSAGES


def test_garbage_comes_beside_the_good_messages_and_is_marked() -> None:
    out = sent(Fault.GARBAGE)
    assert [item for item in out if item.kind is Kind.TELEMETRY] == MESSAGES
    assert sum(item.kind is Kind.GARBAGE for item in out) > 10


def test_late_messages_lie_within_the_raw_retention() -> None:
    injector = FaultInjector([Fault.LATE], Random(1))
    late = [s for s in (injector.lateness() for _ in range(1000)) if s]
    assert 10 < len(late) < 150
    assert all(600 <= s <= 6 * 3600 for s in late)


def test_equal_seeds_give_equal_faults() -> None:
    everything = tuple(Fault)
    assert sent(*everything, seed=5) == sent(*everything, seed=5)
    assert sent(*everything, seed=5) != sent(*everything, seed=6)


@pytest.mark.parametrize("kind", ["chiller-v1", "inverter-je02"])
def test_garbage_is_never_a_whole_good_message(kind: str) -> None:
    model = build(device(kind))
    random = Random(3)
    for _ in range(300):
        spoilt = garbage(model.payloads(NOW)[0], random)
        assert decode(spoilt, None, int(NOW * 1e6)).rejections
