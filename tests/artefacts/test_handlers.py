"""Each function out of its packages, called by the event of what triggers it."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as parquet
import pytest

from infra_cdk.packaging.machine import Machine
from local.bridge.deliveries import Delivery
from local.bridge.event import sqs_event
from local.bridge.queue import Message
from local.gateway.events import proxy_event
from local.gateway.routes import Match
from tests.artefacts.cloud import ORIGIN_SECRET, Cloud, cloud
from tests.support import database, fleet
from traksense.auth.identity import Role
from traksense.contracts import functions, queues, rules
from traksense.contracts.buckets import EXPORTS
from traksense.contracts.functions import FUNCTIONS, Function
from traksense.contracts.schedules import SCHEDULES, Schedule
from traksense.contracts.topics import PresenceTopic
from traksense.db.logins import login_name, with_login
from traksense.services.rotation import STEPS

TRIED = {
    "queue": {"ingest", "device_events"},
    "http": {"api"},
    "schedule": {"maintenance"},
    "user_pool": {"user_messages"},
    "state_machine": {
        "export_plan", "export_chunk", "export_finish", "export_notify", "export_fail",
    },
    "deployment": {"migrate"},
    "rotation": {"rotate"},
}  # fmt: skip
"""What the tests below call, by what triggers it."""


def _csv_values(data: bytes) -> list[float]:
    return [float(row["value"]) for row in csv.DictReader(io.StringIO(data.decode("utf-8")))]


def _parquet_values(data: bytes) -> list[float]:
    values: list[float] = parquet.read_table(io.BytesIO(data))["value"].to_pylist()
    return values


VALUES = {"csv": _csv_values, "parquet": _parquet_values}


@pytest.fixture(scope="module")
def platform(
    machine: Machine, admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The platform after its first deployment, with two tenants."""
    with (
        database.fresh_database(admin_url, template="template0") as url,
        cloud(machine, tmp_path_factory.mktemp("cloud"), url) as made,
    ):
        told = made.ask_of_deployment("Create")
        assert told["Status"] == "SUCCESS", told
        assert int(told["Data"]["Applied"]) > 20
        assert len(made.seeded.tenants) == 2
        yield made
    # The log-ins are the server's, and other tests make them as somebody else.
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for each in FUNCTIONS:
            connection.execute(f"DROP ROLE IF EXISTS {login_name(each.name)}".encode())


def test_each_function_is_called_here_by_its_trigger() -> None:
    of_manifest: dict[str, set[str]] = {}
    for function in FUNCTIONS:
        of_manifest.setdefault(function.trigger, set()).add(function.name)
    assert of_manifest == TRIED


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_a_handler_is_imported_from_its_packages_alone(
    machine: Machine, function: Function
) -> None:
    module, _, attribute = function.handler.partition(":")
    printed = machine.run(
        function,
        f"import sys, json, {module}\n"
        f"assert callable({module}.{attribute})\n"
        "print(json.dumps({n: [m.__file__, getattr(m, '__cached__', None)]"
        " for n, m in sorted(sys.modules.items())"
        " if n != '__main__' and getattr(m, '__file__', None)}))",
    )
    places = (machine.task, machine.opt(function.layers), machine.runtime)
    standard = Path(importlib.util.__file__).parent.parent
    for name, (file, cached) in json.loads(printed).items():
        assert any(Path(file).is_relative_to(place) for place in (*places, standard)), name
        if file.endswith(".py") and Path(file).is_relative_to(places[1]):
            assert Path(cached).is_file(), f"{name} is compiled at each start"


def test_a_second_deployment_finds_nothing_to_do_and_a_teardown_takes_nothing(
    platform: Cloud,
) -> None:
    again = platform.ask_of_deployment("Update")
    assert (again["Status"], again["Data"]) == ("SUCCESS", {"Applied": "0"})
    gone = platform.ask_of_deployment("Delete")
    assert gone["Status"] == "SUCCESS"
    assert gone["PhysicalResourceId"] == again["PhysicalResourceId"]
    assert platform.one("SELECT count(*) FROM public.tenants") == 2


def _event_of(queue: queues.Queue, *messages: tuple[str, bytes]) -> dict[str, Any]:
    """An event as SQS hands it over, of messages as the topic rules make them."""
    now = fleet.now_ms()
    return sqs_event(
        queue.name,
        (
            Message(
                f"message-{number}",
                rules.project(payload, topic, "a client", now),
                now,
                Delivery(number, 0),
                receives=1,
                first_received_ms=now,
            )
            for number, (topic, payload) in enumerate(messages)
        ),
    )


