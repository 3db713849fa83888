"""Publishing through the data plane's HTTP API to a real mosquitto, and the fake held to it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.certificates import CertificateAuthority
from local.home import Home
from local.mosquitto import Broker, BrokerDevice
from local.ports import free_port
from local.settings import LocalSettings
from local.unprivileged import forget
from tests.contract.broker_client import BrokerClient, connected
from tests.contract.emulator import Emulator
from tests.support.publisher import FakePublisher
from traksense.aws.iot_data import IotDataPublisher
from traksense.services.publisher import (
    MAX_PAYLOAD_BYTES,
    Publisher,
    PublisherAway,
    PublishRefused,
)

pytestmark = pytest.mark.timeout(60)

CHILLER = BrokerDevice("acme", "plant-1", "chiller-1")
THING = "acme_chiller-1"
CMD = "traksense/acme/plant-1/chiller-1/cmd"


class Site:
    """A broker and an emulator on one home."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.create()
        self.authority = CertificateAuthority(self.home.certificates)
        self.settings = LocalSettings.from_environment(
            {"TRAKSENSE_HOME": str(root), "TRAKSENSE_MQTT_PORT": str(free_port())}
        )
        self.broker = Broker(self.home, self.settings, self.authority)
        # Before the broker, as in a start of the platform.
        self.emulator = Emulator.start(root)

    def publisher(self) -> IotDataPublisher:
        return IotDataPublisher("us-east-1", lambda _region: self.emulator.client("iot-data"))

    def device(self, *, session_s: int = 0) -> BrokerClient:
        return BrokerClient(
            self.settings.mqtt_port,
            self.authority.ca_path,
            self.authority.device_certificate(THING),
            THING,
            session_s=session_s,
        )

    def listener(self) -> BrokerClient:
        return BrokerClient(
            self.broker.platform_port,
            self.authority.ca_path,
            self.authority.bridge_certificate(),
            "test-listener",
        )

    def end(self) -> None:
        self.emulator.stop()
        self.broker.stop()
        forget(self.home)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site") / "home")
    with pytest.raises(PublisherAway):
        site.publisher().publish(CMD, b"nobody is there yet")
    site.broker.start([CHILLER])
    yield site
    site.end()


@pytest.fixture(params=["data plane", "fake"])
def publisher(request: pytest.FixtureRequest) -> Publisher:
    """Each implementation of the protocol."""
    if request.param == "fake":
        return FakePublisher()
    made: Publisher = request.getfixturevalue("site").publisher()
    return made


@pytest.mark.parametrize(
    "refused",
    [
        lambda publisher: publisher.publish(CMD, b"x" * (MAX_PAYLOAD_BYTES + 1)),
        lambda publisher: publisher.publish("", b"x"),
        lambda publisher: publisher.publish("traksense/+/x", b"x"),
        lambda publisher: publisher.publish("traksense/#", b"x"),
        lambda publisher: publisher.publish("$aws/events/presence/connected/x", b"x"),
        lambda publisher: publisher.publish("a/b/c/d/e/f/g/h/i", b"x"),
        lambda publisher: publisher.publish("ç" * 129, b"x"),
        lambda publisher: publisher.publish(CMD, b"x", qos=2),
        lambda publisher: publisher.publish(CMD, b"x", expiry_s=0),
    ],
)
def test_what_the_broker_will_never_take_is_refused(
    publisher: Publisher, refused: Callable[[Publisher], None]
) -> None:
    with pytest.raises(PublishRefused):
        refused(publisher)
    publisher.publish(CMD, b"x" * MAX_PAYLOAD_BYTES)


def test_a_message_reaches_its_device_with_the_time_it_has_left(site: Site) -> None:
    payload = b'{"op":"\xc3\xa7"}\x00\xff'
    with connected(site.device()) as device:
        assert device.subscribe(CMD) == 1
        site.publisher().publish(CMD, payload, expiry_s=60)
        message = device.next_message()
    assert (message.payload, message.qos, message.retain) == (payload, 1, False)
    assert message.properties is not None
    assert message.properties.MessageExpiryInterval == 60


