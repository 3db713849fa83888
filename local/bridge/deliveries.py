"""Which packets the broker still waits to see acknowledged.

After a lost connection the broker sends everything unacknowledged again, with its old packet
identifier and the DUP flag (MQTT 3.1.1, 4.4). A bridge that kept running knows these: what is
still in hand is not taken twice, and what was settled meanwhile is acknowledged at once. A bridge
that was killed knows nothing and takes them as new, which is why functions expect duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(slots=True, eq=False)
class Delivery:
    """One packet of the broker's: its identifier, and what it held."""

    packet_id: int
    fingerprint: int
    finished: bool = False


class Arrival(Enum):
    """What a packet is to us."""

    NEW = auto()
    IN_HAND = auto()
    FINISHED = auto()


class Deliveries:
    """The packets of one session. Not thread-safe."""

    def __init__(self) -> None:
        self._by_packet: dict[int, Delivery] = {}
        self._connected = False

    def connected(self, *, session_present: bool) -> None:
        """The connection stands. Without a session the broker has forgotten its identifiers."""
        self._connected = True
        if not session_present:
            self._by_packet.clear()

    def disconnected(self) -> None:
        """The connection is gone: what is settled now is acknowledged when it comes again."""
        self._connected = False

    def arrive(
        self, packet_id: int, fingerprint: int, *, duplicate: bool
    ) -> tuple[Arrival, Delivery]:
        """Take note of a packet; ``fingerprint`` is a hash over its topic and payload."""
        known = self._by_packet.get(packet_id)
        if duplicate and known is not None and known.fingerprint == fingerprint:
            return (Arrival.FINISHED if known.finished else Arrival.IN_HAND), known
        delivery = Delivery(packet_id, fingerprint)
        self._by_packet[packet_id] = delivery
        return Arrival.NEW, delivery

    def finish(self, delivery: Delivery) -> bool:
        """The message is settled. True: acknowledge the packet now."""
        if self._by_packet.get(delivery.packet_id) is not delivery:
            return False
        delivery.finished = True
        if not self._connected:
            return False
        del self._by_packet[delivery.packet_id]
        return True
