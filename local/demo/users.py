"""Log-ins of the demo's people, each with a password that is random in this home."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from local.aws.users import ensure_user
from local.demo.catalogue import Role
from local.demo.seed import DemoUser
from local.logins import Secrets
from traksense.db.connection import Database
from traksense.db.queries import load as load_queries

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
    subject: str | None = None
    """``sub`` in the user pool, where that was asked."""


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
        subject = ensure_user(
            client, pool_id, user.email, made.password, user.role, user.tenant_id, user.name
        )
        logins.append(replace(made, subject=subject))
    return tuple(logins)


def mirror_users(admin_url: str, users: Iterable[DemoUser], logins: Iterable[DemoLogin]) -> None:
    """Write the demo's people of tenants into the list that the API shows. Raises DatabaseAway."""
    subjects = {login.email: login.subject for login in logins}
    rows = [
        {
            "id": subjects[user.email],
            "tenant_id": str(user.tenant_id),
            "email": user.email,
            "name": user.name,
            "role": user.role,
        }
        for user in users
        if user.tenant_id is not None
    ]
    database = Database(admin_url, application_name="traksense-demo-users")
    try:
        with database.transaction("traksense_ops") as cursor:
            cursor.execute(load_queries("demo")["mirror_users"], {"rows": Jsonb(rows)})
    finally:
        database.close()
