"""Devices as operators write them: made from a template, changed, deleted.

A list of new devices is checked and added as a whole, whether one was typed or ten thousand were
imported, so that both go by the same rules. Who adds devices to a tenant waits for the one before:
the number of its devices, and the names that are taken, are then known for certain.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from traksense.contracts.topics import normalise_mac
from traksense.domain.errors import Conflict, Invalid, NotFound
from traksense.i18n.catalogue import Locale, Text, text
from traksense.services.devices import Status
from traksense.services.scope import Scope

DEFAULT_MAX_DEVICES: Final = 20_000
"""Devices of a tenant for which no other limit was set."""


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device as it is asked for. ``site``, ``template`` and ``gateway`` are names."""

    name: str
    site: str
    template: str
    version: int | None = None
    """None: the newest that is published."""
    mac: str | None = None
    gateway: str | None = None
    """Name of a gateway of the tenant, there already or in the same list."""
    gateway_code: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    points: tuple[str, ...] | None = None
    """Names of the contracted ones; None: all of the template."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the database knows of what a new device names. Ids are None where there is none."""

    site_id: UUID | None
    template_id: UUID | None
    version: int | None
    is_published: bool
    gateway_id: UUID | None
    gateway_is_child: bool
    gateway_is_retired: bool
    name_is_taken: bool
    mac_is_taken: bool
    code_is_taken: bool
    unknown_points: tuple[str, ...]
    points: int
    """Points of the template."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many devices a tenant has, and may have at most where that was set."""

    devices: int
    most: int | None


@dataclass(frozen=True, slots=True)
class MadeDevice:
    """A new device with what its names turned out to be."""

    id: UUID
    asked: NewDevice
    site_id: UUID
    template_id: UUID
    version: int
    gateway_id: UUID | None
    points: int
    """All of the template; those that are not contracted are among them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one of the devices that were asked for."""

    index: int
    """Its place in the list, from 0."""
    field: str
    message: Text
    is_conflict: bool = False
    """Whether it is at odds with what is there, rather than wrong in itself."""


class Faulty(Exception):
    """Nothing was added; ``faults`` says why, in the order of the list."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What is to be another than before; a name that is not in ``given`` stays as it is."""

    given: frozenset[str]
    site: str | None = None
    status: Status | None = None
    mac: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PointChange:
    """What is to be another than before; a name that is not in ``given`` stays as it is."""

    given: frozenset[str]
    labels: Mapping[Locale, str | None] | None = None
    """By locale; None takes one away, and what is not named stays."""
    limits: Mapping[str, float] | None = None
    is_contracted: bool | None = None


class Adding(Protocol):
    """A transaction in which devices are added; nobody else adds any to the tenant meanwhile."""

    def room(self) -> Room | None:
        """How many devices there are and may be; None where the tenant is gone or going."""

    def find(self, devices: Sequence[NewDevice], macs_taken: frozenset[str]) -> Sequence[Found]:
        """What is known of each."""

    def add(self, devices: Sequence[MadeDevice]) -> None:
        """Add them with their points. Raises Conflict where a MAC was taken this moment."""


class DeviceWriteStore(Protocol):
    """Where devices are kept. Every call is one transaction; all raise DatabaseAway."""

    def adding(self, tenant_id: UUID) -> Any:
        """A context manager that gives an Adding; what was added stays if it ends well."""

    def macs_taken(self, macs: Iterable[str]) -> frozenset[str]:
        """Those of the MACs that a device has, of whatever tenant."""

    def tenant_of(self, device_id: UUID) -> UUID | None:
        """The tenant of a device, in the sight of all tenants."""

    def change(self, tenant_id: UUID, device_id: UUID, change: DeviceChange) -> bool:
        """Change a device; False where there is none.

        Raises Invalid for an unknown site, Conflict for a MAC that is taken.
        """

    def change_point(
        self, tenant_id: UUID, device_id: UUID, point_id: UUID, change: PointChange
    ) -> Literal["changed", "missing", "not_numeric"]:
        """Change a point of a device; limits are for numbers only."""

    def delete(self, tenant_id: UUID, device_id: UUID) -> bool:
        """Delete a device with its points; False where there is none.

        Raises Conflict where devices are behind it, or a certificate of it is not off.
        """


