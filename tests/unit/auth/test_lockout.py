"""The local user pool slows guessing down as Cognito does."""

from __future__ import annotations

import pytest
from moto.cognitoidp.exceptions import NotAuthorizedError

from local.aws.lockout import Lockout
from local.aws.passwords import NOBODY, PasswordHash


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait_of(lockout: Lockout, clock: Clock, name: str) -> float:
    """Seconds until a name may try again."""
    begun = clock.now
    for waited in range(2000):
        clock.now = begun + waited
        try:
            lockout.check(name)
        except NotAuthorizedError:
            continue
        return waited
    raise AssertionError("locked for ever")


def test_the_wait_begins_after_five_failures_and_doubles_to_a_quarter_of_an_hour() -> None:
    clock = Clock()
    lockout = Lockout(clock)
    waits = []
    for _ in range(18):
        lockout.failed("ana@acme.example")
        waits.append(wait_of(lockout, clock, "ANA@acme.example"))
    assert waits[:9] == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert waits[-1] == 900


def test_a_success_and_another_name_begin_anew() -> None:
    lockout = Lockout(Clock())
    for _ in range(5):
        lockout.failed("ana@acme.example")
    lockout.check("bia@acme.example")
    with pytest.raises(NotAuthorizedError, match="Password attempts exceeded"):
        lockout.check("ana@acme.example")
    lockout.succeeded("ana@acme.example")
    lockout.check("ana@acme.example")


def test_names_are_forgotten_before_they_fill_the_memory() -> None:
    lockout = Lockout(Clock())
    lockout.REMEMBERED = 100
    for number in range(1000):
        lockout.failed(f"guess{number}@acme.example")
    assert len(lockout._failures) == 100


def test_a_hash_equals_its_password_and_nothing_else() -> None:
    made = PasswordHash.of("correct horse")
    kept = PasswordHash.from_text(made.to_text())
    assert kept == "correct horse"
    for other in ("Correct horse", "", made.to_text(), None, made):
        assert kept != other
    assert NOBODY != ""
    assert PasswordHash.of("correct horse").to_text() != made.to_text()


@pytest.mark.parametrize("text", ["", "plain", "md5$YQ==$YQ==", "scrypt$!$!"])
def test_a_hash_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        PasswordHash.from_text(text)
