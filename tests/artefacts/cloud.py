"""The platform out of its packages: each function as Lambda runs it, around it what stands in for
AWS. The state machine executes its own file and calls the packaged functions.
"""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import boto3
import psycopg
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from infra_cdk.environment import DEFAULTS, LOCAL
from infra_cdk.packaging.machine import Machine
from local.aws.identifiers import CONFIGURATION_SET, SENDER, state_machine_arn
from local.certificates import CertificateAuthority
from local.child import StopRequest
from local.functions_host import LARGEST_EVENT, FunctionsApp
from local.gateway.http_server import Server
from tests.contract.emulator import Emulator
from tests.support import fleet
from tests.support.lambda_runtime import LambdaProcess
from traksense.contracts.buckets import EXPORTS
from traksense.contracts.functions import FUNCTIONS, MIGRATE, Function
from traksense.contracts.state_machines import EXPORT
from traksense.db.logins import login_name

ORIGIN_SECRET: Final = "what only the distribution knows"
TOMBSTONES: Final = "traksense-tombstones"
_KEY: Final = "a key that only the run knows"


@dataclass
class Cloud:
    """Functions by name, started when they are first asked for."""

    machine: Machine
    emulator: Emulator
    home: Path
    database_url: str
    """The administrator's."""
    environment: dict[str, str]
    """What AWS's clients, and the stand-ins for its services, need."""
    vault: Any
    """A client of Secrets Manager."""
    secrets: dict[str, str]
    """ARNs of the log-ins' secrets by function; the administrator's as ``administrator``."""
    answers: queue.Queue[dict[str, Any]]
    """What CloudFormation was told."""
    response_url: str
    stack: ExitStack
    _running: dict[str, LambdaProcess] = field(default_factory=dict)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def function(self, function: Function) -> LambdaProcess:
        """Its process."""
        with self._starting:
            if function.name not in self._running:
                made = LambdaProcess(
                    self.machine,
                    function,
                    {**self.environment, **self.told(function)},
                    self.home / f"{function.name}.log",
                )
                self.stack.callback(made.stop)
                self._running[function.name] = made
            return self._running[function.name]

    def told(self, function: Function) -> dict[str, str]:
        """The environment that its manifest entry names, and no more."""
        known = {
            "DATABASE_URL": self._without_password(function),
            "TRAKSENSE_DATABASE_AUTH": self.secrets.get(function.name, ""),
            "TRAKSENSE_DATABASE_ADMINISTRATOR": self.secrets["administrator"],
            "TRAKSENSE_METRICS": "emf",
            "TRAKSENSE_ORIGIN_SECRETS": ORIGIN_SECRET,
            "COGNITO_USER_POOL_ID": self.emulator.ids.user_pool_id,
            "COGNITO_CLIENT_ID": self.emulator.ids.client_id,
            "TRAKSENSE_EXPORTS_BUCKET": EXPORTS.name,
            "TRAKSENSE_EXPORT_STATE_MACHINE": state_machine_arn(EXPORT.name),
            "TRAKSENSE_TOMBSTONES_BUCKET": TOMBSTONES,
            "TRAKSENSE_QUEUE_URLS": "ingest=https://sqs.us-east-1.amazonaws.com/123456789012/x",
            "TRAKSENSE_MAIL_CONFIGURATION_SET": CONFIGURATION_SET,
            "TRAKSENSE_MAIL_FROM": f"TrakSense <{SENDER}>",
            "TRAKSENSE_WEB_URL": "https://traksense.example",
        }
        wanted = set(function.environment) - DEFAULTS - LOCAL
        return {name: known[name] for name in sorted(wanted)}

    def _without_password(self, function: Function) -> str:
        parts = urlsplit(self.database_url)
        host = parts.netloc.rpartition("@")[2]
        user = f"{login_name(function.name)}@" if function.database_roles else ""
        return urlunsplit(parts._replace(netloc=user + host))

    def ask_of_deployment(self, kind: str) -> dict[str, Any]:
        """Call the migration as CloudFormation does; what it was told."""
        asked = {
            "RequestType": kind,
            "ResponseURL": self.response_url,
            "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/traksense-data/1",
            "RequestId": f"{kind}-1",
            "LogicalResourceId": "Migrated",
            "ResourceType": "Custom::Migration",
            "ResourceProperties": {
                "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:migrate",
                # CloudFormation makes a text of every number.
                "Connections": {each.name: "5" for each in FUNCTIONS if each.database_roles},
                "Secrets": {
                    name: arn for name, arn in self.secrets.items() if name != "administrator"
                },
            },
        }
        self.function(MIGRATE).answer(asked)
        return self.answers.get(timeout=5)

    @cached_property
    def seeded(self) -> fleet.Seeded:
        """Two tenants, put into the database when they are first asked for."""
        return fleet.seed(self.database_url)

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return row[0]


