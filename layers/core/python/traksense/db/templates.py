"""Templates in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors as pg_errors
from psycopg.types.json import Jsonb

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.domain.templates import DeviceTemplate
from traksense.services.scope import Scope
from traksense.services.templates import Lineage, Summary, TemplateFilter, Version


class SqlTemplateStore:
    """Implements ``traksense.services.templates.TemplateStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("templates")

    def page(
        self,
        scope: Scope,
        wanted: TemplateFilter,
        after: tuple[str, str],
        limit: int,
        *,
        drafts: bool,
    ) -> Sequence[Summary]:
        """Up to ``limit`` templates after a key."""
        parameters = {
            "q": wanted.q,
            "adapter": wanted.adapter,
            "shared": wanted.shared,
            "after_code": after[0],
            "after_tenant": after[1],
            "limit": limit,
            "drafts": drafts,
        }
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(self._queries["templates_page"], parameters).fetchall()
        return [Summary(*row) for row in rows]

    def versions(
        self, scope: Scope, code: str, before: int, limit: int, *, drafts: bool
    ) -> Sequence[Summary]:
        """Up to ``limit`` versions of a code."""
        parameters = {**_named(scope, code, drafts), "before": before, "limit": limit}
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(self._queries["template_versions"], parameters).fetchall()
        return [Summary(*row) for row in rows]

    def get(self, scope: Scope, code: str, version: int, *, drafts: bool) -> Version | None:
        """One version."""
        with transaction(self._database, scope) as cursor:
            return version_of(cursor, scope, code, version, drafts=drafts)

    def add(self, owner: UUID | None, template: DeviceTemplate, *, publish: bool) -> int | None:
        """The first version of a code; None where the code is taken."""
        return self._add("add_template", {"owner": owner}, template, publish)

    def add_version(
        self, owner: UUID | None, template: DeviceTemplate, based_on: int | None, *, publish: bool
    ) -> int | None:
        """The next version of a code; None where another one stands in its way."""
        parameters = {"owner": owner, "based_on": based_on}
        return self._add("add_version", parameters, template, publish)

    def _add(
        self, query: str, parameters: dict[str, Any], template: DeviceTemplate, publish: bool
    ) -> int | None:
        parameters = parameters | _columns(template)
        try:
            with self._database.transaction("traksense_ops") as cursor:
                made = cursor.execute(self._queries[query], parameters).fetchone()
                if made is None:
                    return None
                template_id, version = made
                self._add_points(cursor, template_id, template)
                if publish:
                    self._publish(cursor, parameters | {"version": version})
        except pg_errors.UniqueViolation:
            return None
        return int(version)

    def replace(self, owner: UUID | None, template: DeviceTemplate, version: int) -> bool:
        """Whether there was such a draft; it says this now."""
        parameters = {"owner": owner, "version": version, **_columns(template)}
        with self._database.transaction("traksense_ops") as cursor:
            found = cursor.execute(self._queries["replace_draft"], parameters).fetchone()
            if found is None:
                return False
            cursor.execute(self._queries["remove_points"], {"template_id": found[0]})
            self._add_points(cursor, found[0], template)
        return True

    def remove(self, owner: UUID | None, code: str, version: int) -> bool:
        """Whether there was such a draft; it is gone."""
        parameters = {"owner": owner, "code": code, "version": version}
        with self._database.transaction("traksense_ops") as cursor:
            found = cursor.execute(self._queries["lock_draft"], parameters).fetchone()
            if found is None:
                return False
            cursor.execute(self._queries["remove_points"], {"template_id": found[0]})
            gone = cursor.execute(self._queries["remove_draft"], {"template_id": found[0]})
            return gone.rowcount == 1

    def publish(self, owner: UUID | None, code: str, version: int) -> bool:
        """Whether there was such a draft; it is published."""
        parameters = {"owner": owner, "code": code, "version": version}
        with self._database.transaction("traksense_ops") as cursor:
            return self._publish(cursor, parameters)

    def _publish(self, cursor: psycopg.Cursor[Any], parameters: dict[str, Any]) -> bool:
        found = cursor.execute(self._queries["publish"], parameters).fetchone()
        if found is None:
            return False
        cursor.execute(self._queries["supersede"], parameters | {"template_id": found[0]})
        return True

    def _add_points(
        self, cursor: psycopg.Cursor[Any], template_id: UUID, template: DeviceTemplate
    ) -> None:
        points = Jsonb(msgspec.to_builtins(template.points))
        cursor.execute(self._queries["add_points"], {"template_id": template_id, "points": points})

    def lineage(self, owner: UUID | None, code: str) -> Lineage:
        """What there is of a code."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(
                self._queries["lineage"], {"owner": owner, "code": code}
            ).fetchone()
        return Lineage(None, None, False) if row is None else Lineage(*row)


def version_of(
    cursor: psycopg.Cursor[Any], scope: Scope, code: str, version: int, *, drafts: bool
) -> Version | None:
    """One version, in a transaction that is there already."""
    parameters = {**_named(scope, code, drafts), "version": version}
    row = cursor.execute(queries.load("templates")["template"], parameters).fetchone()
    if row is None:
        return None
    template_id, code, number, tenant, superseded_by, published_at, created_at, *said = row
    names = ("name", "vendor", "adapter", "offline_after_s", "keep_raw")
    more = ("max_messages_per_minute", "dashboard", "points")
    template = msgspec.convert(
        {"code": code, **dict(zip((*names, *more), said, strict=True))}, DeviceTemplate
    )
    return Version(template_id, number, tenant, superseded_by, published_at, created_at, template)


def _named(scope: Scope, code: str, drafts: bool) -> dict[str, Any]:
    # Without a tenant a code says which template is meant only among the shared ones.
    return {"code": code, "shared_only": scope.tenant_id is None, "drafts": drafts}


def _columns(template: DeviceTemplate) -> dict[str, Any]:
    dashboard = template.dashboard
    return {
        "code": template.code,
        "name": template.name,
        "vendor": template.vendor,
        "adapter": template.adapter,
        "offline_after_s": template.offline_after_s,
        "keep_raw": template.keep_raw,
        "max_messages_per_minute": template.max_messages_per_minute,
        "dashboard": None if dashboard is None else Jsonb(msgspec.to_builtins(dashboard)),
    }
