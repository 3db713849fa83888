"""``python -m local.gateway``: the API, the web page and the metrics on one port."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Final

from functions.api.services import services
from local import child
from local.aws.mailbox import Mailbox
from local.home import MAILBOX_KEY, Home
from local.prometheus import PrometheusSink
from traksense.contracts.functions import API
from traksense.observability import metrics
from traksense.wiring.api import api_from_environment

from .chalice_api import ChaliceApi
from .http_server import Server
from .mailbox import MailboxPage
from .refusals import refusal
from .settings import GatewaySettings
from .static import StaticFiles
from .tokens import KeySet, TokenVerifier, jwks_fetcher
from .wsgi import MAX_BODY_BYTES, Gateway

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = {
    "/": ROOT / "web",
    "/vendor/echarts": ROOT / "node_modules" / "echarts" / "dist",
}
THREADS: Final = 8


def main(stop: child.StopRequest) -> None:
    """Serve until the end is requested. Raises StartupError or ConfigurationError."""
    settings = GatewaySettings.from_environment(os.environ)
    # All that this process asks by HTTP is on this machine, and no proxy's business.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    sink = PrometheusSink()
    metrics.use(sink)
    cognito = settings.cognito
    keys = KeySet(jwks_fetcher(settings.aws_endpoint_url, cognito.user_pool_id))
    verifier = TokenVerifier(cognito.region, cognito.user_pool_id, cognito.client_id, keys)
    home = Home(settings.home)
    mailbox = MailboxPage(Mailbox(home.aws / "mail"), home.secrets().secret(MAILBOX_KEY))
    gateway = Gateway(ChaliceApi(_load_app(), verifier), StaticFiles(FOLDERS), sink, mailbox)
    services.use(api_from_environment(sink.queue_depths))
    server = Server(
        gateway,
        settings.http_port,
        threads=THREADS,
        largest_body=MAX_BODY_BYTES,
        refuse=lambda status, language: refusal(status, language, ""),
    )
    child.ready(port=server.port)
    server.run(stop)


def _load_app() -> Any:
    module, _, attribute = API.handler.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    child.run("gateway", main)
