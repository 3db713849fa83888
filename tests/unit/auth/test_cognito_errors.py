from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from traksense.auth.errors import BadCredentials, IdentityProviderAway, Throttled
from traksense.aws.cognito import Challenge, Cognito, Tokens


class FakeClient:
    """Answers InitiateAuth with what it was given, and remembers the calls."""

    exceptions = object()

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.calls: list[dict[str, Any]] = []

    def initiate_auth(self, **call: Any) -> Any:
        self.calls.append(call)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def refusal(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "InitiateAuth")


def cognito(answer: Any) -> tuple[Cognito, FakeClient]:
    client = FakeClient(answer)
    return Cognito("client-1", "us-east-1", lambda _region: client), client


TOKENS = {
    "AuthenticationResult": {
        "IdToken": "i",
        "AccessToken": "a",
        "RefreshToken": "r",
        "ExpiresIn": 3600,
    }
}


def test_a_login_gives_tokens() -> None:
    adapter, client = cognito(TOKENS)
    assert adapter.login("ana@acme.example", "pw") == Tokens("i", "a", "r", 3600)
    assert client.calls == [
        {
            "ClientId": "client-1",
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": {"USERNAME": "ana@acme.example", "PASSWORD": "pw"},
        }
    ]


def test_a_challenge_is_no_login() -> None:
    adapter, _ = cognito({"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "s"})
    answer = adapter.login("ana@acme.example", "pw")
    assert isinstance(answer, Challenge)
    assert (answer.name, answer.secret) == ("NEW_PASSWORD_REQUIRED", None)


def test_the_client_is_made_once_and_not_before_the_first_call() -> None:
    made: list[str] = []

    def make(region: str) -> FakeClient:
        made.append(region)
        return FakeClient(TOKENS)

    adapter = Cognito("client-1", "us-east-1", make)
    assert made == []
    adapter.login("a@b.example", "pw")
    adapter.login("a@b.example", "pw")
    assert made == ["us-east-1"]


@pytest.mark.parametrize(
    "error",
    [
        refusal("NotAuthorizedException", "Incorrect username or password."),
        refusal("NotAuthorizedException", "User is disabled."),
        refusal("UserNotFoundException", "User does not exist."),
        refusal("UserNotConfirmedException"),
        refusal("PasswordResetRequiredException"),
    ],
)
def test_every_refusal_reads_the_same(error: ClientError) -> None:
    adapter, _ = cognito(error)
    with pytest.raises(BadCredentials, match=r"^wrong e-mail or password$"):
        adapter.login("ana@acme.example", "pw")


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("", "pw"),
        ("ana@acme.example", ""),
        ("an a@acme.example", "pw"),
        ("ana\x00@acme.example", "pw"),
        ("a" * 129, "pw"),
        ("ana@acme.example", "p" * 257),
    ],
)
def test_what_cognito_would_call_malformed_is_refused_alike_without_asking(
    email: str, password: str
) -> None:
    adapter, client = cognito(TOKENS)
    with pytest.raises(BadCredentials, match=r"^wrong e-mail or password$"):
        adapter.login(email, password)
    assert client.calls == []


@pytest.mark.parametrize(
    "error",
    [
        refusal("TooManyRequestsException"),
        refusal("LimitExceededException"),
        refusal("TooManyFailedAttemptsException"),
        refusal("NotAuthorizedException", "Password attempts exceeded"),
    ],
)
def test_too_many_attempts_say_when_to_come_back(error: ClientError) -> None:
    adapter, _ = cognito(error)
    with pytest.raises(Throttled) as caught:
        adapter.login("ana@acme.example", "pw")
    assert caught.value.retry_after_s > 0


@pytest.mark.parametrize(
    "error",
    [
        refusal("ResourceNotFoundException"),
        refusal("InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled"),
        refusal("InternalErrorException"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
    ],
)
def test_a_fault_of_the_pool_is_not_the_callers(error: Exception) -> None:
    adapter, _ = cognito(error)
    with pytest.raises(IdentityProviderAway):
        adapter.login("ana@acme.example", "pw")


def test_a_refresh_gives_no_new_refresh_token() -> None:
    answer = {"AuthenticationResult": {"IdToken": "i", "AccessToken": "a", "ExpiresIn": 3600}}
    adapter, client = cognito(answer)
    assert adapter.refresh("r") == Tokens("i", "a", None, 3600)
    assert client.calls[0]["AuthFlow"] == "REFRESH_TOKEN_AUTH"


def test_a_refused_refresh_is_bad_credentials() -> None:
    adapter, _ = cognito(refusal("NotAuthorizedException", "Refresh Token has been revoked"))
    with pytest.raises(BadCredentials):
        adapter.refresh("r")
    with pytest.raises(BadCredentials):
        adapter.refresh("")


def test_a_refresh_answered_with_a_challenge_is_a_fault_of_the_pool() -> None:
    adapter, _ = cognito({"ChallengeName": "SMS_MFA", "Session": "s"})
    with pytest.raises(IdentityProviderAway):
        adapter.refresh("r")
