"""People of tenants: written down first, then carried out in the user pool (ADR 16).

The row is what is wanted. Carrying it out is one idempotent act under the row's lock, done again
by whoever comes next where it was cut short.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from traksense.auth.identity import Identity, Role
from traksense.domain.errors import Conflict, Forbidden, Invalid, NotFound, RetryableError
from traksense.i18n.catalogue import text
from traksense.services.paging import Page, decode_cursor, encode_cursor

_log = logging.getLogger(__name__)

_CURSOR: Final = "users"
DEFAULT_MAX_USERS: Final = 500
"""People of a tenant that has no limit of its own."""

Status = Literal["invited", "active", "disabled", "leaving"]


@dataclass(frozen=True, slots=True)
class User:
    """A person of a tenant. ``locale`` None: her tenant's."""

    id: UUID
    tenant: str
    email: str
    name: str
    role: str
    locale: str | None
    is_enabled: bool
    is_leaving: bool
    confirmed_at: datetime | None
    unsettled_since: datetime | None
    created_at: datetime
    tenant_name: str
    tenant_locale: str

    @property
    def status(self) -> Status:
        """In one word."""
        if self.is_leaving:
            return "leaving"
        if not self.is_enabled:
            return "disabled"
        return "invited" if self.confirmed_at is None else "active"

    @property
    def is_settled(self) -> bool:
        """Whether the user pool has all that the row says."""
        return self.unsettled_since is None


@dataclass(frozen=True, slots=True)
class NewUser:
    """Who is to be invited; ``email`` in lower case."""

    email: str
    name: str
    role: str
    locale: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """How somebody is to be in the user pool."""

    email: str
    name: str
    role: str
    locale: str
    tenant_id: UUID
    tenant_name: str
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody is in the user pool."""

    subject: UUID
    """``sub`` of her tokens."""
    is_confirmed: bool
    """Whether she has a password of her own."""


class SomebodyElse(Exception):
    """The e-mail is, in the user pool, somebody's who is not of this tenant."""


class Directory(Protocol):
    """The user pool, as an administrator sees it. Raises RetryableError where it is away."""

    def ensure(self, person: Person, *, invite: bool, sign_out: bool) -> Standing:
        """Bring the pool to this: make her where she is not, with an invitation.

        ``invite`` mails one also to who is there and still has no password of her own;
        ``sign_out`` ends her sessions. Raises SomebodyElse.
        """

    def remove(self, email: str, tenant_id: UUID) -> None:
        """Sign out and delete this tenant's person; nothing where there is none."""


Act = Callable[[User], Standing | None]
"""Carries a row out; None: the person is gone, and so is the row."""


class UserStore(Protocol):
    """Where people are written down, each call in the sight of one tenant."""

    def page(self, tenant_id: UUID, after: str, limit: int) -> Sequence[User]:
        """Up to ``limit`` people by e-mail, those after one."""

    def get(self, tenant_id: UUID, user_id: UUID) -> User | None:
        """One person."""

    def add(self, tenant_id: UUID, new: NewUser, default_most: int) -> UUID:
        """Write down somebody new, or anew who was never settled; her id.

        Raises Conflict where the e-mail is taken or there is no room.
        """

    def change(self, tenant_id: UUID, user_id: UUID, fields: Mapping[str, Any]) -> bool:
        """Change a person who is not leaving; whether there is one."""

    def leave(self, tenant_id: UUID, user_id: UUID) -> bool:
        """Mark a person as leaving; whether there is one."""

    def settle(self, tenant_id: UUID, user_id: UUID, act: Act) -> User | None:
        """Under the row's lock: carry out what is unsettled, and write down that it is.

        Leaves a settled row alone. None where there is no such row, or no longer.
        """

    def discard(self, tenant_id: UUID, user_id: UUID) -> None:
        """Take back a row that cannot be carried out."""

    def confirm(self, tenant_id: UUID, user_id: UUID) -> None:
        """Note that a person has a password of her own."""


