"""Log-ins of the demo's people, each with a password that is random in this home."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.aws.users import ensure_user
from local.demo.catalogue import Role
from local.demo.seed import DemoUser
from local.logins import Secrets

if TYPE_CHECKING:
    from botocore.client import BaseClient


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """What a person of the demo logs in with."""

    email: str
    password: str
    role: Role
    tenant: str | None
    """Slug; None for ``internal_ops``."""


def login(user: DemoUser, secrets: Secrets) -> DemoLogin:
    """The log-in of a demo user in the home of these secrets. Asks nobody."""
    password = secrets.secret(f"user_{user.email}")
    return DemoLogin(user.email, password, user.role, user.tenant)


def ensure_users(
    client: BaseClient, pool_id: str, users: Iterable[DemoUser], secrets: Secrets
) -> tuple[DemoLogin, ...]:
    """Make the demo's people in the user pool, where they are not there yet; their log-ins.

    A password that somebody changed since stays changed. Raises botocore's ClientError.
    """
    logins = []
    for user in users:
        made = login(user, secrets)
        ensure_user(
            client, pool_id, user.email, made.password, user.role, user.tenant_id, user.name
        )
        logins.append(made)
    return tuple(logins)
