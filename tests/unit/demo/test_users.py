from __future__ import annotations

import secrets as random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import boto3
import pytest
from moto import mock_aws

from local.demo.seed import DemoUser
from local.demo.users import ensure_users, login
from traksense.auth.identity import Role

ACME = UUID("0b0b0b0b-0000-4000-8000-000000000001")
PEOPLE = (
    DemoUser("ops@traksense.example", "Olívia", "internal_ops", None, None),
    DemoUser("admin@acme.example", "Ana", "customer_admin", "acme", ACME),
    DemoUser("viewer@acme.example", "Lia", "viewer", "acme", ACME),
)


class FakeSecrets:
    """Random secrets in memory."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def secret(self, name: str) -> str:
        return self.known.setdefault(name, random.token_urlsafe(24))


class Pool:
    """A user pool with the platform's groups and attribute, and a client to log in at."""

    def __init__(self) -> None:
        self.client = boto3.client("cognito-idp", region_name="us-east-1")
        self.id = self.client.create_user_pool(
            PoolName="traksense",
            UsernameAttributes=["email"],
            Policies={
                "PasswordPolicy": {
                    "MinimumLength": 12,
                    **dict.fromkeys(
                        (
                            "RequireUppercase",
                            "RequireLowercase",
                            "RequireNumbers",
                            "RequireSymbols",
                        ),
                        False,
                    ),
                }
            },
            Schema=[{"Name": "tenant_id", "AttributeDataType": "String", "Mutable": True}],
        )["UserPool"]["Id"]
        for role in Role:
            self.client.create_group(UserPoolId=self.id, GroupName=str(role))
        self.client_id = self.client.create_user_pool_client(
            UserPoolId=self.id, ClientName="web", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )["UserPoolClient"]["ClientId"]

    def log_in(self, email: str, password: str) -> Any:
        return self.client.initiate_auth(
            ClientId=self.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )["AuthenticationResult"]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Pool()


def test_everybody_of_the_demo_can_log_in_with_the_password_of_this_home(pool: Pool) -> None:
    logins = ensure_users(pool.client, pool.id, PEOPLE, FakeSecrets())
    assert [(made.email, made.role, made.tenant) for made in logins] == [
        (user.email, user.role, user.tenant) for user in PEOPLE
    ]
    for made in logins:
        assert pool.log_in(made.email, made.password)["IdToken"]


def test_people_carry_their_tenant_and_are_in_the_group_of_their_role(pool: Pool) -> None:
    ensure_users(pool.client, pool.id, PEOPLE, FakeSecrets())
    for user in PEOPLE:
        found = pool.client.admin_get_user(UserPoolId=pool.id, Username=user.email)
        attributes = {a["Name"]: a["Value"] for a in found["UserAttributes"]}
        tenant_id = None if user.tenant_id is None else str(user.tenant_id)
        assert attributes.get("custom:tenant_id") == tenant_id
        assert attributes["name"] == user.name
        groups = pool.client.admin_list_groups_for_user(UserPoolId=pool.id, Username=user.email)
        assert [group["GroupName"] for group in groups["Groups"]] == [user.role]


def test_a_second_start_makes_nobody_twice_and_gives_the_same_passwords(pool: Pool) -> None:
    secrets = FakeSecrets()
    first = ensure_users(pool.client, pool.id, PEOPLE, secrets)
    assert ensure_users(pool.client, pool.id, PEOPLE, secrets) == first
    users = pool.client.list_users(UserPoolId=pool.id)["Users"]
    assert len(users) == len(PEOPLE)


def test_a_password_that_somebody_changed_stays_changed(pool: Pool) -> None:
    secrets = FakeSecrets()
    ensure_users(pool.client, pool.id, PEOPLE, secrets)
    chosen = random.token_urlsafe(24)
    pool.client.admin_set_user_password(
        UserPoolId=pool.id, Username=PEOPLE[1].email, Password=chosen, Permanent=True
    )
    ensure_users(pool.client, pool.id, PEOPLE, secrets)
    assert pool.log_in(PEOPLE[1].email, chosen)["IdToken"]


def test_passwords_are_long_random_and_of_one_home() -> None:
    here, there = FakeSecrets(), FakeSecrets()
    passwords = {login(user, home).password for user in PEOPLE for home in (here, there)}
    assert len(passwords) == 2 * len(PEOPLE)
    assert all(len(password) >= 32 for password in passwords)
    assert login(PEOPLE[0], here) == login(PEOPLE[0], here)
