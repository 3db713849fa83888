"""What the demo holds, read from the JSON files in ``data/`` into frozen structs.

Pure: it opens those three files and nothing else. The database, the simulator, the certificates
and the history all take their names from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from traksense.domain.templates import DeviceTemplate, faults
from traksense.vendors.registry import ADAPTERS

_DATA: Final = Path(__file__).parent / "data"
_Document = TypeVar("_Document")

Role = Literal["internal_ops", "customer_admin", "viewer"]


class Template(DeviceTemplate, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of equipment, for every tenant. A changed one takes the next version."""

    version: int = 1


class Child(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device behind a gateway: it has no certificate and no topic of its own."""

    name: str
    code: str
    """The name under which its gateway reports it (a TDS code, an EUI)."""
    template: str


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device with an identity (a Thing, a certificate) of its own."""

    name: str
    site: str
    template: str
    mac: str | None = None
    simulated: bool = True
    children: tuple[Child, ...] = ()


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place of a tenant."""

    slug: str
    name: str


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer organisation with all that is its own."""

    slug: str
    name: str
    time_zone: str
    locale: Literal["pt-BR", "en"]
    sites: tuple[Site, ...]
    devices: tuple[Device, ...]


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person who may log in; passwords are random in each home, and not here."""

    email: str
    name: str
    role: Role
    tenant: str | None
    """Slug of the tenant; None for ``internal_ops``."""


class Catalogue(msgspec.Struct, frozen=True):
    """The whole demo."""

    templates: tuple[Template, ...]
    tenants: tuple[Tenant, ...]
    users: tuple[User, ...]

    def template(self, code: str) -> Template:
        """The template of that code. Raises KeyError."""
        for template in self.templates:
            if template.code == code:
                return template
        raise KeyError(code)

    def devices(self) -> Iterator[tuple[Tenant, Device]]:
        """Every device with an identity of its own, with its tenant."""
        for tenant in self.tenants:
            for device in tenant.devices:
                yield tenant, device


class _Templates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    templates: tuple[Template, ...]


class _Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tenants: tuple[Tenant, ...]


class _Users(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    users: tuple[User, ...]


def _read(name: str, kind: type[_Document]) -> _Document:
    return msgspec.json.decode((_DATA / name).read_bytes(), type=kind)


def checked(templates: tuple[Template, ...]) -> tuple[Template, ...]:
    """The templates, none of which breaks a rule. Raises ValueError that says which one does."""
    for template in templates:
        found = faults(template, ADAPTERS.keys())
        if found:
            broken = "; ".join(f"{fault.where}: {fault.rule}" for fault in found)
            raise ValueError(f"template {template.code}: {broken}")
    return templates


@cache
def load() -> Catalogue:
    """Read the demo's files.

    Raises msgspec.ValidationError where one is not what it should be, and ValueError where a
    template breaks a rule that the API would hold it to.
    """
    return Catalogue(
        templates=checked(_read("templates.json", _Templates).templates),
        tenants=_read("fleet.json", _Fleet).tenants,
        users=_read("users.json", _Users).users,
    )
