"""Builds the emulator: moto's services with the pool in them, the data plane, the guard."""

from __future__ import annotations

import json
import os
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from local.errors import StartupError
from local.handlers import load_handler
from traksense.contracts.buckets import BUCKETS, TOMBSTONES
from traksense.contracts.functions import function_of
from traksense.contracts.user_pool import USER_POOL

from .guard import Guard, KeptCognito
from .settings import AwsSettings

if TYPE_CHECKING:
    from .mail import Trigger
    from .mailbox import KeptSes

SERVICES: Final = ("s3", "ses", "cognito-idp")
IN_THE_HOME: Final = (TOMBSTONES,)
"""Buckets that are folders of the home (``local.tombstones``): they have to outlive the emulator,
and everything that it holds is gone with its process."""
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
    from .mail import CUSTOM_MESSAGE, PoolMail
    from .mailbox import KeptSes, Mailbox
    from .pool import LocalUserPool
    from .signing_key import SigningKey
    from .store import UserStore
    from .suppressions import SesApps, Suppressions

    folder = settings.home / "aws"
    key = SigningKey.load_or_create(folder / "signing-key.pem")
    # The one place where the key that moto ships, which everybody knows, is replaced: here the
    # public half, in LocalUserPool the private one.
    CognitoIdpJsonWebKeyResponse.json_web_key = json.dumps(key.jwks).encode()
    pool = LocalUserPool(settings.ids, key)
    store = UserStore(folder / "users.json")
    store.load_into(pool)
    suppressions = Suppressions(folder / "suppressed.json")
    ses = KeptSes(REGION, ACCOUNT, Mailbox(folder / "mail"), suppressions)
    mail = PoolMail(
        pool.id, f"TrakSense <{SENDER}>", triggers()[CUSTOM_MESSAGE], partial(_send, ses)
    )
    cognito = LocalCognito(pool, mail)
    # Before moto's backend is replaced: it finds the services' URLs by its own class's module.
    apps: dict[str, Any] = {name: create_backend_app(name) for name in SERVICES}
    cognitoidp_backends[ACCOUNT][REGION] = cognito
    ses_backends[ACCOUNT][REGION] = ses
    apps["cognito-idp"] = KeptCognito(apps["cognito-idp"], cognito, store)
    apps["ses"] = SesApps(suppressions, apps["ses"])
    apps["iot"] = LocalIot(
        folder / "iot.sqlite",
        CertificateAuthority(settings.home / "certificates"),
        settings.mqtt_port,
    )
    apps["iotdata"] = IotData(BrokerLink(lambda: broker_address(settings.home)))
    if settings.functions is not None:
        from .step_functions import step_functions

        apps["states"] = step_functions(settings.functions)
    create_buckets()
    ses.verify_email_identity(SENDER)
    return Guard(apps, key.jwks, pool.id, settings.port, settings.credentials)


def create_buckets() -> None:
    """Those of the contracts that are not in the home."""
    from moto.s3.models import s3_backends

    from .identifiers import ACCOUNT, REGION

    s3 = s3_backends[ACCOUNT]["aws"]
    for bucket in BUCKETS:
        if bucket not in IN_THE_HOME:
            s3.create_bucket(bucket.name, REGION)
            # A net that the emulator only holds: its files are gone with its process.
            s3.put_bucket_lifecycle(bucket.name, bucket.lifecycle)


def triggers() -> dict[str, Trigger]:
    """The functions that the pool's contract names, by trigger. Raises StartupError."""
    from .mail import CUSTOM_MESSAGE

    if strange := USER_POOL.triggers.keys() - {CUSTOM_MESSAGE}:
        raise StartupError(f"the local user pool never calls {', '.join(sorted(strange))}")
    return {
        trigger: load_handler(function_of(name)) for trigger, name in USER_POOL.triggers.items()
    }


def _send(ses: KeptSes, message: EmailMessage) -> None:
    ses.send_raw_email(str(message["From"]), [], message.as_string())
