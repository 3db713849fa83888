"""AWS IoT's registry on one machine: the operations that provisioning uses, and no others.

Not moto's: that one makes up certificates which no broker trusts, forgets everything at a restart,
and takes several times as long for a thousand devices. Shapes and errors are those of the API
reference ("AWS IoT"), and the adapter's tests run against moto's as well.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

from local.certificates import CertificateAuthority
from traksense.contracts import things
from traksense.contracts.topics import TopicError

from .identifiers import ACCOUNT, REGION

LARGEST_BODY: Final = 100_000
MOST_OF_A_THING: Final = 10
"""Principals of a thing (AWS IoT quotas)."""

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS thing_type (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS thing (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, attributes TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS policy (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS certificate (
    id TEXT PRIMARY KEY, pem TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS principal (
    thing TEXT NOT NULL, arn TEXT NOT NULL, PRIMARY KEY (thing, arn));
CREATE TABLE IF NOT EXISTS attached (
    policy TEXT NOT NULL, arn TEXT NOT NULL, PRIMARY KEY (policy, arn));
"""


class IotError(Exception):
    """What the service answers instead of a result."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: the variables of its path, its query, its JSON body, its principal."""

    names: tuple[str, ...]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    principal: str

    @property
    def name(self) -> str:
        """The first variable of the path."""
        return self.names[0]


