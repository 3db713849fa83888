"""Users of a pool, made the way an administrator makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from traksense.auth.identity import TENANT_CLAIM, Role

if TYPE_CHECKING:
    from botocore.client import BaseClient


def ensure_user(
    client: BaseClient,
    pool_id: str,
    email: str,
    password: str,
    role: Role | str,
    tenant_id: UUID | str | None,
    name: str,
) -> str:
    """Make the user where there is none, set what is another, and return its ``sub``.

    ``password`` becomes the permanent one of a new user, or of one whose making was cut short; a
    password that somebody chose since is left alone. The user is then in the group of its role
    and in no other of the platform's.
    """
    wanted = {"email": email, "email_verified": "true", "name": name}
    if tenant_id is not None:
        wanted[TENANT_CLAIM] = str(tenant_id)
    try:
        found = client.admin_get_user(UserPoolId=pool_id, Username=email)
        attributes, status = found["UserAttributes"], found["UserStatus"]
    except client.exceptions.UserNotFoundException:
        made = client.admin_create_user(
            UserPoolId=pool_id,
            Username=email,
            MessageAction="SUPPRESS",
            UserAttributes=_attributes(wanted),
        )["User"]
        attributes, status = made["Attributes"], made["UserStatus"]
    known = {attribute["Name"]: attribute["Value"] for attribute in attributes}
    if different := {key: value for key, value in wanted.items() if known.get(key) != value}:
        client.admin_update_user_attributes(
            UserPoolId=pool_id, Username=email, UserAttributes=_attributes(different)
        )
    _join_only(client, pool_id, email, Role(role))
    # Last, because a user with a permanent password is one that was made to the end.
    if status == "FORCE_CHANGE_PASSWORD":
        client.admin_set_user_password(
            UserPoolId=pool_id, Username=email, Password=password, Permanent=True
        )
    return str(known["sub"])


def _attributes(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _join_only(client: Any, pool_id: str, email: str, role: Role) -> None:
    groups = client.admin_list_groups_for_user(UserPoolId=pool_id, Username=email)["Groups"]
    current = {group["GroupName"] for group in groups}
    for other in current & set(Role) - {role}:
        client.admin_remove_user_from_group(UserPoolId=pool_id, Username=email, GroupName=other)
    if role not in current:
        client.admin_add_user_to_group(UserPoolId=pool_id, Username=email, GroupName=str(role))
