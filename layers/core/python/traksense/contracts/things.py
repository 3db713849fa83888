"""Devices in AWS IoT: a thing type with attributes, and the policies that go by them.

One policy serves all devices, since its topics are written with the attributes of the thing whose
certificate connects (AWS IoT developer guide, "Thing policy variables"). A variable of an
attribute that a thing has not makes its statement match nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from . import topics
from .topics import Channel

THING_TYPE: Final = "traksense-device"
SEARCHABLE: Final = ("tenant", "site", "device")
"""Attributes of the type that can be searched by; there may be three. ``mac`` is a fourth."""

MAX_POLICY_CHARACTERS: Final = 2048
"""AWS IoT Core quotas: the longest policy document, white space aside."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A device as the registry of things knows it."""

    tenant: str
    site: str
    device: str
    mac: str | None = None

    @property
    def name(self) -> str:
        """Thing name, certificate CN and MQTT client ID."""
        return topics.thing_name(self.tenant, self.device)

    @property
    def attributes(self) -> dict[str, str]:
        """What policies know of it."""
        own = {"tenant": self.tenant, "site": self.site, "device": self.device}
        return own if self.mac is None else {**own, "mac": self.mac}

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies of its certificates."""
        return (DEVICE_POLICY,) if self.mac is None else (DEVICE_POLICY, GATEWAY_POLICY)


def _attribute(name: str) -> str:
    return f"${{iot:Connection.Thing.Attributes[{name}]}}"


def _arn(kind: str, resource: str) -> str:
    return f"arn:aws:iot:*:*:{kind}/{resource}"


def _topic(channel: Channel) -> str:
    own = "/".join(map(_attribute, SEARCHABLE))
    return f"{topics.ROOT}/{own}/{channel}"


def _allow(actions: list[str], resources: list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def _device(straight_to: str | None) -> dict[str, Any]:
    publishes = [_arn("topic", _topic(channel)) for channel in topics.UPLINK]
    if straight_to is not None:
        publishes.append(_arn("topic", f"$aws/rules/{straight_to}/{_topic(Channel.TELEM)}"))
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow(
                ["iot:Connect"],
                [_arn("client", "${iot:Connection.Thing.ThingName}")],
                Condition={"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}},
            ),
            _allow(["iot:Publish"], publishes),
            _allow(["iot:RetainPublish"], [_arn("topic", _topic(Channel.STATE))]),
            _allow(["iot:Subscribe"], [_arn("topicfilter", _topic(Channel.CMD))]),
            _allow(["iot:Receive"], [_arn("topic", _topic(Channel.CMD))]),
        ],
    }


_GATEWAY: Final = {
    "Version": "2012-10-17",
    "Statement": [
        _allow(
            ["iot:Publish"],
            [_arn("topic", f"{topics.TDS_ROOT}/{_attribute('mac')}/{topics.TDS_SUFFIX}")],
        )
    ],
}

DEVICE_POLICY: Final = "traksense-device"
GATEWAY_POLICY: Final = "traksense-gateway"
"""For certificates of gateways that are known by their MAC, beside the device's."""


def policies(straight_to: str | None = None) -> dict[str, str]:
    """Policy documents by name: each is made once in an account and attached by its name.

    ``straight_to``: name of the topic rule that devices may publish telemetry to without the
    broker between them, and its price (AWS IoT developer guide, "Basic Ingest").
    """
    return {
        DEVICE_POLICY: json.dumps(_device(straight_to), separators=(",", ":")),
        GATEWAY_POLICY: json.dumps(_GATEWAY, separators=(",", ":")),
    }


POLICIES: Final = policies()