class LocalIot:
    """The service as a WSGI app; the guard before it has checked who asks."""

    def __init__(self, path: Path, authority: CertificateAuthority, mqtt_port: int) -> None:
        self._authority = authority
        self._mqtt_port = mqtt_port
        self._lock = threading.Lock()
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        # What a deployment makes: the platform itself never does.
        with self._database:
            self._run("INSERT OR IGNORE INTO thing_type VALUES (?)", things.THING_TYPE)
            for policy in things.POLICIES.items():
                self._run("INSERT OR REPLACE INTO policy VALUES (?, ?)", *policy)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """One operation of the REST JSON protocol, in one transaction."""
        headers = [("Content-Type", "application/json")]
        try:
            operation, asked = _read(environ)
            with self._lock, self._database:
                status, answer = 200, operation(self, asked)
        except IotError as error:
            status, answer = error.status, {"message": str(error)}
            headers.append(("x-amzn-ErrorType", error.kind))
        body = json.dumps(answer).encode()
        start_response(f"{status} {'OK' if status == 200 else 'Refused'}",
                       [*headers, ("Content-Length", str(len(body)))])  # fmt: skip
        return [body]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def create_thing(self, asked: Asked) -> dict[str, Any]:
        """Nothing new where one with the same attributes is there."""
        kind, attributes = self._wanted(asked)
        there = self._row("SELECT type, attributes FROM thing WHERE name = ?", asked.name)
        if there is None:
            self._run("INSERT INTO thing VALUES (?, ?, ?, 1)", asked.name, kind, attributes)
        elif there != (kind, attributes):
            raise IotError(409, "ResourceAlreadyExistsException", f"{asked.name} is another thing")
        return {"thingName": asked.name, "thingArn": _arn("thing", asked.name)}

    def update_thing(self, asked: Asked) -> dict[str, Any]:
        """Replace type and attributes."""
        kind, attributes = self._wanted(asked)
        self._need("thing", asked.name)
        self._run(
            "UPDATE thing SET type = ?, attributes = ?, version = version + 1 WHERE name = ?",
            kind, attributes, asked.name,
        )  # fmt: skip
        return {}

    def describe_thing(self, asked: Asked) -> dict[str, Any]:
        """A thing with its attributes."""
        kind, attributes, version = self._need("thing", asked.name)[1:]
        return {
            "thingName": asked.name,
            "thingArn": _arn("thing", asked.name),
            "thingTypeName": kind,
            "attributes": json.loads(attributes),
            "version": version,
        }

    def delete_thing(self, asked: Asked) -> dict[str, Any]:
        """Delete a thing that nothing is attached to; one that is not there is deleted."""
        if self._row("SELECT 1 FROM principal WHERE thing = ?", asked.name):
            raise IotError(400, "InvalidRequestException", f"{asked.name} has principals")
        self._run("DELETE FROM thing WHERE name = ?", asked.name)
        return {}

    def attach_thing_principal(self, asked: Asked) -> dict[str, Any]:
        """Attach a certificate to a thing."""
        self._need("thing", asked.name)
        self._need("certificate", _certificate_of(asked.principal))
        count = self._row("SELECT count(*) FROM principal WHERE thing = ?", asked.name)
        if count is not None and count[0] >= MOST_OF_A_THING:
            raise IotError(410, "LimitExceededException", f"{asked.name} has too many principals")
        self._run("INSERT OR IGNORE INTO principal VALUES (?, ?)", asked.name, asked.principal)
        return {}

    def detach_thing_principal(self, asked: Asked) -> dict[str, Any]:
        """Detach a certificate from a thing."""
        self._need("thing", asked.name)
        self._run("DELETE FROM principal WHERE thing = ? AND arn = ?", asked.name, asked.principal)
        return {}

    def list_thing_principals(self, asked: Asked) -> dict[str, Any]:
        """ARNs of a thing's certificates."""
        self._need("thing", asked.name)
        rows = self._database.execute(
            "SELECT arn FROM principal WHERE thing = ? ORDER BY arn", (asked.name,)
        )
        return {"principals": [arn for (arn,) in rows]}

    def create_certificate_from_csr(self, asked: Asked) -> dict[str, Any]:
        """A certificate of the local authority."""
        try:
            request = x509.load_pem_x509_csr(
                str(asked.body.get("certificateSigningRequest")).encode()
            )
            certificate = self._authority.sign_device(request)
        except (ValueError, TopicError, UnsupportedAlgorithm) as error:
            raise IotError(400, "InvalidRequestException", str(error)) from error
        found = certificate.fingerprint(hashes.SHA256()).hex()
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        status = "ACTIVE" if asked.query.get("setAsActive") == "true" else "INACTIVE"
        self._run("INSERT INTO certificate VALUES (?, ?, ?)", found, pem, status)
        return {
            "certificateId": found,
            "certificateArn": _arn("cert", found),
            "certificatePem": pem,
        }

    def update_certificate(self, asked: Asked) -> dict[str, Any]:
        """Another status."""
        status = asked.query.get("newStatus")
        if status not in ("ACTIVE", "INACTIVE", "REVOKED"):
            raise IotError(400, "InvalidRequestException", f"{status} is no status")
        self._need("certificate", asked.name)
        self._run("UPDATE certificate SET status = ? WHERE id = ?", status, asked.name)
        return {}

    def describe_certificate(self, asked: Asked) -> dict[str, Any]:
        """A certificate with its status."""
        _, pem, status = self._need("certificate", asked.name)
        described = {"certificateId": asked.name, "certificateArn": _arn("cert", asked.name)}
        return {"certificateDescription": {**described, "status": status, "certificatePem": pem}}

    def get_policy(self, asked: Asked) -> dict[str, Any]:
        """A policy with its document."""
        _, document = self._need("policy", asked.name)
        arn = _arn("policy", asked.name)
        return {"policyName": asked.name, "policyArn": arn, "policyDocument": document}

    def attach_policy(self, asked: Asked) -> dict[str, Any]:
        """Attach a policy to a certificate."""
        target = str(asked.body.get("target", ""))
        self._need("policy", asked.name)
        self._need("certificate", _certificate_of(target))
        self._run("INSERT OR IGNORE INTO attached VALUES (?, ?)", asked.name, target)
        return {}

    def detach_policy(self, asked: Asked) -> dict[str, Any]:
        """Detach a policy from a certificate."""
        self._need("policy", asked.name)
        target = str(asked.body.get("target", ""))
        self._run("DELETE FROM attached WHERE policy = ? AND arn = ?", asked.name, target)
        return {}

    def list_attached_policies(self, asked: Asked) -> dict[str, Any]:
        """Policies of a certificate."""
        rows = self._database.execute(
            "SELECT policy FROM attached WHERE arn = ? ORDER BY policy", (asked.name,)
        )
        found = [{"policyName": name, "policyArn": _arn("policy", name)} for (name,) in rows]
        return {"policies": found}

    def describe_endpoint(self, asked: Asked) -> dict[str, Any]:
        """The devices' listener of the local broker, with its port."""
        if asked.query.get("endpointType") != "iot:Data-ATS":
            raise IotError(400, "InvalidRequestException", "only iot:Data-ATS is here")
        return {"endpointAddress": f"127.0.0.1:{self._mqtt_port}"}

    def _wanted(self, asked: Asked) -> tuple[str, str]:
        kind = str(asked.body.get("thingTypeName", ""))
        self._need("thing_type", kind)
        payload = asked.body.get("attributePayload") or {}
        return kind, json.dumps(payload.get("attributes") or {}, sort_keys=True)

    def _need(self, table: str, key: str) -> tuple[Any, ...]:
        column = "id" if table == "certificate" else "name"
        row = self._row(f"SELECT * FROM {table} WHERE {column} = ?", key)  # noqa: S608 - ours
        if row is None:
            raise IotError(404, "ResourceNotFoundException", f"there is no {table} {key}")
        return row

    def _row(self, sql: str, *parameters: object) -> tuple[Any, ...] | None:
        with closing(self._database.execute(sql, parameters)) as cursor:
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row

    def _run(self, sql: str, *parameters: object) -> None:
        self._database.execute(sql, parameters).close()