class DeviceWrites:
    """What operators do to devices."""

    def __init__(self, store: DeviceWriteStore) -> None:
        self._store = store

    def create(self, scope: Scope, device: NewDevice) -> MadeDevice:
        """Add one device with its points.

        Raises Invalid where a name in it is unknown, Conflict where its own name, MAC or code is
        taken or the tenant has as many devices as it may; NotFound where the tenant is gone.
        """
        try:
            (made,) = self.add(scope, [device])
        except Faulty as faulty:
            raise _of_one(faulty.faults) from None
        return made

    def add(
        self, scope: Scope, devices: Sequence[NewDevice], *, dry_run: bool = False
    ) -> Sequence[MadeDevice]:
        """Add all of the devices, or none; ``dry_run``: none, but say what would be.

        Raises Faulty with everything that is wrong, Conflict where there is no room for so many,
        Invalid where no tenant was chosen, NotFound where it is gone.
        """
        tenant_id = chosen(scope)
        macs = {device.mac for device in devices if device.mac is not None}
        taken = self._store.macs_taken(macs) if macs else frozenset()
        with self._store.adding(tenant_id) as adding:
            room: Room | None = adding.room()
            if room is None:
                raise NotFound(text("device.tenant_gone"))
            most = DEFAULT_MAX_DEVICES if room.most is None else room.most
            if room.devices + len(devices) > most:
                raise Conflict(
                    text("device.too_many", most=most, there=room.devices, new=len(devices))
                )
            made = _resolve(devices, adding.find(devices, taken))
            if not dry_run:
                adding.add(made)
        return made

    def change(self, scope: Scope, device_id: UUID, change: DeviceChange) -> UUID:
        """Change a device; its tenant. Raises NotFound, Invalid or Conflict."""
        tenant_id = self.tenant_of(scope, device_id)
        if not self._store.change(tenant_id, device_id, change):
            raise NotFound(text("device.not_found"))
        return tenant_id

    def change_point(
        self, scope: Scope, device_id: UUID, point_id: UUID, change: PointChange
    ) -> UUID:
        """Change a point; its device's tenant. Raises NotFound or Invalid."""
        tenant_id = self.tenant_of(scope, device_id)
        outcome = self._store.change_point(tenant_id, device_id, point_id, change)
        if outcome == "missing":
            raise NotFound(text("point.gone"))
        if outcome == "not_numeric":
            message = text("point.limits_not_numeric")
            raise Invalid(message, (("body.limits", message),))
        return tenant_id

    def delete(self, scope: Scope, device_id: UUID) -> None:
        """Delete a device whose certificates are off. Raises NotFound or Conflict."""
        if not self._store.delete(self.tenant_of(scope, device_id), device_id):
            raise NotFound(text("device.not_found"))

    def tenant_of(self, scope: Scope, device_id: UUID) -> UUID:
        """The tenant in whose sight a device is written. Raises NotFound."""
        if scope.tenant_id is not None:
            return scope.tenant_id
        found = self._store.tenant_of(device_id)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found


def chosen(scope: Scope) -> UUID:
    """The tenant of a scope. Raises Invalid where an operator chose none."""
    if scope.tenant_id is None:
        message = text("tenant.choose")
        raise Invalid(message, (("query.tenant", message),))
    return scope.tenant_id


def normalised(mac: str | None) -> str | None:
    """A MAC as it is kept. Raises TopicError for what is none."""
    return None if mac is None else normalise_mac(mac)


def _of_one(faults: Sequence[Fault]) -> Invalid | Conflict:
    """Faults of one device as its caller hears of them."""
    errors = tuple((f"body.{fault.field}", fault.message) for fault in faults)
    wrong = [fault for fault in faults if not fault.is_conflict]
    if wrong:
        return Invalid(text("problem.invalid.detail"), errors)
    return Conflict(faults[0].message, errors)


