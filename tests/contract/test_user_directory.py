"""The user pool as an administrator sees it: the one in memory and the local pool, over real HTTP
with the API's own adapter, keep the same promises.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from local.aws.mailbox import Mailbox
from tests.contract.emulator import Emulator
from tests.support.user_directory import FakeDirectory
from traksense.auth.errors import BadCredentials, IdentityProviderAway
from traksense.auth.identity import Role, identity_from_claims
from traksense.aws.cognito import Challenge, Tokens
from traksense.aws.user_directory import CognitoDirectory
from traksense.contracts.user_pool import TENANT_ATTRIBUTE, USER_POOL
from traksense.services.users import Directory, Person, SomebodyElse

ACME, GLOBEX = uuid4(), uuid4()
PASSWORD = "a passphrase of her own"
_numbers = itertools.count()


@dataclass
class Pool:
    directory: Directory
    invitations: Callable[[str], int]
    confirm: Callable[[str], None]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    made = Emulator.start(tmp_path_factory.mktemp("home"))
    yield made
    made.stop()


def real(emulator: Emulator) -> Pool:
    pool_id = emulator.ids.user_pool_id
    mailbox = Mailbox(emulator.home / "aws" / "mail")
    return Pool(
        CognitoDirectory(pool_id, "us-east-1", lambda _region: emulator.admin()),
        lambda email: sum(email in mail.recipients for mail in mailbox.newest_first()),
        lambda email: emulator.admin().admin_set_user_password(
            UserPoolId=pool_id, Username=email, Password=PASSWORD, Permanent=True
        ),
    )


def fake() -> Pool:
    directory = FakeDirectory()

    def confirm(email: str) -> None:
        directory.members[email].is_confirmed = True

    return Pool(directory, lambda email: directory.members[email].invitations, confirm)


@pytest.fixture(params=["memory", "local pool"])
def pool(request: pytest.FixtureRequest) -> Pool:
    if request.param == "memory":
        return fake()
    return real(request.getfixturevalue("emulator"))


def somebody(tenant: UUID = ACME, role: str = "viewer") -> Person:
    return Person(f"p{next(_numbers)}@acme.example", "Ana", role, "pt-BR", tenant, "Acme", True)


def test_who_is_not_there_is_made_and_invited_once(pool: Pool) -> None:
    person = somebody()
    first = pool.directory.ensure(person, invite=True, sign_out=False)
    assert not first.is_confirmed
    assert pool.directory.ensure(person, invite=False, sign_out=True) == first
    assert pool.invitations(person.email) == 1
    pool.directory.ensure(person, invite=True, sign_out=False)
    assert pool.invitations(person.email) == 2


def test_who_has_a_password_of_her_own_is_not_invited_again(pool: Pool) -> None:
    person = somebody()
    pool.directory.ensure(person, invite=True, sign_out=False)
    pool.confirm(person.email)
    assert pool.directory.ensure(person, invite=True, sign_out=False).is_confirmed
    assert pool.invitations(person.email) == 1


def test_another_tenants_person_is_neither_taken_nor_removed(pool: Pool) -> None:
    person = somebody()
    first = pool.directory.ensure(person, invite=True, sign_out=False)
    with pytest.raises(SomebodyElse):
        pool.directory.ensure(replace(person, tenant_id=GLOBEX), invite=True, sign_out=True)
    pool.directory.remove(person.email, GLOBEX)
    assert pool.directory.ensure(person, invite=False, sign_out=False) == first


def test_a_removal_is_one_however_often_it_comes(pool: Pool) -> None:
    person = somebody()
    first = pool.directory.ensure(person, invite=True, sign_out=False)
    for _ in range(2):
        pool.directory.remove(person.email, ACME)
    again = pool.directory.ensure(person, invite=True, sign_out=False)
    assert again.subject != first.subject


# -- the local pool alone: what tokens say


def log_in(emulator: Emulator, email: str) -> tuple[Tokens, dict[str, Any]]:
    answer = emulator.cognito().login(email, PASSWORD)
    assert isinstance(answer, Tokens)
    return answer, jwt.decode(answer.id_token, options={"verify_signature": False})


def test_a_token_says_what_the_person_is_to_be(emulator: Emulator) -> None:
    pool, person = real(emulator), somebody(role="customer_admin")
    standing = pool.directory.ensure(person, invite=True, sign_out=False)
    pool.confirm(person.email)
    tokens, claims = log_in(emulator, person.email)
    identity = identity_from_claims(claims)
    assert (identity.role, identity.tenant_id) == (Role.CUSTOMER_ADMIN, ACME)
    assert identity.user_id == str(standing.subject)
    viewer = replace(person, role="viewer", name="Ana Lima", locale="en")
    pool.directory.ensure(viewer, invite=False, sign_out=True)
    with pytest.raises(BadCredentials):
        emulator.cognito().refresh(tokens.refresh_token or "")
    _, claims = log_in(emulator, person.email)
    assert claims["cognito:groups"] == ["viewer"]
    assert (claims["name"], claims["locale"]) == ("Ana Lima", "en")
    pool.directory.ensure(replace(viewer, is_enabled=False), invite=False, sign_out=False)
    with pytest.raises(BadCredentials):
        emulator.cognito().login(person.email, PASSWORD)
    pool.directory.ensure(viewer, invite=False, sign_out=False)
    log_in(emulator, person.email)


def test_what_was_mailed_gets_an_invited_person_in(emulator: Emulator) -> None:
    pool, person = real(emulator), somebody()
    pool.directory.ensure(person, invite=True, sign_out=False)
    mail = Mailbox(emulator.home / "aws" / "mail").newest_first()[0]
    found = re.search(r"Senha provisória\s+(\S+)", mail.text)
    assert found is not None
    asked = emulator.cognito().login(person.email, found[1])
    assert isinstance(asked, Challenge)
    assert isinstance(emulator.cognito().respond(asked.session, PASSWORD, None), Tokens)


def test_an_operator_is_somebody_else_to_every_tenant(emulator: Emulator) -> None:
    from local.aws.users import ensure_user

    person = somebody()
    ensure_user(
        emulator.admin(), emulator.ids.user_pool_id, person.email, PASSWORD, "internal_ops",
        None, "Op",
    )  # fmt: skip
    with pytest.raises(SomebodyElse):
        real(emulator).directory.ensure(person, invite=True, sign_out=True)
    assert log_in(emulator, person.email)[1]["cognito:groups"] == ["internal_ops"]


def test_a_pool_that_does_not_answer_is_away(emulator: Emulator) -> None:
    elsewhere = CognitoDirectory("us-east-1_other0000", "us-east-1", lambda _: emulator.admin())
    with pytest.raises(IdentityProviderAway):
        elsewhere.ensure(somebody(), invite=True, sign_out=False)


def test_the_tenant_is_out_of_every_clients_reach(emulator: Emulator) -> None:
    admin, pool_id = emulator.admin(), emulator.ids.user_pool_id
    described = admin.describe_user_pool(UserPoolId=pool_id)["UserPool"]
    assert described["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    clients = admin.list_user_pool_clients(UserPoolId=pool_id)["UserPoolClients"]
    assert len(clients) == 1
    for client in clients:
        found = admin.describe_user_pool_client(UserPoolId=pool_id, ClientId=client["ClientId"])[
            "UserPoolClient"
        ]
        assert TENANT_ATTRIBUTE in found["ReadAttributes"]
        assert found["WriteAttributes"] == list(USER_POOL.client.writable)
        assert TENANT_ATTRIBUTE not in found["WriteAttributes"]
