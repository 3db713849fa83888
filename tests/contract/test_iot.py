"""The adapter of AWS IoT against the local registry, against moto, and what both must agree on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509

from tests.contract.emulator import Emulator, free_port, start_child
from traksense.aws.iot import IotThings
from traksense.contracts.things import POLICIES, THING_TYPE, Thing
from traksense.services import certificate_requests
from traksense.services.things import RegistryAway

CHILLER = Thing("acme", "plant", "chiller-1")
GATEWAY = Thing("acme", "plant", "gateway-1", "aa:bb:cc:dd:ee:ff")


class Account:
    """A registry with the adapter to it, and a client to look behind it."""

    def __init__(self, client: Any, ca: Path | None) -> None:
        self.client = client
        self.things = IotThings("us-east-1", ca, lambda _: client)

    def opens(self, certificate_id: str, arn: str, thing: Thing) -> bool:
        """Whether a certificate lets somebody in as a thing, by AWS's rules."""
        described = self.client.describe_certificate(certificateId=certificate_id)
        is_active = described["certificateDescription"]["status"] == "ACTIVE"
        attached = self.client.list_attached_policies(target=arn)["policies"]
        names = {policy["policyName"] for policy in attached}
        principals = self.client.list_thing_principals(thingName=thing.name)["principals"]
        return is_active and set(thing.policies) <= names and arn in principals


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator.start(tmp_path_factory.mktemp("home"))
    yield emulator
    emulator.stop()


def client_of(emulator: Emulator) -> Any:
    environment = emulator.environment
    return boto3.client(
        "iot",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    """moto's own registry, in a process of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = boto3.client(
        "iot",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"max_attempts": 10, "mode": "standard"}),
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            client.describe_endpoint(endpointType="iot:Data-ATS")
            break
        except BotoCoreError:
            assert time.monotonic() < deadline, "moto does not come up"
            time.sleep(0.2)
    client.create_thing_type(thingTypeName=THING_TYPE)
    for name, document in POLICIES.items():
        client.create_policy(policyName=name, policyDocument=document)
    yield client
    client.close()
    process.terminate()
    process.wait(15)


@pytest.fixture(params=["local", "moto"])
def account(request: pytest.FixtureRequest) -> Account:
    if request.param == "moto":
        return Account(request.getfixturevalue("moto"), None)
    emulator: Emulator = request.getfixturevalue("emulator")
    return Account(client_of(emulator), emulator.home / "certificates" / "ca.crt")


@pytest.mark.parametrize("thing", [CHILLER, GATEWAY])
def test_every_step_may_be_repeated_and_ends_with_what_it_says(
    account: Account, thing: Thing
) -> None:
    things = account.things
    things.put_thing(thing)
    things.put_thing(thing)
    issued = things.issue(certificate_requests.new_key(thing.name).request)
    assert not account.opens(issued.certificate_id, issued.arn, thing)
    things.attach(thing, issued.arn)
    things.attach(thing, issued.arn)
    assert account.opens(issued.certificate_id, issued.arn, thing)
    moved = Thing(thing.tenant, "depot", thing.device, thing.mac)
    things.put_thing(moved)
    described = account.client.describe_thing(thingName=thing.name)
    assert described["attributes"] == moved.attributes
    for _ in range(2):
        things.turn_off(thing, issued.certificate_id, issued.arn)
        assert not account.opens(issued.certificate_id, issued.arn, thing)
    things.remove_thing(thing)
    things.remove_thing(thing)
    things.turn_off(thing, issued.certificate_id, issued.arn)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        account.client.describe_thing(thingName=thing.name)


def test_an_unknown_certificate_is_off(account: Account) -> None:
    arn = f"arn:aws:iot:us-east-1:123456789012:cert/{'0' * 64}"
    account.things.turn_off(CHILLER, "0" * 64, arn)


def test_policies_are_those_of_the_contracts(account: Account) -> None:
    account.things.put_thing(CHILLER)
    issued = account.things.issue(certificate_requests.new_key(CHILLER.name).request)
    account.things.attach(CHILLER, issued.arn)
    for name, document in POLICIES.items():
        assert account.client.get_policy(policyName=name)["policyDocument"] == document


def test_a_local_certificate_is_the_local_authoritys_for_that_name_alone(
    emulator: Emulator,
) -> None:
    things = Account(client_of(emulator), emulator.home / "certificates" / "ca.crt").things
    ca = x509.load_pem_x509_certificate(things.endpoint().ca.encode())
    issued = things.issue(certificate_requests.new_key("acme_meter-1").request)
    made = x509.load_pem_x509_certificate(issued.pem.encode())
    made.verify_directly_issued_by(ca)
    assert made.subject.rfc4514_string() == "CN=acme_meter-1"
    assert certificate_requests.facts(issued.pem).fingerprint == issued.certificate_id
    assert (things.endpoint().host, things.endpoint().port) == ("127.0.0.1", 8883)
    for name in ("no-thing", "traksense-platform", "localhost"):
        with pytest.raises(RegistryAway):
            things.issue(certificate_requests.new_key(name).request)


def test_what_provisioning_does_not_use_is_refused(emulator: Emulator) -> None:
    client = client_of(emulator)
    with pytest.raises(ClientError, match="not permitted"):
        client.create_policy(policyName="mine", policyDocument="{}")
    with pytest.raises(ClientError, match="not permitted"):
        client.create_keys_and_certificate(setAsActive=True)
    with pytest.raises(ClientError, match="not permitted"):
        client.list_things()


def test_the_local_registry_survives_a_restart(tmp_path: Path) -> None:
    emulator = Emulator.start(tmp_path)
    try:
        things = Account(client_of(emulator), None).things
        things.put_thing(CHILLER)
        issued = things.issue(certificate_requests.new_key(CHILLER.name).request)
        things.attach(CHILLER, issued.arn)
        emulator.stop()
        emulator.process = start_child("local.aws", emulator.environment)
        assert Account(client_of(emulator), None).opens(issued.certificate_id, issued.arn, CHILLER)
    finally:
        emulator.stop()
    assert (tmp_path / "aws" / "iot.sqlite").stat().st_mode & 0o077 == 0


def test_nobody_there_is_a_registry_that_is_away() -> None:
    client = boto3.client(
        "iot",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(RegistryAway):
        IotThings("us-east-1", None, lambda _: client).put_thing(CHILLER)
