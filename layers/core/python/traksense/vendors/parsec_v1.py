"""Parsec inverters: ``{"di1":1,"di2":0,"rssi":-68,"fw":"1.2.3","ts":"2025-10-07T15:30:00Z"}``.

``di1`` is the run input, ``di2`` the fault input. A field that is absent gives no reading; a
payload with none of them is refused.
"""

from __future__ import annotations

from typing import Final

from traksense.domain.readings import Decoded
from traksense.domain.reasons import Reason

from . import fields
from .fields import Refused, neighbours_kept

RUN: Final = "RUN"
STOP: Final = "STOP"


def recognises(document: object) -> bool:
    """Whether a parsed payload has a Parsec's digital inputs."""
    return isinstance(document, dict) and ("di1" in document or "di2" in document)


def decode(payload: bytes, received_at_us: int) -> Decoded:  # noqa: ARG001 - an adapter's shape
    """``status`` (RUN, STOP), ``fault``, ``rssi`` in dBm, and the firmware in meta.

    Raises Refused where the payload as a whole is of no use.
    """
    document = fields.parse(payload)
    if not isinstance(document, dict):
        raise Refused(Reason.BAD_PAYLOAD, f"payload is {fields.excerpt(document)}, not an object")
    if not any(field in document for field in ("di1", "di2", "rssi")):
        raise Refused(Reason.BAD_PAYLOAD, "none of di1, di2, rssi")
    ts_us = fields.instant(document.get("ts"))
    decoded = Decoded()
    if "di1" in document:
        with neighbours_kept(decoded, "status"):
            status = RUN if fields.digital(document["di1"], "di1") else STOP
            decoded.readings.append(fields.state("status", ts_us, "enum", status))
    if "di2" in document:
        with neighbours_kept(decoded, "fault"):
            fault = fields.digital(document["di2"], "di2")
            decoded.readings.append(fields.state("fault", ts_us, "bool", fault))
    if "rssi" in document:
        with neighbours_kept(decoded, "rssi"):
            rssi = fields.number(document["rssi"], "rssi")
            decoded.readings.append(fields.num("rssi", ts_us, rssi, "dBm"))
    if "fw" in document:
        with neighbours_kept(decoded, "fw"):
            decoded.meta["fw"] = fields.text(document["fw"], "fw")
    return decoded
