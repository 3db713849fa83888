"""A password in four steps: each may come twice, be cut off, or fail, and nobody is locked out."""

from __future__ import annotations

import json

import pytest

from tests.support.secrets_manager import CURRENT, PENDING, PREVIOUS, FakeSecretsManager
from traksense.aws.secret_versions import SecretVersions
from traksense.domain.errors import ConfigurationError, DatabaseAway
from traksense.services.rotation import STEPS, Login, Rotation, RotationError, new_password

ARN = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:traksense/ingest-a1b2c3"
USER = "traksense_login_ingest"


class FakeDatabase:
    """A database with one log-in."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.is_away = False

    def lets_in(self, login: Login) -> bool:
        if self.is_away:
            raise DatabaseAway("no route")
        return (login.username, login.password) == (USER, self.password)

    def change(self, login: Login, password: str) -> bool:
        if not self.lets_in(login):
            return False
        self.password = password
        return True


class World:
    """A secret, a database, and what rotates."""

    def __init__(self) -> None:
        self.secret = FakeSecretsManager(USER, "one", engine="postgres")
        self.database = FakeDatabase("one")
        made = iter(("two", "three", "four"))
        versions = SecretVersions("sa-east-1", lambda region: self.secret)  # type: ignore[arg-type, return-value]
        self.rotation = Rotation(versions, self.database, lambda: next(made))

    def run(self, version: str, *steps: str) -> None:
        for step in steps:
            self.rotation.run(step, ARN, version)  # type: ignore[arg-type]

    def is_open(self) -> bool:
        """Whether somebody who tries the current and then the pending password is let in."""
        known = {
            json.loads(self.secret.values[version])["password"]
            for label, version in self.secret.labels.items()
            if label in (CURRENT, PENDING) and version in self.secret.values
        }
        return self.database.password in known


@pytest.fixture
def world() -> World:
    return World()


def test_a_rotation_gives_the_log_in_another_password_and_keeps_the_rest(world: World) -> None:
    version = world.secret.begin_rotation()
    world.run(version, *STEPS)
    assert world.database.password == "two"
    assert world.secret.value(CURRENT) == {
        "username": USER, "password": "two", "engine": "postgres",
    }  # fmt: skip
    assert world.secret.labels == {CURRENT: version, PREVIOUS: "first"}


@pytest.mark.parametrize("again", STEPS)
def test_a_step_may_come_again_at_any_time_after_it(world: World, again: str) -> None:
    version = world.secret.begin_rotation()
    for step in STEPS:
        world.run(version, step)
        if STEPS.index(step) >= STEPS.index(again):  # type: ignore[arg-type]
            world.run(version, again)
        assert world.is_open()
    assert world.database.password == "two"
    assert world.secret.labels == {CURRENT: version, PREVIOUS: "first"}


def test_all_of_it_may_come_again_when_it_is_over(world: World) -> None:
    version = world.secret.begin_rotation()
    world.run(version, *STEPS)
    before = list(world.secret.calls)
    world.run(version, *STEPS)
    assert set(world.secret.calls[len(before) :]) == {"DescribeSecret"}


@pytest.mark.parametrize("cut", range(len(STEPS)))
def test_a_rotation_that_stopped_anywhere_leaves_the_log_in_open_and_is_taken_up(
    world: World, cut: int
) -> None:
    version = world.secret.begin_rotation()
    world.run(version, *STEPS[:cut])
    assert world.is_open()
    assert world.secret.begin_rotation() == version, "Secrets Manager attempts it once more"
    world.run(version, *STEPS)
    assert world.secret.value(CURRENT)["password"] == world.database.password == "two"
    world.run(world.secret.begin_rotation(), *STEPS)
    assert world.database.password == "three"


def test_two_calls_of_createsecret_at_once_make_one_password(world: World) -> None:
    version = world.secret.begin_rotation()
    versions = SecretVersions("sa-east-1", lambda region: world.secret)  # type: ignore[arg-type, return-value]
    versions.fill(ARN, version, "theirs")
    versions.fill(ARN, version, "ours")
    assert world.secret.value(PENDING)["password"] == "theirs"


def test_a_call_that_was_cut_off_between_the_two_labels_is_finished(world: World) -> None:
    version = world.secret.begin_rotation()
    world.run(version, *STEPS[:3])
    world.secret.labels[CURRENT] = version
    world.run(version, "finishSecret")
    assert PENDING not in world.secret.labels


def test_a_database_from_before_the_last_rotation_is_rotated_all_the_same(world: World) -> None:
    world.run(world.secret.begin_rotation(), *STEPS)
    world.database.password = "one"
    world.run(world.secret.begin_rotation(), *STEPS)
    assert world.database.password == world.secret.value(CURRENT)["password"] == "three"


def test_a_log_in_that_no_password_opens_is_said_so_and_nothing_moves(world: World) -> None:
    world.database.password = "somebody else's"
    version = world.secret.begin_rotation()
    world.run(version, "createSecret")
    with pytest.raises(RotationError, match=f"lets {USER} in by no password") as error:
        world.run(version, "setSecret")
    assert "two" not in str(error.value)
    with pytest.raises(RotationError, match="does not let"):
        world.run(version, "testSecret")
    assert world.secret.labels[CURRENT] == "first"


def test_a_database_that_is_away_is_worth_another_try(world: World) -> None:
    version = world.secret.begin_rotation()
    world.run(version, "createSecret")
    world.database.is_away = True
    with pytest.raises(DatabaseAway):
        world.run(version, "setSecret")
    world.database.is_away = False
    world.run(version, *STEPS)
    assert world.database.password == "two"


def test_a_version_that_is_not_pending_is_refused(world: World) -> None:
    for version in ("unheard of", "first"):
        if version == "first":
            world.run(world.secret.begin_rotation(), *STEPS)
        with pytest.raises(RotationError, match="not the one that is pending"):
            world.run(version, "setSecret")


def test_a_secret_that_nobody_rotates_is_left_alone(world: World) -> None:
    version = world.secret.begin_rotation()
    world.secret.is_rotated = False
    with pytest.raises(ConfigurationError, match="is not rotated"):
        world.run(version, "createSecret")


@pytest.mark.parametrize("step", ["setSecret", "finishSecret"])
def test_a_version_without_a_value_never_becomes_a_password(world: World, step: str) -> None:
    version = world.secret.begin_rotation()
    with pytest.raises(RotationError, match="createSecret comes first"):
        world.run(version, step)
    assert world.secret.labels[CURRENT] == "first"


def test_a_new_schedule_is_tried_out_with_an_empty_version(world: World) -> None:
    version = world.secret.begin_rotation()
    world.run(version, "testSecret")
    world.database.password = "another"
    with pytest.raises(RotationError, match="does not let"):
        world.run(version, "testSecret")


def test_a_secret_that_became_another_log_ins_changes_nobodys_password(world: World) -> None:
    version = world.secret.begin_rotation()
    world.run(version, "createSecret")
    world.secret.values["first"] = json.dumps({"username": "somebody", "password": "one"})
    with pytest.raises(RotationError, match="of another log-in"):
        world.run(version, "setSecret")
    assert world.database.password == "one"


def test_passwords_are_long_and_never_the_same() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 40 and each.isascii() and each.isalnum() for each in made)
