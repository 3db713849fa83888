"""Devices that go to a newer version of their template: what that changes, and doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from traksense.domain.errors import Conflict, Invalid, NotFound
from traksense.domain.templates import Change, difference
from traksense.i18n.catalogue import Text, text
from traksense.services.scope import Scope
from traksense.services.templates import Templates, Version


@dataclass(frozen=True, slots=True)
class Incompatible:
    """Points of devices that would change their type or unit. ``before`` and ``after``: both."""

    name: str
    before: str
    after: str
    devices: int


@dataclass(frozen=True, slots=True)
class Movable:
    """What a move concerns."""

    devices: Mapping[int, int]
    """How many devices are of each older version."""
    incompatible: Sequence[Incompatible]


@dataclass(frozen=True, slots=True)
class MovedFrom:
    """What changes for the devices of one older version."""

    version: int
    devices: int
    added: list[str]
    removed: list[str]
    changed: list[Change]
    settings: list[Change]
    dashboard_changed: bool


@dataclass(frozen=True, slots=True)
class Move:
    """What a move does, or did."""

    code: str
    version: int
    dry_run: bool
    devices: int
    moved_from: list[MovedFrom]
    incompatible: list[Incompatible]


class MoveStore(Protocol):
    """Where devices are kept. ``ids`` None: every device in sight."""

    def versions(
        self, scope: Scope, target: Version, ids: Sequence[UUID]
    ) -> Mapping[UUID, int | None]:
        """The version that each device in sight is of; None of another template than this."""

    def movable(self, scope: Scope, target: Version, ids: Sequence[UUID] | None) -> Movable:
        """What a move would concern."""

    def move(
        self,
        scope: Scope,
        target: Version,
        ids: Sequence[UUID] | None,
        *,
        contract_added: bool,
    ) -> Movable:
        """Move all or none: none where something is incompatible."""


class TemplateMoves:
    """Moves of devices, for callers whose group was checked to be ``internal_ops``."""

    def __init__(self, templates: Templates, store: MoveStore) -> None:
        self._templates = templates
        self._store = store

    def move(
        self,
        scope: Scope,
        code: str,
        version: int,
        ids: Sequence[UUID] | None,
        *,
        contract_added: bool,
        dry_run: bool,
    ) -> Move:
        """Move devices of older versions, all or none, or only say what that would change.

        ``ids`` None: every device in sight. One that is of the version already stays as it is.
        Raises NotFound for a template or a device that is not in sight, Invalid for one of another
        template or of a later version, Conflict where the version is a draft, or where a point
        would change its type or unit.
        """
        target = self._templates.get(scope, code, version, sees_drafts=True)
        if target.published_at is None:
            raise Conflict(text("template.is_draft", code=code, version=version))
        if ids is not None:
            self._check(scope, target, ids)
        if dry_run:
            movable = self._store.movable(scope, target, ids)
        else:
            movable = self._store.move(scope, target, ids, contract_added=contract_added)
            if movable.incompatible:
                names = ", ".join(dict.fromkeys(one.name for one in movable.incompatible))
                raise Conflict(text("template.incompatible", names=names))
        return Move(
            code=code,
            version=version,
            dry_run=dry_run,
            devices=sum(movable.devices.values()),
            moved_from=[
                self._moved_from(scope, target, old, devices)
                for old, devices in movable.devices.items()
            ],
            incompatible=list(movable.incompatible),
        )

    def _check(self, scope: Scope, target: Version, ids: Sequence[UUID]) -> None:
        found = self._store.versions(scope, target, ids)
        if any(device not in found for device in ids):
            raise NotFound(text("device.not_found"))
        wrong = tuple(
            (f"body.devices.{position}", message)
            for position, device in enumerate(ids)
            if (message := _wrong(found[device], target))
        )
        if wrong:
            raise Invalid(text("problem.invalid.detail"), wrong)

    def _moved_from(self, scope: Scope, target: Version, old: int, devices: int) -> MovedFrom:
        before = self._templates.get(scope, target.template.code, old, sees_drafts=True)
        found = difference(before.template, target.template)
        return MovedFrom(
            version=old,
            devices=devices,
            added=found.added,
            removed=found.removed,
            changed=found.changed,
            settings=found.settings,
            dashboard_changed=found.dashboard_changed,
        )


def _wrong(version: int | None, target: Version) -> Text | None:
    if version is None:
        return text("template.device_of_another", code=target.template.code)
    if version > target.version:
        return text("template.device_is_ahead", version=version)
    return None
