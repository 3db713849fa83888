"""The services of this process, made at the first request and never at import."""

from __future__ import annotations

from typing import Final

from functions.made import Made
from traksense.wiring.api import ApiServices, api_from_environment

services: Final[Made[ApiServices]] = Made(api_from_environment)
"""The process's services."""
