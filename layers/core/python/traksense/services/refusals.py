"""Dead letters on their way to the table: made, counted, and told to the log."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from traksense.domain.directory import Device
from traksense.domain.messages import DeadLetter, Message, dead_letter
from traksense.domain.readings import Rejection, from_microseconds
from traksense.domain.reasons import Reason

LOGGED: Final = 5
"""Dead letters of one transaction that get a log line each: a mad device must not fill a disk."""

_log = logging.getLogger(__name__)


def retired(device: Device, code: str | None = None) -> Rejection:
    """Why nothing of a device that was taken out of service is accepted."""
    return Rejection(Reason.DEVICE_RETIRED, f"{device.name} is retired", code)


def keep(
    letters: dict[bytes, DeadLetter],
    reasons: Counter[str],
    message: Message,
    rejections: list[Rejection],
    device: Device | None,
) -> None:
    """Add a message to the dead letters of a transaction; the same message counts once."""
    letter = dead_letter(
        message,
        rejections,
        from_microseconds(message.received_at_us),
        None if device is None else device.tenant_id,
        None if device is None else device.device_id,
    )
    letters.setdefault(letter.fingerprint, letter)
    reasons.update(str(rejection.reason) for rejection in rejections)
    if len(letters) <= LOGGED:
        known = {} if device is None else {"tenant": device.tenant, "device": device.name}
        _log.info(
            "dead letter: %s",
            letter.detail[:200],
            extra={"reason": letter.reason, "topic": letter.topic, **known},
        )
