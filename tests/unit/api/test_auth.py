"""Logging in, refreshing, and who one is."""

from __future__ import annotations

import pytest

from .support import NOBODY, OPERATOR, Person, World, call


def test_a_login_gives_tokens(world: World) -> None:
    answer = call(
        "POST",
        "/api/auth/login",
        body={"email": "ana@acme.example", "password": "correct horse"},
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {
        "id_token": "an id token",
        "access_token": "an access token",
        "refresh_token": "a.refresh.token",
        "expires_in": 3600,
    }


def test_a_challenge_is_passed_on(world: World) -> None:
    answer = call("POST", "/api/auth/login", body={"email": "new@acme.example", "password": "x"})
    assert answer.status == 200
    assert answer.json == {
        "challenge": "NEW_PASSWORD_REQUIRED",
        "session": "a-session",
        "secret": None,
        "secret_uri": None,
    }


def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(world: World) -> None:
    wrong = call("POST", "/api/auth/login", body={"email": "ana@acme.example", "password": "no"})
    unknown = call("POST", "/api/auth/login", body={"email": "who@acme.example", "password": "no"})
    assert wrong.status == unknown.status == 401
    assert wrong.text == unknown.text
    assert wrong.headers["WWW-Authenticate"] == "Bearer"


def test_too_many_attempts_say_how_long_to_wait(world: World) -> None:
    answer = call("POST", "/api/auth/login", body={"email": "hasty@acme.example", "password": "x"})
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "7"


def test_a_user_pool_that_is_away_is_503_without_its_address(world: World) -> None:
    answer = call("POST", "/api/auth/login", body={"email": "away@acme.example", "password": "x"})
    assert answer.status == 503
    assert "Retry-After" in answer.headers
    assert "10.0.0.7" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (None, 400, "body"),
        ("", 400, "body"),
        ("{", 400, "body"),
        ('{"email":"\ud800"}', 400, "body"),
        ('{"email":"\\ud800","password":"x"}', 400, "body"),
        ("[" * 100_000 + "]" * 100_000, 413, None),
        ("[" * 10_000, 400, "body"),
        ([], 422, "body"),
        ({}, 422, "body.email"),
        ({"email": 1, "password": "x"}, 422, "body.email"),
        ({"email": "a\u0000", "password": "x"}, 422, "body.email"),
        ({"email": "a", "password": "x\u0000y"}, 422, "body.password"),
        ({"email": "a", "password": "x" * 257}, 422, "body.password"),
        ({"email": "a", "password": "x", "tenant": "acme"}, 422, "body.tenant"),
        ('{"email":"a","password":' + "9" * 5000 + "}", 400, "body"),
        ('{"email":"a","password":NaN}', 422, "body.password"),
    ],
)
def test_a_bad_body_is_named(world: World, body: object, status: int, where: str | None) -> None:
    asked = len(world.login.asked)
    answer = call("POST", "/api/auth/login", body=body)
    assert answer.status == status, answer.text
    assert answer.is_problem
    if where is not None:
        assert where in [error["loc"] for error in answer.json["errors"]]
    assert len(world.login.asked) == asked


def test_a_body_that_is_not_json_is_an_unsupported_media_type(world: World) -> None:
    answer = call("POST", "/api/auth/login", body="email=a", headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    assert answer.is_problem


def test_a_refresh_hands_back_the_token_that_stays_good(world: World) -> None:
    answer = call("POST", "/api/auth/refresh", body={"refresh_token": "a.refresh.token"})
    assert answer.json["id_token"] == "a new id token"
    assert answer.json["refresh_token"] == "a.refresh.token"


def test_a_spent_refresh_token_is_refused(world: World) -> None:
    answer = call("POST", "/api/auth/refresh", body={"refresh_token": "spent"})
    assert answer.status == 401


def test_a_refresh_token_of_a_form_that_none_has_is_invalid(world: World) -> None:
    answer = call("POST", "/api/auth/refresh", body={"refresh_token": "a b"})
    assert answer.status == 422


def test_a_customer_learns_who_she_is(world: World) -> None:
    assert call("GET", "/api/me", world.acme.admin).json == {
        "id": "0a1b",
        "email": "ana@acme.example",
        "role": "customer_admin",
        "tenant": "acme",
        "time_zone": "America/Recife",
        "locale": "pt-BR",
    }


def test_an_operator_has_no_tenant_of_her_own(world: World) -> None:
    for headers in ({}, {"X-Tenant": "acme"}):
        body = call("GET", "/api/me", OPERATOR, headers=headers).json
        assert (body["role"], body["tenant"]) == ("internal_ops", None)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 401),
        ({"sub": "1", "email": "a@acme.example"}, 403),
        ({"sub": "1", "cognito:groups": "somebody"}, 403),
        ({"sub": "1", "cognito:groups": "viewer"}, 403),
        ({"sub": "1", "cognito:groups": "viewer", "custom:tenant_id": "acme"}, 403),
        ({"sub": "1", "cognito:groups": "internal_ops", "token_use": "access"}, 403),
    ],
)
def test_claims_that_say_too_little_open_nothing(
    world: World, claims: dict[str, str], status: int
) -> None:
    assert call("GET", "/api/devices", Person(None, claims=claims)).status == status


def test_a_customer_whose_tenant_is_gone_sees_nothing(world: World) -> None:
    claims = {
        "sub": "1",
        "cognito:groups": "viewer",
        "custom:tenant_id": "00000000-0000-4000-8000-000000000000",
    }
    orphan = Person(None, claims=claims)
    assert call("GET", "/api/me", orphan).status == 403
    assert call("GET", "/api/devices", orphan).status == 403


def test_nobody_gets_in_without_a_token(world: World) -> None:
    answer = call("GET", "/api/me", NOBODY)
    assert answer.status == 401
    assert answer.is_problem
