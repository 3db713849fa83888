"""``python -m local.aws``: S3, SES, Cognito and IoT's data plane on a loopback port."""

from __future__ import annotations

import os
from typing import Final

from local import child
from local.gateway.http_server import Server

from .server import build
from .settings import AwsSettings

LARGEST_UPLOAD: Final = 2**30


def main(stop: child.StopRequest) -> None:
    """Serve until the end is requested. Raises StartupError."""
    settings = AwsSettings.from_environment(os.environ)
    server = Server(build(settings), settings.port, threads=8, largest_body=LARGEST_UPLOAD)
    child.ready(port=server.port)
    server.run(stop)


if __name__ == "__main__":
    child.run("aws", main)