def test_a_batch_from_the_queue_is_stored(platform: Cloud) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reading = json.dumps(fleet.normalised(moment, temp=-18.5)).encode()
    event = _event_of(
        queues.INGEST,
        (fleet.telem("acme", "chiller-1"), reading),
        (fleet.telem("acme", "chiller-1"), b"no JSON"),
    )
    process = platform.function(functions.INGEST)
    assert process.answer(event) == {"batchItemFailures": []}
    sk = platform.seeded.sks["acme_chiller-1", "temp"]
    assert platform.one("SELECT count(*) FROM public.ingest_errors") == 1
    found = platform.one("SELECT v_num FROM public.m_raw WHERE point_sk = %s", sk)
    assert found == -18.5
    assert '"ReadingsStored"' in process.printed()


def test_a_device_that_connected_is_online(platform: Cloud) -> None:
    topic = str(PresenceTopic(connected=True, client_id="globex_chiller-1"))
    payload = {
        "clientId": "globex_chiller-1",
        "timestamp": fleet.now_ms(),
        "eventType": "connected",
        "sessionIdentifier": "00000000-0000-0000-0000-000000000000",
        "principalIdentifier": "abc",
        "ipAddress": "192.0.2.7",
        "versionNumber": 1,
    }
    event = _event_of(queues.DEVICE_EVENTS, (topic, json.dumps(payload).encode()))
    answer = platform.function(functions.DEVICE_EVENTS).answer(event)
    assert answer == {"batchItemFailures": []}
    device = platform.seeded.devices["globex_chiller-1"]
    state = platform.one("SELECT is_online FROM public.device_state WHERE device_id = %s", device)
    assert state is True


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: each.name)
def test_each_schedule_runs_its_job(platform: Cloud, schedule: Schedule) -> None:
    assert schedule.function == functions.MAINTENANCE.name
    assert isinstance(platform.function(functions.MAINTENANCE).answer(schedule.payload), dict)


def test_the_pool_gets_the_wording_of_an_e_mail(platform: Cloud) -> None:
    event = {
        "version": "1",
        "triggerSource": "CustomMessage_ForgotPassword",
        "region": "us-east-1",
        "userPoolId": platform.emulator.ids.user_pool_id,
        "userName": "0a1b",
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "x"},
        "request": {
            "userAttributes": {"sub": "0a1b", "email": "ana@acme.example", "locale": "pt-BR"},
            "codeParameter": "{####}",
            "linkParameter": "{##Click Here##}",
            "usernameParameter": None,
        },
        "response": {"smsMessage": None, "emailMessage": None, "emailSubject": None},
    }
    answer = platform.function(functions.USER_MESSAGES).answer(event)
    assert "{####}" in answer["response"]["emailMessage"]
    assert "senha" in answer["response"]["emailSubject"].lower()


