"""What provisioning talks to: the registry of things, and the notes about certificates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from traksense.contracts.things import Thing
from traksense.domain.errors import RetryableError, TrakSenseError
from traksense.services.certificate_requests import CertificateFacts
from traksense.services.devices import Status


class RegistryAway(RetryableError):
    """The registry of things does not answer, or wants to be asked more slowly."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as the registry made it; PEM."""

    certificate_id: str
    arn: str
    pem: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where devices connect, and the authority (PEM) that signed the server's certificate."""

    host: str
    port: int
    ca: str


class ThingRegistry(Protocol):
    """AWS IoT's registry of things and certificates. All raise RegistryAway.

    Each call may be repeated, whatever became of it before.
    """

    def put_thing(self, thing: Thing) -> None:
        """Have a thing with these attributes."""

    def issue(self, request: str) -> Issued:
        """A certificate for a request: active, and of no use before it is attached."""

    def attach(self, thing: Thing, arn: str) -> None:
        """Let a certificate in as this thing."""

    def turn_off(self, thing: Thing, certificate_id: str, arn: str) -> None:
        """Let a certificate in no more, for good; also one that the registry does not know."""

    def remove_thing(self, thing: Thing) -> None:
        """Have no such thing. Its certificates were turned off."""

    def endpoint(self) -> Endpoint:
        """Where devices connect."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of a device, as it is noted."""

    id: UUID
    certificate_id: str
    arn: str
    fingerprint: str
    status: Literal["pending", "active", "revoked"]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceThing:
    """A device with its thing and all certificates that it ever got, newest first."""

    device_id: UUID
    thing: Thing
    status: Status
    is_child: bool
    """Whether it speaks through a gateway."""
    has_children: bool
    certificates: tuple[Certificate, ...]

    @property
    def live(self) -> list[Certificate]:
        """Those that are not revoked."""
        return [each for each in self.certificates if each.status != "revoked"]


@dataclass(frozen=True, slots=True)
class Note:
    """A certificate to be noted as pending."""

    device_id: UUID
    thing_name: str
    issued: Issued
    facts: CertificateFacts


class CertificateStore(Protocol):
    """Where certificates are noted. Every call is one transaction; all raise DatabaseAway."""

    def things(self, tenant_id: UUID, device_ids: Collection[UUID]) -> Sequence[DeviceThing]:
        """Those of the devices that there are."""

    def note(self, tenant_id: UUID, notes: Sequence[Note], most: int) -> frozenset[str]:
        """Note certificates as pending; the ids of those that were.

        Not of a device that is gone, is retired, or would have more than ``most`` that are not
        revoked, however many calls do this at once.
        """

    def activate(self, tenant_id: UUID, certificate_ids: Collection[str]) -> frozenset[str]:
        """Note pending ones as active; those that still were pending."""

    def revoke(self, tenant_id: UUID, certificate_ids: Collection[str]) -> None:
        """Note as revoked."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a device connects with. ``private_key`` is None where the device made its own."""

    device_id: UUID
    thing: Thing
    certificate_id: str
    certificate: str
    private_key: str | None = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The outcome for one device of several: credentials, or why there are none."""

    device_id: UUID
    credentials: Credentials | None
    error: TrakSenseError | None = None
