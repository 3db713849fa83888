"""Templates as people read them and operators write them: drafts, versions, publication."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Conflict, Invalid, NotFound
from traksense.domain.faults import Fault
from traksense.domain.templates import CODE_PATTERN, DeviceTemplate, faults
from traksense.i18n.catalogue import text
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor
from traksense.services.scope import Scope

_CURSOR: Final = "templates"
_VERSIONS_CURSOR: Final = "template_versions"
_CODE: Final = re.compile(CODE_PATTERN)
_SLUG: Final = re.compile(SLUG_PATTERN)
_NEWEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Summary:
    """A version of a template, without its parts."""

    code: str
    version: int
    tenant: str | None
    """Slug of the tenant whose own it is; None: everybody's."""
    name: str
    vendor: str | None
    adapter: str | None
    superseded_by: int | None
    """The version after it."""
    points: int
    published_at: datetime | None
    """None: a draft."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a template with all that it says."""

    id: UUID
    version: int
    tenant: str | None
    superseded_by: int | None
    published_at: datetime | None
    created_at: datetime
    template: DeviceTemplate


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """Which templates a list holds; None leaves a filter out."""

    q: str | None = None
    """Part of the code or of the name, in any case."""
    adapter: str | None = None
    shared: bool | None = None
    """Those of nobody, or those of tenants."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What there is of a code, where a change found nothing to change."""

    newest: int | None
    published: int | None
    """The newest version that is published."""
    is_shared: bool
    """Whether a shared template has the code."""


class TemplateStore(Protocol):
    """Where templates are kept. ``owner`` is the tenant whose own one is, None of a shared one."""

    def page(
        self,
        scope: Scope,
        wanted: TemplateFilter,
        after: tuple[str, str],
        limit: int,
        *,
        drafts: bool,
    ) -> Sequence[Summary]:
        """Up to ``limit`` templates by (code, tenant slug), those after the given key."""

    def versions(
        self, scope: Scope, code: str, before: int, limit: int, *, drafts: bool
    ) -> Sequence[Summary]:
        """Up to ``limit`` versions older than ``before``, newest first."""

    def get(self, scope: Scope, code: str, version: int, *, drafts: bool) -> Version | None:
        """One version."""

    def add(self, owner: UUID | None, template: DeviceTemplate, *, publish: bool) -> int | None:
        """The first version of a code; None where the code is taken."""

    def add_version(
        self, owner: UUID | None, template: DeviceTemplate, based_on: int | None, *, publish: bool
    ) -> int | None:
        """The version after the newest published one.

        None where that is not ``based_on``, or another version is being made.
        """

    def replace(self, owner: UUID | None, template: DeviceTemplate, version: int) -> bool:
        """Whether there was such a draft; it says this now."""

    def remove(self, owner: UUID | None, code: str, version: int) -> bool:
        """Whether there was such a draft; it is gone."""

    def publish(self, owner: UUID | None, code: str, version: int) -> bool:
        """Whether there was such a draft; it is published, and the version before superseded."""

    def lineage(self, owner: UUID | None, code: str) -> Lineage:
        """What there is of a code."""


