from __future__ import annotations

from pathlib import Path

import pytest

from local.errors import StartupError
from local.settings import LocalSettings


def test_nothing_set_gives_the_defaults() -> None:
    settings = LocalSettings.from_environment({})
    assert settings.home == Path.cwd() / ".local"
    assert (settings.http_port, settings.mqtt_port) == (8000, 8883)
    assert settings.database_url is None
    assert settings.demo
    assert settings.log_level == "INFO"


def test_everything_set_is_taken() -> None:
    settings = LocalSettings.from_environment(
        {
            "TRAKSENSE_HOME": "/srv/platform",
            "TRAKSENSE_HTTP_PORT": "9000",
            "TRAKSENSE_MQTT_PORT": "9001",
            "DATABASE_URL": "postgresql://user:secret@db.example:5432/traksense",
            "TRAKSENSE_DEMO": "0",
            "TRAKSENSE_LOG_LEVEL": "debug",
        }
    )
    assert settings == LocalSettings(
        home=Path("/srv/platform"),
        http_port=9000,
        mqtt_port=9001,
        database_url="postgresql://user:secret@db.example:5432/traksense",
        demo=False,
        demo_traffic=False,
        log_level="DEBUG",
    )


@pytest.mark.parametrize(
    ("value", "demo", "traffic"),
    [("1", True, True), ("data", True, False), ("0", False, False), ("off", False, False)],
)
def test_the_demo_is_whole_without_traffic_or_none(value: str, demo: bool, traffic: bool) -> None:
    settings = LocalSettings.from_environment({"TRAKSENSE_DEMO": value})
    assert (settings.demo, settings.demo_traffic) == (demo, traffic)


def test_an_empty_variable_counts_as_not_set() -> None:
    names = ("HOME", "HTTP_PORT", "MQTT_PORT", "DEMO", "LOG_LEVEL")
    empty = {f"TRAKSENSE_{name}": "" for name in names} | {"DATABASE_URL": ""}
    assert LocalSettings.from_environment(empty) == LocalSettings.from_environment({})


def test_a_relative_home_becomes_absolute() -> None:
    settings = LocalSettings.from_environment({"TRAKSENSE_HOME": "somewhere/else"})
    assert settings.home == Path.cwd() / "somewhere" / "else"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRAKSENSE_HTTP_PORT", "http"),
        ("TRAKSENSE_HTTP_PORT", "0"),
        ("TRAKSENSE_HTTP_PORT", "65536"),
        ("TRAKSENSE_HTTP_PORT", "²"),
        ("TRAKSENSE_MQTT_PORT", "-1"),
        ("TRAKSENSE_MQTT_PORT", "8000"),
        ("TRAKSENSE_DEMO", "perhaps"),
        ("TRAKSENSE_LOG_LEVEL", "loud"),
        ("TRAKSENSE_RAW_RETENTION_DAYS", "two"),
        ("TRAKSENSE_MINUTE_RETENTION_DAYS", "7"),
        ("TRAKSENSE_CLOSE_AFTER_DAYS", "0"),
        ("DATABASE_URL", "mysql://user@db.example/traksense"),
        ("DATABASE_URL", "postgresql://db.example"),
        ("DATABASE_URL", "postgresql://db.example:port/traksense"),
    ],
)
def test_a_malformed_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(StartupError, match=name) as caught:
        LocalSettings.from_environment({name: value})
    assert "\n" not in str(caught.value)


def test_a_malformed_database_url_is_not_repeated_with_its_password() -> None:
    with pytest.raises(StartupError) as caught:
        LocalSettings.from_environment({"DATABASE_URL": "postgresql://me:hunter2@db:x/y"})
    assert "hunter2" not in str(caught.value)
