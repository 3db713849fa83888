"""The functions' handlers, as the manifest names them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

from traksense.contracts.functions import Function

Handler = Callable[[dict[str, Any], Any], Any]
"""A function: takes an event and a context."""


def load_handler(function: Function) -> Handler:
    """Import a function's handler."""
    module, _, attribute = function.handler.partition(":")
    return cast(Handler, getattr(importlib.import_module(module), attribute))