class Users:
    """What administrators do with people."""

    def __init__(self, store: UserStore, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    def page(self, tenant_id: UUID, limit: int, cursor: str | None) -> Page[User]:
        """One page of a tenant's people, by e-mail. Raises Malformed."""
        after = "" if cursor is None else str(decode_cursor(_CURSOR, cursor, str)[0])
        found = self._store.page(tenant_id, after, limit + 1)
        items = found[:limit]
        more = len(found) > limit
        return Page(items, encode_cursor(_CURSOR, items[-1].email) if more else None)

    def get(self, tenant_id: UUID, user_id: UUID) -> User:
        """One person, carried out first where that is due and the pool answers. Raises NotFound."""
        found = self._found(tenant_id, user_id)
        if found.is_settled:
            return found
        try:
            return _or_not_found(self._settle(tenant_id, user_id, invite=True, sign_out=True))
        except RetryableError as error:
            _log.warning("a person is not settled yet: %s", error)
            return found

    def invite(self, tenant_id: UUID, new: NewUser) -> User:
        """Invite somebody. Again is the same, as long as it was not carried out.

        Raises Conflict where the e-mail is somebody's or the tenant is full, and RetryableError
        where the pool is away: the person is then in the list, unsettled.
        """
        user_id = self._store.add(tenant_id, new, DEFAULT_MAX_USERS)
        return _or_not_found(self._settle(tenant_id, user_id, invite=True, sign_out=False))

    def invite_again(self, tenant_id: UUID, user_id: UUID) -> User:
        """Mail another invitation. Raises NotFound, Conflict for who has a password already."""
        found = self._found(tenant_id, user_id)
        if found.confirmed_at is None and self._store.change(tenant_id, user_id, {}):
            found = _or_not_found(self._settle(tenant_id, user_id, invite=True, sign_out=False))
        if found.status != "invited":
            raise Conflict(text("user.not_invited"))
        return found

    def change(
        self, caller: Identity, tenant_id: UUID, user_id: UUID, fields: Mapping[str, Any]
    ) -> User:
        """Change name, role, language or whether she may log in.

        Raises NotFound; Forbidden where she would take her own rights away; Conflict.
        """
        before = self._found(tenant_id, user_id)
        takes_rights = fields.get("role", before.role) != before.role or (
            fields.get("is_enabled", before.is_enabled) != before.is_enabled
        )
        if takes_rights:
            _require_another(caller, user_id)
        if not self._store.change(tenant_id, user_id, fields):
            self._found(tenant_id, user_id)
            raise Conflict(text("user.leaving"))
        # What an earlier call did not finish may have been about rights as well.
        sign_out = takes_rights or not before.is_settled
        changed = self._settle(tenant_id, user_id, invite=not before.is_settled, sign_out=sign_out)
        return _or_not_found(changed)

    def remove(self, caller: Identity, tenant_id: UUID, user_id: UUID) -> None:
        """Remove a person from the pool and the list. Raises NotFound, and Forbidden for herself.

        Again is the same, as long as it was not carried out.
        """
        _require_another(caller, user_id)
        self._remove(tenant_id, user_id)

    def remove_all(self, tenant_id: UUID) -> int:
        """Remove every person of a tenant that is erased; how many. Again goes on."""
        removed = 0
        while page := self._store.page(tenant_id, "", 100):
            for user in page:
                self._remove(tenant_id, user.id)
                removed += 1
        return removed

    def note_password(self, tenant_id: UUID, subject: UUID) -> None:
        """Note that a person has a password of her own. A log-in never fails for this."""
        try:
            self._store.confirm(tenant_id, subject)
        except RetryableError as error:
            _log.warning("a first log-in was not noted: %s", error)

    def _remove(self, tenant_id: UUID, user_id: UUID) -> None:
        if not self._store.leave(tenant_id, user_id):
            raise NotFound(text("user.not_found"))
        self._settle(tenant_id, user_id, invite=False, sign_out=True)

    def _settle(
        self, tenant_id: UUID, user_id: UUID, *, invite: bool, sign_out: bool
    ) -> User | None:
        def act(row: User) -> Standing | None:
            if row.is_leaving:
                self._directory.remove(row.email, tenant_id)
                return None
            return self._directory.ensure(_person(row, tenant_id), invite=invite, sign_out=sign_out)

        try:
            return self._store.settle(tenant_id, user_id, act)
        except SomebodyElse:
            self._store.discard(tenant_id, user_id)
            raise Conflict(text("user.email_taken")) from None

    def _found(self, tenant_id: UUID, user_id: UUID) -> User:
        return _or_not_found(self._store.get(tenant_id, user_id))


def normal_email(email: str) -> str:
    """An e-mail as it is kept: without spaces around it, in lower case. Raises Invalid.

    No more is asked than that a mail server could be found: the invitation proves the rest.
    """
    kept = email.strip().lower()
    local, at, domain = kept.rpartition("@")
    is_plain = kept.isascii() and not any(each.isspace() or each in '<>",;:()[]\\' for each in kept)
    if not (at and local and is_plain and 3 <= len(kept) <= 128) or not _is_domain(domain):
        raise Invalid(
            text("problem.invalid.detail"), (("body.email", text("user.email_malformed")),)
        )
    return kept


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return len(labels) > 1 and all(
        label and label.strip("-") == label and label.replace("-", "").isalnum() for label in labels
    )


def _person(row: User, tenant_id: UUID) -> Person:
    return Person(
        email=row.email,
        name=row.name,
        role=row.role,
        locale=row.locale or row.tenant_locale,
        tenant_id=tenant_id,
        tenant_name=row.tenant_name,
        is_enabled=row.is_enabled,
    )


def _require_another(caller: Identity, user_id: UUID) -> None:
    if caller.role is not Role.INTERNAL_OPS and caller.user_id == str(user_id):
        raise Forbidden(text("user.herself"))


def _or_not_found(user: User | None) -> User:
    if user is None:
        raise NotFound(text("user.not_found"))
    return user
