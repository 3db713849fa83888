"""What the platform relies on of its user pool: the local one keeps it, over real HTTP."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError
from moto.utilities.utils import load_resource

from local.aws.users import ensure_user
from tests.contract.emulator import PASSWORD, TENANT, Emulator
from traksense.auth.errors import BadCredentials, Throttled
from traksense.auth.identity import Role, identity_from_claims
from traksense.aws.cognito import Challenge, Tokens

_numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    made = Emulator.start(tmp_path_factory.mktemp("home"))
    yield made
    made.stop()


@pytest.fixture
def admin(emulator: Emulator) -> Any:
    return emulator.admin()


@pytest.fixture
def user(emulator: Emulator, admin: Any) -> Callable[..., str]:
    """Makes a user and gives the e-mail."""

    def make(role: Role = Role.VIEWER, tenant: str | None = TENANT) -> str:
        email = f"user{next(_numbers)}@acme.example"
        ensure_user(admin, emulator.ids.user_pool_id, email, PASSWORD, role, tenant, "Ana Souza")
        return email

    return make


def log_in(emulator: Emulator, email: str, password: str = PASSWORD) -> Tokens:
    answer = emulator.cognito().login(email, password)
    assert isinstance(answer, Tokens)
    return answer


def verified(emulator: Emulator, token: str, audience: str | None = None) -> dict[str, Any]:
    """The claims of a token, checked against the keys that the pool publishes."""
    kid = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWKSet.from_dict(emulator.jwks())[kid]
    options: Any = {"verify_aud": audience is not None}
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["RS256"], audience=audience, options=options
    )
    return claims


def code_of(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_id_token_says_who_it_is_of(emulator: Emulator, user: Callable[..., str]) -> None:
    email = user(Role.CUSTOMER_ADMIN)
    claims = verified(emulator, log_in(emulator, email).id_token, emulator.ids.client_id)
    pool = emulator.ids.user_pool_id
    assert claims["iss"] == f"https://cognito-idp.us-east-1.amazonaws.com/{pool}"
    assert claims["token_use"] == "id"
    assert claims["email"] == email
    assert claims["email_verified"] is True
    assert claims["custom:tenant_id"] == TENANT
    assert claims["cognito:groups"] == ["customer_admin"]
    assert claims["exp"] - claims["iat"] == 3600
    identity = identity_from_claims(claims)
    assert (identity.role, str(identity.tenant_id)) == (Role.CUSTOMER_ADMIN, TENANT)


def test_an_operator_has_no_tenant(emulator: Emulator, user: Callable[..., str]) -> None:
    claims = verified(emulator, log_in(emulator, user(Role.INTERNAL_OPS, None)).id_token)
    assert "custom:tenant_id" not in claims
    assert identity_from_claims(claims).tenant_id is None


def test_an_access_token_is_no_id_token(emulator: Emulator, user: Callable[..., str]) -> None:
    claims = verified(emulator, log_in(emulator, user()).access_token)
    assert claims["token_use"] == "access"
    assert claims["client_id"] == emulator.ids.client_id
    assert "aud" not in claims
    assert "custom:tenant_id" not in claims


def test_the_key_that_moto_ships_signs_nothing_here(
    emulator: Emulator, user: Callable[..., str]
) -> None:
    shipped = load_resource("cognitoidp/resources/jwks-public.json")["keys"]
    assert shipped
    served = emulator.jwks()["keys"]
    assert len(served) == 1
    assert served[0]["n"] not in {key["n"] for key in shipped}
    assert served[0]["kid"] not in {key["kid"] for key in shipped}
    tokens = log_in(emulator, user())
    for token in (tokens.id_token, tokens.access_token):
        assert jwt.get_unverified_header(token)["kid"] == served[0]["kid"]
        verified(emulator, token)
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(
                token,
                jwt.PyJWK.from_dict(shipped[0]),
                algorithms=["RS256"],
                options={"verify_aud": False},
            )


def test_another_home_has_another_key(emulator: Emulator, tmp_path: Path) -> None:
    other = Emulator.start(tmp_path)
    try:
        assert other.jwks()["keys"][0]["n"] != emulator.jwks()["keys"][0]["n"]
        assert other.ids != emulator.ids
    finally:
        other.stop()


def test_e_mails_do_not_tell_upper_from_lower_case(
    emulator: Emulator, user: Callable[..., str]
) -> None:
    email = user()
    claims = verified(emulator, log_in(emulator, email.upper()).id_token)
    assert claims["email"] == email


def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    def attempt(name: str) -> tuple[str, str]:
        return code_of(
            lambda: admin.initiate_auth(
                ClientId=emulator.ids.client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": name, "PASSWORD": "wrong"},
            )
        )

    expected = ("NotAuthorizedException", "Incorrect username or password.")
    assert attempt(user()) == attempt("nobody@acme.example") == expected
    with pytest.raises(BadCredentials):
        emulator.cognito().login("nobody@acme.example", PASSWORD)


def test_guessing_is_slowed_down_for_users_and_for_names_that_are_none(
    emulator: Emulator, user: Callable[..., str]
) -> None:
    cognito = emulator.cognito()
    for name in (user(), "never-was@acme.example"):
        for _ in range(5):
            with pytest.raises(BadCredentials):
                cognito.login(name, "wrong")
        with pytest.raises(Throttled):
            cognito.login(name, PASSWORD)


def test_a_disabled_user_gets_no_tokens_old_or_new(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    email = user()
    tokens = log_in(emulator, email)
    admin.admin_disable_user(UserPoolId=emulator.ids.user_pool_id, Username=email)
    with pytest.raises(BadCredentials):
        emulator.cognito().login(email, PASSWORD)
    with pytest.raises(BadCredentials):
        emulator.cognito().refresh(tokens.refresh_token or "")


def test_a_refresh_carries_what_changed_since_the_login(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    email = user(Role.CUSTOMER_ADMIN)
    tokens = log_in(emulator, email)
    pool = emulator.ids.user_pool_id
    ensure_user(admin, pool, email, PASSWORD, Role.VIEWER, TENANT, "Ana Souza")
    fresh = emulator.cognito().refresh(tokens.refresh_token or "")
    before, after = verified(emulator, tokens.id_token), verified(emulator, fresh.id_token)
    assert after["cognito:groups"] == ["viewer"]
    assert after["auth_time"] == before["auth_time"]
    assert after["jti"] != before["jti"]


def test_signing_out_ends_every_session_and_begins_none(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    email = user()
    tokens = log_in(emulator, email)
    assert admin.get_user(AccessToken=tokens.access_token)["Username"]
    admin.global_sign_out(AccessToken=tokens.access_token)
    assert code_of(lambda: admin.get_user(AccessToken=tokens.access_token))[0] == (
        "NotAuthorizedException"
    )
    with pytest.raises(BadCredentials):
        emulator.cognito().refresh(tokens.refresh_token or "")
    again = log_in(emulator, email)
    assert admin.get_user(AccessToken=again.access_token)["Username"]


@pytest.mark.parametrize("kind", ["id", "access", "tampered"])
def test_only_a_refresh_token_refreshes(
    emulator: Emulator, user: Callable[..., str], kind: str
) -> None:
    tokens = log_in(emulator, user())
    given = {
        "id": tokens.id_token,
        "access": tokens.access_token,
        "tampered": (tokens.refresh_token or "")[:-4] + "AAAA",
    }[kind]
    with pytest.raises(BadCredentials):
        emulator.cognito().refresh(given)


def test_nobody_changes_her_own_tenant(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    email = user()
    access = log_in(emulator, email).access_token
    other = "99999999-9999-4999-9999-999999999999"
    for attributes in (
        [{"Name": "custom:tenant_id", "Value": other}],
        [{"Name": "name", "Value": "Bia"}, {"Name": "custom:tenant_id", "Value": other}],
        [{"Name": "email", "Value": "bia@acme.example"}],
        [{"Name": "email_verified", "Value": "false"}],
    ):
        refused = code_of(
            lambda attributes=attributes: admin.update_user_attributes(  # type: ignore[misc]
                AccessToken=access, UserAttributes=attributes
            )
        )
        assert refused[0] == "NotAuthorizedException"
    admin.update_user_attributes(
        AccessToken=access, UserAttributes=[{"Name": "locale", "Value": "en"}]
    )
    claims = verified(emulator, log_in(emulator, email).id_token)
    assert claims["custom:tenant_id"] == TENANT
    assert (claims["name"], claims["locale"]) == ("Ana Souza", "en")


def test_the_app_clients_description_says_what_it_may_write(emulator: Emulator, admin: Any) -> None:
    pool = emulator.ids.user_pool_id
    client = admin.describe_user_pool_client(UserPoolId=pool, ClientId=emulator.ids.client_id)
    assert client["UserPoolClient"]["WriteAttributes"] == ["name", "locale"]
    described = admin.describe_user_pool(UserPoolId=pool)["UserPool"]
    assert described["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    groups = admin.list_groups(UserPoolId=pool)["Groups"]
    assert {group["GroupName"] for group in groups} == {str(role) for role in Role}


def test_nobody_signs_up(emulator: Emulator, admin: Any) -> None:
    refused = code_of(
        lambda: admin.sign_up(
            ClientId=emulator.ids.client_id, Username="eve@acme.example", Password=PASSWORD
        )
    )
    assert refused[0] == "NotAuthorizedException"


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        ("USER_SRP_AUTH", {"USERNAME": "a@b.example", "SRP_A": "1"}),
        ("CUSTOM_AUTH", {"USERNAME": "a@b.example"}),
        ("USER_PASSWORD_AUTH", {"USERNAME": "a@b.example"}),
        ("REFRESH_TOKEN_AUTH", {}),
    ],
)
def test_other_ways_in_are_closed(
    emulator: Emulator, admin: Any, flow: str, parameters: dict[str, str]
) -> None:
    refused = code_of(
        lambda: admin.initiate_auth(
            ClientId=emulator.ids.client_id, AuthFlow=flow, AuthParameters=parameters
        )
    )
    assert refused[0] == "InvalidParameterException"


def test_a_temporary_password_must_be_replaced_by_its_own_user_once(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    pool, client_id = emulator.ids.user_pool_id, emulator.ids.client_id
    victim, email = user(), f"temporary{next(_numbers)}@acme.example"
    admin.admin_create_user(
        UserPoolId=pool,
        Username=email,
        TemporaryPassword=PASSWORD,
        UserAttributes=[{"Name": "custom:tenant_id", "Value": TENANT}],
    )
    challenge = emulator.cognito().login(email, PASSWORD)
    assert isinstance(challenge, Challenge)
    assert challenge.name == "NEW_PASSWORD_REQUIRED"

    def answer(name: str, password: str) -> Any:
        return admin.respond_to_auth_challenge(
            ClientId=client_id,
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=json.loads(base64.urlsafe_b64decode(challenge.session + "=="))[2],
            ChallengeResponses={"USERNAME": name, "NEW_PASSWORD": password},
        )

    new = "another long passphrase"
    assert code_of(lambda: answer(victim, new))[0] == "NotAuthorizedException"
    assert code_of(lambda: answer(email, "short"))[0] == "InvalidPasswordException"
    assert answer(email, new)["AuthenticationResult"]["IdToken"]
    assert code_of(lambda: answer(email, new))[0] == "NotAuthorizedException"
    log_in(emulator, email, new)
    log_in(emulator, victim)


def test_attributes_that_the_pool_does_not_have_are_refused(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    pool, email = emulator.ids.user_pool_id, user()
    for name in ("custom:role", "sub"):
        refused = code_of(
            lambda name=name: admin.admin_update_user_attributes(  # type: ignore[misc]
                UserPoolId=pool, Username=email, UserAttributes=[{"Name": name, "Value": "x"}]
            )
        )
        assert refused[0] == "InvalidParameterException"


def test_ensuring_a_user_again_changes_what_is_another_and_leaves_the_password(
    emulator: Emulator, admin: Any, user: Callable[..., str]
) -> None:
    pool, email = emulator.ids.user_pool_id, user()
    tokens = log_in(emulator, email)
    admin.change_password(
        AccessToken=tokens.access_token,
        PreviousPassword=PASSWORD,
        ProposedPassword="mine it is now",
    )
    first = verified(emulator, tokens.id_token)["sub"]
    again = ensure_user(admin, pool, email, PASSWORD, "customer_admin", TENANT, "Ana Lima")
    assert again == first
    claims = verified(emulator, log_in(emulator, email, "mine it is now").id_token)
    assert (claims["name"], claims["cognito:groups"]) == ("Ana Lima", ["customer_admin"])
    with pytest.raises(BadCredentials):
        emulator.cognito().login(email, PASSWORD)


def test_users_outlive_a_kill_and_a_restart(tmp_path: Path) -> None:
    emulator = Emulator.start(tmp_path)
    try:
        admin, pool = emulator.admin(), emulator.ids.user_pool_id
        sub = ensure_user(admin, pool, "ana@acme.example", PASSWORD, "viewer", TENANT, "Ana")
        ensure_user(admin, pool, "bia@acme.example", PASSWORD, "internal_ops", None, "Bia")
        tokens = log_in(emulator, "ana@acme.example")
        admin.change_password(
            AccessToken=tokens.access_token,
            PreviousPassword=PASSWORD,
            ProposedPassword="changed passphrase",
        )
        admin.admin_delete_user(UserPoolId=pool, Username="bia@acme.example")
        kid = emulator.jwks()["keys"][0]["kid"]
        for again in (emulator.kill, emulator.restart):
            again()
            claims = verified(
                emulator, log_in(emulator, "ana@acme.example", "changed passphrase").id_token
            )
            assert (claims["sub"], claims["cognito:groups"]) == (sub, ["viewer"])
            assert (claims["name"], claims["custom:tenant_id"]) == ("Ana", TENANT)
            assert emulator.jwks()["keys"][0]["kid"] == kid
            assert emulator.cognito().refresh(tokens.refresh_token or "").id_token
            for gone in ("bia@acme.example", PASSWORD), ("ana@acme.example", PASSWORD):
                with pytest.raises(BadCredentials):
                    emulator.cognito().login(*gone)
        users = emulator.admin().list_users(UserPoolId=pool)["Users"]
        assert len(users) == 1
    finally:
        emulator.stop()
    for file in (tmp_path / "aws").iterdir():
        assert file.stat().st_mode & 0o077 == 0
        assert b"passphrase" not in file.read_bytes()
    assert json.loads((tmp_path / "aws" / "users.json").read_bytes())["users"]
