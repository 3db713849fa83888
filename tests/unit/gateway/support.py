"""A pool, an app and WSGI requests for the gateway's tests."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from chalice.app import Chalice, CognitoUserPoolAuthorizer, Response
from cryptography.hazmat.primitives.asymmetric import rsa

from local.aws.signing_key import SigningKey
from local.gateway.chalice_api import ChaliceApi
from local.gateway.tokens import KeySet, TokenVerifier

REGION = "us-east-1"
POOL_ID = "us-east-1_testpool1"
CLIENT_ID = "testclient"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL_ID}"


def new_key() -> SigningKey:
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


KEY = new_key()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {
        "sub": "0b8e0a52-0a52-4a6e-9d0e-000000000001",
        "email": "ana@acme.example",
        "email_verified": True,
        "cognito:groups": ["viewer"],
        "custom:tenant_id": "7b0c7a52-0a52-4a6e-9d0e-111111111111",
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "token_use": "id",
        "auth_time": now,
        "iat": now,
        "exp": now + 3600,
    }
    merged = base | changes
    return {name: value for name, value in merged.items() if value is not None}


def bearer(key: SigningKey = KEY, **changes: Any) -> str:
    return f"Bearer {key.sign(claims(**changes))}"


@dataclass
class Jwks:
    """Stands for the address of the pool's keys."""

    keys: dict[str, Any] = field(default_factory=lambda: KEY.jwks)
    calls: int = 0
    failure: Exception | None = None

    def __call__(self) -> Mapping[str, Any]:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return self.keys


def verifier(jwks: Jwks | None = None) -> TokenVerifier:
    return TokenVerifier(REGION, POOL_ID, CLIENT_ID, KeySet(jwks or Jwks()))


def app() -> Chalice:
    made: Any = Chalice("gateway-test", configure_logs=False)
    authorizer = CognitoUserPoolAuthorizer("pool", provider_arns=["arn:test"])

    @made.route("/api/echo")  # type: ignore[untyped-decorator]
    def echo() -> dict[str, Any]:
        request = made.current_request
        first = request.query_params.get("n")
        time.sleep(0.0005)  # lets another thread in between
        return {
            "before": first,
            "after": made.current_request.query_params.get("n"),
            "request_id": made.lambda_context.aws_request_id,
            "context_id": made.current_request.context["requestId"],
        }

    @made.route("/api/event", methods=["GET", "POST"], content_types=["*/*"])  # type: ignore[untyped-decorator]
    def event() -> dict[str, Any]:
        return dict(made.current_request.to_original_event())

    @made.route("/api/items/{item}")  # type: ignore[untyped-decorator]
    def item(item: str) -> dict[str, str]:
        return {"item": item}

    @made.route("/api/items/new")  # type: ignore[untyped-decorator]
    def new() -> dict[str, str]:
        return {"item": "the literal one"}

    @made.route("/api/me", authorizer=authorizer)  # type: ignore[untyped-decorator]
    def me() -> dict[str, Any]:
        return dict(made.current_request.context["authorizer"]["claims"])

    @made.route("/api/image")  # type: ignore[untyped-decorator]
    def image() -> Response:
        return Response(b"\x89PNG\0\xff", headers={"Content-Type": "image/png"})

    @made.route("/api/cookies")  # type: ignore[untyped-decorator]
    def cookies() -> Response:
        return Response("", headers={"Set-Cookie": ["a=1", "b=2"], "Transfer-Encoding": "x"})

    @made.route("/api/empty")  # type: ignore[untyped-decorator]
    def empty() -> Response:
        return Response("", status_code=204)

    @made.route("/health")  # type: ignore[untyped-decorator]
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return made


def api(chalice_app: Chalice | None = None, jwks: Jwks | None = None) -> ChaliceApi:
    return ChaliceApi(chalice_app or app(), verifier(jwks), timeout_s=29)


def environ(target: str, method: str = "GET", body: bytes = b"", **headers: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "REQUEST_URI": target,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "wsgi.input": io.BytesIO(body),
    }
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers.items():
        key = name.upper()
        made[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return made


def call(target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Any:
    """Answer of the app above: ``(status, decoded body, headers)``."""
    _, answer = api().answer(environ(target, method, body, **headers), body, "request-1")
    return answer.status, json.loads(answer.body or b"null"), dict(answer.headers)


def unsigned(**changes: Any) -> str:
    return jwt.encode(claims(**changes), "", algorithm="none", headers={"kid": KEY.kid})
