"""People of tenants in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import Conflict
from traksense.i18n.catalogue import text
from traksense.services.users import Act, NewUser, User


class SqlUserStore:
    """Implements ``traksense.services.users.UserStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("users")

    def page(self, tenant_id: UUID, after: str, limit: int) -> Sequence[User]:
        """Up to ``limit`` people after an e-mail."""
        parameters = {"tenant_id": tenant_id, "after": after, "limit": limit}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            rows = cursor.execute(self._queries["users_page"], parameters).fetchall()
        return [User(*row) for row in rows]

    def get(self, tenant_id: UUID, user_id: UUID) -> User | None:
        """One person."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            row = cursor.execute(
                self._queries["user"], {"tenant_id": tenant_id, "user_id": user_id}
            ).fetchone()
        return None if row is None else User(*row)

    def add(self, tenant_id: UUID, new: NewUser, default_most: int) -> UUID:
        """Write somebody down. Raises Conflict."""
        parameters = {
            "tenant_id": tenant_id,
            "email": new.email,
            "name": new.name,
            "role": new.role,
            "locale": new.locale,
        }
        try:
            with self._database.transaction("traksense_app", tenant_id) as cursor:
                cursor.execute(self._queries["lock_people"], parameters)
                row = cursor.execute(self._queries["take_up_user"], parameters).fetchone()
                if row is not None:
                    return UUID(str(row[0]))
                room = cursor.execute(self._queries["room_for_people"], parameters).fetchone()
                if room is None:
                    raise Conflict(text("tenant.gone"))
                most = default_most if room[1] is None else room[1]
                if room[0] >= most:
                    raise Conflict(text("user.too_many", most=most))
                row = cursor.execute(self._queries["add_user"], parameters).fetchone()
        except pg_errors.UniqueViolation:
            raise Conflict(text("user.email_taken")) from None
        if row is None:
            raise AssertionError("an insert without a conflict clause gives its row")
        return UUID(str(row[0]))

    def change(self, tenant_id: UUID, user_id: UUID, fields: Mapping[str, Any]) -> bool:
        """Change a person who is not leaving."""
        parameters = {"fields": json.dumps(dict(fields))}
        return self._touch("change_user", tenant_id, user_id, parameters)

    def leave(self, tenant_id: UUID, user_id: UUID) -> bool:
        """Mark a person as leaving."""
        return self._touch("user_leaves", tenant_id, user_id, {})

    def settle(self, tenant_id: UUID, user_id: UUID, act: Act) -> User | None:
        """Carry out what is unsettled, under the row's lock."""
        parameters: dict[str, Any] = {"tenant_id": tenant_id, "user_id": user_id}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            row = cursor.execute(self._queries["user_locked"], parameters).fetchone()
            if row is None:
                return None
            user = User(*row)
            if user.is_settled:
                return user
            standing = act(user)
            if standing is None:
                cursor.execute(self._queries["remove_user"], parameters)
                return None
            settled = {"subject": standing.subject, "is_confirmed": standing.is_confirmed}
            cursor.execute(self._queries["settle_user"], parameters | settled)
            row = cursor.execute(
                self._queries["user"], parameters | {"user_id": standing.subject}
            ).fetchone()
        return None if row is None else User(*row)

    def discard(self, tenant_id: UUID, user_id: UUID) -> None:
        """Take back a row."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(
                self._queries["remove_user"], {"tenant_id": tenant_id, "user_id": user_id}
            )

    def confirm(self, tenant_id: UUID, user_id: UUID) -> None:
        """Note that a person has a password of her own."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(
                self._queries["confirm_user"], {"tenant_id": tenant_id, "user_id": user_id}
            )

    def _touch(
        self, query: str, tenant_id: UUID, user_id: UUID, parameters: dict[str, Any]
    ) -> bool:
        ids = {"tenant_id": tenant_id, "user_id": user_id}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            return cursor.execute(self._queries[query], parameters | ids).fetchone() is not None