Operation = Callable[[LocalIot, Asked], dict[str, Any]]

_OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/things/([^/]+)", LocalIot.create_thing),
    ("PATCH", "/things/([^/]+)", LocalIot.update_thing),
    ("GET", "/things/([^/]+)", LocalIot.describe_thing),
    ("DELETE", "/things/([^/]+)", LocalIot.delete_thing),
    ("PUT", "/things/([^/]+)/principals", LocalIot.attach_thing_principal),
    ("DELETE", "/things/([^/]+)/principals", LocalIot.detach_thing_principal),
    ("GET", "/things/([^/]+)/principals", LocalIot.list_thing_principals),
    ("POST", "/certificates", LocalIot.create_certificate_from_csr),
    ("PUT", "/certificates/([^/]+)", LocalIot.update_certificate),
    ("GET", "/certificates/([^/]+)", LocalIot.describe_certificate),
    ("GET", "/policies/([^/]+)", LocalIot.get_policy),
    ("PUT", "/target-policies/([^/]+)", LocalIot.attach_policy),
    ("POST", "/target-policies/([^/]+)", LocalIot.detach_policy),
    ("POST", "/attached-policies/(.+)", LocalIot.list_attached_policies),
    ("GET", "/endpoint", LocalIot.describe_endpoint),
)


def _read(environ: Mapping[str, Any]) -> tuple[Operation, Asked]:
    """The operation that a request asks for. Raises IotError."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    fitting = (
        (each, match)
        for verb, pattern, each in _OPERATIONS
        if verb == method and (match := re.fullmatch(pattern, path))
    )
    operation, match = next(fitting, (None, None))
    if operation is None or match is None:
        raise IotError(403, "UnauthorizedException", f"{method} {path} is not permitted")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > LARGEST_BODY:
        raise IotError(400, "InvalidRequestException", "the body is too large")
    try:
        body = json.loads(environ["wsgi.input"].read(length) or b"{}")
    except ValueError:
        raise IotError(400, "InvalidRequestException", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise IotError(400, "InvalidRequestException", "the body is no object")
    query = {name: values[-1] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    names = tuple(unquote(name) for name in match.groups())
    return operation, Asked(names, query, body, environ.get("HTTP_X_AMZN_PRINCIPAL", ""))


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:iot:{REGION}:{ACCOUNT}:{kind}/{name}"


def _certificate_of(arn: str) -> str:
    return arn.rpartition("/")[2]