class Templates:
    """What the API asks about templates.

    ``sees_drafts`` and every change are for callers whose group was checked to be
    ``internal_ops``: the scope's tenant is the one whose own template is meant, and without one a
    shared template is.
    """

    def __init__(self, store: TemplateStore, adapters: Collection[str]) -> None:
        self._store = store
        self._adapters = adapters

    def page(
        self,
        scope: Scope,
        wanted: TemplateFilter,
        limit: int,
        cursor: str | None,
        *,
        sees_drafts: bool,
    ) -> Page[Summary]:
        """One page of the newest version of each template in sight. Raises Malformed."""
        after = ("", "") if cursor is None else _key_of(cursor)
        found = self._store.page(scope, wanted, after, limit + 1, drafts=sees_drafts)
        items, more = found[:limit], len(found) > limit
        last = encode_cursor(_CURSOR, items[-1].code, items[-1].tenant or "") if more else None
        return Page(items, last)

    def versions(
        self, scope: Scope, code: str, limit: int, cursor: str | None, *, sees_drafts: bool
    ) -> Page[Summary]:
        """One page of the versions of a code, newest first. Raises NotFound and Malformed."""
        before = _NEWEST if cursor is None else _version_of(cursor)
        found = self._store.versions(scope, code, before, limit + 1, drafts=sees_drafts)
        if not found and cursor is None:
            raise NotFound(text("template.not_found", code=code))
        items, more = found[:limit], len(found) > limit
        last = encode_cursor(_VERSIONS_CURSOR, items[-1].version) if more else None
        return Page(items, last)

    def get(self, scope: Scope, code: str, version: int, *, sees_drafts: bool) -> Version:
        """One version. Raises NotFound, also for another tenant's."""
        found = self._store.get(scope, code, version, drafts=sees_drafts)
        if found is None:
            raise NotFound(text("template.no_version", code=code, version=version))
        return found

    def create(self, scope: Scope, template: DeviceTemplate, *, publish: bool) -> Version:
        """The first version of a template. Raises Invalid with every fault, and Conflict."""
        self._check(template)
        version = self._store.add(scope.tenant_id, template, publish=publish)
        if version is None:
            raise Conflict(text("template.code_taken", code=template.code))
        return self.get(scope, template.code, version, sees_drafts=True)

    def create_version(
        self, scope: Scope, template: DeviceTemplate, based_on: int | None, *, publish: bool
    ) -> Version:
        """The next version of a template.

        Raises Invalid with every fault, NotFound, and Conflict where another version is being
        made or the newest is not ``based_on``.
        """
        self._check(template)
        version = self._store.add_version(scope.tenant_id, template, based_on, publish=publish)
        if version is None:
            raise self._why_not(scope, template.code, based_on)
        return self.get(scope, template.code, version, sees_drafts=True)

    def replace(self, scope: Scope, template: DeviceTemplate, version: int) -> Version:
        """A draft that says something else now. Raises Invalid, NotFound and Conflict."""
        self._check(template)
        if not self._store.replace(scope.tenant_id, template, version):
            raise self._why_no_draft(scope, template.code, version)
        return self.get(scope, template.code, version, sees_drafts=True)

    def remove(self, scope: Scope, code: str, version: int) -> None:
        """Remove a draft. Raises NotFound and Conflict."""
        if not self._store.remove(scope.tenant_id, code, version):
            raise self._why_no_draft(scope, code, version)

    def publish(self, scope: Scope, code: str, version: int) -> Version:
        """A draft, published from now on. Raises NotFound and Conflict."""
        if not self._store.publish(scope.tenant_id, code, version):
            raise self._why_no_draft(scope, code, version)
        return self.get(scope, code, version, sees_drafts=True)

    def _check(self, template: DeviceTemplate) -> None:
        found = faults(template, self._adapters)
        if found:
            raise invalid(found)

    def _why_not(self, scope: Scope, code: str, based_on: int | None) -> NotFound | Conflict:
        lineage = self._store.lineage(scope.tenant_id, code)
        if lineage.newest is None:
            return _nobodys(lineage, code)
        if based_on is not None and lineage.published not in (None, based_on):
            return Conflict(text("template.not_newest", code=code, version=lineage.published))
        return Conflict(text("template.version_in_work", code=code, version=lineage.newest))

    def _why_no_draft(self, scope: Scope, code: str, version: int) -> NotFound | Conflict:
        if self._store.get(scope, code, version, drafts=True) is None:
            return NotFound(text("template.no_version", code=code, version=version))
        lineage = self._store.lineage(scope.tenant_id, code)
        if lineage.newest is None:
            return _nobodys(lineage, code)
        return Conflict(text("template.published", code=code, version=version))


def invalid(found: Sequence[Fault], part: str = "body") -> Invalid:
    """Faults as the error that names them all, in any language."""
    return Invalid(
        text("problem.invalid.detail"),
        tuple(
            (f"{part}.{fault.where}", text(f"template.rule.{fault.rule}", **fault.params))
            for fault in found
        ),
    )


def _nobodys(lineage: Lineage, code: str) -> NotFound | Conflict:
    if lineage.is_shared:
        return Conflict(text("template.is_shared", code=code))
    return NotFound(text("template.not_found", code=code))


def _key_of(cursor: str) -> tuple[str, str]:
    code, tenant = (str(part) for part in decode_cursor(_CURSOR, cursor, str, str))
    if not _CODE.fullmatch(code) or not (tenant == "" or _SLUG.fullmatch(tenant)):
        raise malformed_cursor()
    return code, tenant


def _version_of(cursor: str) -> int:
    (version,) = decode_cursor(_VERSIONS_CURSOR, cursor, int)
    if not 0 < int(version) <= _NEWEST:
        raise malformed_cursor()
    return int(version)