def _resolve(devices: Sequence[NewDevice], found: Sequence[Found]) -> list[MadeDevice]:
    """Names to ids. Raises Faulty."""
    ids = [uuid.uuid4() for _ in devices]
    by_name = {device.name: index for index, device in enumerate(devices)}
    repeated = {
        "name": _repeated(device.name for device in devices),
        "mac": _repeated(device.mac for device in devices),
        "gateway_code": _repeated(
            None if device.gateway is None else (device.gateway, device.gateway_code)
            for device in devices
        ),
    }
    faults: list[Fault] = []
    made: list[MadeDevice] = []
    for index, (device, known) in enumerate(zip(devices, found, strict=True)):
        own = [
            *_faults(index, device, known, devices, by_name),
            *_twice(index, device, repeated),
        ]
        faults += own
        if own or known.site_id is None or known.template_id is None or known.version is None:
            continue
        gateway_id = known.gateway_id
        if gateway_id is None and device.gateway is not None:
            gateway_id = ids[by_name[device.gateway]]
        made.append(
            MadeDevice(
                ids[index], device, known.site_id, known.template_id, known.version, gateway_id,
                known.points,
            )
        )  # fmt: skip
    if faults:
        raise Faulty(faults)
    return made


def _faults(
    index: int,
    device: NewDevice,
    known: Found,
    devices: Sequence[NewDevice],
    by_name: Mapping[str, int],
) -> list[Fault]:
    faults: list[Fault] = []

    def fault(where: str, key: str, *, is_conflict: bool = False, **params: object) -> None:
        faults.append(Fault(index, where, text(key, **params), is_conflict))

    if known.site_id is None:
        fault("site", "device.no_site", site=device.site)
    if known.template_id is None:
        fault("template", "device.no_template", template=device.template)
    elif not known.is_published:
        fault("version", "device.not_published", template=device.template, version=known.version)
    for name in known.unknown_points:
        fault("points", "device.no_point", point=name[:64], template=device.template)
    if device.gateway is not None:
        key = _gateway_fault(index, device.gateway, known, devices, by_name)
        if key is not None:
            fault("gateway", key, gateway=device.gateway)
    if (device.gateway is None) != (device.gateway_code is None):
        fault("gateway_code", "device.gateway_with_code")
    if device.gateway is not None and device.mac is not None:
        fault("mac", "device.mac_behind_gateway")
    if known.name_is_taken:
        fault("name", "device.name_taken", is_conflict=True, name=device.name)
    if known.mac_is_taken:
        fault("mac", "device.mac_taken", is_conflict=True, mac=device.mac)
    if known.code_is_taken:
        fault(
            "gateway_code", "device.code_taken", is_conflict=True, code=device.gateway_code,
            gateway=device.gateway,
        )  # fmt: skip
    return faults


def _gateway_fault(
    index: int,
    gateway: str,
    known: Found,
    devices: Sequence[NewDevice],
    by_name: Mapping[str, int],
) -> str | None:
    """What is wrong with a device's gateway: one that is there, or one of the same list."""
    if known.gateway_id is not None:
        if known.gateway_is_child:
            return "device.gateway_is_child"
        return "device.gateway_retired" if known.gateway_is_retired else None
    listed = by_name.get(gateway)
    if listed is None or listed == index:
        return "device.no_gateway"
    return "device.gateway_is_child" if devices[listed].gateway is not None else None


def _twice(
    index: int, device: NewDevice, repeated: Mapping[str, frozenset[object]]
) -> Iterable[Fault]:
    values: Mapping[str, object] = {
        "name": device.name,
        "mac": device.mac,
        "gateway_code": (device.gateway, device.gateway_code),
    }
    for where, value in values.items():
        if value in repeated[where]:
            yield Fault(index, where, text("device.listed_twice"), is_conflict=True)


def _repeated(values: Iterable[object]) -> frozenset[object]:
    counted = Counter(value for value in values if value is not None)
    return frozenset(value for value, often in counted.items() if often > 1)
