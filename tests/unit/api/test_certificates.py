"""Certificates of devices: given once, mended after a kill, turned off."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from functions.api.services import services
from tests.support.api_routes.fresh import fresh
from tests.support.fake_things import FakeThings, Killed
from traksense.db.certificates import SqlCertificateStore
from traksense.db.connection import Database
from traksense.db.device_writes import SqlDeviceWriteStore
from traksense.services import certificate_requests
from traksense.services.device_writes import DeviceWrites
from traksense.services.provisioning import GIVEN_UP_AFTER, Provisioning
from traksense.services.scope import Scope
from traksense.wiring.api import api

from .support import OPERATOR, Answer, FakeLogin, World, call, make_world, outside

ACME = {"X-Tenant": "acme"}


@pytest.fixture(scope="module")
def things() -> FakeThings:
    return FakeThings()


@pytest.fixture(scope="module")
def world(module_database_url: str, things: FakeThings) -> Iterator[World]:
    login = FakeLogin()
    database = Database(module_database_url)
    world = make_world(module_database_url, login, database)
    services.use(api(database, replace(outside(login), things=things)))
    yield world
    services.use(None)
    database.close()


def new_device(**fields: object) -> str:
    body = {"name": fresh("thing"), "site": "plant", "template": "chiller", **fields}
    answer = call("POST", "/api/devices", OPERATOR, headers=ACME, body=body)
    assert answer.status == 201, answer.text
    found: str = answer.json["id"]
    return found


def provision(device: str, body: object = None, **headers: str) -> Answer:
    return call("POST", f"/api/devices/{device}/provision", OPERATOR, body=body, headers=headers)


def revoke(device: str, body: object = None) -> Answer:
    return call("POST", f"/api/devices/{device}/revoke", OPERATOR, body=body)


def certificates(device: str) -> list[dict[str, Any]]:
    answer = call("GET", f"/api/devices/{device}/certificates", OPERATOR)
    found: list[dict[str, Any]] = answer.json["items"]
    return found


def statuses(device: str) -> list[str]:
    return [each["status"] for each in certificates(device)]


def test_a_device_gets_a_certificate_and_a_key_that_fit_and_are_shown_once(
    world: World, things: FakeThings
) -> None:
    device = new_device(mac="aa:bb:cc:01:00:01")
    answer = provision(device)
    body = answer.json
    certificate = x509.load_pem_x509_certificate(body["certificate"].encode())
    key = serialization.load_pem_private_key(body["private_key"].encode(), None)
    assert certificate.subject.rfc4514_string() == f"CN={body['thing_name']}"
    assert certificate.public_key() == key.public_key()  # type: ignore[union-attr]
    assert things.open_for(body["thing_name"]) == {body["certificate_id"]}
    assert things.things[body["thing_name"]]["mac"] == "aa:bb:cc:01:00:01"
    assert things.certificates[body["certificate_id"]].policies == {
        "traksense-device", "traksense-gateway",
    }  # fmt: skip
    name = body["thing_name"].removeprefix("acme_")
    assert body["topics"]["subscribe"] == [f"traksense/acme/plant/{name}/cmd"]
    assert "tds_new/devices/aa:bb:cc:01:00:01/telemetry" in body["topics"]["publish"]
    assert answer.headers["Cache-Control"] == "no-store"
    (noted,) = certificates(device)
    assert (noted["certificate_id"], noted["status"]) == (body["certificate_id"], "active")
    with world.connect() as connection:
        row = connection.execute(
            "SELECT row_to_json(c)::text FROM public.device_certificates c WHERE device_id = %s",
            (device,),
        ).fetchone()
    assert row is not None
    assert "PRIVATE" not in row[0]
    assert call("GET", f"/api/devices/{device}", OPERATOR).json["is_provisioned"] is True


def test_a_devices_own_request_is_signed_and_no_key_is_answered(world: World) -> None:
    device = new_device()
    name = call("GET", f"/api/devices/{device}", OPERATOR).json["name"]
    own = certificate_requests.new_key(f"acme_{name}")
    body = provision(device, {"csr": own.request}).json
    assert body["private_key"] is None
    key = serialization.load_pem_private_key(own.key.encode(), None)
    certificate = x509.load_pem_x509_certificate(body["certificate"].encode())
    assert certificate.public_key() == key.public_key()  # type: ignore[union-attr]


@pytest.mark.parametrize("csr", ["", "nothing", "\x00", None, "foreign", "tampered"])
def test_a_request_that_will_not_do_is_422(world: World, things: FakeThings, csr: str) -> None:
    device = new_device()
    if csr == "foreign":
        csr = certificate_requests.new_key("globex_chiller-0").request
    elif csr == "tampered":
        name = call("GET", f"/api/devices/{device}", OPERATOR).json["name"]
        request = certificate_requests.new_key(f"acme_{name}").request
        der = bytearray(base64.b64decode("".join(request.splitlines()[1:-1])))
        der[-1] ^= 1
        csr = "-----BEGIN CERTIFICATE REQUEST-----\n"
        csr += base64.encodebytes(bytes(der)).decode() + "-----END CERTIFICATE REQUEST-----\n"
    if csr is None:
        assert provision(device, {"csr": 1}).status == 422
        return
    before = len(things.certificates)
    answer = provision(device, {"csr": csr})
    assert answer.status == 422, answer.text
    assert len(things.certificates) == before


def test_the_bundle_holds_all_that_a_device_needs(world: World) -> None:
    device = new_device()
    answer = provision(device, Accept="application/zip")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Cache-Control"] == "no-store"
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(answer.text)))
    (thing,) = (n.removesuffix(".key") for n in archive.namelist() if n.endswith(".key"))
    assert sorted(archive.namelist()) == sorted(
        ["README.en.txt", "README.pt-BR.txt", f"{thing}.crt", f"{thing}.key", "ca.crt",
         "endpoint.json"]
    )  # fmt: skip
    assert archive.getinfo(f"{thing}.key").external_attr >> 16 == 0o100600
    told = json.loads(archive.read("endpoint.json"))
    assert told["endpoint"] == {"host": "iot.example", "port": 8883}
    assert thing in archive.read("README.pt-BR.txt").decode()


def test_a_second_certificate_may_take_over_and_a_third_has_to_wait(
    world: World, things: FakeThings
) -> None:
    device = new_device()
    first, second = provision(device).json, provision(device).json
    assert provision(device).status == 409
    assert revoke(device, {"certificate_id": first["certificate_id"]}).json == {"revoked": 1}
    assert things.open_for(second["thing_name"]) == {second["certificate_id"]}
    assert statuses(device) == ["active", "revoked"]
    assert provision(device).status == 200
    assert revoke(device).json == {"revoked": 2}
    assert things.open_for(second["thing_name"]) == set()
    assert revoke(device).json == {"revoked": 0}


def test_a_certificate_of_another_device_is_not_revoked(world: World, things: FakeThings) -> None:
    mine, theirs = new_device(), new_device()
    other = provision(theirs).json
    provision(mine)
    assert revoke(mine, {"certificate_id": other["certificate_id"]}).status == 404
    assert things.open_for(other["thing_name"]) == {other["certificate_id"]}


def test_who_speaks_through_a_gateway_or_is_retired_gets_no_certificate(world: World) -> None:
    gateway = new_device(mac="aa:bb:cc:01:00:02")
    name = call("GET", f"/api/devices/{gateway}", OPERATOR).json["name"]
    assert provision(new_device(gateway=name, gateway_code="D01")).status == 409
    retired = new_device()
    call("PATCH", f"/api/devices/{retired}", OPERATOR, body={"status": "retired"})
    assert provision(retired).status == 409


def test_several_devices_get_a_key_each_and_one_that_cannot_does_not_stop_them(
    world: World, things: FakeThings
) -> None:
    devices = [new_device() for _ in range(5)]
    call("PATCH", f"/api/devices/{devices[1]}", OPERATOR, body={"status": "retired"})
    foreign = str(world.globex.device)
    asked = [*devices, foreign, devices[0]]
    answer = call("POST", "/api/devices/provision", OPERATOR, headers=ACME, body={"devices": asked})
    items = {item["device_id"]: item for item in answer.json["items"]}
    assert list(items) == [*devices, foreign]
    failed = {device for device, item in items.items() if item["error"] is not None}
    assert failed == {devices[1], foreign}
    keys = {item["private_key"] for item in items.values()} - {None}
    assert len(keys) == 4
    for device in set(devices) - failed:
        made = items[device]
        assert things.open_for(made["thing_name"]) == {made["certificate_id"]}


def test_a_move_to_another_site_moves_the_thing(world: World, things: FakeThings) -> None:
    device = new_device()
    thing = provision(device).json["thing_name"]
    path = f"/api/devices/{device}"
    things.away = True
    assert call("PATCH", path, OPERATOR, body={"site": "depot"}).status == 503
    things.away = False
    assert things.things[thing]["site"] == "plant"
    assert call("PATCH", path, OPERATOR, body={"site": "depot"}).status == 200
    assert things.things[thing]["site"] == "depot"
    call("PATCH", path, OPERATOR, body={"mac": "aa:bb:cc:01:00:03"})
    assert things.things[thing]["mac"] == "aa:bb:cc:01:00:03"
    (held,) = things.open_for(thing)
    assert "traksense-gateway" in things.certificates[held].policies


def test_deleting_turns_the_certificates_off_and_takes_the_thing_away(
    world: World, things: FakeThings
) -> None:
    device = new_device()
    made = provision(device).json
    assert call("DELETE", f"/api/devices/{device}", OPERATOR).status == 204
    assert made["thing_name"] not in things.things
    assert not things.certificates[made["certificate_id"]].is_active
    with world.connect() as connection:
        row = connection.execute(
            "SELECT device_id, status FROM public.device_certificates WHERE certificate_id = %s",
            (made["certificate_id"],),
        ).fetchone()
    assert row == (None, "revoked")


def test_a_device_with_certificates_is_deleted_by_nobody_else(world: World) -> None:
    device = new_device()
    provision(device)
    with pytest.raises(Exception, match="device_certificates_ownerless"), world.connect() as raw:
        raw.execute("DELETE FROM public.devices WHERE id = %s", (device,))


def test_the_registry_away_is_503_and_the_next_call_goes_through(
    world: World, things: FakeThings
) -> None:
    device = new_device()
    things.away = True
    answer = provision(device)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    things.away = False
    assert provision(device).status == 200
    things.away = True
    assert revoke(device).status == 503
    things.away = False
    assert revoke(device).json == {"revoked": 1}


def created(**fields: object) -> Answer:
    body = {"name": fresh("thing"), "site": "plant", "template": "chiller", **fields}
    query = {"provision": "true"}
    return call("POST", "/api/devices", OPERATOR, query=query, headers=ACME, body=body)


def test_a_new_device_gets_its_key_in_the_same_call_if_it_is_asked_for(
    world: World, things: FakeThings
) -> None:
    answer = created()
    assert answer.status == 201
    given = answer.json["credentials"]
    assert given["private_key"].startswith("-----BEGIN")
    assert given["thing_name"] == f"acme_{answer.json['name']}"
    assert answer.json["provision_error"] is None
    assert statuses(answer.json["id"]) == ["active"]
    assert call("GET", f"/api/devices/{answer.json['id']}", OPERATOR).json.keys() == (
        answer.json.keys() - {"credentials", "provision_error"}
    )


def test_a_new_device_is_made_although_it_cannot_be_provisioned_yet(
    world: World, things: FakeThings
) -> None:
    things.away = True
    answer = created()
    things.away = False
    assert answer.status == 201
    assert answer.json["credentials"] is None
    assert "Try again" in answer.json["provision_error"]
    assert provision(answer.json["id"]).status == 200


class Office:
    """Provisioning over a registry of its own, whose process can be killed, and a clock."""

    def __init__(self, world: World) -> None:
        self.things = FakeThings()
        self.now = datetime.now(UTC)
        store = SqlCertificateStore(world.database)
        devices = DeviceWrites(SqlDeviceWriteStore(world.database))
        self.scope = Scope.of(world.acme.id)
        self.provisioning = Provisioning(store, self.things, devices, lambda: self.now)

    def killed(self, step: int, work: Any) -> bool:
        """Do something with the process killed at a step; whether it got that far."""
        self.things.steps, self.things.killed_at = 0, step
        try:
            work()
        except Killed:
            return True
        finally:
            self.things.killed_at = None
        return False


def test_a_call_killed_at_any_step_is_mended_by_the_next_one(world: World) -> None:
    step, is_killed = 0, True
    while is_killed:
        step += 1
        office, device = Office(world), UUID(new_device())
        is_killed = office.killed(
            step,
            lambda: office.provisioning.provision(office.scope, device),  # noqa: B023
        )
        if not is_killed:
            break
        # Soon after, the killed call's certificate may still be in somebody's hands; later not.
        office.now += GIVEN_UP_AFTER + timedelta(seconds=1)
        made = office.provisioning.provision(office.scope, device)
        thing = made.thing.name
        assert office.things.open_for(thing) == {made.certificate_id}, step
        live = office.provisioning.certificates(office.scope, device)
        assert [each.status for each in live if each.status != "revoked"] == ["active"], step
    assert step > 8


@pytest.mark.parametrize("what", ["revoke", "delete"])
def test_turning_off_killed_at_any_step_is_finished_by_the_next_call(
    world: World, what: str
) -> None:
    step, is_killed = 0, True
    while is_killed:
        step += 1
        office, device = Office(world), UUID(new_device())
        made = office.provisioning.provision(office.scope, device)
        work = getattr(office.provisioning, what)
        is_killed = office.killed(step, lambda: work(office.scope, device))  # noqa: B023
        if is_killed:
            work(office.scope, device)
        assert office.things.open_for(made.thing.name) == set(), step
        assert not office.things.certificates[made.certificate_id].is_active, step
    assert step > 5


def test_a_certificate_revoked_while_it_is_being_made_is_given_to_nobody(world: World) -> None:
    office, device = Office(world), UUID(new_device())
    attach = office.things.attach

    def attach_and_be_overtaken(thing: Any, arn: str) -> None:
        attach(thing, arn)
        office.things.attach = attach  # type: ignore[method-assign]
        office.provisioning.revoke(office.scope, device)
        world.database.close()

    office.things.attach = attach_and_be_overtaken  # type: ignore[method-assign]
    with pytest.raises(Exception, match="changed at this moment"):
        office.provisioning.provision(office.scope, device)
    assert not any(held.is_active for held in office.things.certificates.values())