def _asked(
    platform: Cloud,
    method: str,
    path: str,
    *,
    resource: str | None = None,
    names: dict[str, str] | None = None,
    tenant: str | None = None,
    body: Any = None,
    secret: str = ORIGIN_SECRET,
) -> dict[str, Any]:
    """A request as API Gateway hands it over; ``tenant``: by an administrator of it."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "REMOTE_ADDR": "198.51.100.1",  # the distribution's
        "CONTENT_TYPE": "application/json",
        "HTTP_ACCEPT": "application/json",
        "HTTP_HOST": "abc.execute-api.us-east-1.amazonaws.com",
        "HTTP_X_ORIGIN_SECRET": secret,
        "HTTP_X_VIEWER_ADDRESS": "192.0.2.7",
    }
    claims = None
    if tenant is not None:
        claims = {
            "sub": "0a1b",
            "email": f"ana@{tenant}.example",
            "cognito:groups": Role.CUSTOMER_ADMIN.value,
            "custom:tenant_id": str(platform.seeded.tenants[tenant]),
            "locale": "pt-BR",
        }
    return proxy_event(
        environ,
        Match(resource or path, names or {}),
        b"" if body is None else json.dumps(body).encode(),
        str(uuid.uuid4()),
        (),
        claims,
    )


def test_a_request_is_answered_to_its_tenant_alone(platform: Cloud) -> None:
    api = platform.function(functions.API)
    answer = api.answer(_asked(platform, "GET", "/api/devices", tenant="globex"))
    assert answer["statusCode"] == 200, answer
    devices = json.loads(answer["body"])["items"]
    assert {each["name"] for each in devices} == {
        "chiller-1", "chiller-2", "parsec-1", "je02-1",
    }  # fmt: skip
    # What functions read of files beside them is packed as well.
    description = api.answer(_asked(platform, "GET", "/schema"))
    assert json.loads(description["body"])["openapi"].startswith("3.")
    event = _asked(platform, "GET", "/d/x", resource="/d/{token}", names={"token": "x"})
    assert "<html" in api.answer(event)["body"]


def test_a_request_past_the_distribution_is_refused(platform: Cloud) -> None:
    event = _asked(platform, "GET", "/api/devices", tenant="acme", secret="a guess")
    assert platform.function(functions.API).answer(event)["statusCode"] == 403


def _export(platform: Cloud, format_: str) -> dict[str, Any]:
    """An export from the request until it ended."""
    api = platform.function(functions.API)
    body = {
        "from": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - 86_400)),
        "to": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + 86_400)),
        "agg": "raw",
        "format": format_,
    }
    asked = api.answer(_asked(platform, "POST", "/api/exports", tenant="acme", body=body))
    assert asked["statusCode"] in (201, 202), asked
    export_id = json.loads(asked["body"])["id"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = api.answer(
            _asked(
                platform,
                "GET",
                f"/api/exports/{export_id}",
                resource="/api/exports/{export_id}",
                names={"export_id": export_id},
                tenant="acme",
            )
        )
        found: dict[str, Any] = json.loads(answer["body"])
        if found["status"] not in ("PENDING", "PROCESSING"):
            return found
        time.sleep(0.2)
    raise AssertionError(f"the export does not end: {found}")


def _mailed(platform: Cloud, export_id: str) -> None:
    """Wait for the step behind the file's: the e-mail with a link."""
    deadline = time.monotonic() + 20
    query = "SELECT count(*) FROM public.export_links WHERE export_id = %s"
    while not platform.one(query, export_id):
        assert time.monotonic() < deadline, platform.function(functions.EXPORT_NOTIFY).printed()
        time.sleep(0.1)


@pytest.mark.parametrize(("format_", "value"), [("csv", -17.25), ("parquet", -17.5)])
def test_the_state_machine_runs_an_export_through_its_functions(
    platform: Cloud, format_: str, value: float
) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    reading = json.dumps(fleet.normalised(moment, temp=value)).encode()
    event = _event_of(queues.INGEST, (fleet.telem("acme", "chiller-2"), reading))
    platform.function(functions.INGEST).answer(event)

    found = _export(platform, format_)
    assert found["status"] == "COMPLETED", found
    bucket, s3 = EXPORTS.name, platform.emulator.client("s3")
    key = platform.one("SELECT file_key FROM public.exports WHERE id = %s", found["id"])
    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert VALUES[format_](data).count(value) == 1
    _mailed(platform, found["id"])


def test_an_export_that_no_longer_runs_is_ended_by_the_name_of_its_error(platform: Cloud) -> None:
    run = {
        "tenant_id": str(platform.seeded.tenants["acme"]),
        "export_id": "00000000-0000-0000-0000-000000000000",
        "attempt": 1,
    }
    payload, is_error = platform.function(functions.EXPORT_PLAN).call(run)
    # The state machine knows it by this name, and tries it no more.
    assert (payload["errorType"], is_error) == ("ExportEnded", True)
    assert any("/var/task/functions/exports/plan.py" in line for line in payload["stackTrace"])
    error = {"Error": payload["errorType"], "Cause": json.dumps(payload)}
    assert platform.function(functions.EXPORT_FAIL).answer({**run, "error": error})


def test_a_rotation_changes_the_password_that_a_function_shows(platform: Cloud) -> None:
    secret = platform.secrets[functions.DEVICE_EVENTS.name]
    value = json.loads(platform.vault.get_secret_value(SecretId=secret)["SecretString"])
    version = str(uuid.uuid4())
    # As after a first try that ended behind its first step.
    platform.vault.put_secret_value(
        SecretId=secret,
        ClientRequestToken=version,
        SecretString=json.dumps({**value, "password": "a new one"}),
        VersionStages=["AWSPENDING"],
    )
    for step in STEPS:
        event = {"Step": step, "SecretId": secret, "ClientRequestToken": version}
        assert platform.function(functions.ROTATE).answer(event) is None
    current = platform.vault.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
    assert current["VersionId"] == version
    user, password = json.loads(current["SecretString"]).values()
    assert password == "a new one"
    with psycopg.connect(with_login(platform.database_url, user, password)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
