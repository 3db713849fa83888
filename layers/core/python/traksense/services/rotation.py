"""A log-in's password is changed in four steps, each of which may come again or be the last.

Source: Secrets Manager user guide, "Lambda rotation functions" and "How rotation works". Secrets
Manager makes a version, calls the steps in their order, and begins with the first one again where
one fails; the version keeps its label until the last one is done.
"""

from __future__ import annotations

import logging
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, get_args

from traksense.domain.errors import PermanentError

Step = Literal["createSecret", "setSecret", "testSecret", "finishSecret"]
Stage = Literal["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]

CURRENT: Final[Stage] = "AWSCURRENT"
PENDING: Final[Stage] = "AWSPENDING"
PREVIOUS: Final[Stage] = "AWSPREVIOUS"
STEPS: Final[tuple[Step, ...]] = get_args(Step)

_LETTERS: Final = string.ascii_letters + string.digits
"""No character that a URL, a shell or a connection string takes for something else."""
_LENGTH: Final = 40

_log = logging.getLogger(__name__)


class RotationError(PermanentError):
    """A step cannot be done; the message says why, and names no password."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the database."""

    username: str
    password: str = field(repr=False)


class Versions(Protocol):
    """The versions of a secret. Every method raises DatabaseAway or ConfigurationError."""

    def stages(self, secret: str) -> dict[str, frozenset[str]]:
        """The labels of each version, by its id."""

    def login(self, secret: str, stage: Stage, version: str | None = None) -> Login | None:
        """The log-in in the version with a label; None: none has it, or the version is empty."""

    def fill(self, secret: str, version: str, password: str) -> None:
        """Give the pending version the current one's value with another password, unless it has
        one.
        """

    def make_current(self, secret: str, version: str, instead_of: str | None) -> None:
        """Move the label of the current version."""

    def settle(self, secret: str, version: str) -> None:
        """Take the pending label away."""


class LoginPasswords(Protocol):
    """The database, as far as its log-ins reach it. Every method raises DatabaseAway."""

    def lets_in(self, login: Login) -> bool:
        """Whether a log-in's password is good."""

    def change(self, login: Login, password: str) -> bool:
        """Change a log-in's password as the log-in itself; False: it is not let in."""


def new_password() -> str:
    """One that nobody guesses: 40 characters of 62, which is 238 bits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


class Rotation:
    """The four steps. A log-in changes its own password: nobody else's rights are needed."""

    def __init__(
        self,
        versions: Versions,
        passwords: LoginPasswords,
        make: Callable[[], str] = new_password,
    ) -> None:
        self._versions = versions
        self._passwords = passwords
        self._make = make

    def run(self, step: Step, secret: str, version: str) -> None:
        """Do one step. Raises RotationError, ConfigurationError or DatabaseAway."""
        stages = self._versions.stages(secret)
        mine = stages.get(version, frozenset())
        if CURRENT in mine:
            # All of it was done before, but for what a call that was cut off left.
            if step == "finishSecret" and PENDING in mine:
                self._versions.settle(secret, version)
            return
        if PENDING not in mine:
            raise RotationError(f"the version {version} is not the one that is pending")
        if step == "createSecret":
            self._create(secret, version)
        elif step == "setSecret":
            self._set(secret, self._pending(secret, version))
        elif step == "testSecret":
            self._test(secret, version)
        else:
            self._finish(secret, version, stages)

    def _create(self, secret: str, version: str) -> None:
        if self._versions.login(secret, PENDING, version) is not None:
            return
        self._versions.fill(secret, version, self._make())

    def _set(self, secret: str, pending: Login) -> None:
        if self._passwords.lets_in(pending):
            return
        # The one before: the database may have been restored to a moment before a rotation.
        for stage in (CURRENT, PREVIOUS):
            known = self._versions.login(secret, stage)
            if known is None:
                continue
            if known.username != pending.username:
                raise RotationError(f"the {stage} version of the secret is of another log-in")
            if self._passwords.change(known, pending.password):
                _log.info("%s has a new password", pending.username)
                return
        raise RotationError(
            f"the database lets {pending.username} in by no password that its secret ever had, or "
            "it has too many connections"
        )

    def _test(self, secret: str, version: str) -> None:
        # A new schedule is tried out by this step alone, with a version that nothing was put
        # into: whether the function gets to both is what is asked then.
        login = self._versions.login(secret, PENDING, version)
        login = login or self._versions.login(secret, CURRENT)
        if login is None:
            raise RotationError("the secret has no current version")
        if not self._passwords.lets_in(login):
            raise RotationError(f"the database does not let {login.username} in")

    def _finish(self, secret: str, version: str, stages: dict[str, frozenset[str]]) -> None:
        self._pending(secret, version)  # an empty one must not become the current one
        before = next((each for each, labels in stages.items() if CURRENT in labels), None)
        self._versions.make_current(secret, version, before)
        if PENDING in self._versions.stages(secret).get(version, frozenset()):
            self._versions.settle(secret, version)

    def _pending(self, secret: str, version: str) -> Login:
        found = self._versions.login(secret, PENDING, version)
        if found is None:
            raise RotationError(f"the version {version} has no value: createSecret comes first")
        return found
