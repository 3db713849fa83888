"""Certificates for devices, and things in the registry: made, repaired, taken away.

Every step can be done again. A certificate goes through these states: made in the registry
(nobody can use it yet: no policy, no thing), noted here as *pending*, attached, noted as *active*,
and only then given to the caller. A process that ends in between leaves a pending one behind,
whose key nobody was given; the next call for the device turns it off. To turn one off, the registry
comes first and the note last, so that what was not finished is found and finished.

What the registry does not know to be attached to a thing opens nothing, so that a certificate
which was made and not noted, the one gap there is, is of no use to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar
from uuid import UUID

from traksense.contracts.things import Thing
from traksense.domain.errors import Conflict, NotFound, TrakSenseError
from traksense.i18n.catalogue import text
from traksense.services import certificate_requests
from traksense.services.device_writes import DeviceChange, DeviceWrites
from traksense.services.scope import Scope
from traksense.services.things import (
    Certificate,
    CertificateStore,
    Credentials,
    DeviceThing,
    Endpoint,
    Note,
    Provisioned,
    RegistryAway,
    ThingRegistry,
)

MOST_CERTIFICATES: Final = 2
"""Of a device at once: the one in use, and the one that takes over from it."""
GIVEN_UP_AFTER: Final = timedelta(minutes=2)
"""Age of a pending certificate whose call has ended for certain: a call has 29 seconds."""
MOST_AT_ONCE: Final = 100
"""Devices of one call: AWS makes 15 certificates a second, and a call has 29 seconds."""
CONCURRENT: Final = 8
"""Calls to the registry at the same time."""


class _OfDevice(Protocol):
    @property
    def device_id(self) -> UUID: ...


Item = TypeVar("Item", bound=_OfDevice)
Result = TypeVar("Result")
Outcomes = dict[UUID, Provisioned]


@dataclass(frozen=True, slots=True)
class _Made:
    """A certificate on its way to a device."""

    device_id: UUID
    thing: Thing
    note: Note
    key: str | None = field(repr=False)

    @property
    def certificate_id(self) -> str:
        return self.note.issued.certificate_id


class Provisioning:
    """What operators do about a device's identity."""

    def __init__(
        self,
        store: CertificateStore,
        registry: ThingRegistry,
        devices: DeviceWrites,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._registry = registry
        self._devices = devices
        self._now = now

    def endpoint(self) -> Endpoint:
        """Where devices connect. Raises RegistryAway."""
        return self._registry.endpoint()

    def certificates(self, scope: Scope, device_id: UUID) -> Sequence[Certificate]:
        """A device's certificates, newest first. Raises NotFound."""
        return self._one(self._devices.tenant_of(scope, device_id), device_id).certificates

    def provision(self, scope: Scope, device_id: UUID, request: str | None = None) -> Credentials:
        """A new certificate for a device, for its own request or with a new key.

        Raises NotFound, Invalid for a request that will not do, RegistryAway, and Conflict for a
        device that is retired, speaks through a gateway, or has two certificates already.
        """
        tenant_id = self._devices.tenant_of(scope, device_id)
        (outcome,) = self._provision(tenant_id, [device_id], request)
        if outcome.credentials is None:
            raise outcome.error or NotFound(text("device.not_found"))
        return outcome.credentials

    def provision_many(self, tenant_id: UUID, device_ids: Sequence[UUID]) -> Sequence[Provisioned]:
        """New certificates with new keys; what becomes of one device is not the others' concern.

        Raises DatabaseAway.
        """
        return self._provision(tenant_id, list(dict.fromkeys(device_ids)), None)

    def revoke(self, scope: Scope, device_id: UUID, certificate_id: str | None = None) -> int:
        """Turn off one certificate of a device, or all; how many there were to turn off.

        Raises NotFound for a device or a certificate of it that there is not, RegistryAway.
        """
        tenant_id = self._devices.tenant_of(scope, device_id)
        device = self._one(tenant_id, device_id)
        off = device.live
        if certificate_id is not None:
            if all(each.certificate_id != certificate_id for each in device.certificates):
                raise NotFound(text("certificate.not_found"))
            off = [each for each in off if each.certificate_id == certificate_id]
        self._turn_off(tenant_id, device.thing, off)
        return len(off)

    def change(self, scope: Scope, device_id: UUID, change: DeviceChange) -> UUID:
        """Change a device, and its thing with it; its tenant.

        The thing is brought up to date whether the device is another than before or not, so that a
        call which ended in between is mended by the same call again. Raises as
        ``DeviceWrites.change`` does, and RegistryAway with the change made.
        """
        tenant_id = self._devices.change(scope, device_id, change)
        if {"site", "mac"} & change.given:
            device = self._one(tenant_id, device_id)
            if device.live:
                self._registry.put_thing(device.thing)
                for certificate in device.live if "mac" in change.given else ():
                    self._registry.attach(device.thing, certificate.arn)
        return tenant_id

    def delete(self, scope: Scope, device_id: UUID) -> None:
        """Turn off a device's certificates, take its thing away, and delete it.

        Raises NotFound, Conflict where others are behind it, RegistryAway.
        """
        tenant_id = self._devices.tenant_of(scope, device_id)
        device = self._one(tenant_id, device_id)
        if device.has_children:
            raise Conflict(text("device.has_children"))
        if device.certificates:
            self._turn_off(tenant_id, device.thing, device.live)
            self._registry.remove_thing(device.thing)
        self._devices.delete(Scope.of(tenant_id), device_id)

    def _one(self, tenant_id: UUID, device_id: UUID) -> DeviceThing:
        found = self._store.things(tenant_id, [device_id])
        if not found:
            raise NotFound(text("device.not_found"))
        return found[0]

    def _turn_off(self, tenant_id: UUID, thing: Thing, off: Iterable[Certificate]) -> None:
        for certificate in off:
            self._registry.turn_off(thing, certificate.certificate_id, certificate.arn)
            self._store.revoke(tenant_id, [certificate.certificate_id])

    def _provision(
        self, tenant_id: UUID, device_ids: Sequence[UUID], request: str | None
    ) -> list[Provisioned]:
        """Each step for all of the devices, before the next one."""
        outcomes: Outcomes = {}
        found = self._store.things(tenant_id, device_ids)
        with ThreadPoolExecutor(CONCURRENT) as pool:
            ready = _each(pool, outcomes, found, self._make_room)
            self._store.revoke(tenant_id, [c.certificate_id for d in ready for c in self._left(d)])
            made = _each(pool, outcomes, ready, lambda device: self._issue(device, request))
            noted = self._store.note(tenant_id, [each.note for each in made], MOST_CERTIFICATES)
            attached = _each(pool, outcomes, made, lambda each: self._attach(each, noted))
        self._give_up(tenant_id, [each for each in made if each not in attached], noted)
        active = self._store.activate(tenant_id, [each.certificate_id for each in attached])
        for each in attached:
            outcomes[each.device_id] = _outcome(each, is_active=each.certificate_id in active)
        missing = NotFound(text("device.not_found"))
        return [outcomes.get(each) or Provisioned(each, None, missing) for each in device_ids]

    def _left(self, device: DeviceThing) -> list[Certificate]:
        """What calls that ended in between left of a device."""
        given_up = self._now() - GIVEN_UP_AFTER
        return [c for c in device.live if c.status == "pending" and c.created_at < given_up]

    def _make_room(self, device: DeviceThing) -> DeviceThing:
        """Turn off what was left behind. Raises Conflict for a device that may get no more."""
        if device.is_child:
            raise Conflict(text("device.behind_gateway"))
        if device.status == "retired":
            raise Conflict(text("device.retired"))
        left = self._left(device)
        for certificate in left:
            self._registry.turn_off(device.thing, certificate.certificate_id, certificate.arn)
        if len(device.live) - len(left) >= MOST_CERTIFICATES:
            raise Conflict(text("certificate.too_many", most=MOST_CERTIFICATES))
        return device

    def _issue(self, device: DeviceThing, request: str | None) -> _Made:
        """Have the thing, and a certificate that opens nothing yet."""
        thing = device.thing
        if request is None:
            own = certificate_requests.new_key(thing.name)
            key, request = own.key, own.request
        else:
            key, request = None, certificate_requests.checked(request, thing.name)
        self._registry.put_thing(thing)
        issued = self._registry.issue(request)
        facts = certificate_requests.facts(issued.pem)
        return _Made(
            device.device_id, thing, Note(device.device_id, thing.name, issued, facts), key
        )

    def _attach(self, made: _Made, noted: frozenset[str]) -> _Made:
        if made.certificate_id not in noted:
            raise Conflict(text("certificate.changed_meanwhile"))
        self._registry.attach(made.thing, made.note.issued.arn)
        return made

    def _give_up(self, tenant_id: UUID, made: Sequence[_Made], noted: frozenset[str]) -> None:
        """Turn off what nobody gets. What cannot be now is left for the device's next call."""
        for each in made:
            with suppress(RegistryAway):
                self._registry.turn_off(each.thing, each.certificate_id, each.note.issued.arn)
                if each.certificate_id in noted:
                    self._store.revoke(tenant_id, [each.certificate_id])


def _each(
    pool: ThreadPoolExecutor,
    outcomes: Outcomes,
    items: Sequence[Item],
    work: Callable[[Item], Result],
) -> list[Result]:
    """The results of a step for those that it went well for; the others' outcome is the error.

    Steps that run here talk to the registry alone, whose clients may be shared by threads.
    """
    results: list[Result] = []
    for item, future in [(item, pool.submit(work, item)) for item in items]:
        try:
            results.append(future.result())
        except TrakSenseError as error:
            outcomes[item.device_id] = Provisioned(item.device_id, None, error)
    return results


def _outcome(made: _Made, *, is_active: bool) -> Provisioned:
    if not is_active:
        error = Conflict(text("certificate.changed_meanwhile"))
        return Provisioned(made.device_id, None, error)
    credentials = Credentials(
        made.device_id,
        made.thing,
        made.certificate_id,
        made.note.issued.pem,
        made.key,
        made.note.facts.expires_at,
    )
    return Provisioned(made.device_id, credentials)