def test_a_message_that_has_expired_reaches_nobody(site: Site) -> None:
    with connected(site.device(session_s=60)) as device:
        device.subscribe(CMD)
    site.publisher().publish(CMD, b"late", expiry_s=1)
    site.publisher().publish(CMD, b"in time", expiry_s=60)
    time.sleep(2.1)
    with connected(site.device(session_s=60)) as device:
        assert device.next_message().payload == b"in time"
        assert device.hears_nothing()


def test_a_retained_message_is_kept_and_taken_away_again(site: Site) -> None:
    topic = "traksense/acme/plant-1/chiller-1/state"
    site.publisher().publish(topic, b"kept", retain=True)
    with connected(site.listener()) as listener:
        listener.subscribe(topic)
        assert listener.next_message().payload == b"kept"
    site.publisher().publish(topic, b"", retain=True)
    with connected(site.listener()) as listener:
        listener.subscribe(topic)
        assert listener.hears_nothing()


def test_many_publish_at_once_and_each_message_arrives_once(site: Site) -> None:
    publisher = site.publisher()
    wanted = {f"{n}".encode() for n in range(200)}
    with connected(site.listener()) as listener:
        listener.subscribe("many")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda payload: publisher.publish("many", payload), wanted))
        got = [listener.next_message().payload for _ in wanted]
        assert listener.hears_nothing()
    assert sorted(got) == sorted(wanted)


def test_a_broker_that_went_away_is_found_again(site: Site) -> None:
    publisher = site.publisher()
    publisher.publish(CMD, b"before")
    site.broker.stop()
    with pytest.raises(PublisherAway):
        publisher.publish(CMD, b"while it is away")
    site.broker.start([CHILLER])
    with connected(site.device()) as device:
        device.subscribe(CMD)
        publisher.publish(CMD, b"after")
        assert device.next_message().payload == b"after"
        assert device.hears_nothing(), "what failed does not come later"


def test_only_the_runs_own_signed_requests_publish(site: Site) -> None:
    for strange in (
        site.emulator.client("iot-data", key_id="AKIAEXAMPLE"),
        site.emulator.client("iot-data", secret="guess"),
    ):
        with pytest.raises(ClientError) as caught:
            strange.publish(topic=CMD, payload=b"x", qos=1)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        with pytest.raises(PublishRefused):
            IotDataPublisher("us-east-1", lambda _region, client=strange: client).publish(CMD, b"x")


def test_a_signature_is_of_one_topic_payload_and_query(site: Site) -> None:
    """What was signed for one message publishes no other."""
    seen: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        seen.append(request)

    client = site.emulator.client("iot-data")
    client.meta.events.register("before-send.iot-data.Publish", keep, unique_id="keep")
    client.publish(topic=CMD, payload=b"mine", qos=1)
    client.meta.events.unregister("before-send.iot-data.Publish", unique_id="keep")
    path = seen[0].url.partition(f":{site.emulator.port}")[2]
    headers = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in seen[0].headers.items()
    }

    def send(path: str, body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", site.emulator.port, timeout=5)
        connection.request("POST", path, body, {**headers, "Content-Length": str(len(body))})
        status = connection.getresponse().status
        connection.close()
        return status

    assert send(path, b"mine") == 200
    assert send(path, b"his!") == 403
    assert send(path.replace("chiller-1", "chiller-2"), b"mine") == 403
    assert send(path + "&retain=true", b"mine") == 403
    assert send(path.replace("%2Fcmd", "%2Fx%2F..%2Fcmd"), b"mine") == 403


@pytest.mark.parametrize(
    "arguments",
    [
        {"userProperties": json.dumps([{"a": "b"}])},
        {"contentType": "application/json"},
        {"correlationData": "YQ=="},
    ],
)
def test_what_is_not_passed_on_is_refused_rather_than_left_out(
    site: Site, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        site.emulator.client("iot-data").publish(topic=CMD, payload=b"x", qos=1, **arguments)
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"


def test_no_other_operation_of_the_data_plane_is_there(site: Site) -> None:
    with pytest.raises(ClientError) as caught:
        site.emulator.client("iot-data").get_thing_shadow(thingName=THING)
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"


def test_a_data_plane_that_cannot_be_reached_is_worth_another_try() -> None:
    import boto3
    from botocore.config import Config

    client = boto3.session.Session().client(
        "iot-data",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        region_name="us-east-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(PublisherAway):
        IotDataPublisher("us-east-1", lambda _region: client).publish(CMD, b"x")
