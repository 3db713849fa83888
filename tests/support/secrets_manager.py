"""Secrets Manager as far as log-ins need it: versions, their labels, and what it refuses."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


class FakeSecretsManager:
    """One secret of a log-in. Source: AWS Secrets Manager API reference, of each operation."""

    exceptions = ("made",)

    def __init__(self, username: str, password: str, **more: str) -> None:
        self.values: dict[str, str] = {
            "first": json.dumps({"username": username, "password": password, **more})
        }
        self.labels: dict[str, str] = {CURRENT: "first"}
        """The version of each label."""
        self.is_rotated = True
        self.calls: list[str] = []

    def begin_rotation(self) -> str:
        """What RotateSecret does before it calls a function: an empty version with a label."""
        pending = self.labels.get(PENDING)
        if pending is not None and pending != self.labels[CURRENT]:
            return pending
        self.labels[PENDING] = version = secrets.token_hex(16)
        return version

    def value(self, label: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.values[self.labels[label]])
        return found

    def describe_secret(self, **request: str) -> dict[str, Any]:
        self.calls.append("DescribeSecret")
        versions: dict[str, list[str]] = {}
        for label, version in self.labels.items():
            versions.setdefault(version, []).append(label)
        return {"RotationEnabled": self.is_rotated, "VersionIdsToStages": versions}

    def get_secret_value(self, **request: str) -> dict[str, Any]:
        self.calls.append("GetSecretValue")
        version = self.labels.get(request.get("VersionStage", CURRENT))
        if version is None or request.get("VersionId", version) != version:
            raise refusal("ResourceNotFoundException")
        if version not in self.values:
            raise refusal("ResourceNotFoundException")
        return {"SecretString": self.values[version]}

    def put_secret_value(self, **request: Any) -> Mapping[str, Any]:
        self.calls.append("PutSecretValue")
        version, text = request["ClientRequestToken"], request["SecretString"]
        if self.values.get(version, text) != text:
            raise refusal("ResourceExistsException")
        self.values[version] = text
        for label in request["VersionStages"]:
            self.labels[label] = version
        return {}

    def update_secret_version_stage(self, **request: str) -> Mapping[str, Any]:
        self.calls.append("UpdateSecretVersionStage")
        label, out_of = request["VersionStage"], request.get("RemoveFromVersionId")
        if self.labels.get(label) != out_of:
            raise refusal("InvalidParameterException")
        if "MoveToVersionId" not in request:
            del self.labels[label]
            return {}
        self.labels[label] = request["MoveToVersionId"]
        if label == CURRENT and out_of is not None:
            self.labels[PREVIOUS] = out_of
        return {}


def refusal(code: str) -> ClientError:
    """What boto3 raises for an error of the service."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "SecretsManager")
