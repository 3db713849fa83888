"""mosquitto's configuration and access lists (mosquitto.conf(5)), as text.

Settings are per listener on purpose. The platform's listener has no access list: only its own
certificate authority opens it. An access list is looked up by connection, and mosquitto forgets
that of a session whose client is away when it reloads; a queue whose consumer was being
restarted would silently lose every message from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from traksense.contracts import topics

MAX_PACKET_BYTES: Final = 256 * 1024 + 1024
"""Twice what a device may send, and a topic: what is only somewhat too large reaches the dead
letters, with its reason. A client that sends more is disconnected."""

MAX_INFLIGHT_MESSAGES: Final = 20_000
"""Delivered and not yet acknowledged: the largest batch and as much again. Zero would run past
the 65,535 packet identifiers."""


@dataclass(frozen=True, slots=True)
class BrokerDevice:
    """A device as the broker's access list knows it. ``mac`` is a TDS gateway's, else None."""

    tenant: str
    site: str
    name: str
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """Paths in the broker's folder."""

    directory: Path

    @property
    def configuration(self) -> Path:
        """mosquitto.conf."""
        return self.directory / "mosquitto.conf"

    @property
    def access_list(self) -> Path:
        """The devices' access list."""
        return self.directory / "devices.acl"

    @property
    def revocations(self) -> Path:
        """The list of devices' certificates that are good no more."""
        return self.directory / "devices.crl"

    @property
    def store(self) -> Path:
        """Sessions, queued and retained messages, as of the last save."""
        return self.directory / "mosquitto.db"

    def copy_of(self, certificate: Path) -> Path:
        """Where the broker reads a certificate or key of the home."""
        return self.directory / certificate.name


def access_list(devices: Iterable[BrokerDevice]) -> str:
    """The access list: literal topics, a paragraph a device.

    A device may write to its own five topics (and a gateway to its MAC's) and read its own
    ``cmd``; a certificate that is not listed may do nothing. Raises TopicError for illegal names.
    """
    paragraphs = []
    for device in sorted(devices, key=lambda device: (device.tenant, device.name)):
        uplink = [
            str(topics.device_topic(device.tenant, device.site, device.name, channel))
            for channel in topics.UPLINK
        ]
        if device.mac is not None:
            uplink.append(str(topics.gateway_topic(device.mac)))
        command = topics.device_topic(device.tenant, device.site, device.name, topics.Channel.CMD)
        lines = [f"user {topics.thing_name(device.tenant, device.name)}"]
        lines += [f"topic write {topic}" for topic in uplink]
        lines.append(f"topic read {command}")
        paragraphs.append("\n".join(lines) + "\n")
    return "\n".join(paragraphs)


def configuration(
    files: BrokerFiles,
    *,
    mqtt_port: int,
    platform_port: int,
    ca: Path,
    platform_ca: Path,
    server_certificate: Path,
    server_key: Path,
) -> str:
    """mosquitto.conf for a devices' and a platform's listener, both on loopback with mTLS."""
    return f"""\
per_listener_settings true

# Everything that was acknowledged survives a restart. The platform asks for a save each second
# besides: mosquitto's own comes every other second at this setting.
persistence true
persistence_location {files.directory}/
persistence_file {files.store.name}
autosave_interval 1
autosave_on_changes false
persistent_client_expiration 14d

# A consumer that is away loses nothing, and a batch is delivered whole.
max_queued_messages 0
max_inflight_messages {MAX_INFLIGHT_MESSAGES}
queue_qos0_messages false
max_packet_size {MAX_PACKET_BYTES}
retain_available true
set_tcp_nodelay true

# Connects and disconnects are notices: the bridge reads them under $SYS/broker/log/N.
log_dest stderr
log_dest topic
log_type error
log_type warning
log_type notice
connection_messages true
log_timestamp true
log_timestamp_format %Y-%m-%dT%H:%M:%SZ
sys_interval 10

# Devices: name, client identifier and topics follow from the certificate.
listener {mqtt_port} 127.0.0.1
allow_anonymous false
cafile {files.copy_of(ca)}
certfile {files.copy_of(server_certificate)}
keyfile {files.copy_of(server_key)}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
acl_file {files.access_list}
crlfile {files.revocations}

# The platform itself.
listener {platform_port} 127.0.0.1
allow_anonymous false
cafile {files.copy_of(platform_ca)}
certfile {files.copy_of(server_certificate)}
keyfile {files.copy_of(server_key)}
require_certificate true
use_identity_as_username true
"""


def digest(configuration_text: str, *contents: bytes) -> str:
    """Names a configuration with all that it reads, the access list aside."""
    found = hashlib.sha256(configuration_text.encode())
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()
