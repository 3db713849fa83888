"""Passwords that are kept in Secrets Manager, and rotated there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.support.secrets_manager import FakeSecretsManager
from traksense.aws.secrets import DatabaseSecrets, SecretPasswords
from traksense.domain.errors import ConfigurationError, DatabaseAway
from traksense.services.rotation import Login

ARN = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:traksense/ingest-a1b2c3"


class FakeClient:
    """Secrets Manager, as far as it is asked."""

    exceptions = ("made",)

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def get_secret_value(self, **request: str) -> dict[str, Any]:
        self.asked.append(request["SecretId"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"SecretString": answer}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def secret(password: str) -> str:
    return json.dumps({"username": "traksense_login_ingest", "password": password})


def secrets(client: FakeClient) -> DatabaseSecrets:
    return DatabaseSecrets("sa-east-1", lambda region: client)  # type: ignore[arg-type, return-value]


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")


def test_a_login_is_read_by_its_arn_and_never_shown() -> None:
    client = FakeClient(secret("hunter2"))
    login = secrets(client).read(ARN)
    assert login == Login("traksense_login_ingest", "hunter2")
    assert client.asked == [ARN]
    assert "hunter2" not in repr(login)


@pytest.mark.parametrize(
    "text", ["hunter2", "[]", "null", '{"username": "a"}', '{"username": "a", "password": 7}']
)
def test_a_secret_of_another_shape_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        secrets(FakeClient(text)).read(ARN)
    assert ARN in str(error.value)
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_what_no_other_try_can_mend_stops(code: str) -> None:
    with pytest.raises(ConfigurationError, match=code):
        secrets(FakeClient(refusal(code))).read(ARN)


@pytest.mark.parametrize(
    "error",
    [refusal("ThrottlingException"), EndpointConnectionError(endpoint_url="https://x.example")],
)
def test_what_another_try_may_mend_says_so(error: Exception) -> None:
    with pytest.raises(DatabaseAway):
        secrets(FakeClient(error)).read(ARN)


def test_a_password_is_read_once_for_all_connections() -> None:
    client = FakeClient(secret("one"))
    passwords = SecretPasswords(ARN, secrets(client))
    assert [passwords.current() for _ in range(3)] == ["one", "one", "one"]
    assert len(client.asked) == 1


def read_from(manager: FakeSecretsManager, clock: Clock | None = None) -> SecretPasswords:
    clock = clock or Clock()
    secrets = DatabaseSecrets("sa-east-1", lambda region: manager)  # type: ignore[arg-type, return-value]
    return SecretPasswords(ARN, secrets, clock, clock.sleep)


def test_a_rotated_password_is_found_after_a_refusal() -> None:
    manager = FakeSecretsManager("traksense_login_ingest", "one")
    passwords = read_from(manager)
    assert passwords.current() == "one"
    manager.values["first"] = secret("two")
    assert passwords.others("one") == ("two",)
    assert passwords.current() == "two"


def test_while_a_rotation_is_under_way_the_pending_password_is_tried_as_well() -> None:
    manager = FakeSecretsManager("traksense_login_ingest", "one")
    passwords = read_from(manager)
    version = manager.begin_rotation()
    assert passwords.others("one") == (), "an empty version is nothing to try"
    manager.values[version] = secret("two")
    assert passwords.others("one") == ("two",)
    assert passwords.others("nought") == ("one", "two")
    passwords.accepted("two")
    assert passwords.current() == "two"


def test_a_rotation_that_ends_between_the_two_looks_is_not_missed() -> None:
    class Ending(FakeSecretsManager):
        """Its rotation ends when it has just been asked for the pending version."""

        def get_secret_value(self, **request: str) -> dict[str, Any]:
            try:
                return super().get_secret_value(**request)
            finally:
                if request["VersionStage"] == "AWSPENDING":
                    self.labels["AWSCURRENT"] = self.labels.pop("AWSPENDING")

    manager = Ending("traksense_login_ingest", "one")
    manager.values[manager.begin_rotation()] = secret("two")
    assert read_from(manager).others("one") == ("two",)


def test_a_log_in_that_is_refused_all_the_time_has_the_secret_read_every_two_seconds() -> None:
    manager, clock = FakeSecretsManager("traksense_login_ingest", "one"), Clock()
    passwords = read_from(manager, clock)
    for _ in range(5):
        assert passwords.others("one") == ()
    assert clock.now == 8
    assert len(manager.calls) == 10
    passwords.accepted("one")
    passwords.others("one")
    assert clock.now == 8, "what helped last time is asked again at once"
