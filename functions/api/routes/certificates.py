"""Devices' certificates: given, shown, taken away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from chalice.app import Blueprint

from functions.api import problem
from functions.api.auditing import Audited
from functions.api.bundle import bundle
from functions.api.models.certificates import (
    CertificateAnswer,
    CertificatesAnswer,
    CredentialsAnswer,
    EndpointAnswer,
    IssuedAnswer,
    IssuedListAnswer,
    Provision,
    ProvisionMany,
    Revoke,
    RevokedAnswer,
    TopicsAnswer,
)
from functions.api.routing import JSON, OPS, Call, Download, Header, Reply, route
from functions.api.validation import NoParams
from traksense.contracts import topics
from traksense.domain.errors import RetryableError, TrakSenseError
from traksense.i18n.catalogue import Locale, Text, translate
from traksense.services.device_writes import chosen
from traksense.services.things import Credentials, Endpoint, Provisioned

blueprint: Final = Blueprint(__name__)

ZIP: Final = "application/zip"


@route(
    blueprint,
    "POST",
    "/api/devices/{device_id}/provision",
    roles=OPS,
    audit=Audited("devices.provision"),
    body=Provision,
    has_optional_body=True,
    response=CredentialsAnswer,
    media_types=(JSON, ZIP),
    answer_headers=(Header("Content-Disposition", "The name of the ZIP file."),),
)
def provision(call: Call[NoParams, Provision]) -> CredentialsAnswer | Reply:
    """Gives a device a certificate, with a key that is shown this once or for its own request."""
    provisioning = call.services.provisioning
    endpoint = provisioning.endpoint()
    made = provisioning.provision(call.scope, call.ids["device_id"], call.body.csr)
    answer = credentials_answer(made, endpoint)
    if call.media_type != ZIP:
        return answer
    return Reply(200, Download(bundle(answer, datetime.now(UTC)), ZIP, f"{made.thing.name}.zip"))


@route(
    blueprint,
    "POST",
    "/api/devices/provision",
    roles=OPS,
    audit=Audited("devices.provision"),
    body=ProvisionMany,
    response=IssuedListAnswer,
)
def provision_many(call: Call[NoParams, ProvisionMany]) -> IssuedListAnswer:
    """Gives up to 100 devices of the chosen tenant a certificate and a key each."""
    tenant_id = chosen(call.scope)
    endpoint = call.services.provisioning.endpoint()
    made = call.services.provisioning.provision_many(tenant_id, call.body.devices)
    return IssuedListAnswer(
        items=[_issued(each, call.locale) for each in made],
        endpoint=EndpointAnswer.model_validate(endpoint),
    )


@route(
    blueprint,
    "POST",
    "/api/devices/{device_id}/revoke",
    roles=OPS,
    audit=Audited("devices.revoke"),
    body=Revoke,
    has_optional_body=True,
    response=RevokedAnswer,
)
def revoke(call: Call[NoParams, Revoke]) -> RevokedAnswer:
    """Turns off one certificate of a device, or all: its connection ends and it stays out."""
    return RevokedAnswer(
        revoked=call.services.provisioning.revoke(
            call.scope, call.ids["device_id"], call.body.certificate_id
        )
    )


@route(
    blueprint,
    "GET",
    "/api/devices/{device_id}/certificates",
    roles=OPS,
    audit=Audited("certificates.list"),
    response=CertificatesAnswer,
)
def list_certificates(call: Call[NoParams, None]) -> CertificatesAnswer:
    """Lists the certificates that a device got, newest first."""
    found = call.services.provisioning.certificates(call.scope, call.ids["device_id"])
    return CertificatesAnswer(items=[CertificateAnswer.model_validate(each) for each in found])


def credentials_answer(made: Credentials, endpoint: Endpoint) -> CredentialsAnswer:
    """The answer about new credentials."""
    thing = made.thing
    own = [
        str(topics.device_topic(thing.tenant, thing.site, thing.device, channel))
        for channel in topics.UPLINK
    ]
    if thing.mac is not None:
        own.append(str(topics.gateway_topic(thing.mac)))
    command = topics.device_topic(thing.tenant, thing.site, thing.device, topics.Channel.CMD)
    return CredentialsAnswer(
        device_id=made.device_id,
        thing_name=thing.name,
        certificate_id=made.certificate_id,
        certificate=made.certificate,
        private_key=made.private_key,
        expires_at=made.expires_at,
        endpoint=EndpointAnswer.model_validate(endpoint),
        topics=TopicsAnswer(publish=own, subscribe=[str(command)]),
    )


def reason_of(error: TrakSenseError | None, locale: Locale) -> str:
    """Why there are no credentials, in the caller's language."""
    said = next((part for part in getattr(error, "args", ()) if isinstance(part, Text)), None)
    if said is not None:
        return problem.said(said, locale)
    is_retryable = isinstance(error, RetryableError)
    return translate(locale, f"problem.{'unavailable' if is_retryable else 'conflict'}.detail")


def _issued(outcome: Provisioned, locale: Locale) -> IssuedAnswer:
    made, error = outcome.credentials, outcome.error
    if made is None:
        return IssuedAnswer(
            device_id=outcome.device_id, thing_name=None, certificate_id=None, certificate=None,
            private_key=None, expires_at=None, retry=isinstance(error, RetryableError),
            error=reason_of(error, locale),
        )  # fmt: skip
    return IssuedAnswer(
        device_id=outcome.device_id, thing_name=made.thing.name,
        certificate_id=made.certificate_id, certificate=made.certificate,
        private_key=made.private_key, expires_at=made.expires_at, error=None, retry=False,
    )  # fmt: skip
