from __future__ import annotations

import json

import pytest

from local.bridge.deliveries import Delivery
from local.bridge.event import sqs_event
from local.bridge.queue import DeliveryPolicy, Message, MessageQueue
from traksense.contracts.queues import MAX_BATCH_BYTES, QUEUES
from traksense.contracts.rules import project

DAY_S = 24 * 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def policy(**changes: float) -> DeliveryPolicy:
    values = {
        "batch_size": 3,
        "window_s": 1.0,
        "max_bytes": 10_000,
        "give_up_receives": 3,
        "give_up_after_s": 100.0,
    }
    return DeliveryPolicy(**{**values, **changes})


def message(name: str, body: str = "{}") -> Message:
    return Message(name, body, sent_at_ms=0, delivery=Delivery(1, 0))


def names(batch: list[Message]) -> list[str]:
    return [one.message_id for one in batch]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_batch_waits_for_its_window_after_the_first_message(clock: Clock) -> None:
    queue = MessageQueue(policy(), clock)
    assert queue.ready_in() is None
    queue.put(message("a"))
    clock.now += 0.6
    queue.put(message("b"))
    assert queue.take() == []
    assert queue.ready_in() == pytest.approx(0.4)
    clock.now += 0.4
    assert names(queue.take()) == ["a", "b"]


def test_a_full_batch_does_not_wait(clock: Clock) -> None:
    queue = MessageQueue(policy(), clock)
    moved = [queue.put(message(name)) for name in "abcd"]
    assert moved == [True, False, True, False]
    assert queue.ready_in() == 0
    assert names(queue.take()) == ["a", "b", "c"]
    assert queue.take() == []
    clock.now += 1
    assert names(queue.take()) == ["d"]


def test_without_a_window_what_is_there_is_taken_at_once(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0), clock)
    queue.put(message("a"))
    assert names(queue.take()) == ["a"]


def test_a_batch_ends_before_it_outgrows_an_invocation(clock: Clock) -> None:
    queue = MessageQueue(policy(max_bytes=2000), clock)
    for name in "ab":
        queue.put(message(name, "x" * 800))
    assert names(queue.take()) == ["a"]
    clock.now += 1
    assert names(queue.take()) == ["b"]


def test_a_message_larger_than_a_batch_goes_alone(clock: Clock) -> None:
    queue = MessageQueue(policy(max_bytes=1000), clock)
    queue.put(message("a", "x" * 5000))
    queue.put(message("b"))
    assert names(queue.take()) == ["a"]


def test_the_size_of_a_message_is_no_less_than_its_part_of_the_event() -> None:
    body = project(b'{"v": "\xff\\"}' * 50, "traksense/acme/são/x/telem", "acme_x", 2**41)
    one = Message("0" * 36, body, sent_at_ms=2**41, delivery=Delivery(1, 0))
    one.receives, one.first_received_ms = 10_000, 2**41
    assert len(json.dumps(sqs_event("device-events", [one]))) <= one.size


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_the_largest_batch_fits_an_invocation(queue: object, clock: Clock) -> None:
    waiting = MessageQueue(DeliveryPolicy.of(queue, "busy"), clock)  # type: ignore[arg-type]
    body = project(b"x" * 1100, "traksense/acme/site/device/telem", "acme_device", 2**41)
    for number in range(8000):
        waiting.put(message(str(number), body))
    batch = waiting.take()
    assert len(json.dumps(sqs_event("ingest", batch))) <= MAX_BATCH_BYTES


def test_what_failed_comes_again_with_growing_delays_up_to_thirty_seconds(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0, give_up_receives=1000), clock)
    queue.put(message("a"))
    delays = []
    for _ in range(8):
        queue.settle(queue.take(), {"a"})
        delay = queue.ready_in()
        assert delay is not None
        delays.append(delay)
        clock.now += delay
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_what_succeeded_is_done_and_the_rest_stays(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0), clock)
    for name in "abc":
        queue.put(message(name))
    settled = queue.settle(queue.take(), {"b"})
    assert names(settled.done) == ["a", "c"]
    assert settled.dead == []
    assert queue.depth == 1


def test_redeliveries_do_not_share_a_batch_with_new_messages_and_take_turns(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0), clock)
    for name in "ab":
        queue.put(message(name))
    queue.settle(queue.take(), {"a", "b"})
    clock.now += 1
    for name in "cdefgh":
        queue.put(message(name))
    batches = [names(queue.take()) for _ in range(3)]
    assert batches == [["a", "b"], ["c", "d", "e"], ["f", "g", "h"]]


def test_a_poisonous_message_does_not_hold_up_new_ones(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0), clock)
    queue.put(message("poison"))
    queue.settle(queue.take(), {"poison"})
    queue.put(message("new"))
    assert names(queue.take()) == ["new"]


def test_a_message_is_given_up_only_after_its_deliveries_and_its_time(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0, longest_delay_s=1), clock)
    queue.put(message("a"))
    deliveries = 0
    while True:
        settled = queue.settle(queue.take(), {"a"})
        deliveries += 1
        if settled.dead:
            break
        clock.now += queue.ready_in() or 0
    assert names(settled.dead) == ["a"]
    assert clock.now - 1000 >= 100
    assert deliveries >= 3
    assert (queue.depth, queue.held_bytes) == (0, 0)


@pytest.mark.parametrize("contract", QUEUES, ids=lambda queue: queue.name)
def test_every_queue_is_patient_for_at_least_a_day(contract: object) -> None:
    chosen = DeliveryPolicy.of(contract, "busy")  # type: ignore[arg-type]
    assert chosen.give_up_after_s >= DAY_S


def test_the_first_success_after_an_outage_makes_everything_due(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0, give_up_receives=1000), clock)
    queue.put(message("old"))
    for _ in range(5):
        queue.settle(queue.take(), {"old"})
        clock.now += queue.ready_in() or 0
    queue.settle(queue.take(), {"old"})
    assert queue.ready_in() == 30
    queue.put(message("new"))
    queue.settle(queue.take(), ())
    assert queue.ready_in() == 0
    assert names(queue.take()) == ["old"]


def test_a_message_that_keeps_failing_is_not_hastened_by_every_success(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0, give_up_receives=1000), clock)
    queue.put(message("poison"))
    queue.settle(queue.take(), {"poison"})
    for number in range(20):
        queue.put(message(str(number)))
        batch = queue.take()
        queue.settle(batch, {"poison"} & set(names(batch)))
        clock.now += 0.01
    delay = queue.ready_in()
    assert delay is not None
    assert delay > 1


def test_dead_letters_that_could_not_be_written_are_tried_again(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0, give_up_receives=1, give_up_after_s=0), clock)
    queue.put(message("a"))
    dead = queue.settle(queue.take(), {"a"}).dead
    queue.postpone(dead)
    assert queue.depth == 1
    assert queue.held_bytes == dead[0].size
    assert queue.ready_in() == 30


def test_depth_counts_fresh_waiting_and_in_hand(clock: Clock) -> None:
    queue = MessageQueue(policy(window_s=0), clock)
    queue.put(message("a"))
    queue.settle(queue.take(), {"a"})
    queue.put(message("b"))
    queue.take()
    queue.put(message("c"))
    assert queue.depth == 3
