from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from local.gateway.tokens import InvalidToken, KeysAway, KeySet, jwks_fetcher
from tests.unit.gateway.support import KEY, Jwks, bearer, claims, new_key, unsigned, verifier


def encode(part: Any) -> bytes:
    raw = json.dumps(part).encode() if not isinstance(part, bytes) else part
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def public_pem() -> bytes:
    key = jwt.PyJWK.from_dict(KEY.jwks["keys"][0]).key
    return bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def refused(authorization: str | None) -> str:
    with pytest.raises(InvalidToken) as caught:
        verifier().verify(authorization)
    return str(caught.value)


def test_an_id_token_of_the_pool_is_accepted() -> None:
    assert verifier().verify(bearer())["email"] == "ana@acme.example"


def test_claims_become_text_as_api_gateway_makes_them() -> None:
    changes: dict[str, Any] = {"cognito:groups": ["viewer", "internal_ops"], "exp": 4102444800}
    given = verifier().verify(bearer(**changes))
    assert given["cognito:groups"] == "viewer,internal_ops"
    assert given["email_verified"] == "true"
    assert given["exp"] == "Fri Jan 01 00:00:00 UTC 2100"
    assert all(isinstance(value, str) for value in given.values())


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer x"])
def test_a_request_without_a_bearer_token_is_refused(authorization: str | None) -> None:
    refused(authorization)


def test_a_bare_token_without_its_scheme_is_refused() -> None:
    refused(bearer().removeprefix("Bearer "))


def test_alg_none_is_refused() -> None:
    assert refused(f"Bearer {unsigned()}") == "wrong algorithm or no kid"


def test_hs256_with_the_public_key_as_secret_is_refused() -> None:
    head = encode({"alg": "HS256", "typ": "JWT", "kid": KEY.kid})
    signed = head + b"." + encode(claims())
    mac = hmac.digest(public_pem(), signed, hashlib.sha256)
    assert (
        refused(f"Bearer {(signed + b'.' + encode(mac)).decode()}") == "wrong algorithm or no kid"
    )


def test_a_token_of_another_key_is_refused_under_its_kid_and_under_ours() -> None:
    other = new_key()
    assert refused(bearer(other)) == "unknown kid"
    other.kid = KEY.kid
    assert "Signature" in refused(bearer(other))


def test_a_token_without_kid_is_refused() -> None:
    pem = KEY.pem()
    refused(f"Bearer {jwt.encode(claims(), pem.decode(), 'RS256')}")


def test_a_tampered_payload_is_refused() -> None:
    head, _, signature = bearer().split(".")
    forged = encode(claims(**{"cognito:groups": ["internal_ops"]})).decode()
    assert "Signature" in refused(f"{head}.{forged}.{signature}")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_700_000_000},
        {"token_use": "access"},
        {"token_use": None},
        {"aud": "another-client"},
        {"aud": None, "client_id": "testclient"},
        {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_other"},
        {"iss": None},
        {"exp": None},
        {"sub": None},
        {"nbf": 4_102_444_800},
    ],
)
def test_a_token_that_says_the_wrong_thing_is_refused(changes: dict[str, Any]) -> None:
    refused(bearer(**changes))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_keys_are_fetched_once() -> None:
    jwks = Jwks()
    keys = KeySet(jwks)
    for _ in range(5):
        keys.key(KEY.kid)
    assert jwks.calls == 1


def test_unknown_kids_do_not_make_the_gateway_hammer_the_keys_address() -> None:
    jwks, clock = Jwks(), Clock()
    keys = KeySet(jwks, clock)
    keys.key(KEY.kid)
    for attempt in range(50):
        with pytest.raises(InvalidToken):
            keys.key(f"guess-{attempt}")
    assert jwks.calls == 1
    clock.now = 11
    with pytest.raises(InvalidToken):
        keys.key("guess")
    assert jwks.calls == 2


def test_a_new_key_of_the_pool_is_found() -> None:
    jwks, clock, new = Jwks(), Clock(), new_key()
    keys = KeySet(jwks, clock)
    keys.key(KEY.kid)
    jwks.keys = new.jwks
    clock.now = 11
    assert keys.key(new.kid).key_id == new.kid
    with pytest.raises(InvalidToken):
        keys.key(KEY.kid)


def test_keys_that_cannot_be_fetched_are_no_verdict_and_are_tried_again() -> None:
    jwks, clock = Jwks(failure=KeysAway("down")), Clock()
    keys = KeySet(jwks, clock)
    for _ in range(2):
        with pytest.raises(KeysAway):
            keys.key(KEY.kid)
    assert jwks.calls == 1
    jwks.failure, clock.now = None, 1.5
    assert keys.key(KEY.kid).key_id == KEY.kid


def test_known_keys_outlive_an_outage_of_their_address() -> None:
    jwks, clock = Jwks(), Clock()
    keys = KeySet(jwks, clock)
    keys.key(KEY.kid)
    jwks.failure, clock.now = KeysAway("down"), 11
    with pytest.raises(KeysAway):
        keys.key("another")
    assert keys.key(KEY.kid).key_id == KEY.kid


def test_an_address_where_nobody_listens_is_keys_away() -> None:
    with pytest.raises(KeysAway):
        jwks_fetcher("http://127.0.0.1:9", "us-east-1_x", timeout_s=0.5)()
