"""Builds the emulator: moto's services with the pool in them, the data plane, the guard."""

from __future__ import annotations

import importlib
import json
import os
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from traksense.contracts.buckets import BUCKETS
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.user_pool import USER_POOL

from .guard import Guard, KeptCognito
from .settings import AwsSettings

if TYPE_CHECKING:
    from .mail import Trigger
    from .mailbox import KeptSes

SERVICES: Final = ("s3", "ses", "cognito-idp")
PART_IN_MEMORY: Final = 1_000_000
"""Bytes of an object, or of an upload's part, that moto keeps in memory before it takes a file."""


def build(settings: AwsSettings) -> Guard:
    """The WSGI app of the emulator. Raises StartupError where what the home keeps is damaged."""
    # moto reads this when it is imported; the guard drops such headers whatever moto does.
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "1"
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(PART_IN_MEMORY)
    from moto.cognitoidp.models import cognitoidp_backends
    from moto.cognitoidp.responses import CognitoIdpJsonWebKeyResponse
    from moto.moto_server.werkzeug_app import create_backend_app
    from moto.ses.models import ses_backends

    from local.certificates import CertificateAuthority

    from .broker_link import BrokerLink
    from .cognito import LocalCognito
    from .identifiers import ACCOUNT, REGION, SENDER
    from .iot import LocalIot
    from .iot_data import IotData, broker_address
    from .mail import PoolMail
    from .mailbox import KeptSes, Mailbox
    from .pool import LocalUserPool
    from .signing_key import SigningKey
    from .store import UserStore

    folder = settings.home / "aws"
    key = SigningKey.load_or_create(folder / "signing-key.pem")
    # The one place where the key that moto ships, which everybody knows, is replaced: here the
    # public half, in LocalUserPool the private one.
    CognitoIdpJsonWebKeyResponse.json_web_key = json.dumps(key.jwks).encode()
    pool = LocalUserPool(settings.ids, key)
    store = UserStore(folder / "users.json")
    store.load_into(pool)
    ses = KeptSes(REGION, ACCOUNT, Mailbox(folder / "mail"))
    mail = PoolMail(pool.id, f"TrakSense <{SENDER}>", _trigger(), partial(_send, ses))
    cognito = LocalCognito(pool, mail)
    # Before moto's backend is replaced: it finds the services' URLs by its own class's module.
    apps: dict[str, Any] = {name: create_backend_app(name) for name in SERVICES}
    cognitoidp_backends[ACCOUNT][REGION] = cognito
    ses_backends[ACCOUNT][REGION] = ses
    apps["cognito-idp"] = KeptCognito(apps["cognito-idp"], cognito, store)
    apps["iot"] = LocalIot(
        folder / "iot.sqlite",
        CertificateAuthority(settings.home / "certificates"),
        settings.mqtt_port,
    )
    apps["iotdata"] = IotData(BrokerLink(lambda: broker_address(settings.home)))
    if settings.functions is not None:
        from .step_functions import step_functions

        apps["states"] = step_functions(settings.functions)
    _create_resources(ACCOUNT, REGION, SENDER)
    return Guard(apps, key.jwks, pool.id, settings.port, settings.credentials)


def _create_resources(account: str, region: str, sender: str) -> None:
    from moto.s3.models import s3_backends
    from moto.ses.models import ses_backends

    for bucket in BUCKETS:
        s3_backends[account]["aws"].create_bucket(bucket.name, region)
        # A net that the emulator only holds: its files are gone with its process.
        s3_backends[account]["aws"].put_bucket_lifecycle(bucket.name, bucket.lifecycle)
    ses_backends[account][region].verify_email_identity(sender)


def _trigger() -> Trigger:
    """The function that the pool's contract names for its messages."""
    name = USER_POOL.triggers["CustomMessage"]
    function = next(each for each in FUNCTIONS if each.name == name)
    module, _, attribute = function.handler.partition(":")
    trigger: Trigger = getattr(importlib.import_module(module), attribute)
    return trigger


def _send(ses: KeptSes, message: EmailMessage) -> None:
    ses.send_raw_email(str(message["From"]), [], message.as_string())
