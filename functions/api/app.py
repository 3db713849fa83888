"""The API's Chalice app: registration only. Lambda's handler is ``app``."""

from __future__ import annotations

from typing import Final

from chalice.app import Chalice, Request, Response

from functions.api.middleware import GetResponse, answer
from functions.api.routes import ALL

# Neither Chalice's own log handler nor its mark in the environment: both would act at import.
app: Final = Chalice("traksense", configure_logs=False, env={})


def around(request: Request, get_response: GetResponse) -> Response:
    """Surround every request."""
    return answer(request, get_response, app.routes)


app.register_middleware(around, "http")
for blueprint in ALL:
    app.register_blueprint(blueprint)
