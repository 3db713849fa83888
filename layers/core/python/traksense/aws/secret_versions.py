"""Versions of a log-in's secret in Secrets Manager, as a rotation sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from traksense.aws.clients import LazyClient, MakeClient
from traksense.aws.secrets import NOT_THERE, client_of_secrets, login_of
from traksense.domain.errors import ConfigurationError, DatabaseAway
from traksense.services.rotation import CURRENT, PENDING, Login, Stage

_FILLED: Final = "ResourceExistsException"
_PERMANENT: Final = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "EncryptionFailure",
        "InvalidParameterException",
        "InvalidRequestException",
        NOT_THERE,
    }
)


class SecretVersions:
    """Implements ``traksense.services.rotation.Versions``."""

    def __init__(self, region: str, make_client: MakeClient | None = None) -> None:
        self._client = LazyClient(region, make_client or client_of_secrets)

    def stages(self, secret: str) -> dict[str, frozenset[str]]:
        """The labels of each version, by its id."""
        with _told(secret):
            found = self._client.get().describe_secret(SecretId=secret)
        if not found.get("RotationEnabled"):
            raise ConfigurationError(f"the secret {secret} is not rotated")
        return {
            version: frozenset(labels) for version, labels in found["VersionIdsToStages"].items()
        }

    def login(self, secret: str, stage: Stage, version: str | None = None) -> Login | None:
        """The log-in in the version with a label; None: none has it, or the version is empty."""
        which = {"SecretId": secret, "VersionStage": stage}
        if version is not None:
            which["VersionId"] = version
        try:
            with _told(secret):
                text = self._client.get().get_secret_value(**which)["SecretString"]
        except _NotThere:
            return None
        return login_of(secret, text)

    def fill(self, secret: str, version: str, password: str) -> None:
        """Give the pending version the current one's value with another password, unless it has
        one.
        """
        client = self._client.get()
        try:
            with _told(secret):
                answer = client.get_secret_value(SecretId=secret, VersionStage=CURRENT)
                login_of(secret, answer["SecretString"])
                # Whatever else somebody put into the secret stays in it.
                value = {**json.loads(answer["SecretString"]), "password": password}
                client.put_secret_value(
                    SecretId=secret,
                    ClientRequestToken=version,
                    SecretString=json.dumps(value),
                    VersionStages=[PENDING],
                )
        except _Filled:
            return

    def make_current(self, secret: str, version: str, instead_of: str | None) -> None:
        """Move the label of the current version."""
        which = {"SecretId": secret, "VersionStage": CURRENT, "MoveToVersionId": version}
        if instead_of is not None:
            which["RemoveFromVersionId"] = instead_of
        with _told(secret):
            self._client.get().update_secret_version_stage(**which)

    def settle(self, secret: str, version: str) -> None:
        """Take the pending label away."""
        with _told(secret):
            self._client.get().update_secret_version_stage(
                SecretId=secret, VersionStage=PENDING, RemoveFromVersionId=version
            )


class _NotThere(ConfigurationError):
    """There is no such secret, no version with such a label, or it has no value."""


class _Filled(ConfigurationError):
    """The version has a value already, which another call gave it."""


@contextmanager
def _told(secret: str) -> Iterator[None]:
    """What another try may mend leaves as DatabaseAway, everything else as ConfigurationError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        told = f"the secret {secret}: {code}"
        if code == NOT_THERE:
            raise _NotThere(told) from error
        if code == _FILLED:
            raise _Filled(told) from error
        if code in _PERMANENT:
            raise ConfigurationError(told) from error
        raise DatabaseAway(told) from error
    except BotoCoreError as error:
        raise DatabaseAway(f"the secret {secret} cannot be reached now") from error
