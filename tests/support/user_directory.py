"""A user pool in memory, as an administrator sees it; tests make it fail where they like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from traksense.auth.errors import IdentityProviderAway
from traksense.services.users import Person, SomebodyElse, Standing


@dataclass
class Member:
    """Somebody in the pool."""

    subject: UUID
    person: Person
    is_confirmed: bool = False
    invitations: int = 1
    sign_outs: int = 0


@dataclass
class FakeDirectory:
    """Implements ``traksense.services.users.Directory``."""

    members: dict[str, Member] = field(default_factory=dict)
    is_away: bool = False
    before: Callable[[str], None] | None = None
    """Called with the e-mail before anything is done."""
    after: Callable[[str], None] | None = None
    """Called once all is done, before the caller hears of it: what it raises is an answer lost."""

    def ensure(self, person: Person, *, invite: bool, sign_out: bool) -> Standing:
        """Bring the pool to this."""
        self._begin(person.email)
        member = self.members.get(person.email)
        if member is None:
            member = self.members[person.email] = Member(uuid4(), person)
            invite = False
        elif member.person.tenant_id != person.tenant_id:
            raise SomebodyElse
        member.person = person
        if sign_out or not person.is_enabled:
            member.sign_outs += 1
        if invite and not member.is_confirmed and person.is_enabled:
            member.invitations += 1
        self._end(person.email)
        return Standing(member.subject, member.is_confirmed)

    def remove(self, email: str, tenant_id: UUID) -> None:
        """Delete this tenant's person."""
        self._begin(email)
        member = self.members.get(email)
        if member is not None and member.person.tenant_id == tenant_id:
            del self.members[email]
        self._end(email)

    def _begin(self, email: str) -> None:
        if self.is_away:
            raise IdentityProviderAway("the user pool cannot be reached")
        if self.before is not None:
            self.before(email)

    def _end(self, email: str) -> None:
        if self.after is not None:
            self.after(email)
