from __future__ import annotations

from local.bridge.deliveries import Arrival, Deliveries


def connected() -> Deliveries:
    deliveries = Deliveries()
    deliveries.connected(session_present=True)
    return deliveries


def test_a_settled_packet_is_acknowledged_once() -> None:
    deliveries = connected()
    arrival, delivery = deliveries.arrive(7, 1, duplicate=False)
    assert arrival is Arrival.NEW
    assert deliveries.finish(delivery)
    assert not deliveries.finish(delivery)


def test_a_packet_that_comes_again_while_in_hand_is_not_taken_twice() -> None:
    deliveries = connected()
    _, delivery = deliveries.arrive(7, 1, duplicate=False)
    deliveries.disconnected()
    deliveries.connected(session_present=True)
    assert deliveries.arrive(7, 1, duplicate=True) == (Arrival.IN_HAND, delivery)
    assert deliveries.finish(delivery)


def test_what_was_settled_without_a_connection_is_acknowledged_when_it_comes_again() -> None:
    deliveries = connected()
    _, delivery = deliveries.arrive(7, 1, duplicate=False)
    deliveries.disconnected()
    assert not deliveries.finish(delivery)
    deliveries.connected(session_present=True)
    assert deliveries.arrive(7, 1, duplicate=True) == (Arrival.FINISHED, delivery)
    assert deliveries.finish(delivery)


def test_another_message_under_a_known_number_is_new() -> None:
    deliveries = connected()
    _, old = deliveries.arrive(7, 1, duplicate=False)
    arrival, new = deliveries.arrive(7, 2, duplicate=True)
    assert arrival is Arrival.NEW
    assert not deliveries.finish(old)
    assert deliveries.finish(new)


def test_a_number_of_a_lost_session_is_never_acknowledged() -> None:
    deliveries = connected()
    _, old = deliveries.arrive(7, 1, duplicate=False)
    deliveries.disconnected()
    deliveries.connected(session_present=False)
    arrival, new = deliveries.arrive(7, 2, duplicate=False)
    assert arrival is Arrival.NEW
    assert not deliveries.finish(old)
    assert deliveries.finish(new)
