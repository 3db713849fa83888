"""The environment: what is missing or malformed is named."""

from __future__ import annotations

import pytest

from traksense.domain.errors import ConfigurationError
from traksense.settings.api import CognitoSettings
from traksense.settings.deployment import MigrationSettings
from traksense.settings.function import FunctionSettings
from traksense.settings.login import AwsCredentials, DatabaseAuthentication
from traksense.settings.retention import LevelSettings, RetentionSettings

URL = "postgresql://user@127.0.0.1/db"


def test_a_function_needs_only_its_database() -> None:
    settings = FunctionSettings.from_environment({"DATABASE_URL": f" {URL} "})
    assert settings == FunctionSettings(
        database_url=URL,
        prepare_statements=False,
        metrics="emf",
        raw_retention_days=14,
        log_level="INFO",
    )


def test_everything_can_be_set() -> None:
    settings = FunctionSettings.from_environment(
        {
            "DATABASE_URL": "postgres://x",
            "TRAKSENSE_PREPARE": "on",
            "TRAKSENSE_METRICS": "none",
            "TRAKSENSE_RAW_RETENTION_DAYS": "365",
            "TRAKSENSE_LOG_LEVEL": "DEBUG",
            "AWS_LAMBDA_FUNCTION_NAME": "traksense-prod-ingest",
        }
    )
    assert settings == FunctionSettings(
        database_url="postgres://x",
        prepare_statements=True,
        metrics="none",
        raw_retention_days=365,
        log_level="DEBUG",
        lambda_name="traksense-prod-ingest",
    )


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "   ", "DATABASE_URL is not set"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL must begin with postgresql://"),
        ("TRAKSENSE_PREPARE", "yes", "TRAKSENSE_PREPARE is 'yes': it must be one of on, off"),
        ("TRAKSENSE_METRICS", "statsd", "TRAKSENSE_METRICS is 'statsd'"),
        ("TRAKSENSE_LOG_LEVEL", "loud", "TRAKSENSE_LOG_LEVEL is 'loud'"),
        ("TRAKSENSE_RAW_RETENTION_DAYS", "two", "TRAKSENSE_RAW_RETENTION_DAYS is 'two'"),
        ("TRAKSENSE_RAW_RETENTION_DAYS", "0", "it must be between 1 and 365"),
        ("TRAKSENSE_RAW_RETENTION_DAYS", "366", "it must be between 1 and 365"),
    ],
)
def test_what_is_wrong_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FunctionSettings.from_environment({"DATABASE_URL": URL, variable: value})


def test_levels_are_kept_for_ever_longer_unless_it_is_said_otherwise() -> None:
    levels = LevelSettings(minutes_days=365, five_minutes_days=730, hours_days=1825)
    assert LevelSettings.from_environment({}) == levels
    assert RetentionSettings.from_environment({}) == RetentionSettings(
        minutes_days=365,
        five_minutes_days=730,
        hours_days=1825,
        close_after_days=2,
        dead_letter_days=30,
        audit_days=90,
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"MINUTE_RETENTION": "13"}, "MINUTE_RETENTION_DAYS is 13: it must be at least "
                                     "TRAKSENSE_RAW_RETENTION_DAYS, which is 14"),
        ({"RAW_RETENTION": "60", "MINUTE_RETENTION": "30"}, "which is 60"),
        ({"FIVE_MINUTE_RETENTION": "364"}, "TRAKSENSE_MINUTE_RETENTION_DAYS, which is 365"),
        ({"HOUR_RETENTION": "729"}, "TRAKSENSE_FIVE_MINUTE_RETENTION_DAYS, which is 730"),
        ({"HOUR_RETENTION": "for ever"}, "TRAKSENSE_HOUR_RETENTION_DAYS is 'for ever'"),
    ],
)  # fmt: skip
def test_a_level_is_kept_at_least_as_long_as_what_it_is_made_of(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LevelSettings.from_environment(
            {f"TRAKSENSE_{name}_DAYS": value for name, value in environ.items()}
        )


def test_a_password_in_the_url_is_never_repeated_in_an_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        FunctionSettings.from_environment({"DATABASE_URL": "mysql://user:example@host/db"})
    assert "example" not in str(caught.value)


def test_the_engine_is_chosen_by_the_server_unless_it_is_named() -> None:
    assert MigrationSettings.from_environment({"DATABASE_URL": URL}).engine == "auto"
    with pytest.raises(ConfigurationError, match="TRAKSENSE_ENGINE is 'mongo'"):
        MigrationSettings.from_environment({"DATABASE_URL": URL, "TRAKSENSE_ENGINE": "mongo"})


@pytest.mark.parametrize("missing", ["AWS_REGION", "COGNITO_USER_POOL_ID", "COGNITO_CLIENT_ID"])
def test_each_part_of_the_user_pool_is_needed(missing: str) -> None:
    environ = {"AWS_REGION": "r", "COGNITO_USER_POOL_ID": "p", "COGNITO_CLIENT_ID": "c"}
    assert CognitoSettings.from_environment(environ) == CognitoSettings("r", "p", "c")
    del environ[missing]
    with pytest.raises(ConfigurationError, match=f"{missing} is not set"):
        CognitoSettings.from_environment(environ)


def test_a_login_proves_itself_by_the_url_unless_something_else_is_said() -> None:
    assert DatabaseAuthentication.from_environment({}).method == "url"
    assert DatabaseAuthentication.from_environment({"TRAKSENSE_DATABASE_AUTH": " "}).method == "url"


def test_a_login_proves_itself_by_its_role_or_by_a_secret() -> None:
    region = {"AWS_REGION": "sa-east-1"}
    by_role = DatabaseAuthentication.from_environment(
        region | {"TRAKSENSE_DATABASE_AUTH": "rds-iam"}
    )
    assert by_role == DatabaseAuthentication("rds-iam", "sa-east-1")
    arn = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:x"
    by_secret = DatabaseAuthentication.from_environment(region | {"TRAKSENSE_DATABASE_AUTH": arn})
    assert by_secret == DatabaseAuthentication("secret", "sa-east-1", arn)


@pytest.mark.parametrize("value", ["iam", "password", "rds-iam"])
def test_a_proof_that_cannot_be_given_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TRAKSENSE_DATABASE_AUTH|AWS_REGION"):
        DatabaseAuthentication.from_environment({"TRAKSENSE_DATABASE_AUTH": value})


def test_the_roles_credentials_are_read_and_not_shown() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    found = AwsCredentials.from_environment(environ)
    assert found.session_token is None
    assert "hunter2" not in repr(found)
    assert (
        AwsCredentials.from_environment(environ | {"AWS_SESSION_TOKEN": "t"}).session_token == "t"
    )
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY is not set"):
        AwsCredentials.from_environment({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"})
