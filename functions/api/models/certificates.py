"""What is sent and answered about devices' certificates."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer, Utc
from functions.api.models.devices import DeviceAnswer
from functions.api.validation import Body, UuidText
from traksense.services.provisioning import MOST_AT_ONCE

CertificateId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Provision(Body):
    """Where nothing is sent, the key is made here and answered once."""

    csr: Annotated[str, Field(min_length=1, max_length=8192)] | None = Field(
        default=None, description="A certificate request (PKCS #10) in PEM, with CN=<thing name>."
    )


class ProvisionMany(Body):
    """Devices that get a new key each."""

    devices: Annotated[list[UuidText], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Revoke(Body):
    """Where nothing is sent, all certificates of the device."""

    certificate_id: CertificateId | None = None


class EndpointAnswer(Answer):
    """Where devices connect by MQTT over TLS; ``ca`` signed the server's certificate (PEM)."""

    host: str
    port: int
    ca: str


class TopicsAnswer(Answer):
    """What the device may publish to, and the one topic that it may subscribe to."""

    publish: list[str]
    subscribe: list[str]


class CredentialsAnswer(Answer):
    """What a device connects with. The key is answered this once and kept nowhere."""

    device_id: UUID
    thing_name: str = Field(description="Also the MQTT client id and the certificate's CN.")
    certificate_id: str
    certificate: str = Field(description="PEM.")
    private_key: str | None = Field(description="PEM; null where the device made its own.")
    expires_at: Utc
    endpoint: EndpointAnswer
    topics: TopicsAnswer


class IssuedAnswer(Answer):
    """The outcome for one device of several: a certificate with its key, or why there is none."""

    device_id: UUID
    thing_name: str | None
    certificate_id: str | None
    certificate: str | None
    private_key: str | None
    expires_at: Utc | None
    error: str | None = Field(description="What is wrong, in the caller's language.")
    retry: bool = Field(description="Whether the same call may succeed later.")


class IssuedListAnswer(Answer):
    """What ``/api/devices/provision`` answers, in the order of the call."""

    items: list[IssuedAnswer]
    endpoint: EndpointAnswer


class RevokedAnswer(Answer):
    """How many certificates there were to turn off."""

    revoked: int


class CertificateAnswer(Answer):
    """A certificate that a device got."""

    certificate_id: str
    fingerprint: str = Field(description="SHA-256 of the DER form, in hex.")
    status: Literal["pending", "active", "revoked"]
    created_at: Utc
    expires_at: Utc
    revoked_at: Utc | None


class CertificatesAnswer(Answer):
    """A device's certificates, newest first."""

    items: list[CertificateAnswer]


class CreatedDeviceAnswer(DeviceAnswer):
    """A new device. With ``provision=true``: its credentials, shown this once."""

    credentials: CredentialsAnswer | None = Field(description="Null where none were asked for.")
    provision_error: str | None = Field(
        description="Why there are none although they were asked for; the device is made, and "
        "can be provisioned by a call of its own."
    )