class _Hosted:
    """A function of the state machine, as the local host of them calls it."""

    def __init__(self, cloud: list[Cloud], function: Function) -> None:
        self._cloud = cloud
        self._function = function

    def call(self, event: dict[str, Any]) -> tuple[Any, bool]:
        return self._cloud[0].function(self._function).call(event)


@contextmanager
def cloud(machine: Machine, home: Path, database_url: str) -> Iterator[Cloud]:
    """All of it, over an empty database; nothing of it is left afterwards."""
    with ExitStack() as stack:
        later: list[Cloud] = []
        hosted: Any = {
            each.name: _Hosted(later, each) for each in FUNCTIONS if each.trigger == "state_machine"
        }
        port = _serve(Server(FunctionsApp(hosted, _KEY), 0, threads=8, largest_body=LARGEST_EVENT),
                      stack)  # fmt: skip
        emulator = Emulator.start(
            home / "emulator",
            TRAKSENSE_FUNCTIONS_URL=f"http://127.0.0.1:{port}",
            TRAKSENSE_FUNCTIONS_KEY=_KEY,
        )
        stack.callback(emulator.stop)
        emulator.client("s3").create_bucket(Bucket=TOMBSTONES)
        moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        moto.start()
        stack.callback(moto.stop)
        vault_url = f"http://127.0.0.1:{moto.get_host_and_port()[1]}"
        vault = boto3.session.Session().client(
            "secretsmanager",
            endpoint_url=vault_url,
            region_name="us-east-1",
            aws_access_key_id="AKIATESTING",
            aws_secret_access_key="testing",
        )
        authority = CertificateAuthority(home / "certificates")
        answers = queue.Queue[dict[str, Any]]()
        made = Cloud(
            machine,
            emulator,
            home,
            database_url,
            {
                **{
                    name: value
                    for name, value in emulator.environment.items()
                    if name.startswith("AWS_")
                },
                "AWS_ENDPOINT_URL_SECRETS_MANAGER": vault_url,
                "SSL_CERT_FILE": str(authority.ca_path),
            },
            vault,
            _secrets(vault, database_url),
            answers,
            _cloudformation(authority, answers, stack),
            stack,
        )
        later.append(made)
        yield made


def _secrets(client: Any, database_url: str) -> dict[str, str]:
    parts = urlsplit(database_url)
    logins = {
        each.name: (login_name(each.name), f"passwörd of {each.name}")
        for each in FUNCTIONS
        if each.database_roles
    }
    logins["administrator"] = (parts.username or "", parts.password or "unused")
    return {name: _secret(client, name, *login) for name, login in logins.items()}


def _secret(client: Any, name: str, user: str, password: str) -> str:
    made: str = client.create_secret(Name=f"traksense-test-{name}")["ARN"]
    # Before it has a value: moto would call a function of its own.
    client.rotate_secret(SecretId=made, RotationRules={"AutomaticallyAfterDays": 30})
    client.put_secret_value(
        SecretId=made, SecretString=json.dumps({"username": user, "password": password})
    )
    return made


def _serve(server: Server, stack: ExitStack) -> int:
    stop = StopRequest()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    stack.callback(thread.join, 10)
    stack.callback(stop.request)
    return server.port


def _cloudformation(
    authority: CertificateAuthority, answers: queue.Queue[dict[str, Any]], stack: ExitStack
) -> str:
    """The address to which a custom resource puts its answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server_certificate())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stack.callback(server.server_close)
    stack.callback(thread.join)
    stack.callback(server.shutdown)
    return f"https://127.0.0.1:{server.server_port}/answer?signed"
