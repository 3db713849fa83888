"""MQTT topics: build them, parse them, and the filters that rules and policies use.

``traksense/{tenant}/{site}/{device}/{channel}`` for devices with an identity of their own,
``tds_new/devices/{mac}/telemetry`` for gateways that know only their MAC address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ROOT: Final = "traksense"
TDS_ROOT: Final = "tds_new/devices"
TDS_SUFFIX: Final = "telemetry"
PRESENCE_ROOT: Final = "$aws/events/presence"

SLUG_PATTERN: Final = r"[a-z0-9-]{1,31}"
DEVICE_NAME_PATTERN: Final = r"[A-Za-z0-9_-]{1,32}"
MAC_PATTERN: Final = r"[0-9A-Fa-f]{2}(?:[:-]?[0-9A-Fa-f]{2}){5}"

_SLUG = re.compile(SLUG_PATTERN)
_DEVICE_NAME = re.compile(DEVICE_NAME_PATTERN)
_MAC = re.compile(MAC_PATTERN)


class Channel(StrEnum):
    """The last level of a device's topic."""

    STATE = "state"
    TELEM = "telem"
    EVENT = "event"
    ALARM = "alarm"
    ACK = "ack"
    CMD = "cmd"


_CHANNELS: Final = {str(channel): channel for channel in Channel}

UPLINK: Final = (Channel.STATE, Channel.TELEM, Channel.EVENT, Channel.ALARM, Channel.ACK)
"""What a device may publish to; ``cmd`` it may only subscribe to."""


class TopicError(ValueError):
    """The topic is none of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """A topic of a device with a certificate of its own."""

    tenant: str
    site: str
    device: str
    channel: Channel

    @property
    def thing_name(self) -> str:
        """Thing name, certificate CN and MQTT client ID of the device."""
        return thing_name(self.tenant, self.device)

    def __str__(self) -> str:
        return f"{ROOT}/{self.tenant}/{self.site}/{self.device}/{self.channel}"


@dataclass(frozen=True, slots=True)
class GatewayTopic:
    """The telemetry topic of a gateway known by its MAC address (``aa:bb:cc:dd:ee:ff``)."""

    mac: str

    def __str__(self) -> str:
        return f"{TDS_ROOT}/{self.mac}/{TDS_SUFFIX}"


@dataclass(frozen=True, slots=True)
class PresenceTopic:
    """A connect or disconnect that the broker itself reports of a client."""

    connected: bool
    client_id: str

    def __str__(self) -> str:
        event = "connected" if self.connected else "disconnected"
        return f"{PRESENCE_ROOT}/{event}/{self.client_id}"


Topic = DeviceTopic | GatewayTopic | PresenceTopic


def thing_name(tenant: str, device: str) -> str:
    """``{tenant}_{device}``: a tenant's slug has no underscore, so the first one splits it."""
    return f"{tenant}_{device}"


def device_topic(tenant: str, site: str, device: str, channel: Channel) -> DeviceTopic:
    """Build a device's topic. Raises TopicError where a level is not a legal name."""
    for what, value, pattern in (
        ("tenant", tenant, _SLUG),
        ("site", site, _SLUG),
        ("device", device, _DEVICE_NAME),
    ):
        if not pattern.fullmatch(value):
            raise TopicError(f"{what} {value!r} does not match {pattern.pattern}")
    return DeviceTopic(tenant, site, device, channel)


def normalise_mac(mac: str) -> str:
    """Lower-case, colon-separated form of a MAC address. Raises TopicError for anything else."""
    if not _MAC.fullmatch(mac):
        raise TopicError(f"{mac!r} is not a MAC address")
    digits = mac.replace(":", "").replace("-", "").lower()
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def gateway_topic(mac: str) -> GatewayTopic:
    """Build a gateway's telemetry topic from its MAC address."""
    return GatewayTopic(normalise_mac(mac))


def split_thing_name(name: str) -> tuple[str, str]:
    """``(tenant, device)`` of a thing name. Raises TopicError where it is none of ours."""
    tenant, separator, device = name.partition("_")
    if not separator or not _SLUG.fullmatch(tenant) or not _DEVICE_NAME.fullmatch(device):
        raise TopicError(f"{name!r} is not a thing name of the form tenant_device")
    return tenant, device


def parse(topic: str) -> Topic:
    """Read a topic. Raises TopicError, saying which level is wrong."""
    levels = topic.split("/")
    if len(levels) == 5 and levels[0] == ROOT:
        _, tenant, site, device, channel = levels
        if channel not in _CHANNELS:
            raise TopicError(f"{channel!r} is not one of {', '.join(Channel)}")
        return device_topic(tenant, site, device, _CHANNELS[channel])
    if len(levels) == 4 and f"{levels[0]}/{levels[1]}" == TDS_ROOT and levels[3] == TDS_SUFFIX:
        return gateway_topic(levels[2])
    if len(levels) == 5 and "/".join(levels[:3]) == PRESENCE_ROOT:
        if levels[3] not in ("connected", "disconnected"):
            raise TopicError(f"{levels[3]!r} is neither connected nor disconnected")
        return PresenceTopic(levels[3] == "connected", levels[4])
    raise TopicError(f"{topic!r} is neither {ROOT}/… nor {TDS_ROOT}/{{mac}}/{TDS_SUFFIX}")


def channel_filter(channel: Channel) -> str:
    """Topic filter over all devices of all tenants for one channel."""
    return f"{ROOT}/+/+/+/{channel}"


def presence_filter() -> str:
    """Topic filter over the broker's own reports of connects and disconnects."""
    return f"{PRESENCE_ROOT}/+/+"


def tds_filter() -> str:
    """Topic filter over all gateways known by MAC."""
    return f"{TDS_ROOT}/+/{TDS_SUFFIX}"


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter (``+``, ``#``) matches a topic (MQTT 3.1.1, section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(wanted) == len(levels)
