"""The places outside the database that an erasure empties, over their adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from traksense.aws.iot import IotThings
from traksense.aws.iot_data import IotDataPublisher
from traksense.aws.s3 import Bucket, S3TenantObjects, S3Tombstones
from traksense.aws.sqs import SqsDepths
from traksense.aws.user_directory import CognitoDirectory
from traksense.contracts import topics
from traksense.contracts.things import Thing
from traksense.services.erasure import ErasedPlaces, TombstoneLedger
from traksense.services.publisher import Publisher
from traksense.services.things import ThingRegistry
from traksense.settings.erasure import ErasureSettings


class RegisteredThings:
    """Implements ``traksense.services.erasure.ErasedThings``."""

    def __init__(self, registry: ThingRegistry) -> None:
        self._registry = registry

    def turn_off(self, certificate: str) -> int:
        """Let a certificate in no more: ``thing id arn``; how many that was."""
        thing_name, certificate_id, arn = certificate.split(" ")
        self._registry.turn_off(_thing(thing_name), certificate_id, arn)
        return 1

    def remove(self, thing_name: str) -> int:
        """The thing goes, all of whose certificates are off; how many that was."""
        self._registry.remove_thing(_thing(thing_name))
        return 1


def _thing(name: str) -> Thing:
    """A thing by its name, which is all that taking it away asks for."""
    tenant, device = topics.split_thing_name(name)
    return Thing(tenant, "", device)


class PoolUsers:
    """Implements ``traksense.services.erasure.ErasedUsers``."""

    def __init__(self, directory: CognitoDirectory) -> None:
        self._directory = directory

    def remove(self, email: str, tenant_id: UUID) -> None:
        """The user goes, if there is one of this tenant."""
        self._directory.remove(email, tenant_id)


class BrokersRetained:
    """Implements ``traksense.services.erasure.RetainedMessages``."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def clear(self, topic: str) -> None:
        """Have the broker keep nothing for a topic (MQTT 3.1.1, section 3.3.1.3)."""
        self._publisher.publish(topic, b"", retain=True)


def places(
    region: str,
    user_pool_id: str,
    exports_bucket: str,
    ledger: TombstoneLedger,
    queue_depths: Callable[[], Mapping[str, int]],
) -> ErasedPlaces:
    """All places. Connects to none of them."""
    return ErasedPlaces(
        things=RegisteredThings(IotThings(region)),
        users=PoolUsers(CognitoDirectory(user_pool_id, region)),
        retained=BrokersRetained(IotDataPublisher(region)),
        objects=S3TenantObjects(Bucket(exports_bucket, region)),
        ledger=ledger,
        queue_depths=queue_depths,
    )


def places_from_environment() -> ErasedPlaces:
    """The places of this deployment. Raises ConfigurationError."""
    settings = ErasureSettings.from_environment()
    return places(
        settings.region,
        settings.user_pool_id,
        settings.exports_bucket,
        S3Tombstones(Bucket(settings.tombstones_bucket, settings.region)),
        SqsDepths(settings.queue_urls, settings.region),
    )
