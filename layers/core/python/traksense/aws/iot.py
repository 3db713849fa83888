"""The registry of things in AWS IoT Core (API reference, "AWS IoT")."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.contracts import things
from traksense.contracts.things import Thing
from traksense.services.things import Endpoint, Issued, RegistryAway

if TYPE_CHECKING:
    from botocore.client import BaseClient

_log = logging.getLogger(__name__)

PORT: Final = 8883
AMAZON_ROOT: Final = "amazon-root-ca-1.pem"
"""From https://www.amazontrust.com/repository/."""


class IotThings:
    """Implements ``traksense.services.things.ThingRegistry``. Threads may share it.

    Its boto3 client is made at the first call. The thing type and the policies are the
    deployment's to make.
    """

    def __init__(
        self,
        region: str,
        ca_file: Path | None = None,
        make_client: MakeClient | None = None,
    ) -> None:
        """``ca_file``: PEM of the authority that signed the endpoint's certificate, if not Amazon.

        It is read when the endpoint is asked for.
        """
        self._ca_file = ca_file
        self._client = LazyClient(region, make_client or iot_client)
        self._endpoint: Endpoint | None = None

    def put_thing(self, thing: Thing) -> None:
        """Have a thing with these attributes."""
        wanted = {
            "thingName": thing.name,
            "thingTypeName": things.THING_TYPE,
            "attributePayload": {"attributes": thing.attributes},
        }
        with self._iot() as iot:
            try:
                iot.create_thing(**wanted)
            except iot.exceptions.ResourceAlreadyExistsException:
                # Other attributes than these: none of it stays but what is given.
                iot.update_thing(**wanted)

    def issue(self, request: str) -> Issued:
        """A certificate for a request."""
        with self._iot() as iot:
            made = iot.create_certificate_from_csr(
                certificateSigningRequest=request, setAsActive=True
            )
        return Issued(made["certificateId"], made["certificateArn"], made["certificatePem"])

    def attach(self, thing: Thing, arn: str) -> None:
        """Let a certificate in as this thing: the thing last, without which no policy counts."""
        with self._iot() as iot:
            for policy in thing.policies:
                iot.attach_policy(policyName=policy, target=arn)
            iot.attach_thing_principal(thingName=thing.name, principal=arn)

    def turn_off(self, thing: Thing, certificate_id: str, arn: str) -> None:
        """Let a certificate in no more: its status first, which ends its connections."""
        with self._iot() as iot:
            missing = iot.exceptions.ResourceNotFoundException
            try:
                iot.update_certificate(certificateId=certificate_id, newStatus="REVOKED")
            except missing:
                return
            for policy in things.POLICIES:
                _unless(missing, partial(iot.detach_policy, policyName=policy, target=arn))
            _unless(
                missing, lambda: iot.detach_thing_principal(thingName=thing.name, principal=arn)
            )

    def remove_thing(self, thing: Thing) -> None:
        """Have no such thing."""
        with self._iot() as iot:
            _unless(
                iot.exceptions.ResourceNotFoundException,
                lambda: iot.delete_thing(thingName=thing.name),
            )

    def endpoint(self) -> Endpoint:
        """Where devices connect; asked once. An address of ``host:port`` is a local platform's."""
        if self._endpoint is None:
            with self._iot() as iot:
                address = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
            host, _, port = address.partition(":")
            self._endpoint = Endpoint(host, int(port or PORT), self._ca())
        return self._endpoint

    def _ca(self) -> str:
        if self._ca_file is not None:
            return self._ca_file.read_text("ascii")
        return resources.files(__package__).joinpath(AMAZON_ROOT).read_text("ascii")

    @contextmanager
    def _iot(self) -> Iterator[Any]:
        """The client; what it raises and nobody took is RegistryAway."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield self._client.get()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            _log.warning("the registry of things refused a call", extra={"code": code})
            raise RegistryAway(f"the registry of things answers {code}") from error
        except BotoCoreError as error:
            raise RegistryAway("the registry of things cannot be reached") from error


def _unless(expected: type[Exception], call: Callable[[], Any]) -> None:
    """A call that has nothing to do where this error says so."""
    try:
        call()
    except expected:
        return


def iot_client(region: str) -> BaseClient:
    """A boto3 client of AWS IoT's control plane, which slows down where it is told to."""
    return new_client("iot", region, attempts=4, mode="adaptive", connections=16)
